//! Bodies of custom templates for Discord: Markdown slots, mentions and limits.

use serde_json::{Map, Value, json};

use super::draw::Mentions;
use super::{NAME, draw, limits, markdown};
use crate::chat::native::{BodyError, Dialect, Slot, at_most, by_line};
use crate::message::splice::pings;
use crate::text::units;

const DIALECT: Dialect = Dialect {
    slot,
    escape: |text| by_line(text, markdown::escape),
    draw: |blocks| markdown::blocks(blocks, ""),
    mention: |ping| ping.id(NAME).map(draw::mark),
};

/// Completes a body that a template rendered.
pub(super) fn finish(body: Value) -> Result<String, BodyError> {
    // Only people that a helper mentions may be pinged.
    let mentions = Mentions::of(&pings(&body.to_string()));
    let mut body = DIALECT.turned_back(body)?;
    if let Some(body) = body.as_object_mut() {
        body.entry("allowed_mentions").or_insert_with(|| json!(mentions));
    }
    check(&body)?;
    Ok(body.to_string())
}

fn slot(key: &str, within: &Map<String, Value>, _: usize) -> Slot {
    match key {
        "url" | "icon_url" => Slot::Url,
        "content" | "description" | "title" | "value" => Slot::Markup,
        // Discord parses Markdown in a field's name, but not in an author's.
        "name" if within.contains_key("value") => Slot::Markup,
        _ => Slot::Plain,
    }
}

fn check(body: &Value) -> Result<(), BodyError> {
    let content = body["content"].as_str().unwrap_or_default();
    at_most("`content`", units(content), limits::CONTENT, "characters")?;
    let embeds = body["embeds"].as_array().map(Vec::as_slice).unwrap_or_default();
    if content.trim().is_empty() && embeds.is_empty() {
        return Err(BodyError::Incomplete("Discord requires `content` or `embeds`"));
    }
    at_most("`embeds`", embeds.len(), limits::EMBEDS, "embeds")?;
    let mut all = 0;
    for (n, embed) in embeds.iter().enumerate() {
        let mut text = |pointer: &str, most: usize| {
            let found = embed.pointer(pointer).and_then(Value::as_str).map_or(0, units);
            all += found;
            at_most(&format!("`embeds[{n}]{}`", pointer.replace('/', ".")), found, most, "characters")
        };
        text("/title", limits::TITLE)?;
        text("/description", limits::DESCRIPTION)?;
        text("/author/name", limits::AUTHOR)?;
        text("/footer/text", limits::FOOTER)?;
        let fields = embed["fields"].as_array().map_or(0, Vec::len);
        at_most(&format!("`embeds[{n}].fields`"), fields, limits::FIELDS, "fields")?;
        for field in 0..fields {
            text(&format!("/fields/{field}/name"), limits::FIELD_NAME)?;
            text(&format!("/fields/{field}/value"), limits::FIELD_VALUE)?;
        }
    }
    at_most("the text of all `embeds`", all, limits::ALL, "characters")
}
