//! Renders a message in Slack's Block Kit (<https://docs.slack.dev/reference/block-kit>).
//!
//! The headline is in the message itself, with the facts that ping someone: Slack may fold an attachment. The rest is
//! in an attachment, which shows a bar in the accent's colour.
//!
//! Text is in `rich_text` and `plain_text`, which Slack does not parse as markup, because `*` and `_` cannot be escaped
//! in `mrkdwn`. Only two texts are `mrkdwn`: `text`, for notifications, in which `&`, `<` and `>` are escaped, so that it
//! contains no mentions or links; and the grey line of facts, which has no other form with code and links. There,
//! invisible characters separate marks from the text.

use super::native::mrkdwn;
use super::payload::{Attachment, Button, Layout, Leaf, Look, Markup, Payload, Picture, Plain, Rich, Small};
use super::{NAME, limits};
use crate::chat::webhook::to_json;
use crate::message::fit::text_that_fits;
use crate::message::flatten::flatten;
use crate::message::table::as_text;
use crate::message::{Accent, Block, Field, Inline, Message, Pinged, WebUrl, plain_text};
use crate::text::{cut_text, units};

/// A rendered message, and the sizes that Slack limits.
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

/// Renders a message. The result may be too large; check it with [`Drawn::fits`]. Links are buttons only if the app
/// handles interactions: otherwise, Slack shows a warning after each click.
pub(super) fn draw(message: &Message, interactivity: bool) -> Drawn {
    let pinged = Pinged::of(message, NAME);
    let (short, long) = pinged.other_facts(message);
    let mut headline = vec![];
    headline.extend(byline(message));
    headline.push(section(match &message.title {
        Some(title) => titled(title, message.url.as_ref()),
        None => leaves(&message.line),
    }));
    headline.extend(pings(&pinged));
    let mut rest = vec![];
    rest.extend(facts(&short));
    rest.extend(rich(body(&message.body)));
    // The message describes the picture elsewhere, so its headline is enough.
    let alt_text = || cut_text(&message.headline(), limits::ALT);
    rest.extend(message.image.clone().map(|image_url| Layout::Image { image_url, alt_text: alt_text() }));
    rest.extend(fields(&long));
    rest.extend(if interactivity { buttons(message) } else { links(message) });
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

/// Renders the author's picture and the small print above the headline.
fn byline(message: &Message) -> Option<Layout> {
    let picture = message.avatar.clone().map(|image_url| {
        // Slack requires a text.
        let alt_text = message.author.clone().unwrap_or_else(|| message.headline());
        Small::Picture(Picture { r#type: "image", image_url, alt_text: cut_text(&alt_text, limits::ALT) })
    });
    let text = message.byline().map(|text| Small::Plain(Plain::new(text)));
    let elements: Vec<_> = picture.into_iter().chain(text).collect();
    (!elements.is_empty()).then_some(Layout::Context { elements })
}

/// Renders short facts in lines of small print: one, unless it is too long for a text.
fn facts(facts: &[&Field]) -> Vec<Layout> {
    let mut lines: Vec<String> = vec![];
    for fact in facts {
        let text = mrkdwn(&[vec![Inline::Text(format!("{}: ", fact.name))], fact.value.clone()].concat());
        match lines.last_mut() {
            Some(line) if units(line) + units(&text) + GAP.len() <= limits::TEXT => {
                line.push_str(GAP);
                line.push_str(&text);
            }
            _ => lines.push(text),
        }
    }
    let line =
        |text| Layout::Context { elements: vec![Small::Markup(Markup { r#type: "mrkdwn", text, verbatim: true })] };
    lines.into_iter().map(line).collect()
}

/// Gap between facts and between links.
const GAP: &str = "  ·  ";

/// Renders the text for notifications and screen readers.
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

fn titled(title: &[Inline], url: Option<&WebUrl>) -> Vec<Leaf> {
    let mut drawn = vec![];
    collect(title, Look::BOLD, url, &mut drawn);
    drawn
}

/// Renders mentions for the message itself, because Slack may fold an attachment.
fn pings(pinged: &Pinged<'_>) -> Vec<Layout> {
    let mut sections = vec![];
    for fact in &pinged.facts {
        let value = fact.value.iter().flat_map(|inline| match inline {
            Inline::Mention(ping) if pinged.id(ping).is_some() => pinged.id(ping).map(mention).into_iter().collect(),
            inline => leaves(std::slice::from_ref(inline)),
        });
        sections.push(section(labelled(&fact.name, value.collect())));
    }
    sections.extend(joined(pinged.others.iter().map(|(_, id)| vec![mention(id)]), " "));
    sections
}

fn mention(id: &str) -> Leaf {
    let id = id.to_owned();
    if id.starts_with('S') { Leaf::Usergroup { usergroup_id: id } } else { Leaf::User { user_id: id } }
}

fn section(elements: Vec<Leaf>) -> Layout {
    Layout::RichText { elements: vec![Rich::Section { elements }] }
}

/// Joins parts into one section, with a gap between them.
fn joined(parts: impl Iterator<Item = Vec<Leaf>>, gap: &str) -> Option<Layout> {
    let mut elements = vec![];
    for part in parts {
        if !elements.is_empty() {
            elements.push(plain_leaf(gap));
        }
        elements.extend(part);
    }
    (!elements.is_empty()).then(|| section(elements))
}

/// Puts a name in bold before a value.
fn labelled(name: &str, value: Vec<Leaf>) -> Vec<Leaf> {
    let label = [Leaf::Text { text: name.to_owned(), style: Look::BOLD }, plain_leaf("  ")];
    label.into_iter().chain(value).collect()
}

fn rich(elements: Vec<Rich>) -> Option<Layout> {
    (!elements.is_empty()).then_some(Layout::RichText { elements })
}

fn context(text: String) -> Layout {
    Layout::Context { elements: vec![Small::Plain(Plain::new(text))] }
}

/// Renders the body. Slack puts neither a line break nor space between two sections, so consecutive paragraphs are
/// joined into one section, with blank lines between them.
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
    (!code.trim().is_empty()).then(|| Rich::Preformatted { elements: vec![plain_leaf(code)] })
}

/// Renders a list. Slack's lists contain sections only, so a nested list becomes an indented list of its own, after
/// which the outer list continues.
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

/// Renders long facts, one per line.
fn fields(fields: &[&Field]) -> Option<Layout> {
    joined(fields.iter().map(|field| labelled(&field.name, leaves(&field.value))), "\n")
}

/// Renders links as text, in one line.
fn links(message: &Message) -> Option<Layout> {
    let links = message.further_links().take(limits::BUTTONS).map(|link| {
        let text = cut_text(&link.label, limits::LABEL);
        vec![Leaf::Link { url: link.url.clone(), text, style: Look::default() }]
    });
    joined(links, GAP)
}

fn buttons(message: &Message) -> Option<Layout> {
    let button = |(n, button): (usize, &crate::message::Button)| Button {
        r#type: "button",
        action_id: format!("open_{n}"),
        text: Plain::new(cut_text(&button.label, limits::LABEL)),
        url: button.url.clone(),
    };
    let elements: Vec<_> = message.further_links().take(limits::BUTTONS).enumerate().map(button).collect();
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
            Inline::Mention(ping) => (ping.name.as_str(), style),
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

/// Lengths of the texts in blocks, as Slack counts them.
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
                Layout::Context { elements } => elements.iter().for_each(|element| {
                    counted.text(match element {
                        Small::Plain(Plain { text, .. }) | Small::Markup(Markup { text, .. }) => text,
                        Small::Picture(Picture { alt_text, .. }) => alt_text,
                    });
                }),
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
