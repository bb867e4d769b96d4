//! Chat-neutral message: output of a template, before a chat renders it.
//!
//! Text in the tree is plain: it contains no chat markup, no control characters and no shielding marks (see
//! [`shield`]). Each chat escapes it for the slots of its own format.

pub mod fit;
pub mod flatten;
mod link_text;
pub mod markdown;
pub mod people;
pub mod shield;
pub mod splice;
mod style;
pub mod table;
mod web_url;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use people::{People, Person, Ping, Pinged};
pub use style::Style;
pub use web_url::WebUrl;

/// Message in the form that every chat receives.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Message {
    /// The message in one line, for notifications, digests and channels with the style `line`.
    pub line: Vec<Inline>,
    /// Headline: text and code, without links. It says what happened and to what.
    pub title: Option<Vec<Inline>>,
    /// Target of the headline's link.
    pub url: Option<WebUrl>,
    /// Type of news.
    pub accent: Accent,
    /// Person or system that the message comes from, above the headline; plain text.
    pub author: Option<String>,
    /// Picture of the author. The chat loads it; Hookbell does not.
    pub avatar: Option<WebUrl>,
    /// Place of the event, such as its repository, in small print; plain text.
    pub origin: Option<String>,
    /// Small print below the message; plain text.
    pub footer: Option<String>,
    /// Main text.
    pub body: Vec<Block>,
    /// Facts. Chats show short ones in one line.
    pub fields: Vec<Field>,
    /// Further links.
    pub buttons: Vec<Button>,
    /// Image below the text.
    pub image: Option<WebUrl>,
    /// Time of the event.
    pub time: Option<Timestamp>,
    /// Noun for the items of lists in the body, such as `commits`, used in "… and 27 more commits".
    pub items: Option<String>,
    /// People to ping, each once: those mentioned in the line, the body or the fields.
    pub pings: Vec<Ping>,
}

impl Message {
    /// Returns the small print above the headline: the author and the place.
    pub fn byline(&self) -> Option<String> {
        let parts: Vec<_> = [&self.author, &self.origin].into_iter().flatten().map(String::as_str).collect();
        (!parts.is_empty()).then(|| parts.join(" · "))
    }

    /// Returns the headline as plain text; without one, the line.
    pub fn headline(&self) -> String {
        plain_text(self.title.as_ref().unwrap_or(&self.line))
    }

    /// Returns the links that the headline does not already have.
    pub fn further_links(&self) -> impl Iterator<Item = &Button> {
        self.buttons.iter().filter(|button| self.title.is_none() || Some(&button.url) != self.url.as_ref())
    }

    /// Reduces the message to its line, for channels and routes with the style `line`.
    pub fn into_line(self) -> Self {
        let Self { line, accent, url, time, pings, .. } = self;
        Self { line, accent, url, time, pings, ..Self::default() }
    }

    /// Returns true if the message consists only of its line.
    pub fn is_line(&self) -> bool {
        self.title.is_none()
            && self.author.is_none()
            && self.origin.is_none()
            && self.footer.is_none()
            && self.body.is_empty()
            && self.fields.is_empty()
            && self.buttons.is_empty()
            && self.image.is_none()
    }
}

/// Named fact.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Name, plain text.
    pub name: String,
    /// Value.
    pub value: Vec<Inline>,
}

impl Field {
    /// Maximum length of a short value in UTF-16 units.
    pub const MAX_SHORT: usize = 60;

    /// Returns true if the value fits next to others on one line.
    pub fn is_short(&self) -> bool {
        !has_break(&self.value) && crate::text::units(&plain_text(&self.value)) <= Self::MAX_SHORT
    }
}

fn has_break(inlines: &[Inline]) -> bool {
    inlines.iter().any(|inline| match inline {
        Inline::Break => true,
        Inline::Strong(inner) | Inline::Emphasis(inner) | Inline::Strike(inner) | Inline::Link { text: inner, .. } => {
            has_break(inner)
        }
        Inline::Text(_) | Inline::Code(_) | Inline::Mention(_) => false,
    })
}

