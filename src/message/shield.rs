//! Shielding: the single mechanism that keeps interpolated values from being parsed as syntax.
//!
//! A value is *shielded* when a template writes it: it is enclosed in two marks that no value can contain. Before the
//! rendered text is parsed, each such piece is replaced by a single private-use character, which is neither syntax nor
//! white space to a Markdown or JSON parser. The parser gets a `Skeleton`, without any character of a value. The values
//! are put back into the leaves of the parsed tree.
//!
//! The marks and the replacement characters are from planes 15 and 16, which contain only private-use characters.
//! These are dropped from values, as are control characters and bidirectional formatting. No value can forge a mark.
//!
//! ```
//! use hookbell::message::shield::{shield, unshield};
//!
//! let rendered = format!("He said {}", shield("**not bold** [x](https://evil)"));
//! assert_eq!(unshield(&rendered), "He said **not bold** [x](https://evil)");
//! ```

use std::borrow::Cow;

use crate::text::is_dropped;

/// Mark before a value.
const OPEN: char = '\u{100001}';
/// Mark after a value.
const CLOSE: char = '\u{100002}';
/// Mark after [`OPEN`] for markup written by a helper.
pub(super) const SPLICE: char = '\u{100003}';
/// Separator between the parts of a helper's markup.
pub(super) const SEPARATOR: char = '\u{100004}';
/// Replacement for a line feed in a value, because Handlebars indents the lines of partials but must not indent values.
const LINE_END: char = '\u{100005}';
/// Code point that replaces the first value in a skeleton. The next code points replace the other values.
const FIRST: u32 = 0xF_0000;
/// Lowest first byte, in UTF-8, of characters in planes 15 and 16. The only other characters from this byte on are in
/// planes 12 to 14, which are rare.
const PRIVATE: u8 = 0xF3;

/// Encloses a value in marks. Whole numbers, `true` and `false` are left unchanged: they are JSON values, and numbers
/// can start list items.
///
/// Carriage returns become line feeds; control characters, bidirectional formatting and private-use characters of
/// planes 15 and 16 are dropped. An empty value keeps its marks, so that the syntax around it is not empty.
pub fn shield(value: &str) -> String {
    let mut shielded = String::with_capacity(value.len() + 8);
    shield_into(value, &mut shielded);
    shielded
}

/// Like [`shield`], but appends to a text.
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

/// Like [`shield`], for a helper's markup: its type character and its parts.
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

/// Appends the characters of a value that a message may contain.
fn clean(value: &str, into: &mut String) {
    // A loop without an early exit is vectorized.
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

/// Part of rendered text.
#[derive(Clone, Copy)]
pub(super) enum Piece<'a> {
    /// Text of the template itself.
    Own(&'a str),
    /// Shielded value; [`text`] restores it.
    Value(&'a str),
    /// Markup from a helper: type character and parts.
    Splice(&'a str),
}

impl<'a> Piece<'a> {
    /// Creates a piece from the text between two marks.
    fn of(shielded: &'a str) -> Self {
        shielded.strip_prefix(SPLICE).map_or(Self::Value(shielded), Self::Splice)
    }
}

/// Splits rendered text into the template's own text, values and helpers' markup.
pub(super) fn pieces(rendered: &str) -> impl Iterator<Item = Piece<'_>> {
    let (own, rest) = rendered.split_once(OPEN).map_or((rendered, None), |(own, rest)| (own, Some(rest)));
    let shielded = rest.into_iter().flat_map(|rest| rest.split(OPEN)).flat_map(|piece| {
        let (shielded, own) = piece.split_once(CLOSE).unwrap_or((piece, ""));
        [Piece::of(shielded), Piece::Own(own)]
    });
    std::iter::once(Piece::Own(own)).chain(shielded)
}

/// Restores a value, or a part of a helper's markup.
pub(super) fn text(shielded: &str) -> Cow<'_, str> {
    if shielded.bytes().any(|byte| byte >= PRIVATE) { shielded.replace(LINE_END, "\n").into() } else { shielded.into() }
}

/// Returns rendered text for a reader: values without marks, and no helpers' markup.
pub fn unshield(rendered: &str) -> String {
    let plain = pieces(rendered).map(|piece| match piece {
        Piece::Own(own) => own.into(),
        Piece::Value(value) => text(value),
        Piece::Splice(_) => "".into(),
    });
    plain.collect()
}

/// Rendered text for a parser, with one private-use character in place of each value.
pub(crate) struct Skeleton<'a> {
    text: String,
    values: Vec<&'a str>,
}

