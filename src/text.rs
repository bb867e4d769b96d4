//! Plain text from outside: its length as chats count it, cutting it, and removing what could deceive a reader.

use std::io::IsTerminal;

use unicode_segmentation::UnicodeSegmentation;

/// Returns `true` if a stream shows colours: it is a terminal, and the user does not refuse them
/// (<https://no-color.org>).
pub(crate) fn shows_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Returns the length in UTF-16 units, the unit in which chats count. If a chat counts characters, its number is lower.
pub fn units(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    // One unit per first byte of a character, plus one for four-byte characters, which take two units in UTF-16.
    text.bytes().map(|byte| usize::from(byte & 0xC0 != 0x80) + usize::from(byte >= 0xF0)).sum()
}

/// Shortens a text to at most `longest` UTF-16 units, including `…`. Cuts between graphemes, and between words if a
/// word ends in the last third.
pub fn cut_text(text: &str, longest: usize) -> String {
    if units(text) <= longest {
        return text.to_owned();
    }
    let mut left = longest.saturating_sub(1);
    let mut end = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        let Some(rest) = left.checked_sub(units(grapheme)) else { break };
        left = rest;
        end = at + grapheme.len();
    }
    let kept = &text[..end];
    let word = kept.rfind(char::is_whitespace).filter(|&at| at * 3 >= end * 2).unwrap_or(end);
    format!("{}…", kept[..word].trim_end())
}

/// Returns true for characters that text from outside must not bring into a message.
pub(crate) fn is_dropped(c: char) -> bool {
    let formatting = matches!(c,
        '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' // bidirectional
        | '\u{2028}' | '\u{2029}' // line breaks that only some programs support
        | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{FFFE}' | '\u{FFFF}');
    let control = c.is_control() && c != '\n' && c != '\t';
    let private = u32::from(c) >= 0xF_0000;
    formatting || control || private
}

/// Sanitizes a text for a line on a terminal: removes control characters and similar ones.
pub fn sanitized(text: &str) -> String {
    text.chars().filter(|c| !is_terminal_control(*c)).collect()
}

/// Returns true for characters that a terminal may interpret as a control sequence, or that can deceive the reader.
pub fn is_terminal_control(c: char) -> bool {
    is_dropped(c) || c.is_control()
}

/// Returns true if a text is a UUID, without braces.
pub fn is_uuid(text: &str) -> bool {
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}
