//! Renders a message as a Discord embed (<https://discord.com/developers/docs/resources/message#embed-object>).
//!
//! Only the ids of people in the configuration ping, because `allowed_mentions` lists only these. They are placed above
//! the embed, because mentions in an embed do not ping.

use serde::Serialize;

use super::markdown::{blocks, escape, inlines};
use super::{NAME, limits};
use crate::chat::webhook::to_json;
use crate::message::fit::{run_that_fits, text_that_fits};
use crate::message::{Accent, Field, Inline, Message, Ping, Pinged, WebUrl, plain_text};
use crate::text::{cut_text, units};

/// Message flag: no embeds for links in a line.
const SUPPRESS_EMBEDS: u32 = 1 << 2;

/// A rendered message, and the lengths that Discord limits.
pub(super) struct Drawn {
    pub(super) json: String,
    description: usize,
    all: usize,
}

impl Drawn {
    pub(super) fn fits(&self) -> bool {
        self.description <= limits::DESCRIPTION && self.all <= limits::ALL
    }
}

#[derive(Serialize)]
struct Payload {
    #[serde(skip_serializing_if = "String::is_empty")]
    content: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    embeds: Vec<Embed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<u32>,
    allowed_mentions: Mentions,
}

/// Mentions that may ping: only those listed here, none that Discord parses from the text.
#[derive(Default, Serialize)]
pub(super) struct Mentions {
    parse: [&'static str; 0],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    users: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
}

impl Mentions {
    /// Lists each id once, because Discord rejects duplicates.
    pub(super) fn of(pings: &[Ping]) -> Self {
        let mut mentions = Self::default();
        for (_, id) in ids(pings) {
            match id.strip_prefix('&') {
                Some(role) => mentions.roles.push(role.to_owned()),
                None => mentions.users.push(id.to_owned()),
            }
        }
        mentions
    }
}

/// The text above an embed, where mentions ping.
struct Pings<'a> {
    content: String,
    /// Facts that do not fit there; their people are mentioned without them.
    left: Vec<&'a Field>,
}

impl<'a> Pings<'a> {
    /// Renders the facts that ping someone, and the mentions of others.
    fn of(message: &'a Message, pinged: &Pinged<'a>) -> Self {
        let all = ids(&message.pings).into_iter().map(|(_, id)| mark(id)).collect::<Vec<_>>().join(" ");
        let mut room = limits::CONTENT.saturating_sub(units(&all) + 1);
        let (mut lines, mut left, mut others) = (vec![], vec![], vec![]);
        for fact in &pinged.facts {
            let line = line_of(fact, pinged);
            match room.checked_sub(units(&line) + 1) {
                Some(rest) => {
                    room = rest;
                    lines.push(line);
                }
                None => {
                    others.extend(pinged.of_fact(fact));
                    left.push(*fact);
                }
            }
        }
        others.extend(pinged.others.iter().map(|(_, id)| *id));
        let others = others.into_iter().map(mark).collect::<Vec<_>>().join(" ");
        lines.extend((!others.is_empty()).then_some(others));
        Self { content: lines.join("\n"), left }
    }
}

/// Renders a fact for the text above an embed. Discord would link URLs there and preview them, so these are broken.
fn line_of(fact: &Field, pinged: &Pinged<'_>) -> String {
    let text = |text: &str| escape(text).replace("://", ":\u{200b}//");
    let value = fact.value.iter().map(|inline| match inline {
        Inline::Mention(ping) => pinged.id(ping).map_or_else(|| text(&ping.name), mark),
        inline => text(&plain_text(std::slice::from_ref(inline))),
    });
    format!("{}: {}", text(&fact.name), value.collect::<String>())
}

fn ids(pings: &[Ping]) -> Vec<(&Ping, &str)> {
    Ping::of_chat(pings, NAME)
}

/// Returns the markup that mentions a user or a role.
pub(super) fn mark(id: &str) -> String {
    format!("<@{id}>")
}

#[derive(Default, Serialize)]
struct Embed {
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    color: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<EmbedField>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Image>,
    #[serde(skip_serializing_if = "Option::is_none")]
    footer: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
}

#[derive(Serialize)]
struct Image {
    url: String,
}

