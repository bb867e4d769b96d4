//! A message in Slack's Block Kit (<https://docs.slack.dev/reference/block-kit>).
//!
//! The headline stands in the message itself, the rest in an attachment, for the bar in the accent's colour. All text
//! is in `rich_text` and `plain_text`, which Slack does not search for markup: there is no way to escape `*` and `_`
//! in its `mrkdwn`. Only `text`, for notifications, is `mrkdwn`; there `&`, `<` and `>` are escaped, so that nothing in
//! it mentions or links.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;
use serde_json::{Value, json};

use super::limits;
use crate::chat::webhook::to_json;
use crate::message::fit::{cut_text, text_that_fits, units};
use crate::message::markdown::flatten;
use crate::message::people::MOST_PINGS;
use crate::message::table::as_text;
use crate::message::{Accent, Block, Field, Inline, Message, Ping, WebUrl, plain_text};

/// A drawn message, and what of it Slack counts.
pub(super) struct Drawn {
    pub(super) json: String,
    blocks: usize,
    all_texts: usize,
    longest_text: usize,
}

impl Drawn {
    pub(super) fn fits(&self) -> bool {
        self.blocks <= limits::BLOCKS
            && self.longest_text <= limits::TEXT
            && self.all_texts <= limits::ALL_TEXTS
            && self.json.len() <= limits::BYTES
    }
}

#[derive(Serialize)]
struct Payload {
    text: String,
    unfurl_links: bool,
    unfurl_media: bool,
    blocks: Vec<Layout>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<Attachment>,
}

