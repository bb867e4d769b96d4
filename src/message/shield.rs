//! Shielding: the one mechanism that keeps every interpolated value out of every syntax.
//!
//! A value is *shielded* when a template writes it: each of its characters that is not a letter or a digit moves
//! to a private-use code point, where no Markdown, TOML or JSON parser sees syntax in it, not even white space
//! or punctuation. The rendered text is then parsed, and the leaves of the tree are *unshielded*.
//!
//! The move is plain arithmetic: the Basic Multilingual Plane goes to plane 16, plane 1 (emoji and their like)
//! to plane 15. Planes 15 and 16 hold nothing but private characters; what the input has of them, and control
//! and bidirectional-formatting characters, is dropped first. So the images of control characters are free to
//! be marks of our own, and no input can forge one.
//!
//! ```
//! use hookbell::message::shield::{shield, unshield};
//!
//! let shielded = shield("**not bold** [x](https://evil)");
//! assert!(!shielded.contains(['*', '[', ' ']));
//! assert_eq!(unshield(&shielded), "**not bold** [x](https://evil)");
//! ```

/// How far the Basic Multilingual Plane moves.
const BASIC: u32 = 0x10_0000;
/// How far plane 1 moves.
const SUPPLEMENTARY: u32 = 0xE_0000;

/// Stands for an empty value, so that the syntax around it still has something in it.
const EMPTY: char = '\u{100000}';
/// Opens a piece of markup that a helper wrote; its parts are shielded.
pub(crate) const OPEN: char = '\u{100001}';
/// Stands between the parts of such a piece.
pub(crate) const SEPARATOR: char = '\u{100002}';
/// Closes it.
pub(crate) const CLOSE: char = '\u{100003}';

/// Moves every character of `value` that could be syntax out of any parser's sight.
///
/// Carriage returns become line feeds; control characters, bidirectional formatting and private characters of
/// planes 15 and 16 are dropped; an empty value becomes a mark that [`unshield`] removes.
pub fn shield(value: &str) -> String {
    let mut shielded = String::with_capacity(value.len() * 2 + 4);
    let mut rest = value;
    loop {
        // Most of a value is letters and digits, a run at a time.
        let run = rest.bytes().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(rest.len());
        shielded.push_str(&rest[..run]);
        let mut chars = rest[run..].chars();
        let Some(c) = chars.next() else { break };
        rest = chars.as_str();
        match c {
            ' '..='~' => shielded.push(away(c)),
            '\r' if rest.starts_with('\n') => {}
            '\r' => shielded.push(away('\n')),
            c if c.is_alphanumeric() => shielded.push(c),
            c if is_dropped(c) => {}
            c => shielded.push(away(c)),
        }
    }
    if shielded.is_empty() {
        shielded.push(EMPTY);
    }
    shielded
}

/// Turns shielded text back into what it was. Marks of our own vanish.
pub fn unshield(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        // Planes 15 and 16 begin with these bytes, and nothing else does but the end of plane 12 and planes 13 and 14.
        let run = rest.bytes().position(|byte| byte >= 0xF3).unwrap_or(rest.len());
        plain.push_str(&rest[..run]);
        let mut chars = rest[run..].chars();
        let Some(c) = chars.next() else { break };
        rest = chars.as_str();
        match u32::from(c).wrapping_sub(BASIC) {
            ascii @ 0x20..=0x7E => plain.extend(char::from_u32(ascii)),
            _ => plain.extend(back(c)),
        }
    }
    plain
}

/// What a text from outside may never bring into a message.
pub(super) fn is_dropped(c: char) -> bool {
    let formatting = matches!(c,
        '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' // bidirectional
        | '\u{2028}' | '\u{2029}' // line ends that only some programs obey
        | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{FFFE}' | '\u{FFFF}');
    let control = c.is_control() && c != '\n' && c != '\t';
    let private = u32::from(c) >= 0xF_0000;
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

fn away(c: char) -> char {
    let moved = match u32::from(c) {
        basic @ 0..=0xFFFF => basic + BASIC,
        supplementary @ 0x1_0000..=0x1_FFFF => supplementary + SUPPLEMENTARY,
        rest => rest,
    };
    char::from_u32(moved).unwrap_or(c)
}

fn back(c: char) -> Option<char> {
    match u32::from(c) {
        shielded @ 0x10_0000.. => {
            let plain = char::from_u32(shielded - BASIC)?;
            (!is_dropped(plain)).then_some(plain)
        }
        shielded @ 0xF_0000..=0xF_FFFF => char::from_u32(shielded - SUPPLEMENTARY),
        _ => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_value_leaves_something_that_vanishes() {
        assert_eq!(shield("").chars().count(), 1);
        assert_eq!(unshield(&shield("")), "");
        assert_eq!(unshield(&shield("\u{1b}\u{202e}")), "");
    }

    #[test]
    fn line_ends_are_one_and_terminal_controls_are_gone() {
        assert_eq!(unshield(&shield("a\r\nb\rc\u{1b}[31m\u{9b}d\te")), "a\nb\nc[31md\te");
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(value in "[^\\p{Cc}\\p{Cf}\\p{Co}\\p{Cn}\u{2028}\u{2029}]*") {
            prop_assert_eq!(unshield(&shield(&value)), value);
        }

        #[test]
        fn a_shielded_value_is_letters_digits_and_private_characters(value in any::<String>()) {
            for c in shield(&value).chars() {
                prop_assert!(c.is_alphanumeric() || u32::from(c) >= 0xF_0000 || u32::from(c) >= 0x2_0000, "{c:?}");
            }
        }

        #[test]
        fn no_value_can_hold_a_mark(value in any::<String>(), marks in prop::collection::vec(0x10_0000_u32..0x10_0010, 0..5)) {
            let forged: String = marks.iter().filter_map(|&m| char::from_u32(m)).chain(value.chars()).collect();
            let shielded = shield(&forged);
            prop_assert!(!shielded.contains([OPEN, SEPARATOR, CLOSE]));
        }
    }
}
