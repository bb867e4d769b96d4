//! Message in the form of Slack's API: Block Kit (<https://docs.slack.dev/reference/block-kit>).

use serde::Serialize;

use crate::message::WebUrl;

#[derive(Serialize)]
pub(super) struct Payload {
    pub(super) text: String,
    pub(super) unfurl_links: bool,
    pub(super) unfurl_media: bool,
    pub(super) blocks: Vec<Layout>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) attachments: Vec<Attachment>,
}

#[derive(Serialize)]
pub(super) struct Attachment {
    pub(super) color: &'static str,
    pub(super) fallback: String,
    pub(super) blocks: Vec<Layout>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Layout {
    RichText { elements: Vec<Rich> },
    Context { elements: Vec<Small> },
    Image { image_url: WebUrl, alt_text: String },
    Actions { elements: Vec<Button> },
}

/// Element of a line of small print.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Small {
    Plain(Plain),
    Markup(Markup),
    Picture(Picture),
}

#[derive(Serialize)]
pub(super) struct Markup {
    pub(super) r#type: &'static str,
    pub(super) text: String,
    /// True if Slack does not look for links and mentions in the text.
    pub(super) verbatim: bool,
}

#[derive(Serialize)]
pub(super) struct Picture {
    pub(super) r#type: &'static str,
    pub(super) image_url: WebUrl,
    pub(super) alt_text: String,
}

#[derive(Serialize)]
#[serde(tag = "type")]
pub(super) enum Rich {
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde requires")]
pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Leaf {
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
pub(super) struct Look {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) bold: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) italic: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) strike: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) code: bool,
}

impl Look {
    fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    pub(super) const BOLD: Self = Self { bold: true, italic: false, strike: false, code: false };
}

#[derive(Serialize)]
pub(super) struct Plain {
    pub(super) r#type: &'static str,
    pub(super) text: String,
    pub(super) emoji: bool,
}

impl Plain {
    /// Creates a text in which Slack does not replace `:name:` with emoji, because the text is untrusted.
    pub(super) fn new(text: String) -> Self {
        Self { r#type: "plain_text", text, emoji: false }
    }
}

#[derive(Serialize)]
pub(super) struct Button {
    pub(super) r#type: &'static str,
    pub(super) action_id: String,
    pub(super) text: Plain,
    pub(super) url: WebUrl,
}