impl<'a> Skeleton<'a> {
    /// Creates a skeleton from rendered text.
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

    /// Appends the template's own text, without characters that would look like a value.
    fn own(&mut self, own: &str) {
        if own.bytes().any(|byte| byte >= PRIVATE) {
            self.text.extend(own.chars().filter(|c| u32::from(*c) < FIRST));
        } else {
            self.text.push_str(own);
        }
    }

    /// Returns the text to parse.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the value that a character replaces, without its marks; an empty text if there is no such value, and
    /// `None` for other characters.
    fn value(&self, c: char) -> Option<&'a str> {
        let place = usize::try_from(u32::from(c).checked_sub(FIRST)?).ok()?;
        Some(self.values.get(place).copied().unwrap_or_default())
    }

    /// Splits a leaf of the parsed tree into pieces.
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

    /// Restores a leaf as the template rendered it, with the marks around its values.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn empty_value_leaves_nothing_visible() {
        for empty in ["", "\u{1b}\u{202e}"] {
            let shielded = shield(empty);
            assert_eq!(Skeleton::of(&shielded).as_str().chars().count(), 1);
            assert_eq!(unshield(&shielded), "");
        }
    }

    #[test]
    fn only_numbers_and_flags_of_a_value_reach_a_parser() {
        for bare in ["0", "7", "2026", "true", "false"] {
            assert_eq!(shield(bare), bare);
        }
        for word in ["0007", "pre", "script", "lt", "everyone", "7a", "1.5", "-1", "True"] {
            assert_eq!(Skeleton::of(&shield(word)).as_str(), "\u{F0000}", "{word}");
        }
    }

    #[test]
    fn line_ends_are_normalized_and_control_sequences_removed() {
        assert_eq!(unshield(&shield("a\r\nb\rc\u{1b}[31m\u{9b}d\te")), "a\nb\nc[31md\te");
    }

    #[test]
    fn template_text_cannot_look_like_a_value() {
        let rendered = format!("\u{F0000}{}\u{F0001}\u{E0001}{CLOSE}", shield("a b"));
        assert_eq!(Skeleton::of(&rendered).as_str(), "\u{F0000}\u{E0001}");
    }

    proptest! {
        #[test]
        fn shielding_round_trips(value in "[^\\p{Cc}\\p{Cf}\\p{Co}\\p{Cn}\u{2028}\u{2029}]*") {
            prop_assert_eq!(unshield(&shield(&value)), value);
        }

        #[test]
        fn parsers_see_only_numbers_and_flags_of_values(value in any::<String>()) {
            let shielded = format!("*{}*", shield(&value));
            let skeleton = Skeleton::of(&shielded);
            let seen = skeleton.as_str().trim_matches('*');
            prop_assert!(if is_bare(&value) { seen == value } else { seen == "\u{F0000}" }, "{:?}", seen);
            prop_assert_eq!(skeleton.rendered(skeleton.as_str()), shielded);
        }

        #[test]
        fn values_cannot_contain_marks(value in any::<String>(), marks in prop::collection::vec(0x10_0000_u32..0x10_0010, 0..5)) {
            let forged: String = marks.iter().filter_map(|&m| char::from_u32(m)).chain(value.chars()).collect();
            for shielded in [shield(&forged), shield_splice('x', &[&forged])] {
                let inside = shielded.trim_start_matches([OPEN, SPLICE]).trim_end_matches(CLOSE);
                prop_assert!(!inside.contains([OPEN, CLOSE, SPLICE, SEPARATOR]));
            }
        }
    }
}
