//! Output of commands: times, tables, JSON and sanitized text.

use std::sync::atomic::{AtomicBool, Ordering};

use clap::builder::PossibleValuesParser;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::Failure;
use super::print::{errln, outln};
use crate::store::{COUNTED, State};
use crate::text::{is_terminal_control, sanitized};
use crate::time::{Millis, now};

/// True if times are shown in UTC; otherwise, the system's time zone is used, which `TZ` sets.
static IN_UTC: AtomicBool = AtomicBool::new(false);

/// Shows all further times in UTC.
pub(super) fn show_utc() {
    IN_UTC.store(true, Ordering::Relaxed);
}

/// Returns the time zone for input and output.
fn zone() -> TimeZone {
    if IN_UTC.load(Ordering::Relaxed) { TimeZone::UTC } else { TimeZone::system() }
}

/// Formats a timestamp in seconds, with its offset: `2026-11-24T09:00:00+01:00`.
pub(super) fn timestamp(at: Millis) -> String {
    timestamp_in(at, zone())
}

fn timestamp_in(at: Millis, zone: TimeZone) -> String {
    let Ok(second) = Timestamp::from_second(at.div_euclid(1000)) else { return at.to_string() };
    let zoned = second.to_zoned_datetime(zone);
    let offset = if zoned.offset().is_zero() { "Z" } else { "%:z" };
    jiff::fmt::strtime::format(format!("%Y-%m-%dT%H:%M:%S{offset}"), &zoned).unwrap_or_else(|_| second.to_string())
}

/// Formats an age in its largest unit: `2 h ago`.
pub(super) fn ago(at: Millis) -> String {
    let seconds = now().saturating_sub(at).max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// Prints rows, each as a JSON object on a line, or as formatted by `line`.
pub(super) fn rows<T: Serialize>(rows: &[T], json: bool, none: &str, line: impl Fn(&T) -> String) {
    for row in rows {
        if json {
            outln!("{}", self::json(row));
        } else {
            outln!("{}", sanitized_lines(&line(row)));
        }
    }
    if rows.is_empty() && !json {
        errln!("{none}");
    }
}

/// Maximum width of a column; a longer cell shifts the rest of its row to the right.
const MAX_WIDTH: usize = 44;

/// Prints rows in columns below a heading, or each as a JSON object on a line.
pub(super) fn table<T: Serialize, const N: usize>(
    rows: &[T],
    json: bool,
    none: &str,
    heading: [&str; N],
    cells: impl Fn(&T) -> [String; N],
) {
    if json || rows.is_empty() {
        return self::rows(rows, json, none, |_| String::new());
    }
    let cells: Vec<_> = rows.iter().map(|row| cells(row).map(|cell| in_line(&cell))).collect();
    let width = |n: usize| {
        let widths = cells.iter().map(|row| row[n].width()).chain([heading[n].width()]);
        widths.map(|width| width.min(MAX_WIDTH)).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 2));
        }
        line.trim_end().to_owned()
    };
    outln!("{}", line(heading));
    for row in &cells {
        outln!("{}", line(std::array::from_fn(|n| row[n].as_str())));
    }
}

/// Prints the number of rows if some are not listed: `20 of 39; --limit N lists more`.
pub(super) fn more(listed: usize, total: u64) {
    if total > listed as u64 {
        let total = if total > COUNTED { format!("more than {COUNTED}") } else { total.to_string() };
        errln!("{listed} of {total}; --limit N lists more");
    }
}

/// Formats a value as JSON on one line, with characters escaped that control a terminal or reorder its text.
pub(super) fn json(value: &impl Serialize) -> String {
    escaped(&serde_json::to_string(value).unwrap_or_default())
}

/// Escapes characters in JSON that control a terminal or reorder its text. The value stays the same.
pub(super) fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        // In strings, ASCII control characters are escaped already; line breaks between values stay.
        if is_terminal_control(c) && (!c.is_ascii_control() || c == '\u{7f}') {
            let mut units = [0; 2];
            text.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            text.push(c);
        }
    }
    text
}

/// Sanitizes untrusted text for a single line: line breaks become spaces.
pub(super) fn in_line(text: &str) -> String {
    sanitized(&text.replace(['\n', '\r', '\t', '\u{85}', '\u{2028}', '\u{2029}'], " "))
}

