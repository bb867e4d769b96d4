//! Shielding: the one mechanism that keeps every interpolated value out of every syntax.
//!
//! A value is *shielded* when a template writes it: it stands between two marks that no value can hold. Before the
//! rendered text is parsed, each such piece gives way to a single private character, in which no Markdown or JSON
//! parser sees syntax, not even white space: what a parser gets is a `Skeleton`, without a character of any value.
//! The values come back in the leaves of what was parsed.
//!
//! The marks and these characters are of planes 15 and 16, which hold nothing but private characters; what values have
//! of them, control characters and bidirectional formatting are dropped. So no value can forge one.
//!
//! ```
//! use hookbell::message::shield::{shield, unshield};
//!
//! let rendered = format!("He said {}", shield("**not bold** [x](https://evil)"));
//! assert_eq!(unshield(&rendered), "He said **not bold** [x](https://evil)");
//! ```

use std::borrow::Cow;

/// Opens a value.
const OPEN: char = '\u{100001}';
/// Closes it.
const CLOSE: char = '\u{100002}';
/// Follows [`OPEN`] where a helper wrote markup.
pub(super) const SPLICE: char = '\u{100003}';
/// Stands between the parts of such markup.
pub(super) const SEPARATOR: char = '\u{100004}';
/// Stands for a line feed within a value: Handlebars indents the lines of partials, and these are none of theirs.
const LINE_END: char = '\u{100005}';
/// Stands for the first value in a skeleton, and those behind it for the others.
const FIRST: u32 = 0xF_0000;
/// Characters of planes 15 and 16 begin with this byte or the next, and nothing else does but the end of plane 12 and
/// planes 13 and 14.
const PRIVATE: u8 = 0xF3;

/// Puts a value between marks. A whole number, `true` and `false` stay as they are: they are values of JSON, and may number
/// a list.
///
/// Carriage returns become line feeds; control characters, bidirectional formatting and private characters of
/// planes 15 and 16 are dropped. An empty value leaves its marks, so that the syntax around it has something in it.
pub fn shield(value: &str) -> String {
    let mut shielded = String::with_capacity(value.len() + 8);
    shield_into(value, &mut shielded);
    shielded
}

/// The same, at the end of a text.
pub(crate) fn shield_into(value: &str, text: &mut String) {
    if is_bare(value) {
        text.push_str(value);
        return;
    }
    text.push(OPEN);
    clean(value, text);
    text.push(CLOSE);
}

fn is_bare(value: &str) -> bool {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && (value == "0" || !value.starts_with('0'))) || matches!(value, "true" | "false")
}

/// The same for a helper's markup: its sort, and its parts.
pub(super) fn shield_splice(sort: char, parts: &[&str]) -> String {
    let mut shielded = String::from_iter([OPEN, SPLICE, sort]);
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            shielded.push(SEPARATOR);
        }
        clean(part, &mut shielded);
    }
    shielded.push(CLOSE);
    shielded
}

/// What a value may bring into a message.
fn clean(value: &str, into: &mut String) {
    // Without a way out of the loop, it is done for many bytes at once.
    let is_plain = value.bytes().fold(true, |plain, byte| plain & (b' '..=b'~').contains(&byte));
    if is_plain {
        into.push_str(value);
        return;
    }
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' | '\n' => into.push(LINE_END),
            c if is_dropped(c) => {}
            c => into.push(c),
        }
    }
}

/// A part of what a template rendered to.
#[derive(Clone, Copy)]
pub(super) enum Piece<'a> {
    /// The template's own text.
    Own(&'a str),
    /// A value; [`text`] reads it.
    Value(&'a str),
    /// A helper's markup: its sort, and its parts.
    Splice(&'a str),
}

impl<'a> Piece<'a> {
    /// What stood between two marks.
    fn of(shielded: &'a str) -> Self {
        shielded.strip_prefix(SPLICE).map_or(Self::Value(shielded), Self::Splice)
    }
}

/// Tells a template's own text, values and helpers' markup apart.
pub(super) fn pieces(rendered: &str) -> impl Iterator<Item = Piece<'_>> {
    let (own, rest) = rendered.split_once(OPEN).map_or((rendered, None), |(own, rest)| (own, Some(rest)));
    let shielded = rest.into_iter().flat_map(|rest| rest.split(OPEN)).flat_map(|piece| {
        let (shielded, own) = piece.split_once(CLOSE).unwrap_or((piece, ""));
        [Piece::of(shielded), Piece::Own(own)]
    });
    std::iter::once(Piece::Own(own)).chain(shielded)
}

/// A value, or a part of a helper's markup, as it was.
pub(super) fn text(shielded: &str) -> Cow<'_, str> {
    if shielded.bytes().any(|byte| byte >= PRIVATE) { shielded.replace(LINE_END, "\n").into() } else { shielded.into() }
}

/// What a template rendered to, for a reader: values without their marks, and nothing of helpers' markup.
pub fn unshield(rendered: &str) -> String {
    let plain = pieces(rendered).map(|piece| match piece {
        Piece::Own(own) => own.into(),
        Piece::Value(value) => text(value),
        Piece::Splice(_) => "".into(),
    });
    plain.collect()
}

/// What a parser gets to see of a rendered text: one private character for each value.
pub(crate) struct Skeleton<'a> {
    text: String,
    values: Vec<&'a str>,
}

