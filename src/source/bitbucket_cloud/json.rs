//! Reading JSON whose every field may be missing, null, or of another type than yesterday.

use jiff::Timestamp;
use serde_json::Value;

/// A text that holds something. A number counts as its digits.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
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
    text(&object["links"]["html"]["href"])
}

/// Bitbucket writes the same UUID with braces in one place and without in another.
pub(super) fn without_braces(uuid: &str) -> String {
    uuid.trim_start_matches('{').trim_end_matches('}').to_owned()
}

/// The last name in a link's path.
pub(super) fn name_in_path(url: &str) -> Option<&str> {
    url.split(['?', '#']).next()?.rsplit('/').find(|name| !name.is_empty())
}