#[derive(Serialize)]
struct Attachment {
    color: &'static str,
    fallback: String,
    blocks: Vec<Layout>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Layout {
    RichText { elements: Vec<Rich> },
    Context { elements: Vec<Plain> },
    Image { image_url: WebUrl, alt_text: String },
    Actions { elements: Vec<Button> },
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Rich {
    #[serde(rename = "rich_text_section")]
    Section { elements: Vec<Leaf> },
    #[serde(rename = "rich_text_quote")]
    Quote { elements: Vec<Leaf> },
    #[serde(rename = "rich_text_preformatted")]
    Preformatted { elements: Vec<Leaf> },
    #[serde(rename = "rich_text_list")]
    List {
        style: &'static str,
        indent: u8,
        #[serde(skip_serializing_if = "is_zero")]
        offset: u64,
        elements: Vec<Rich>,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Leaf {
    Text {
        text: String,
        #[serde(skip_serializing_if = "Look::is_plain")]
        style: Look,
    },
    Link {
        url: WebUrl,
        text: String,
        #[serde(skip_serializing_if = "Look::is_plain")]
        style: Look,
    },
    User {
        user_id: String,
    },
    Usergroup {
        usergroup_id: String,
    },
}

#[derive(Clone, Copy, Default, PartialEq, Serialize)]
struct Look {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    bold: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    italic: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    strike: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    code: bool,
}

impl Look {
    fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    const BOLD: Self = Self { bold: true, italic: false, strike: false, code: false };
}

#[derive(Serialize)]
struct Plain {
    r#type: &'static str,
    text: String,
    emoji: bool,
}

impl Plain {
    /// `emoji: false`: what strangers write between colons stays that.
    fn new(text: String) -> Self {
        Self { r#type: "plain_text", text, emoji: false }
    }
}

#[derive(Serialize)]
struct Button {
    r#type: &'static str,
    action_id: String,
    text: Plain,
    url: WebUrl,
}

/// Draws a message. It may be too large; [`Drawn::fits`] says so.
pub(super) fn draw(message: &Message) -> Drawn {
    let mut headline = vec![];
    headline.extend(message.author.clone().map(context));
    headline.push(match &message.title {
        Some(title) => section(vec![titled(title, message.url.as_ref())]),
        None => section(leaves(&message.line)),
    });
    headline.extend(pings(&message.pings));
    let mut rest = vec![];
    rest.extend(rich(body(&message.body)));
    // What is in the picture, the message says elsewhere.
    let alt_text = || message.title.clone().unwrap_or_else(|| plain_text(&message.line));
    let image = message.image.clone();
    rest.extend(image.map(|image_url| Layout::Image { image_url, alt_text: cut_text(&alt_text(), limits::ALT) }));
    rest.extend(fields(&message.fields));
    rest.extend(buttons(message));
    rest.extend(message.footer.clone().map(context));
    let notification = notification(message);
    let blocks = headline.len().max(rest.len());
    let counted = Counted::of(headline.iter().chain(&rest));
    let attachment = Attachment { color: colour(message.accent), fallback: notification.clone(), blocks: rest };
    let attachments = if attachment.blocks.is_empty() { vec![] } else { vec![attachment] };
    let payload =
        Payload { text: notification, unfurl_links: false, unfurl_media: false, blocks: headline, attachments };
    let json = to_json(&payload);
    Drawn { json, blocks, all_texts: counted.all, longest_text: counted.longest }
}

/// The same message as plain text, made of what was drawn before; who was pinged still is.
pub(super) fn plain(drawn: &str) -> Option<String> {
    let payload: Value = serde_json::from_str(drawn).ok()?;
    let text = payload["text"].as_str()?;
    let mut marks: Vec<_> = MARK.find_iter(text).map(|mark| mark.as_str().to_owned()).collect();
    collect_marks(&payload, &mut marks);
    let mut seen = HashSet::new();
    marks.retain(|mark| seen.insert(mark.clone()));
    marks.truncate(MOST_PINGS);
    // Outside `mrkdwn` nothing is escaped, and no mark means anything.
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
    // The headline's first.
    collect_links(&payload["blocks"], &mut links);
    collect_links(&payload["attachments"], &mut links);
    let mut seen = HashSet::new();
    links.retain(|link| seen.insert(link.clone()));
    links.truncate(MOST_LINKS);
    if !links.is_empty() {
        // Where the text is markup, an address must not end it.
        let escaped = links.iter().map(|link| format!("<{}>", link.replace(['<', '>', '|'], "")));
        let lines = cut_text(&escaped.collect::<Vec<_>>().join("\n"), limits::TEXT);
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": lines } }));
    }
    Some(json!({ "text": text, "unfurl_links": false, "unfurl_media": false, "blocks": blocks }).to_string())
}

/// Links that plain text keeps.
const MOST_LINKS: usize = 10;

/// Where a body's links lead: of its title and its buttons, and within its texts.
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

/// A link, where Slack looks for markup.
#[expect(clippy::expect_used, reason = "a literal, which a test compiles")]
static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"<(https?://[^|>\s]+)").expect("a valid pattern"));

/// The same message without its pictures, if it has any: Slack refuses all of a message for one that it cannot fetch.
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
        // A row that held pictures alone is gone with them.
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

/// A mention of a member or a group, where Slack looks for markup
/// (<https://docs.slack.dev/messaging/formatting-message-text#mentioning-users>).
#[expect(clippy::expect_used, reason = "a literal, which a test compiles")]
static MARK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"<(?:@[UW]|!subteam\^S)[A-Z0-9]+>").expect("a valid pattern"));

/// Such a mark.
pub(super) fn mark(id: &str) -> String {
    if id.starts_with('S') { format!("<!subteam^{id}>") } else { format!("<@{id}>") }
}

/// The mentions in a body's blocks, as marks.
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

/// What a phone shows, and a screen reader reads.
fn notification(message: &Message) -> String {
    let line = plain_text(&message.line);
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    escape(&text_that_fits(line.trim(), |text| units(&escape(text)) <= limits::NOTIFICATION))
}

const fn colour(accent: Accent) -> &'static str {
    match accent {
        Accent::Info => "#1264A3",
        Accent::Success => "#2EB67D",
        Accent::Warning => "#ECB22E",
        Accent::Danger => "#E01E5A",
        Accent::Neutral => "#8D8D8D",
    }
}