/// Sanitizes untrusted text: removes control sequences, keeps lines.
pub(super) fn sanitized_lines(text: &str) -> String {
    text.lines().map(sanitized).collect::<Vec<_>>().join("\n")
}

/// Returns the parser for the values of `--state`.
pub(super) fn states() -> PossibleValuesParser {
    PossibleValuesParser::new(State::ALL.map(State::as_str))
}

/// Parses a start time: `2h`, `1d`, `30min` (ago); `22:00`, `today`, `yesterday`, `2026-11-24`, `2026-11-24 08:00`, or
/// with an offset, `2026-11-24T08:00:00Z`. Times without an offset are in the time zone of the output.
pub(super) fn since(text: &str) -> Result<Millis, Failure> {
    since_at(text, Timestamp::now(), &zone()).ok_or_else(|| Failure::InvalidTime(text.to_owned()))
}

fn since_at(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Millis> {
    let text = text.trim();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)];
    let ago = units.iter().find_map(|(unit, millis)| {
        let number: Millis = text.strip_suffix(unit)?.trim().parse().ok().filter(|number| *number >= 0)?;
        Some(now.as_millisecond().saturating_sub(number.checked_mul(*millis)?))
    });
    let today = || now.to_zoned_datetime(zone.clone()).date();
    let midnight = Time::midnight();
    let at = |date: Date, time: Time| zone.to_timestamp(date.to_datetime(time)).ok().map(|at| at.as_millisecond());
    let by_name = || match text.to_ascii_lowercase().as_str() {
        "today" => at(today(), midnight),
        "yesterday" => at(today().yesterday().ok()?, midnight),
        _ => None,
    };
    // A time of day is the most recent one: in the morning, `22:00` is that of yesterday.
    let time_of_day = || {
        let time: Time = text.parse().ok().filter(|_| text.contains(':') && !text.contains('-'))?;
        let of_today = at(today(), time)?;
        if of_today <= now.as_millisecond() { Some(of_today) } else { at(today().yesterday().ok()?, time) }
    };
    let instant = || text.parse::<Timestamp>().ok().map(|instant| instant.as_millisecond());
    let local = || {
        let datetime = text.parse::<DateTime>().ok()?;
        zone.to_timestamp(datetime).ok().map(|at| at.as_millisecond())
    };
    let millis = ago.or_else(by_name).or_else(time_of_day).or_else(instant).or_else(local)?;
    Some(millis.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_parsed_as_people_write_them() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        // 10:30 in Berlin.
        let now: Timestamp = "2026-11-24T09:30:00Z".parse().unwrap();
        let at = |text: &str| {
            let instant = Timestamp::from_millisecond(since_at(text, now, &zone)?).unwrap();
            Some(instant.to_string())
        };
        for (text, expected) in [
            ("2h", "2026-11-24T07:30:00Z"),
            ("30min", "2026-11-24T09:00:00Z"),
            ("1d", "2026-11-23T09:30:00Z"),
            ("10:00", "2026-11-24T09:00:00Z"),
            ("22:00", "2026-11-23T21:00:00Z"),
            ("today", "2026-11-23T23:00:00Z"),
            ("Yesterday", "2026-11-22T23:00:00Z"),
            ("2026-11-20", "2026-11-19T23:00:00Z"),
            ("2026-11-20 08:00", "2026-11-20T07:00:00Z"),
            ("2026-07-20T08:00", "2026-07-20T06:00:00Z"),
            ("2026-11-24T08:00:00Z", "2026-11-24T08:00:00Z"),
            ("2026-11-24T08:00:00+01:00", "2026-11-24T07:00:00Z"),
        ] {
            assert_eq!(at(text).as_deref(), Some(expected), "{text}");
        }
        for wrong in ["", "tomorrow", "-1h", "2 weeks", "99999999999999999999d", "25:00", "2026-13-01"] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_shown_with_their_offset() {
        let at = "2026-11-24T09:30:00Z".parse::<Timestamp>().unwrap().as_millisecond();
        assert_eq!(timestamp_in(at, TimeZone::get("Europe/Berlin").unwrap()), "2026-11-24T10:30:00+01:00");
        assert_eq!(timestamp_in(at, TimeZone::get("America/St_Johns").unwrap()), "2026-11-24T06:00:00-03:30");
        assert_eq!(timestamp_in(at, TimeZone::UTC), "2026-11-24T09:30:00Z");
    }
}
