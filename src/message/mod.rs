//! The chat-neutral message: what a template says, before a chat draws it.
//!
//! Text in the tree is plain: it holds no markup of any chat, no control character and no mark of shielding
//! (see [`shield`]). Drawing it safely in a slot of its own format is each chat's job.

pub mod fit;
pub mod flatten;
mod link_text;
pub mod markdown;
pub mod people;
pub mod shield;
pub mod splice;
pub mod table;
mod web_url;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use people::{People, Person, Ping};
pub use web_url::WebUrl;

/// A message, as every chat gets it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Message {
    /// The whole in one line: notifications, digests, and all there is where a channel wants lines.
    pub line: Vec<Inline>,
    /// The headline, plain text.
    pub title: Option<String>,
    /// Where the headline leads.
    pub url: Option<WebUrl>,
    /// What sort of news it is.
    pub accent: Accent,
    /// Who or what it comes from, above the headline; plain text.
    pub author: Option<String>,
    /// Small print below; plain text.
    pub footer: Option<String>,
    /// The text.
    pub body: Vec<Block>,
    /// Short facts beside the text.
    pub fields: Vec<Field>,
    /// Links to act on.
    pub buttons: Vec<Button>,
    /// A picture below the text.
    pub image: Option<WebUrl>,
    /// When it happened.
    pub time: Option<Timestamp>,
    /// What the items of the body's lists are called, for saying how many were left out: `commits`.
    pub items: Option<String>,
    /// Whom it pings, each once: who is mentioned in its line, its body or its facts.
    pub pings: Vec<Ping>,
}

impl Message {
    /// The message in one line alone, for channels and routes of that style.
    pub fn into_line(self) -> Self {
        let Self { line, accent, url, time, pings, .. } = self;
        Self { line, accent, url, time, pings, ..Self::default() }
    }

    /// Whether there is more to it than its line.
    pub fn is_line(&self) -> bool {
        self.title.is_none()
            && self.body.is_empty()
            && self.fields.is_empty()
            && self.buttons.is_empty()
            && self.image.is_none()
    }
}

/// A named fact.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name, plain text.
    pub name: String,
    /// Its value.
    pub value: Vec<Inline>,
}

/// A link to act on.
#[derive(Clone, Debug, PartialEq)]
pub struct Button {
    /// What it says, plain text.
    pub label: String,
    /// Where it leads.
    pub url: WebUrl,
}

/// What sort of news a message is; chats show it as a colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accent {
    /// Something began or goes on.
    Info,
    /// Something ended well.
    Success,
    /// Somebody should look.
    Warning,
    /// Something broke.
    Danger,
    /// None of these.
    #[default]
    Neutral,
}

impl Accent {
    /// Every accent, in the order in which documents list them.
    pub const ALL: &'static [Self] = &[Self::Info, Self::Success, Self::Warning, Self::Danger, Self::Neutral];

    /// The text form that templates use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Danger => "danger",
            Self::Neutral => "neutral",
        }
    }

    /// The accent of this text form.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|accent| accent.as_str() == name)
    }
}

/// A block of text.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Running text.
    Paragraph(Vec<Inline>),
    /// A heading within the text; chats draw all levels alike.
    Heading(Vec<Inline>),
    /// A list; numbered from `start`, or with bullets.
    List {
        /// The first number; bullets where there is none.
        start: Option<u64>,
        /// The items.
        items: Vec<Vec<Block>>,
    },
    /// Something quoted.
    Quote(Vec<Block>),
    /// Code, or anything whose spaces and line ends matter.
    Code(String),
    /// Rows of cells; the first row is the head.
    Table(Vec<Vec<Vec<Inline>>>),
    /// A line across.
    Rule,
}

/// A run of text within a block.
#[derive(Clone, Debug, PartialEq)]
pub enum Inline {
    /// Plain text, without line ends.
    Text(String),
    /// Code within a line.
    Code(String),
    /// Important text.
    Strong(Vec<Inline>),
    /// Stressed text.
    Emphasis(Vec<Inline>),
    /// Text that no longer holds.
    Strike(Vec<Inline>),
    /// Text that leads somewhere.
    Link {
        /// Where to: http or https.
        url: WebUrl,
        /// The text.
        text: Vec<Inline>,
    },
    /// A line end.
    Break,
}

/// The plain text of a run: what a reader reads, without any drawing. Line ends become spaces.
pub fn plain_text(inlines: &[Inline]) -> String {
    fn collect(inlines: &[Inline], text: &mut String) {
        for inline in inlines {
            match inline {
                Inline::Text(t) | Inline::Code(t) => text.push_str(t),
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

/// Whether a reader would see nothing.
pub fn is_blank(inlines: &[Inline]) -> bool {
    inlines.iter().all(|inline| match inline {
        Inline::Text(text) | Inline::Code(text) => text.chars().all(is_invisible),
        Inline::Strong(inner) | Inline::Emphasis(inner) | Inline::Strike(inner) | Inline::Link { text: inner, .. } => {
            is_blank(inner)
        }
        Inline::Break => true,
    })
}

/// Whether a character leaves no mark.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}')
}

/// The same run without links; their texts stay.
pub fn without_links(inlines: &[Inline]) -> Vec<Inline> {
    let mut flat = vec![];
    for inline in inlines {
        match inline {
            Inline::Link { text, .. } => flat.extend(without_links(text)),
            Inline::Strong(inner) => flat.push(Inline::Strong(without_links(inner))),
            Inline::Emphasis(inner) => flat.push(Inline::Emphasis(without_links(inner))),
            Inline::Strike(inner) => flat.push(Inline::Strike(without_links(inner))),
            leaf @ (Inline::Text(_) | Inline::Code(_) | Inline::Break) => flat.push(leaf.clone()),
        }
    }
    flat
}