impl<'a> Skeleton<'a> {
    /// Of a rendered text.
    pub(crate) fn of(rendered: &'a str) -> Self {
        let mut skeleton = Self { text: String::with_capacity(rendered.len()), values: vec![] };
        let mut rest = rendered;
        loop {
            let (own, shielded) = rest.split_once(OPEN).map_or((rest, None), |(own, rest)| (own, Some(rest)));
            skeleton.own(own);
            let Some(shielded) = shielded else { return skeleton };
            let (value, behind) = shielded.split_once(CLOSE).unwrap_or((shielded, ""));
            let count = u32::try_from(skeleton.values.len()).ok();
            skeleton.text.extend(count.and_then(|count| char::from_u32(FIRST + count)));
            skeleton.values.push(value);
            rest = behind;
        }
    }

    /// A template's own text may not look like a value.
    fn own(&mut self, own: &str) {
        if own.bytes().any(|byte| byte >= PRIVATE) {
            self.text.extend(own.chars().filter(|c| u32::from(*c) < FIRST));
        } else {
            self.text.push_str(own);
        }
    }

    /// What is to be parsed.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The value that a character stands for, without its marks; empty where there is none.
    fn value(&self, c: char) -> Option<&'a str> {
        let place = usize::try_from(u32::from(c).checked_sub(FIRST)?).ok()?;
        Some(self.values.get(place).copied().unwrap_or_default())
    }

    /// The pieces of a leaf of what was parsed.
    pub(super) fn pieces<'s>(&'s self, leaf: &'s str) -> impl Iterator<Item = Piece<'s>> {
        let mut rest = leaf;
        std::iter::from_fn(move || {
            let first = rest.chars().next()?;
            let value = self.value(first);
            let own = match value {
                Some(_) => first.len_utf8(),
                None => rest
                    .bytes()
                    .skip(first.len_utf8())
                    .position(|byte| byte >= PRIVATE)
                    .map_or(rest.len(), |at| at + first.len_utf8()),
            };
            let (piece, behind) = rest.split_at(own);
            rest = behind;
            Some(value.map_or(Piece::Own(piece), Piece::of))
        })
    }

    /// A leaf as the template wrote it, with the marks around its values.
    pub(crate) fn rendered(&self, leaf: &str) -> String {
        let mut rendered = String::with_capacity(leaf.len());
        for c in leaf.chars() {
            match self.value(c) {
                Some(value) => {
                    rendered.push(OPEN);
                    rendered.push_str(value);
                    rendered.push(CLOSE);
                }
                None => rendered.push(c),
            }
        }
        rendered
    }
}

/// What a text from outside may never bring into a message.
pub(super) fn is_dropped(c: char) -> bool {
    let formatting = matches!(c,
        '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' // bidirectional
        | '\u{2028}' | '\u{2029}' // line ends that only some programs obey
        | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{FFFE}' | '\u{FFFF}');
    let control = c.is_control() && c != '\n' && c != '\t';
    let private = u32::from(c) >= FIRST;
    formatting || control || private
}

/// A text for a terminal's line: without control characters and their like, whoever wrote it.
pub fn harmless(text: &str) -> String {
    text.chars().filter(|c| !is_order(*c)).collect()
}

/// Whether a terminal could take a character for an order, or for one to the eye.
pub fn is_order(c: char) -> bool {
    is_dropped(c) || c.is_control()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_value_leaves_something_that_vanishes() {
        for empty in ["", "\u{1b}\u{202e}"] {
            let shielded = shield(empty);
            assert_eq!(Skeleton::of(&shielded).as_str().chars().count(), 1);
            assert_eq!(unshield(&shielded), "");
        }
    }

    #[test]
    fn a_number_and_a_flag_stay_and_no_word_does() {
        for bare in ["0", "7", "2026", "true", "false"] {
            assert_eq!(shield(bare), bare);
        }
        for word in ["0007", "pre", "script", "lt", "everyone", "7a", "1.5", "-1", "True"] {
            assert_eq!(Skeleton::of(&shield(word)).as_str(), "\u{F0000}", "{word}");
        }
    }

    #[test]
    fn line_ends_are_one_and_terminal_controls_are_gone() {
        assert_eq!(unshield(&shield("a\r\nb\rc\u{1b}[31m\u{9b}d\te")), "a\nb\nc[31md\te");
    }

    #[test]
    fn a_templates_own_text_cannot_look_like_a_value() {
        let rendered = format!("\u{F0000}{}\u{F0001}\u{E0001}{CLOSE}", shield("a b"));
        assert_eq!(Skeleton::of(&rendered).as_str(), "\u{F0000}\u{E0001}");
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(value in "[^\\p{Cc}\\p{Cf}\\p{Co}\\p{Cn}\u{2028}\u{2029}]*") {
            prop_assert_eq!(unshield(&shield(&value)), value);
        }

        #[test]
        fn no_parser_sees_more_of_a_value_than_a_number_or_a_flag(value in any::<String>()) {
            let shielded = format!("*{}*", shield(&value));
            let skeleton = Skeleton::of(&shielded);
            let seen = skeleton.as_str().trim_matches('*');
            prop_assert!(if is_bare(&value) { seen == value } else { seen == "\u{F0000}" }, "{:?}", seen);
            prop_assert_eq!(skeleton.rendered(skeleton.as_str()), shielded);
        }

        #[test]
        fn no_value_can_hold_a_mark(value in any::<String>(), marks in prop::collection::vec(0x10_0000_u32..0x10_0010, 0..5)) {
            let forged: String = marks.iter().filter_map(|&m| char::from_u32(m)).chain(value.chars()).collect();
            for shielded in [shield(&forged), shield_splice('x', &[&forged])] {
                let inside = shielded.trim_start_matches([OPEN, SPLICE]).trim_end_matches(CLOSE);
                prop_assert!(!inside.contains([OPEN, CLOSE, SPLICE, SEPARATOR]));
            }
        }
    }
}
