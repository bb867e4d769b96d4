//! Renders a message as an Adaptive Card, version 1.4 (<https://adaptivecards.io/explorer/>), for a flow to post.
//!
//! Text is in text runs, which do not parse Markdown. Only the line of mentions does, so its text is escaped. A zero-width
//! character separates `{{` and `${`, which renderers and flows would evaluate.

use super::payload::{Attachment, Card, Column, Element, Entity, Mentioned, OpenUrl, Payload, Run, Teams};
use super::{NAME, limits};
use crate::chat::native::by_line;
use crate::chat::webhook::to_json;
use crate::event::Account;
use crate::message::table::as_text;
use crate::message::{Accent, Block, Field, Inline, Message, Ping, Pinged, WebUrl, plain_text};

/// Returns true if a rendered message is small enough. Bytes that are not ASCII count twice, because Teams re-encodes
/// them.
#[expect(clippy::ptr_arg, reason = "the signature that `fit` requires")]
pub(super) fn fits(json: &String) -> bool {
    2 * json.len() <= limits::BYTES
        || json.len() + json.bytes().filter(|byte| !byte.is_ascii()).count() <= limits::BYTES
}

/// Renders a message. The result may be too large; check it with [`fits`].
pub(super) fn draw(message: &Message) -> String {
    let mut page = Page { elements: vec![] };
    page.byline(message);
    let headline = match &message.title {
        // The text has the colour, because Teams' background colours are hard to distinguish.
        Some(title) => runs(title, &Run { size: Some("Medium"), weight: Some("Bolder"), ..accented(message.accent) }),
        None => runs(&message.line, &Run::default()),
    };
    let spacing = (!page.elements.is_empty()).then_some("Small");
    let mut top = Page { elements: vec![] };
    top.line(headline, None);
    page.elements.push(Element::Container {
        style: None,
        spacing,
        select_action: message.url.as_ref().map(|url| OpenUrl::new(url, None)),
        items: top.elements,
    });
    let pinged = Pinged::of(message, NAME);
    let entities = entities(&message.pings);
    let mentions = mentions(&pinged, &entities);
    if !mentions.is_empty() {
        page.elements.push(Element::TextBlock { spacing: "Small", wrap: true, text: mentions });
    }
    let (short, long) = pinged.other_facts(message);
    page.facts(&short);
    page.blocks(&message.body, "Small", 0);
    if let Some(url) = &message.image {
        page.elements.push(picture(url, &message.headline(), None));
    }
    for field in long {
        let mut line =
            vec![Run { text: format!("{}  ", inert(&field.name)), weight: Some("Bolder"), ..Run::default() }];
        line.extend(runs(&field.value, &Run::default()));
        page.lines(line, "Small");
    }
    if let Some(footer) = &message.footer {
        page.line(vec![small(footer)], None);
    }
    let card = Card {
        schema: "http://adaptivecards.io/schemas/adaptive-card.json",
        r#type: "AdaptiveCard",
        version: "1.4",
        // The schema allows clients to parse it as Markdown.
        fallback_text: inert(&by_line(plain_text(&message.line).trim(), escaped)),
        body: page.elements,
        actions: links(message),
        msteams: Teams { width: "Full", entities },
    };
    let content_type = "application/vnd.microsoft.card.adaptive";
    let attachments = [Attachment { content_type, content_url: None, content: card }];
    to_json(&Payload { r#type: "message", attachments })
}

/// Returns the links of a message. A headline does not look like a link, so that its link is one of them if there is no
/// other.
fn links(message: &Message) -> Vec<OpenUrl> {
    let open = message.url.as_ref().filter(|_| message.title.is_some() && message.buttons.is_empty());
    let open = open.map(|url| OpenUrl::new(url, Some("Open".to_owned())));
    let buttons = message.buttons.iter().map(|button| OpenUrl::new(&button.url, Some(inert(&button.label))));
    open.into_iter().chain(buttons).take(limits::BUTTONS).collect()
}

fn small(text: &str) -> Run {
    Run { text: inert(text), size: Some("Small"), is_subtle: true, ..Run::default() }
}

fn picture(url: &WebUrl, alt_text: &str, width: Option<&'static str>) -> Element {
    Element::Image {
        spacing: width.is_none().then_some("Medium"),
        url: OpenUrl::new(url, None).url,
        alt_text: inert(alt_text),
        style: width.map(|_| "Person"),
        width,
    }
}

/// Renders the facts that ping someone, and the mentions of others.
fn mentions(pinged: &Pinged<'_>, entities: &[Entity]) -> String {
    let mark = |ping: &Ping| {
        let id = pinged.id(ping)?;
        entities.iter().find(|entity| entity.mentioned.id == id).map(|entity| entity.text.clone())
    };
    let fact = |fact: &&Field| {
        let value = fact.value.iter().map(|inline| match inline {
            Inline::Mention(ping) => mark(ping).unwrap_or_else(|| inert(&escaped(&ping.name))),
            inline => inert(&markdown(std::slice::from_ref(inline), false)),
        });
        format!("{}: {}", inert(&escaped(&fact.name)), value.collect::<String>())
    };
    let others = pinged.others.iter().filter_map(|(ping, _)| mark(ping)).collect::<Vec<_>>().join(", ");
    let lines = pinged.facts.iter().map(fact).chain((!others.is_empty()).then_some(others));
    lines.collect::<Vec<_>>().join("\n\n")
}

/// Maximum length of a name in a mention, in characters.
const MAX_NAME: usize = 60;

/// Maximum size of all mentions in a card, in bytes, so that the rest of the message has room.
const MAX_BYTES: usize = limits::BYTES / 2;

/// Returns the people to ping, each with a unique name: Teams would treat two equal names as one person.
fn entities(pings: &[Ping]) -> Vec<Entity> {
    let mut entities: Vec<Entity> = vec![];
    let mut left = MAX_BYTES;
    for (ping, id) in Ping::of_chat(pings, NAME) {
        // A name from the code host must not end the mark or be markup. All markup is ASCII.
        let is_name = |c: &char| c.is_ascii_alphanumeric() || " .'-".contains(*c) || !c.is_ascii();
        let letters: String = ping.name.chars().filter(is_name).take(MAX_NAME).collect();
        let name = Some(letters.trim()).filter(|name| !name.is_empty()).unwrap_or(Account::UNKNOWN);
        let is_taken = |name: &str| entities.iter().any(|entity| entity.mentioned.name == name);
        let names = std::iter::once(name.to_owned()).chain((2..).map(|n| format!("{name} {n}")));
        let Some(name) = names.into_iter().find(|name| !is_taken(name)) else { continue };
        // The name appears in the text, in the entity and in `mentioned`, and counts twice if it is not ASCII.
        let size = 6 * name.len() + id.len() + 100;
        let Some(rest) = left.checked_sub(size) else { break };
        left = rest;
        let mentioned = Mentioned { id: id.to_owned(), name: name.clone() };
        entities.push(Entity { text: format!("<at>{name}</at>"), mentioned });
    }
    entities
}

fn accented(accent: Accent) -> Run {
    let color = match accent {
        Accent::Info => Some("Accent"),
        Accent::Success => Some("Good"),
        Accent::Warning => Some("Warning"),
        Accent::Danger => Some("Attention"),
        Accent::Neutral => None,
    };
    Run { color, ..Run::default() }
}

/// Elements in a column.
struct Page {
    elements: Vec<Element>,
}

impl Page {
    /// Adds the author's picture and the small print above the headline.
    fn byline(&mut self, message: &Message) {
        let mut text = Self { elements: vec![] };
        text.line(message.byline().iter().map(|text| small(text)).collect(), None);
        let Some(url) = &message.avatar else {
            self.elements.extend(text.elements);
            return;
        };
        let alt_text = message.author.as_deref().unwrap_or_default();
        let column = |width, items| Column { width, spacing: "Small", vertical_content_alignment: "Center", items };
        let columns =
            vec![column("auto", vec![picture(url, alt_text, Some("20px"))]), column("stretch", text.elements)];
        self.elements.push(Element::ColumnSet { columns });
    }

    /// Adds short facts in one line of small print.
    fn facts(&mut self, facts: &[&Field]) {
        let mut line = vec![];
        for fact in facts {
            let gap = if line.is_empty() { "" } else { "  ·  " };
            line.push(small(&format!("{gap}{}: ", fact.name)));
            line.extend(runs(&fact.value, &small("")));
        }
        self.line(line, Some("Small"));
    }

    fn line(&mut self, inlines: Vec<Run>, spacing: Option<&'static str>) {
        if inlines.iter().any(|run| !run.text.trim().is_empty()) {
            self.elements.push(Element::RichTextBlock { spacing, separator: false, inlines });
        }
    }

    /// Adds runs that may contain line breaks. Text runs do not show these, so each line becomes a block.
    fn lines(&mut self, drawn: Vec<Run>, spacing: &'static str) {
        if drawn.iter().all(|run| run.text != "\n") {
            self.line(drawn, Some(spacing));
            return;
        }
        let mut first = true;
        for line in drawn.split(|run| run.text == "\n") {
            self.line(line.to_vec(), Some(if first { spacing } else { "None" }));
            first = false;
        }
    }

    fn blocks(&mut self, blocks: &[Block], first_spacing: &'static str, depth: usize) {
        let mut separated = false;
        for (n, block) in blocks.iter().enumerate() {
            let spacing = if n == 0 { first_spacing } else { "Default" };
            let before = self.elements.len();
            match block {
                Block::Paragraph(inlines) => self.lines(indented(depth, runs(inlines, &Run::default())), spacing),
                Block::Heading(inlines) => {
                    let bold = Run { weight: Some("Bolder"), ..Run::default() };
                    self.lines(indented(depth, runs(inlines, &bold)), spacing);
                }
                Block::List { start, items } => self.list(*start, items, depth),
                Block::Quote(inner) => {
                    let mut quote = Self { elements: vec![] };
                    quote.blocks(inner, "None", 0);
                    self.set_off(quote, spacing);
                }
                Block::Code(code) => self.code(code, spacing),
                Block::Table(rows) => self.code(&as_text(rows), spacing),
                Block::Rule => {
                    separated = true;
                    continue;
                }
            }
            if separated && let Some(Element::RichTextBlock { separator, .. }) = self.elements.get_mut(before) {
                *separator = true;
                separated = false;
            }
        }
    }

    fn list(&mut self, start: Option<u64>, items: &[Vec<Block>], depth: usize) {
        for (n, item) in items.iter().enumerate() {
            let marker = start.map_or("• ".to_owned(), |first| format!("{}. ", first + n as u64));
            let (text, rest) = match item.split_first() {
                Some((Block::Paragraph(inlines), rest)) => (runs(inlines, &Run::default()), rest),
                _ => (vec![], item.as_slice()),
            };
            let mut line = vec![Run { text: marker, ..Run::default() }];
            line.extend(text);
            self.lines(indented(depth, line), if n == 0 && depth == 0 { "Small" } else { "None" });
            self.blocks(rest, "None", depth + 1);
        }
    }

    fn code(&mut self, code: &str, spacing: &'static str) {
        let mut lines = Self { elements: vec![] };
        for line in code.lines() {
            let indent = line.len() - line.trim_start_matches(' ').len();
            // Teams would drop leading spaces and empty lines.
            let text = format!("{}{}", "\u{a0}".repeat(indent.max(usize::from(line.is_empty()))), &line[indent..]);
            let run = Run { text: inert(&text), font_type: Some("Monospace"), ..Run::default() };
            lines.elements.push(Element::RichTextBlock { spacing: Some("None"), separator: false, inlines: vec![run] });
        }
        if !code.trim().is_empty() {
            self.set_off(lines, spacing);
        }
    }

    /// Adds a quote or code in a container with a different background.
    fn set_off(&mut self, inner: Self, spacing: &'static str) {
        let (style, items, spacing) = (Some("emphasis"), inner.elements, Some(spacing));
        if !items.is_empty() {
            self.elements.push(Element::Container { style, spacing, select_action: None, items });
        }
    }
}

/// Indents runs to the depth of their list.
fn indented(depth: usize, mut runs: Vec<Run>) -> Vec<Run> {
    if depth > 0 {
        runs.insert(0, Run { text: "\u{a0}".repeat(4 * depth.min(6)), ..Run::default() });
    }
    runs
}

fn runs(inlines: &[Inline], look: &Run) -> Vec<Run> {
    let mut drawn = vec![];
    collect(inlines, look, &mut drawn);
    drawn
}

fn collect(inlines: &[Inline], look: &Run, drawn: &mut Vec<Run>) {
    for inline in inlines {
        match inline {
            Inline::Text(text) if text.is_empty() => {}
            Inline::Mention(ping) => drawn.push(Run { text: inert(&ping.name), ..look.clone() }),
            Inline::Text(text) => drawn.push(Run { text: inert(text), ..look.clone() }),
            Inline::Code(text) => {
                drawn.push(Run { text: inert(text), font_type: Some("Monospace"), ..look.clone() });
            }
            Inline::Strong(inner) => collect(inner, &Run { weight: Some("Bolder"), ..look.clone() }, drawn),
            Inline::Emphasis(inner) => collect(inner, &Run { italic: true, ..look.clone() }, drawn),
            Inline::Strike(inner) => collect(inner, &Run { strikethrough: true, ..look.clone() }, drawn),
            Inline::Link { url, text } => {
                collect(text, &Run { select_action: Some(OpenUrl::new(url, None)), ..look.clone() }, drawn);
            }
            Inline::Break => drawn.push(Run { text: "\n".to_owned(), ..Run::default() }),
        }
    }
}

/// Renders the Markdown that Teams supports: links and bold text. Bold text within bold text has no marks.
pub(super) fn markdown(inlines: &[Inline], bold: bool) -> String {
    let mut text = String::new();
    for inline in inlines {
        match inline {
            Inline::Text(plain) | Inline::Code(plain) => text.push_str(&escaped(plain)),
            Inline::Strong(inner) if !bold => text.push_str(&format!("**{}**", markdown(inner, true))),
            Inline::Strong(inner) | Inline::Emphasis(inner) | Inline::Strike(inner) => {
                text.push_str(&markdown(inner, bold));
            }
            Inline::Link { url, text: label } => {
                let url = OpenUrl::new(url, None).url.replace('(', "%28").replace(')', "%29");
                text.push_str(&format!("[{}]({url})", markdown(label, bold)));
            }
            Inline::Mention(ping) => text.push_str(&escaped(&ping.name)),
            Inline::Break => text.push_str("\n\n"),
        }
    }
    text
}

/// Escapes plain text for a place where Markdown is parsed.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let next = rest.peek().copied();
        let within_word = before.is_some_and(char::is_alphanumeric) && next.is_some_and(char::is_alphanumeric);
        let is_markup = match c {
            '\\' | '*' | '[' | ']' | '`' | '<' | '~' | '!' => true,
            '_' => !within_word,
            // Headings, lists, quotes and tables start only at the start of the text.
            '#' | '-' | '+' | '>' | '|' | '=' => before.is_none(),
            '.' | ')' => escaped.chars().all(|c| c.is_ascii_digit()) && before.is_some(),
            '&' => next.is_some_and(|next| next.is_alphanumeric() || next == '#'),
            _ => false,
        };
        if is_markup {
            escaped.push('\\');
        }
        escaped.push(c);
        before = Some(c);
    }
    escaped
}

/// Prevents the evaluation of expressions: separates each `{` from a `{` or `$` before it.
pub(super) fn inert(text: &str) -> String {
    if !text.contains('{') {
        return text.to_owned();
    }
    let mut inert = String::with_capacity(text.len());
    let mut before = None;
    for c in text.chars() {
        if c == '{' && matches!(before, Some('{' | '$')) {
            inert.push('\u{200b}');
        }
        inert.push(c);
        before = Some(c);
    }
    inert
}
