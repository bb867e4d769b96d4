//! Bodies of custom templates for Teams: Markdown slots, escaped expressions, and the size limit.

use serde_json::{Map, Value};

use super::{draw, limits};
use crate::chat::native::{BodyError, Dialect, Slot, at_most, by_line};
use crate::message::flatten::flatten;

const DIALECT: Dialect = Dialect {
    slot,
    escape: |text| draw::inert(&by_line(text, draw::escaped)),
    draw: |blocks| draw::inert(&draw::markdown(&flatten(blocks.to_vec()), false)),
    // A mention requires an entity elsewhere in the card.
    mention: |_| None,
};

/// Completes a body that a template rendered.
pub(super) fn finish(body: Value) -> Result<String, BodyError> {
    let body = DIALECT.turned_back(body)?;
    let attachments = body["attachments"].as_array().map(Vec::as_slice).unwrap_or_default();
    if attachments.is_empty() || attachments.iter().any(|attachment| !attachment["content"].is_object()) {
        return Err(BodyError::Incomplete("Teams requires `attachments`, each with a card in `content`"));
    }
    let json = body.to_string();
    at_most("the message", json.len(), limits::BYTES, "bytes")?;
    Ok(json)
}

fn slot(key: &str, within: &Map<String, Value>, _: usize) -> Slot {
    let is = |sort: &str| within.get("type").is_some_and(|found| found == sort);
    match key {
        "url" | "iconUrl" | "backgroundImage" => Slot::Url,
        "text" if is("TextBlock") => Slot::Markup,
        // The schema allows clients to parse it as Markdown.
        "fallbackText" => Slot::Markup,
        // In a fact, which has no `type`.
        "title" | "value" if !within.contains_key("type") && within.contains_key("value") => Slot::Markup,
        _ => Slot::Plain,
    }
}