#[derive(Serialize)]
struct Name {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon_url: Option<WebUrl>,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
struct EmbedField {
    name: String,
    value: String,
    inline: bool,
}

impl Embed {
    fn counted(&self) -> usize {
        let fields: usize = self.fields.iter().map(|field| units(&field.name) + units(&field.value)).sum();
        let optional = |text: Option<&String>| text.map_or(0, |text| units(text));
        let names = optional(self.author.as_ref().map(|author| &author.name));
        let footer = optional(self.footer.as_ref().map(|footer| &footer.text));
        optional(self.title.as_ref()) + units(&self.description) + fields + names + footer
    }
}

/// Renders a message. The result may be too large; check it with [`Drawn::fits`].
pub(super) fn draw(message: &Message) -> Drawn {
    if message.is_line() {
        return line(message);
    }
    let pinged = Pinged::of(message, NAME);
    let pings = Pings::of(message, &pinged);
    let (short, long) = pinged.other_facts(message);
    let mut description = blocks(&message.body, "");
    let mut fields: Vec<_> = pings.left.iter().copied().chain(short).chain(long).filter_map(field).collect();
    // Links come last: below the text, or below the fields.
    if fields.is_empty() {
        let links = links(message, limits::DESCRIPTION);
        description = [description, links].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n");
    } else {
        let links = links(message, limits::FIELD_VALUE);
        fields.truncate(limits::FIELDS - usize::from(!links.is_empty()));
        let inline = message.further_links().count() == 1;
        fields.extend((!links.is_empty()).then(|| EmbedField { name: "Links".to_owned(), value: links, inline }));
    }
    if message.title.is_none() {
        description = format!("{}\n\n{description}", inlines(&message.line));
    }
    let author = message
        .author
        .as_deref()
        .map(|name| Name { name: cut_text(name, limits::AUTHOR), icon_url: message.avatar.clone() });
    let footer: Vec<_> = [&message.origin, &message.footer].into_iter().flatten().map(String::as_str).collect();
    let embed = Embed {
        author,
        title: message.title.as_deref().map(title),
        url: message.url.as_ref().map(ToString::to_string),
        description: description.trim().to_owned(),
        color: colour(message.accent),
        fields,
        image: message.image.as_ref().map(|url| Image { url: url.to_string() }),
        footer: (!footer.is_empty()).then(|| Text { text: cut_text(&footer.join(" · "), limits::FOOTER) }),
        timestamp: message.time.map(|time| time.to_string()),
    };
    let (description, all) = (units(&embed.description), embed.counted());
    let payload = Payload {
        content: pings.content,
        embeds: vec![embed],
        flags: None,
        allowed_mentions: Mentions::of(&message.pings),
    };
    let json = to_json(&payload);
    Drawn { json, description, all }
}

/// Renders links in one line of at most `most` units.
fn links(message: &Message, most: usize) -> String {
    let link = |button: &crate::message::Button| {
        inlines(&[Inline::Link { url: button.url.clone(), text: vec![Inline::Text(button.label.clone())] }])
    };
    let mut line = String::new();
    for link in message.further_links().map(link) {
        let longer = if line.is_empty() { link } else { format!("{line} · {link}") };
        if units(&longer) <= most {
            line = longer;
        }
    }
    line
}

/// Renders a message of one line as text without an embed.
fn line(message: &Message) -> Drawn {
    let pings = Pings::of(message, &Pinged::of(message, NAME)).content;
    let room = limits::CONTENT.saturating_sub(units(&pings) + 1);
    let fitting = run_that_fits(&message.line, |run| units(&inlines(run)) <= room);
    let payload = Payload {
        content: format!("{}\n{pings}", inlines(&fitting)).trim_end().to_owned(),
        embeds: vec![],
        flags: Some(SUPPRESS_EMBEDS),
        allowed_mentions: Mentions::of(&message.pings),
    };
    Drawn { json: to_json(&payload), description: 0, all: 0 }
}

const fn colour(accent: Accent) -> u32 {
    match accent {
        Accent::Info => 0x0058_65F2,
        Accent::Success => 0x0023_A55A,
        Accent::Warning => 0x00F0_B232,
        Accent::Danger => 0x00F2_3F43,
        Accent::Neutral => 0x0080_848E,
    }
}

fn title(title: &[Inline]) -> String {
    inlines(&run_that_fits(title, |title| units(&inlines(title)) <= limits::TITLE)).trim().to_owned()
}

fn field(field: &Field) -> Option<EmbedField> {
    let name = escape(&text_that_fits(&field.name, |name| units(&escape(name)) <= limits::FIELD_NAME));
    let value = run_that_fits(&field.value, |value| units(inlines(value).trim()) <= limits::FIELD_VALUE);
    let value = inlines(&value).trim().to_owned();
    // Short fields share a row.
    let inline = field.is_short();
    (!name.trim().is_empty() && !value.is_empty()).then_some(EmbedField { name, value, inline })
}
