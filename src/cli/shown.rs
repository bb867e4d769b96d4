//! How commands show things.

use clap::builder::PossibleValuesParser;
use jiff::Timestamp;
use serde::Serialize;

use super::Failure;
use super::print::{errln, outln};
use crate::message::shield::{harmless, is_order};
use crate::store::{Millis, State, now};

/// A moment, to the second.
pub(super) fn moment(at: Millis) -> String {
    let second = Timestamp::from_second(at.div_euclid(1000));
    second.map_or_else(|_| at.to_string(), |second| second.to_string())
}

/// How long ago something was, in its largest unit.
pub(super) fn ago(at: Millis) -> String {
    let seconds = now().saturating_sub(at).max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// Rows: a line of JSON each for programs, or as `line` has it for people.
pub(super) fn rows<T: Serialize>(rows: &[T], json: bool, none: &str, line: impl Fn(&T) -> String) {
    for row in rows {
        if json {
            outln!("{}", self::json(row));
        } else {
            outln!("{}", harmless_lines(&line(row)));
        }
    }
    if rows.is_empty() && !json {
        errln!("{none}");
    }
}

/// A value as JSON in one line, in which no character is a control sequence of a terminal, or reorders its text.
pub(super) fn json(value: &impl Serialize) -> String {
    escaped(&serde_json::to_string(value).unwrap_or_default())
}

/// JSON with such characters escaped; it says the same.
pub(super) fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        // Those of ASCII are escaped in strings already; a line end between two values stays.
        if is_order(c) && (!c.is_ascii_control() || c == '\u{7f}') {
            let mut units = [0; 2];
            text.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            text.push(c);
        }
    }
    text
}

/// Untrusted text for a line of its own: without line ends too.
pub(super) fn in_line(text: &str) -> String {
    harmless(&text.replace(['\n', '\r', '\t', '\u{85}', '\u{2028}', '\u{2029}'], " "))
}

/// What others wrote, without what a terminal could take for orders; lines stay.
pub(super) fn harmless_lines(text: &str) -> String {
    text.lines().map(harmless).collect::<Vec<_>>().join("\n")
}

/// What `--state` may say.
pub(super) fn states() -> PossibleValuesParser {
    PossibleValuesParser::new(State::ALL.map(State::as_str))
}

/// Since when: `2h`, `1d`, `30min`, or a moment as `2026-11-24T08:00:00Z`.
pub(super) fn since(text: &str) -> Result<Millis, Failure> {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)];
    let ago = units.iter().find_map(|(unit, millis)| {
        let number: Millis = text.trim().strip_suffix(unit)?.trim().parse().ok().filter(|number| *number >= 0)?;
        Some(now().saturating_sub(number.checked_mul(*millis)?).max(0))
    });
    let moment = || text.trim().parse::<Timestamp>().ok().map(|moment| moment.as_millisecond().max(0));
    ago.or_else(moment).ok_or_else(|| {
        Failure::Usage(format!("`{text}` is no time; write how long ago, `2h`, or when, `2026-11-24T08:00:00Z`"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_write_them() {
        let at = |text: &str| since(text).ok();
        assert_eq!(at("2026-11-24T08:00:00Z"), Some(1_795_507_200_000));
        let two_hours = now() - at("2h").unwrap();
        assert!((7_200_000..7_260_000).contains(&two_hours), "{two_hours}");
        for wrong in ["", "yesterday", "-1h", "2 weeks", "99999999999999999999d"] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