fn titled(title: &str, url: Option<&WebUrl>) -> Leaf {
    let (text, style) = (title.to_owned(), Look::BOLD);
    match url {
        Some(url) => Leaf::Link { url: url.clone(), text, style },
        None => Leaf::Text { text, style },
    }
}

/// Who is pinged stands in the message itself: an attachment may be folded.
fn pings(pings: &[Ping]) -> Option<Layout> {
    let mut elements = vec![];
    for (_, id) in Ping::of_chat(pings, |person| person.slack.as_deref()) {
        let id = id.to_owned();
        if !elements.is_empty() {
            elements.push(plain_leaf(" "));
        }
        let is_group = id.starts_with('S');
        elements.push(if is_group { Leaf::Usergroup { usergroup_id: id } } else { Leaf::User { user_id: id } });
    }
    (!elements.is_empty()).then(|| section(elements))
}

fn section(elements: Vec<Leaf>) -> Layout {
    Layout::RichText { elements: vec![Rich::Section { elements }] }
}

fn rich(elements: Vec<Rich>) -> Option<Layout> {
    (!elements.is_empty()).then_some(Layout::RichText { elements })
}

fn context(text: String) -> Layout {
    Layout::Context { elements: vec![Plain::new(text)] }
}

/// The text. Slack puts neither a line end nor space between two sections, so paragraphs that follow each other are
/// one section, with both in it.
fn body(blocks: &[Block]) -> Vec<Rich> {
    let mut elements = vec![];
    for block in blocks {
        match block {
            Block::Paragraph(inlines) => paragraph(leaves(inlines), &mut elements),
            Block::Heading(inlines) => paragraph(leaves(&[Inline::Strong(inlines.clone())]), &mut elements),
            Block::List { start, items } => list(*start, items, 0, &mut elements),
            Block::Quote(inner) => {
                let elements_of = leaves(&flatten(inner.clone()));
                elements.push(Rich::Quote { elements: elements_of });
            }
            Block::Code(code) => elements.extend(preformatted(code)),
            Block::Table(rows) => elements.extend(preformatted(&as_text(rows))),
            Block::Rule => {}
        }
    }
    elements.retain(|element| !is_empty(element));
    elements
}

fn paragraph(text: Vec<Leaf>, elements: &mut Vec<Rich>) {
    match elements.last_mut() {
        Some(Rich::Section { elements }) if !text.is_empty() => {
            elements.push(plain_leaf("\n\n"));
            elements.extend(text);
        }
        _ => elements.push(Rich::Section { elements: text }),
    }
}

fn plain_leaf(text: &str) -> Leaf {
    Leaf::Text { text: text.to_owned(), style: Look::default() }
}

fn preformatted(code: &str) -> Option<Rich> {
    let text = code.to_owned();
    let leaf = Leaf::Text { text, style: Look::default() };
    (!code.trim().is_empty()).then(|| Rich::Preformatted { elements: vec![leaf] })
}

/// Slack's lists hold sections alone: a list within an item is a list of its own, indented, after which the outer one
/// goes on.
fn list(start: Option<u64>, items: &[Vec<Block>], indent: u8, elements: &mut Vec<Rich>) {
    let style = if start.is_some() { "ordered" } else { "bullet" };
    let first = start.unwrap_or(1).max(1) - 1;
    let mut open: Vec<Rich> = vec![];
    let mut offset = first;
    for (n, item) in items.iter().enumerate() {
        let section = match item.as_slice() {
            [Block::Paragraph(inlines)] => leaves(inlines),
            blocks => {
                let is_list = |block: &&Block| matches!(block, Block::List { .. });
                leaves(&flatten(blocks.iter().filter(|block| !is_list(block)).cloned().collect()))
            }
        };
        if !section.is_empty() {
            open.push(Rich::Section { elements: section });
        }
        for inner in item {
            let Block::List { start, items } = inner else { continue };
            if !open.is_empty() {
                elements.push(Rich::List { style, indent, offset, elements: std::mem::take(&mut open) });
            }
            list(*start, items, (indent + 1).min(8), elements);
            offset = if start.is_some() || style == "ordered" { first + n as u64 + 1 } else { 0 };
        }
    }
    if !open.is_empty() {
        elements.push(Rich::List { style, indent, offset, elements: open });
    }
}

