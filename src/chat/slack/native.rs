//! Bodies of custom templates for Slack: `mrkdwn` slots, and the limits of Block Kit.

use serde_json::{Map, Value};

use super::fallback::mark;
use super::{NAME, block_kit, limits};
use crate::chat::native::{BodyError, Dialect, Slot, at_most};
use crate::message::flatten::flatten;
use crate::message::{Inline, Ping};
use crate::text::units;

const DIALECT: Dialect = Dialect { slot, escape, draw: |blocks| mrkdwn(&flatten(blocks.to_vec())), mention };

/// Keys whose values are URLs.
const URLS: &[&str] = &[
    "url",
    "image_url",
    "thumb_url",
    "title_link",
    "author_link",
    "author_icon",
    "footer_icon",
    "from_url",
    "icon_url",
    "video_url",
    "title_url",
    "provider_icon_url",
    "thumbnail_url",
];

/// Completes a body that a template rendered.
pub(super) fn finish(body: Value) -> Result<String, BodyError> {
    let mut body = DIALECT.turned_back(body)?;
    if let Some(body) = body.as_object_mut() {
        // A link in untrusted text must not unfurl into a preview.
        body.entry("unfurl_links").or_insert(false.into());
        body.entry("unfurl_media").or_insert(false.into());
    }
    check(&body)?;
    let json = body.to_string();
    at_most("the message", json.len(), limits::BYTES, "bytes")?;
    Ok(json)
}

fn slot(key: &str, within: &Map<String, Value>, depth: usize) -> Slot {
    let is_mrkdwn = within.get("type").is_some_and(|sort| sort == "mrkdwn");
    let is_typed = within.contains_key("type");
    match key {
        key if URLS.contains(&key) => Slot::Url,
        "text" if is_mrkdwn => Slot::Markup,
        // Text of the message, and of an attachment.
        "text" | "pretext" | "fallback" if !is_typed && depth <= 1 => Slot::Markup,
        // In `fields` of an attachment.
        "value" if !is_typed && within.contains_key("title") => Slot::Markup,
        _ => Slot::Plain,
    }
}

/// Escapes plain text for `mrkdwn`. `&`, `<` and `>` have escapes. The marks of bold, italic, strikethrough, code and
/// quotes have none, and neither have the colons of emoji, so invisible word joiners separate them from the text.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for (at, c) in text.char_indices() {
        match c {
            ':' if is_emoji_start(&text[at + 1..]) => {
                escaped.push_str(":\u{2060}");
            }
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("\u{2060}&gt;"),
            '*' | '_' | '~' | '`' => {
                escaped.push('\u{2060}');
                escaped.push(c);
                escaped.push('\u{2060}');
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// Returns true if another colon follows before the next white space, as in `:tada:`.
fn is_emoji_start(after: &str) -> bool {
    let end = after.find(|c: char| c == ':' || c.is_whitespace());
    end.is_some_and(|end| after[end..].starts_with(':'))
}

fn mention(ping: &Ping) -> Option<String> {
    ping.id(NAME).map(mark)
}

/// Renders inlines as `mrkdwn`.
pub(super) fn mrkdwn(inlines: &[Inline]) -> String {
    let marked = |mark: &str, inner: &[Inline]| format!("{mark}{}{mark}", mrkdwn(inner));
    let one = |inline: &Inline| match inline {
        Inline::Text(text) => escape(text),
        Inline::Code(code) => {
            format!("`{}`", code.replace('`', "ˋ").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
        }
        Inline::Strong(inner) => marked("*", inner),
        Inline::Emphasis(inner) => marked("_", inner),
        Inline::Strike(inner) => marked("~", inner),
        Inline::Link { url, text } => {
            // Slack formats no label, but it formats a whole link.
            let (mark, text) = match text.as_slice() {
                [Inline::Code(code)] => ("`", vec![Inline::Text(code.replace('`', "ˋ"))]),
                text => ("", text.to_vec()),
            };
            let url = url.as_str().replace('|', "%7C").replace('<', "%3C").replace('>', "%3E").replace('&', "&amp;");
            format!("{mark}<{url}|{}>{mark}", mrkdwn(&text).replace('|', "¦"))
        }
        Inline::Mention(ping) => escape(&ping.name),
        Inline::Break => "\n".to_owned(),
    };
    inlines.iter().map(one).collect()
}

fn check(body: &Value) -> Result<(), BodyError> {
    let has = |key: &str| body.get(key).is_some_and(|value| !value.is_null());
    if !has("text") && !has("blocks") && !has("attachments") {
        return Err(BodyError::Incomplete("Slack requires `text`, `blocks` or `attachments`"));
    }
    if let Some(text) = body.get("text").and_then(Value::as_str) {
        at_most("`text`", units(text), limits::TEXT, "characters")?;
    }
    block_kit::check(body)
}
