//! Message in the form that a flow expects: an Adaptive Card, version 1.4 (<https://adaptivecards.io/explorer/>).

use serde::Serialize;

use crate::message::WebUrl;

#[derive(Serialize)]
pub(super) struct Payload {
    pub(super) r#type: &'static str,
    pub(super) attachments: [Attachment; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attachment {
    pub(super) content_type: &'static str,
    pub(super) content_url: Option<&'static str>,
    pub(super) content: Card,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Card {
    #[serde(rename = "$schema")]
    pub(super) schema: &'static str,
    pub(super) r#type: &'static str,
    pub(super) version: &'static str,
    pub(super) fallback_text: String,
    pub(super) body: Vec<Element>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) actions: Vec<OpenUrl>,
    pub(super) msteams: Teams,
}

/// Properties that only Teams supports.
#[derive(Serialize)]
pub(super) struct Teams {
    pub(super) width: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) entities: Vec<Entity>,
}

/// Person that a name between `<at>` and `</at>` mentions.
#[derive(Serialize)]
#[serde(tag = "type", rename = "mention")]
pub(super) struct Entity {
    pub(super) text: String,
    pub(super) mentioned: Mentioned,
}

#[derive(Serialize)]
pub(super) struct Mentioned {
    pub(super) id: String,
    pub(super) name: String,
}

#[derive(Serialize)]
#[serde(tag = "type")]
pub(super) enum Element {
    Container {
        #[serde(skip_serializing_if = "Option::is_none")]
        style: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        spacing: Option<&'static str>,
        #[serde(rename = "selectAction", skip_serializing_if = "Option::is_none")]
        select_action: Option<OpenUrl>,
        items: Vec<Element>,
    },
    RichTextBlock {
        #[serde(skip_serializing_if = "Option::is_none")]
        spacing: Option<&'static str>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        separator: bool,
        inlines: Vec<Run>,
    },
    TextBlock {
        spacing: &'static str,
        wrap: bool,
        text: String,
    },
    Image {
        #[serde(skip_serializing_if = "Option::is_none")]
        spacing: Option<&'static str>,
        url: String,
        #[serde(rename = "altText")]
        alt_text: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        style: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        width: Option<&'static str>,
    },
    ColumnSet {
        columns: Vec<Column>,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(super) struct Column {
    pub(super) width: &'static str,
    pub(super) spacing: &'static str,
    pub(super) vertical_content_alignment: &'static str,
    pub(super) items: Vec<Element>,
}

#[derive(Clone, Default, Serialize)]
#[serde(tag = "type", rename = "TextRun", rename_all = "camelCase")]
pub(super) struct Run {
    pub(super) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weight: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) color: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) italic: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) strikethrough: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_subtle: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) font_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) select_action: Option<OpenUrl>,
}

#[derive(Clone, Serialize)]
pub(super) struct OpenUrl {
    pub(super) r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<String>,
    pub(super) url: String,
}

impl OpenUrl {
    pub(super) fn new(url: &WebUrl, title: Option<String>) -> Self {
        // Braces are valid in a query, but would be evaluated.
        let url = match url.as_str() {
            url if url.contains(['{', '}']) => url.replace('{', "%7B").replace('}', "%7D"),
            url => url.to_owned(),
        };
        Self { r#type: "Action.OpenUrl", title, url }
    }
}
