//! Reading JSON whose every field may be missing, null, or of another type than yesterday.

use jiff::Timestamp;
use serde_json::Value;

use crate::source::without_credentials;

/// Maximum size of a name, a title and the like, in bytes; what is longer is cut.
const MAX_NAME: usize = 1024;

/// Maximum size of a text that people write (a description, a comment, a message), in bytes; what is longer is cut.
const MAX_TEXT: usize = 64 * 1024;

/// Maximum size of an address, in bytes; a longer one is left out, because a part of it leads nowhere.
const MAX_URL: usize = 4 * 1024;

/// A name that holds something. A number counts as its digits.
pub(super) fn text(value: &Value) -> Option<String> {
    held(value, MAX_NAME)
}

/// A text that people write, if it holds something.
pub(super) fn long_text(value: &Value) -> Option<String> {
    held(value, MAX_TEXT)
}

/// An address.
pub(super) fn link(value: &Value) -> Option<String> {
    let url = value.as_str().filter(|url| !url.trim().is_empty() && url.len() <= MAX_URL)?;
    Some(without_credentials(url).into_owned())
}

fn held(value: &Value, max: usize) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(cut(&without_credentials(text), max)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A name of at most [`MAX_NAME`] bytes.
pub(super) fn cut_name(text: &str) -> String {
    cut(text, MAX_NAME)
}

fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = (0..=max - '…'.len_utf8()).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

/// A whole number, also as a text of digits.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// True only where it says so.
pub(super) fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

/// A moment, as RFC 3339.
pub(super) fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.trim().parse().ok()
}

/// The items of a list; none where there is no list.
pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The page for people that an object links to.
pub(super) fn page(object: &Value) -> Option<String> {
    link(&object["links"]["html"]["href"])
}

/// Bitbucket writes the same UUID with braces in one place and without in another.
pub(super) fn without_braces(uuid: &str) -> String {
    uuid.trim_start_matches('{').trim_end_matches('}').to_owned()
}

/// The last name in a link's path.
pub(super) fn name_in_path(url: &str) -> Option<&str> {
    url.split(['?', '#']).next()?.rsplit('/').find(|name| !name.is_empty())
}
