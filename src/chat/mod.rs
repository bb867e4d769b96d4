//! Chats: rendering messages in a chat's own format, and sending them.
//!
//! Each chat has a folder with the same layout: `mod.rs` (its [`Kind`], and its limits with their sources), `draw.rs`
//! (the message in the chat's format), `answer.rs` (the meaning of the chat's responses). Outside its folder, a chat is
//! named in the list of [`kinds`] only.

mod answer;
pub mod console;
mod discord;
mod kind;
mod native;
mod outcome;
mod pace;
mod program;
mod slack;
mod teams;
mod unaddressed;
mod webhook;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::DeliveryId;
pub use crate::http_client::AddressError;
use crate::message::Message;

pub use kind::{ChannelKey, Finish, KeyType, Keys, Kind, Members, add_kinds, kind, kind_at, kinds};
pub use native::BodyError;
pub use outcome::{Failure, Instead, Outcome, Posted, Reason, Sent};
pub use pace::{Limit, Pace, Pacer};
pub use unaddressed::Unaddressed;

/// A destination for messages: a conversation in a chat.
///
/// For example, a chat that writes the line of each message to standard output:
///
/// ```
/// use async_trait::async_trait;
/// use hookbell::chat::{Action, Body, Chat, Outcome, Pace, Posted, Sent};
/// use hookbell::event::DeliveryId;
/// use hookbell::message::{Message, plain_text};
///
/// struct Stdout;
///
/// #[async_trait]
/// impl Chat for Stdout {
///     fn destination(&self) -> String {
///         "stdout".to_owned()
///     }
///
///     fn pace(&self) -> Pace {
///         Pace::default()
///     }
///
///     fn encode(&self, message: &Message) -> Body {
///         Body(plain_text(&message.line))
///     }
///
///     async fn perform(&self, _: &DeliveryId, action: Action<'_>) -> Sent {
///         let Action::Post(body) = action else { return action.unsupported() };
///         println!("{}", body.0);
///         Outcome::Delivered(Posted::default()).into()
///     }
/// }
/// ```
#[async_trait]
pub trait Chat: Send + Sync {
    /// Returns a unique name for the destination. Channels with the same destination share a lane. The name is stored,
    /// so it must not contain a secret: a chat with a secret URL returns a hash of it.
    fn destination(&self) -> String;

    /// Returns the rate limits of the destination.
    fn pace(&self) -> Pace;

    /// Returns which actions the destination supports.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Renders a message within all of the chat's limits.
    fn encode(&self, message: &Message) -> Body;

    /// Renders the event itself, for a destination that takes events instead of messages: a program.
    fn encode_event(&self, _event: &Value) -> Option<Body> {
        None
    }

    /// Performs an action for a delivery once, and reports the outcome. The lane decides when to retry. An action that
    /// the destination does not support is [rejected](Action::unsupported).
    async fn perform(&self, delivery: &DeliveryId, action: Action<'_>) -> Sent;

    /// Checks that the chat responds, and if possible that the destination exists. Posts nothing. `None` if there is
    /// nothing to check.
    async fn probe(&self) -> Option<Result<Probed, Failure>> {
        None
    }
}

/// What a successful [`Chat::probe`] has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// The chat responds. Only a message shows whether the destination exists.
    Chat,
    /// The destination exists.
    Destination,
}

/// Something to do in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Post a message.
    Post(&'a Body),
    /// Replace the content of a message.
    Edit {
        /// The message.
        message: &'a MessageRef,
        /// Its new content.
        body: &'a Body,
    },
    /// Post a message in the thread of another.
    Reply {
        /// The message that the thread belongs to.
        to: &'a MessageRef,
        /// The reply.
        body: &'a Body,
        /// `true` if the channel shows the reply too.
        also_in_channel: bool,
    },
    /// Add a reaction to a message.
    React {
        /// The message.
        to: &'a MessageRef,
        /// Name of the reaction.
        reaction: &'a str,
    },
    /// Delete a message.
    Delete(&'a MessageRef),
}

impl Action<'_> {
    /// Returns the result of an action that a destination does not support.
    pub fn unsupported(self) -> Sent {
        let what = match self {
            Self::Post(_) => "post messages",
            Self::Edit { .. } => "edit messages",
            Self::Reply { .. } => "reply in threads",
            Self::React { .. } => "add reactions",
            Self::Delete(_) => "delete messages",
        };
        Outcome::Rejected(Failure::new(Reason::Unsupported, format!("the channel cannot {what}"))).into()
    }
}

/// Actions that a destination supports, apart from posting a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The chat returns a reference to a posted message.
    pub message_ids: bool,
    /// [`Action::Edit`].
    pub edit: bool,
    /// [`Action::Reply`].
    pub thread: bool,
    /// [`Action::React`].
    pub reaction: bool,
    /// [`Action::Delete`].
    pub delete: bool,
    /// Messages to a person.
    pub direct_message: bool,
    /// A message that is posted again with the same delivery appears once.
    pub repeat_safe_post: bool,
    /// Who can be pinged.
    pub mentions: Mentions,
}

/// Who can be pinged in a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// One person.
    pub person: bool,
    /// A group of people that the chat defines.
    pub group: bool,
}

/// Reference to a posted message. Only the chat that made it knows its content. It is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct MessageRef(String);

impl MessageRef {
    /// Creates a reference from what the chat needs to find the message.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns what the chat needs to find the message.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Body of a request, exactly as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body(pub String);

#[cfg(test)]
mod testing;