/// Button with a link.
#[derive(Clone, Debug, PartialEq)]
pub struct Button {
    /// Label, plain text.
    pub label: String,
    /// Target of the link.
    pub url: WebUrl,
}

/// Type of news in a message; chats show it as a color.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accent {
    /// Something started or continues.
    Info,
    /// Something succeeded.
    Success,
    /// Something needs attention.
    Warning,
    /// Something failed.
    Danger,
    /// None of these.
    #[default]
    Neutral,
}

impl Accent {
    /// All accents, in the order used in the documentation.
    pub const ALL: &'static [Self] = &[Self::Info, Self::Success, Self::Warning, Self::Danger, Self::Neutral];

    /// Returns the name that templates use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Danger => "danger",
            Self::Neutral => "neutral",
        }
    }

    /// Returns the accent with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|accent| accent.as_str() == name)
    }
}

/// Block of text.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Running text.
    Paragraph(Vec<Inline>),
    /// Heading; chats render all levels alike.
    Heading(Vec<Inline>),
    /// List, numbered from `start` or with bullets.
    List {
        /// First number; `None` for bullets.
        start: Option<u64>,
        /// List items.
        items: Vec<Vec<Block>>,
    },
    /// Quote.
    Quote(Vec<Block>),
    /// Code, or other preformatted text.
    Code(String),
    /// Rows of cells; the first row is the header.
    Table(Vec<Vec<Vec<Inline>>>),
    /// Horizontal rule.
    Rule,
}

/// Inline text within a block.
#[derive(Clone, Debug, PartialEq)]
pub enum Inline {
    /// Plain text without line breaks.
    Text(String),
    /// Inline code.
    Code(String),
    /// Strong text, usually bold.
    Strong(Vec<Inline>),
    /// Emphasized text, usually italic.
    Emphasis(Vec<Inline>),
    /// Struck-through text.
    Strike(Vec<Inline>),
    /// Link.
    Link {
        /// Target, `http` or `https`.
        url: WebUrl,
        /// Link text.
        text: Vec<Inline>,
    },
    /// Person to ping; shown as the name where the chat does not know the person.
    Mention(Ping),
    /// Line break.
    Break,
}

/// Returns the plain text of inlines, without formatting. Line breaks become spaces.
pub fn plain_text(inlines: &[Inline]) -> String {
    fn collect(inlines: &[Inline], text: &mut String) {
        for inline in inlines {
            match inline {
                Inline::Text(t) | Inline::Code(t) => text.push_str(t),
                Inline::Mention(ping) => text.push_str(&ping.name),
                Inline::Strong(c) | Inline::Emphasis(c) | Inline::Strike(c) | Inline::Link { text: c, .. } => {
                    collect(c, text);
                }
                Inline::Break => text.push(' '),
            }
        }
    }
    let mut text = String::new();
    collect(inlines, &mut text);
    text
}

/// Returns true if the inlines contain nothing visible.
pub fn is_blank(inlines: &[Inline]) -> bool {
    inlines.iter().all(|inline| match inline {
        Inline::Text(text) | Inline::Code(text) => text.chars().all(is_invisible),
        Inline::Strong(inner) | Inline::Emphasis(inner) | Inline::Strike(inner) | Inline::Link { text: inner, .. } => {
            is_blank(inner)
        }
        Inline::Mention(ping) => ping.name.chars().all(is_invisible),
        Inline::Break => true,
    })
}

/// Returns true if a character is invisible.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}')
}

/// Returns the inlines without links; link texts are kept.
pub fn without_links(inlines: &[Inline]) -> Vec<Inline> {
    let mut flat = vec![];
    for inline in inlines {
        match inline {
            Inline::Link { text, .. } => flat.extend(without_links(text)),
            Inline::Strong(inner) => flat.push(Inline::Strong(without_links(inner))),
            Inline::Emphasis(inner) => flat.push(Inline::Emphasis(without_links(inner))),
            Inline::Strike(inner) => flat.push(Inline::Strike(without_links(inner))),
            leaf @ (Inline::Text(_) | Inline::Code(_) | Inline::Mention(_) | Inline::Break) => flat.push(leaf.clone()),
        }
    }
    flat
}
