//! Lenient JSON parser for webhook bodies: accepts unpaired surrogates, invalid UTF-8, unescaped control characters and
//! a byte order mark.

use std::borrow::Cow;

use serde_json::Value;

/// Byte order mark, which some programs write before UTF-8 text.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Parses JSON. Invalid characters become U+FFFD; anything else that is not valid JSON is an error.
pub(super) fn parse(body: &[u8]) -> serde_json::Result<Value> {
    // Nearly all bodies are valid and need no repair.
    serde_json::from_slice(body).or_else(|error| {
        let repaired = repaired(body);
        if repaired.as_bytes() == body { Err(error) } else { serde_json::from_str(&repaired) }
    })
}

fn repaired(body: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(body.strip_prefix(MARK).unwrap_or(body));
    let (mut whole, mut copied, mut at, mut in_text) = (String::new(), 0, 0, false);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'"' => in_text = !in_text,
            b'\\' if in_text && bytes.get(at + 1) == Some(&b'u') => {
                let next = escape(bytes, at + 6);
                match escape(bytes, at) {
                    // A surrogate pair.
                    Some(0xD800..0xDC00) if matches!(next, Some(0xDC00..0xE000)) => at += 11,
                    // An unpaired surrogate.
                    Some(0xD800..0xE000) => {
                        whole.push_str(&text[copied..at]);
                        whole.push_str("\\ufffd");
                        (at, copied) = (at + 5, at + 6);
                    }
                    _ => at += 1,
                }
            }
            b'\\' if in_text => at += 1,
            // JSON requires control characters in strings to be escaped; some programs do not escape them.
            control @ 0..0x20 if in_text => {
                whole.push_str(&text[copied..at]);
                whole.push_str(&format!("\\u{control:04x}"));
                copied = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return text;
    }
    whole.push_str(&text[copied..]);
    whole.into()
}

/// Returns the code unit of an escape (`\ud83d`) that starts at `at`.
fn escape(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn invalid_characters_are_replaced() {
        for (body, value) in [
            (&b"\xef\xbb\xbf{\"a\": 1}"[..], json!({ "a": 1 })),
            (b"{\"a\": \"\xe9t\xe9\"}", json!({ "a": "\u{fffd}t\u{fffd}" })),
            (br#"{"a": "x\ud83dy", "\udc00b": "\ud83d\ude00"}"#, json!({ "a": "x\u{fffd}y", "\u{fffd}b": "😀" })),
            (br#"{"a": "\ud83d\ud83d\ude00 \\ud83d \"\udc00"}"#, json!({ "a": "\u{fffd}😀 \\ud83d \"\u{fffd}" })),
            (b"{\"a\": \"one\ntwo\x1b\"}", json!({ "a": "one\ntwo\u{1b}" })),
        ] {
            assert_eq!(parse(body).unwrap(), value);
        }
        for wrong in [&b"{"[..], b"", b"{\"a\": \\ud83d}", b"\xef\xbb\xbf", br#"{"a": "\uzzzz"}"#, br#"{"a": "\ud8"#] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn broken_markdown_stays_in_its_slot(broken in "(\\\\u[dD][89aAbBcCdDeEfF][0-9a-f]{2}|[a-z]|\\\\\\\\|\\\\\"){0,12}") {
            let body = format!(r#"{{"before": "b", "broken": "{broken}", "after": "a"}}"#);
            let value = parse(body.as_bytes()).unwrap();
            prop_assert_eq!((&value["before"], &value["after"]), (&json!("b"), &json!("a")));
        }
    }
}
