//! Changed fields in a body: `{"title": {"old": "a", "new": "b"}, …}`.

use crate::source::json::Json;

use super::json::text;
use crate::event::Change;

/// Reason for not posting an update.
pub(super) const TRIVIAL: &str = "no relevant field changed";

/// Returns the changes of the fields in `reported`: pairs of the host's name and Hookbell's name of a field.
pub(super) fn changes(changes: &Json<'_>, reported: &[(&str, &str)]) -> Vec<Change> {
    let mut found: Vec<Change> = vec![];
    for (theirs, ours) in reported {
        let change = &changes[*theirs];
        if !change.is_object() || found.iter().any(|known| known.what == *ours) {
            continue;
        }
        let (old, new) = match *ours {
            "visibility" => (visibility(&change["old"]), visibility(&change["new"])),
            // The old and the new text would be too long.
            "text" | "description" => (None, None),
            _ => (shown(&change["old"]), shown(&change["new"])),
        };
        if old != new || matches!(*ours, "text" | "description") {
            found.push(Change::new(*ours, old, new));
        }
    }
    found
}

/// Returns the display text of a value: an account or another object by its name.
pub(super) fn shown(value: &Json<'_>) -> Option<String> {
    let named = || ["display_name", "name", "full_name", "username", "raw"].iter().find_map(|key| text(&value[*key]));
    text(value).or_else(named)
}

fn visibility(private: &Json<'_>) -> Option<String> {
    Some(if private.as_bool()? { "private" } else { "public" }.to_owned())
}
