//! JSON of webhook bodies: a tree that borrows its texts from the body, and a lenient parser, which accepts unpaired
//! surrogates, invalid UTF-8, unescaped control characters and a byte order mark.

use std::borrow::Cow;
use std::fmt;
use std::ops::Index;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Number;

/// JSON value. An event is read from it once, and keeps little of it, so texts are not copied.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'a, str>),
    Array(Vec<Self>),
    Object(Object<'a>),
}

/// JSON object, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Object<'a> {
    /// Returns the value of a key. Of several, the last one counts.
    pub(super) fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.0.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Json<'a>> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl<'a> FromIterator<(&'a str, Json<'a>)> for Json<'a> {
    fn from_iter<T: IntoIterator<Item = (&'a str, Json<'a>)>>(entries: T) -> Self {
        Self::Object(Object(entries.into_iter().map(|(key, value)| (key.into(), value)).collect()))
    }
}

impl<'a> From<&'a str> for Json<'a> {
    fn from(text: &'a str) -> Self {
        Self::String(text.into())
    }
}

impl<'a> Json<'a> {
    /// Returns the value of a key; `None` if this is not an object, or has no such key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(object) => object.get(key),
            _ => None,
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    pub(super) fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(super) const fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    pub(super) const fn is_string(&self) -> bool {
        matches!(self, Self::String(_))
    }

    pub(super) const fn is_array(&self) -> bool {
        matches!(self, Self::Array(_))
    }

    pub(super) const fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }
}

impl<'a> Index<&str> for Json<'a> {
    type Output = Self;

    /// Returns the value of a key; null if there is none.
    fn index(&self, key: &str) -> &Self {
        self.get(key).unwrap_or(&Json::Null)
    }
}

impl Index<usize> for Json<'_> {
    type Output = Self;

    /// Returns an item of an array; null if there is none.
    fn index(&self, index: usize) -> &Self {
        self.as_array().and_then(|items| items.get(index)).unwrap_or(&Json::Null)
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// Reads any value.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(text.into()))
    }

    /// A text with escapes.
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(text.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut items = vec![];
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut entries = vec![];
        while let Some(key) = access.next_key_seed(Key)? {
            entries.push((key, access.next_value()?));
        }
        Ok(Json::Object(Object(entries)))
    }
}

/// Reads a key.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(text.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(text.to_owned().into())
    }
}

/// Byte order mark, which some programs write before UTF-8 text.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Parses JSON. Invalid characters become U+FFFD; anything else that is not valid JSON is an error. `room` is for the text
/// of a body that has to be repaired.
pub(super) fn parse<'a>(body: &'a [u8], room: &'a mut String) -> serde_json::Result<Json<'a>> {
    // Nearly all bodies are valid and need no repair.
    serde_json::from_slice(body).or_else(|error| {
        *room = repaired(body).into_owned();
        if room.as_bytes() == body { Err(error) } else { serde_json::from_str(room) }
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
    use serde_json::{Value, json};

    use super::*;

    /// Parses a body as serde_json's value, to compare it with one.
    fn parsed(body: &[u8]) -> serde_json::Result<Value> {
        fn value(json: Json<'_>) -> Value {
            match json {
                Json::Null => Value::Null,
                Json::Bool(value) => value.into(),
                Json::Number(number) => number.into(),
                Json::String(text) => text.into(),
                Json::Array(items) => items.into_iter().map(value).collect(),
                Json::Object(Object(entries)) => entries.into_iter().map(|(key, entry)| (key, value(entry))).collect(),
            }
        }
        parse(body, &mut String::new()).map(value)
    }

    #[test]
    fn invalid_characters_are_replaced() {
        for (body, value) in [
            (&b"\xef\xbb\xbf{\"a\": 1}"[..], json!({ "a": 1 })),
            (b"{\"a\": \"\xe9t\xe9\"}", json!({ "a": "\u{fffd}t\u{fffd}" })),
            (br#"{"a": "x\ud83dy", "\udc00b": "\ud83d\ude00"}"#, json!({ "a": "x\u{fffd}y", "\u{fffd}b": "😀" })),
            (br#"{"a": "\ud83d\ud83d\ude00 \\ud83d \"\udc00"}"#, json!({ "a": "\u{fffd}😀 \\ud83d \"\u{fffd}" })),
            (b"{\"a\": \"one\ntwo\x1b\"}", json!({ "a": "one\ntwo\u{1b}" })),
            (
                br#"{"\u0061": [1.5, -2, true, null, {}], "b": 1, "b": "last"}"#,
                json!({
                    "a": [1.5, -2, true, null, {}], "b": "last"
                }),
            ),
        ] {
            assert_eq!(parsed(body).unwrap(), value);
        }
        for wrong in [&b"{"[..], b"", b"{\"a\": \\ud83d}", b"\xef\xbb\xbf", br#"{"a": "\uzzzz"}"#, br#"{"a": "\ud8"#] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn missing_fields_are_null_and_the_last_of_two_keys_counts() {
        let mut room = String::new();
        let json = parse(br#"{"a": {"b": ["c"]}, "n": null, "a": {"b": ["d"]}}"#, &mut room).unwrap();
        assert_eq!((json["a"]["b"][0].as_str(), &json["a"]["x"]["y"]), (Some("d"), &Json::Null));
        assert_eq!((&json["a"]["b"][1], &json["n"]), (&Json::Null, &Json::Null));
        assert_eq!((json.get("n"), json.get("x")), (Some(&Json::Null), None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = parsed(&bytes);
        }

        #[test]
        fn broken_markdown_stays_in_its_slot(broken in "(\\\\u[dD][89aAbBcCdDeEfF][0-9a-f]{2}|[a-z]|\\\\\\\\|\\\\\"){0,12}") {
            let body = format!(r#"{{"before": "b", "broken": "{broken}", "after": "a"}}"#);
            let value = parsed(body.as_bytes()).unwrap();
            prop_assert_eq!((&value["before"], &value["after"]), (&json!("b"), &json!("a")));
        }
    }
}
