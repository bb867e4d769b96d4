//! What bodies say of what changed: `{"title": {"old": "a", "new": "b"}, …}`.

use serde_json::Value;

use super::json::text;
use crate::event::Change;

/// Why an update is not told.
pub(super) const TRIVIAL: &str = "nothing changed that people would want to hear of";

/// What changed, of what is told: pairs of the host's word and ours.
pub(super) fn changes(changes: &Value, told: &[(&str, &str)]) -> Vec<Change> {
    let mut found: Vec<Change> = vec![];
    for (theirs, ours) in told {
        let change = &changes[theirs];
        if !change.is_object() || found.iter().any(|known| known.what == *ours) {
            continue;
        }
        let (old, new) = match *ours {
            "visibility" => (visibility(&change["old"]), visibility(&change["new"])),
            // Texts are too long to be told twice.
            "text" | "description" => (None, None),
            _ => (shown(&change["old"]), shown(&change["new"])),
        };
        if old != new || matches!(*ours, "text" | "description") {
            found.push(Change::new(*ours, old, new));
        }
    }
    found
}

/// A value as it is shown: an account or another object by its name.
pub(super) fn shown(value: &Value) -> Option<String> {
    let named = || ["display_name", "name", "full_name", "username", "raw"].iter().find_map(|key| text(&value[key]));
    text(value).or_else(named)
}

fn visibility(private: &Value) -> Option<String> {
    Some(if private.as_bool()? { "private" } else { "public" }.to_owned())
}
