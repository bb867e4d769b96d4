//! Replacements for a body that Slack rejects. They are derived from the rejected body, so that they also work for a
//! body that a Block Kit template rendered.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::limits;
use super::payload::Plain;
use crate::chat::Body;
use crate::message::WebUrl;
use crate::message::people::MAX_PINGS;
use crate::text::cut_text;

/// Returns replacements for a rejected body, best first, each with how it differs: the message without its pictures, then
/// as plain text with its links.
pub(super) fn poorer(body: &Body) -> Vec<(Body, &'static str)> {
    let poorer = [
        (without_pictures(&body.0), "sent without pictures because Slack rejected the blocks"),
        (plain(&body.0), "sent as plain text because Slack rejected the blocks"),
    ];
    poorer.into_iter().filter_map(|(body, what)| Some((Body(body?), what))).collect()
}

/// Converts a rendered message to plain text. Links and pings are kept.
pub(super) fn plain(drawn: &str) -> Option<String> {
    let payload: Value = serde_json::from_str(drawn).ok()?;
    let text = payload["text"].as_str()?;
    let mut marks: Vec<_> = MARK.find_iter(text).map(|mark| mark.as_str().to_owned()).collect();
    collect_marks(&payload, &mut marks);
    let marks = distinct(marks, MAX_PINGS);
    // In plain text, nothing is escaped and marks have no effect.
    let shown = MARK.replace_all(text, "").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let shown = cut_text(shown.trim(), limits::TEXT);
    let mut blocks = vec![];
    if !shown.is_empty() {
        blocks.push(json!({ "type": "section", "text": Plain::new(shown) }));
    }
    if !marks.is_empty() {
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": marks.join(" ") } }));
    }
    let mut links = vec![];
    // The links of the headline come first.
    collect_links(&payload["blocks"], &mut links);
    collect_links(&payload["attachments"], &mut links);
    let links = distinct(links, MAX_LINKS);
    if !links.is_empty() {
        // In markup, a URL must not end its own mark.
        let escaped = links.iter().map(|link| format!("<{}>", link.replace(['<', '>', '|'], "")));
        let lines = cut_text(&escaped.collect::<Vec<_>>().join("\n"), limits::TEXT);
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": lines } }));
    }
    Some(json!({ "text": text, "unfurl_links": false, "unfurl_media": false, "blocks": blocks }).to_string())
}

/// Returns at most `most` texts, without duplicates.
fn distinct(mut texts: Vec<String>, most: usize) -> Vec<String> {
    let mut seen = HashSet::new();
    texts.retain(|text| seen.insert(text.clone()));
    texts.truncate(most);
    texts
}

/// Maximum number of links in plain text.
const MAX_LINKS: usize = 10;

/// Collects the URLs of a body: of its title, its buttons, and the links in its texts.
fn collect_links(value: &Value, links: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_links(item, links)),
        Value::Object(object) => {
            let text = |key: &str| object.get(key).and_then(Value::as_str);
            links.extend(text("url").and_then(WebUrl::parse).map(|url| url.to_string()));
            if text("type") == Some("mrkdwn") {
                let marked = LINK.captures_iter(text("text").unwrap_or_default());
                links.extend(
                    marked.filter_map(|link| WebUrl::parse(&link[1].replace("&amp;", "&"))).map(|url| url.to_string()),
                );
            }
            object.values().for_each(|part| collect_links(part, links));
        }
        _ => {}
    }
}

/// A link in `mrkdwn`.
#[expect(clippy::expect_used, reason = "a literal pattern, which a test compiles")]
static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"<(https?://[^|>\s]+)").expect("a valid pattern"));

/// Removes the pictures of a message, if it has any: Slack rejects a whole message if it cannot fetch one of them.
pub(super) fn without_pictures(drawn: &str) -> Option<String> {
    fn is_picture(value: &Value) -> bool {
        value["type"] == "image"
    }
    fn strip(blocks: &mut Vec<Value>) {
        blocks.retain(|block| !is_picture(block));
        for block in blocks.iter_mut().filter_map(Value::as_object_mut) {
            if block.get("accessory").is_some_and(is_picture) {
                block.remove("accessory");
            }
            if let Some(elements) = block.get_mut("elements").and_then(Value::as_array_mut) {
                elements.retain(|element| !is_picture(element));
            }
        }
        // Remove rows that contained pictures only.
        blocks.retain(|block| block["elements"].as_array().is_none_or(|elements| !elements.is_empty()));
    }
    let whole: Value = serde_json::from_str(drawn).ok()?;
    let mut payload = whole.clone();
    payload.get_mut("blocks").and_then(Value::as_array_mut).into_iter().for_each(strip);
    for attachment in payload.get_mut("attachments").and_then(Value::as_array_mut).into_iter().flatten() {
        attachment.get_mut("blocks").and_then(Value::as_array_mut).into_iter().for_each(strip);
    }
    (payload != whole).then(|| payload.to_string())
}

/// A mention of a member or a group in `mrkdwn`
/// (<https://docs.slack.dev/messaging/formatting-message-text#mentioning-users>).
#[expect(clippy::expect_used, reason = "a literal pattern, which a test compiles")]
static MARK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"<(?:@[UW]|!subteam\^S)[A-Z0-9]+>").expect("a valid pattern"));

/// Returns the mark that mentions a member or a group.
pub(super) fn mark(id: &str) -> String {
    if id.starts_with('S') { format!("<!subteam^{id}>") } else { format!("<@{id}>") }
}

/// Collects the mentions in a body's blocks as marks.
fn collect_marks(value: &Value, marks: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_marks(item, marks)),
        Value::Object(object) => {
            let text = |key: &str| object.get(key).and_then(Value::as_str);
            match text("type") {
                Some("user") => marks.extend(text("user_id").map(mark)),
                Some("usergroup") => marks.extend(text("usergroup_id").map(mark)),
                Some("mrkdwn") => {
                    let found = text("text").into_iter().flat_map(|text| MARK.find_iter(text));
                    marks.extend(found.map(|mark| mark.as_str().to_owned()));
                }
                _ => object.values().for_each(|value| collect_marks(value, marks)),
            }
        }
        _ => {}
    }
}
