//! The style of a message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Message;

/// Amount of a message that a channel or a route posts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// The whole message.
    #[default]
    Full,
    /// The message's line only.
    Line,
}

impl Style {
    /// Returns the name in the configuration: `full` or `line`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Line => "line",
        }
    }

    /// Returns the style with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Full, Self::Line].into_iter().find(|style| style.as_str() == name)
    }

    /// Returns the message in this style.
    pub fn of(self, message: Message) -> Message {
        match self {
            Self::Full => message,
            Self::Line => message.into_line(),
        }
    }
}
