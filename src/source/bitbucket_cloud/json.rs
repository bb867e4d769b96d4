//! Readers for JSON fields that may be missing, null or of an unexpected type.

use crate::source::json::Json;
use jiff::Timestamp;

use crate::source::without_credentials;

/// Maximum size of a name, a title or the like, in bytes; longer ones are cut.
const MAX_NAME: usize = 1024;

/// Maximum size of a text that a person writes (a description, a comment, a message), in bytes; longer ones are cut.
const MAX_TEXT: usize = 64 * 1024;

/// Maximum size of a URL, in bytes; longer ones are left out, because a cut URL does not work.
const MAX_URL: usize = 4 * 1024;

/// Reads a name that is not blank. A number becomes its digits.
pub(super) fn text(value: &Json<'_>) -> Option<String> {
    held(value, MAX_NAME)
}

/// Reads a text that a person writes, if it is not blank.
pub(super) fn long_text(value: &Json<'_>) -> Option<String> {
    held(value, MAX_TEXT)
}

/// Reads a URL.
pub(super) fn link(value: &Json<'_>) -> Option<String> {
    let url = value.as_str().filter(|url| !url.trim().is_empty() && url.len() <= MAX_URL)?;
    Some(without_credentials(url).into_owned())
}

fn held(value: &Json<'_>, max: usize) -> Option<String> {
    match value {
        Json::String(text) if !text.trim().is_empty() => Some(cut(&without_credentials(text), max)),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Cuts a name to [`MAX_NAME`] bytes.
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

/// Reads an integer, also from a string of digits.
pub(super) fn number(value: &Json<'_>) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// Reads a boolean; anything else is `false`.
pub(super) fn flag(value: &Json<'_>) -> bool {
    value.as_bool().unwrap_or(false)
}

/// Reads an RFC 3339 timestamp.
pub(super) fn time(value: &Json<'_>) -> Option<Timestamp> {
    value.as_str()?.trim().parse().ok()
}

/// Returns the items of an array; none for anything else.
pub(super) fn items<'a>(value: &'a Json<'a>) -> &'a [Json<'a>] {
    value.as_array().unwrap_or_default()
}

/// Returns the URL of the web page of an object.
pub(super) fn page(object: &Json<'_>) -> Option<String> {
    link(&object["links"]["html"]["href"])
}

/// Removes the braces of a UUID. Bitbucket writes the same UUID with and without braces.
pub(super) fn without_braces(uuid: &str) -> String {
    uuid.trim_start_matches('{').trim_end_matches('}').to_owned()
}

/// Returns the last segment of a URL's path.
pub(super) fn name_in_path(url: &str) -> Option<&str> {
    url.split(['?', '#']).next()?.rsplit('/').find(|name| !name.is_empty())
}