/// Facts, a line each.
fn fields(fields: &[Field]) -> Option<Layout> {
    let mut elements = vec![];
    for field in fields {
        if !elements.is_empty() {
            elements.push(plain_leaf("\n"));
        }
        elements.push(Leaf::Text { text: field.name.clone(), style: Look::BOLD });
        elements.push(plain_leaf("  "));
        elements.extend(leaves(&field.value));
    }
    (!elements.is_empty()).then(|| section(elements))
}

fn buttons(message: &Message) -> Option<Layout> {
    let button = |(n, button): (usize, &crate::message::Button)| Button {
        r#type: "button",
        action_id: format!("open_{n}"),
        text: Plain::new(cut_text(&button.label, limits::LABEL)),
        url: button.url.clone(),
    };
    let elements: Vec<_> = message.buttons.iter().take(limits::BUTTONS).enumerate().map(button).collect();
    (!elements.is_empty()).then_some(Layout::Actions { elements })
}

fn leaves(inlines: &[Inline]) -> Vec<Leaf> {
    let mut drawn = vec![];
    collect(inlines, Look::default(), None, &mut drawn);
    drawn
}

fn collect(inlines: &[Inline], style: Look, url: Option<&WebUrl>, drawn: &mut Vec<Leaf>) {
    for inline in inlines {
        let (text, style) = match inline {
            Inline::Text(text) => (text.as_str(), style),
            Inline::Code(text) => (text.as_str(), Look { code: true, ..style }),
            Inline::Break => ("\n", Look::default()),
            Inline::Strong(inner) => {
                collect(inner, Look { bold: true, ..style }, url, drawn);
                continue;
            }
            Inline::Emphasis(inner) => {
                collect(inner, Look { italic: true, ..style }, url, drawn);
                continue;
            }
            Inline::Strike(inner) => {
                collect(inner, Look { strike: true, ..style }, url, drawn);
                continue;
            }
            Inline::Link { url, text } => {
                collect(text, style, Some(url), drawn);
                continue;
            }
        };
        if text.is_empty() {
            continue;
        }
        let text = text.to_owned();
        drawn.push(match url {
            Some(url) if text != "\n" => Leaf::Link { url: url.clone(), text, style },
            _ => Leaf::Text { text, style },
        });
    }
}

fn is_empty(element: &Rich) -> bool {
    match element {
        Rich::Section { elements } | Rich::Quote { elements } | Rich::Preformatted { elements } => elements.is_empty(),
        Rich::List { elements, .. } => elements.is_empty(),
    }
}

/// The texts of blocks, as Slack counts them.
#[derive(Default)]
struct Counted {
    all: usize,
    longest: usize,
}

impl Counted {
    fn of<'a>(blocks: impl Iterator<Item = &'a Layout>) -> Self {
        let mut counted = Self::default();
        for block in blocks {
            match block {
                Layout::RichText { elements } => elements.iter().for_each(|element| counted.rich(element)),
                Layout::Context { elements } => elements.iter().for_each(|text| counted.text(&text.text)),
                Layout::Image { alt_text, .. } => counted.text(alt_text),
                Layout::Actions { elements } => elements.iter().for_each(|button| counted.text(&button.text.text)),
            }
        }
        counted
    }

    fn rich(&mut self, element: &Rich) {
        match element {
            Rich::Section { elements } | Rich::Quote { elements } | Rich::Preformatted { elements } => {
                elements.iter().for_each(|leaf| match leaf {
                    Leaf::Text { text, .. } | Leaf::Link { text, .. } => self.text(text),
                    Leaf::User { user_id: id } | Leaf::Usergroup { usergroup_id: id } => self.text(id),
                })
            }
            Rich::List { elements, .. } => elements.iter().for_each(|element| self.rich(element)),
        }
    }

    fn text(&mut self, text: &str) {
        let units = units(text);
        self.all += units;
        self.longest = self.longest.max(units);
    }
}
