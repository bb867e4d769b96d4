//! Chats: rendering messages in a chat's own format, and sending them.
//!
//! Each chat has a folder with the same layout: `mod.rs` (its [`Chat`] implementation, and its limits with their
//! sources), `draw.rs` (the message in the chat's format), `answer.rs` (the meaning of the chat's responses). Outside
//! its folder, a chat is named in the list [`KINDS`] only.

mod answer;
pub mod console;
pub mod discord;
mod native;
mod pace;
pub mod program;
pub mod slack;
pub mod teams;
mod unaddressed;
mod webhook;

use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::DeliveryId;
pub use crate::http_client::AddressError;
use crate::http_client::{Http, Target};
use crate::message::Message;
use crate::message::fit::Loss;

pub use native::BodyError;
pub use pace::{Pace, Pacer};
pub use unaddressed::Unaddressed;

/// A destination for messages.
///
/// For example, a chat that writes the line of each message to standard output:
///
/// ```
/// use async_trait::async_trait;
/// use hookbell::chat::{Body, Chat, Outcome, Pace, Receipt, Sent};
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
///     async fn send(&self, _: &DeliveryId, body: &Body) -> Sent {
///         println!("{}", body.0);
///         Outcome::Delivered(Receipt::default()).into()
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

    /// Renders a message within all of the chat's limits.
    fn encode(&self, message: &Message) -> Body;

    /// Renders the event itself, for a destination that takes events instead of messages: a program.
    fn encode_event(&self, _event: &Value) -> Option<Body> {
        None
    }

    /// Sends the rendered body of a delivery once, and reports the outcome. The lane decides when to retry.
    async fn send(&self, delivery: &DeliveryId, body: &Body) -> Sent;
}

/// Result of an attempt to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Outcome of the attempt.
    pub outcome: Outcome,
    /// HTTP status of the response, if there was one.
    pub status: Option<u16>,
}

impl From<Outcome> for Sent {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, status: None }
    }
}

/// Body of a request, exactly as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body(pub String);

/// Outcome of an attempt to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The chat shows the message.
    Delivered(Receipt),
    /// The chat accepted the message and does not report whether it shows it.
    Accepted,
    /// The attempt failed and may succeed later.
    Retry {
        /// Cause of the failure.
        failure: Failure,
        /// Wait that the chat asks for, if any.
        after: Option<Duration>,
    },
    /// The chat rejects this message, and would reject it again.
    Rejected(Failure),
    /// The destination accepts no more messages until a person fixes it.
    Closed(Failure),
    /// The message was sent, but no response came: it may or may not have arrived.
    Unknown(Failure),
}

/// Response of a chat to a message that it shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Id that the chat gave the message, if any.
    pub message_id: Option<String>,
    /// Wait before the next message that the chat asks for, if any.
    pub pause: Option<Duration>,
    /// Replacement that was delivered, if the chat rejected the rendered body.
    pub instead: Option<Instead>,
}

/// Replacement for a body that a chat rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instead {
    /// Body that the chat accepted.
    pub body: Body,
    /// Explanation for the operator.
    pub why: String,
}

/// Cause of a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Class of the failure.
    pub reason: Reason,
    /// Response of the chat, or error of the system; contains no secrets.
    pub response: String,
    /// Instructions for the operator, if there are any.
    pub help: Option<&'static str>,
}

impl Failure {
    /// Creates a failure without help.
    pub fn new(reason: Reason, response: impl Into<String>) -> Self {
        Self { reason, response: response.into(), help: None }
    }

    /// Creates a failure with instructions for the operator.
    pub fn with_help(reason: Reason, response: impl Into<String>, help: &'static str) -> Self {
        Self { help: Some(help), ..Self::new(reason, response) }
    }
}

/// Class of a failed attempt. It is a metric label, so the set is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The message could not be written to its destination.
    Io,
    /// The chat cannot be reached.
    Network,
    /// The chat did not respond in time.
    Timeout,
    /// The chat's rate limit was exceeded.
    RateLimited,
    /// The chat has an internal error.
    ServerError,
    /// The chat does not accept the format of this message.
    InvalidMessage,
    /// The chat's rules forbid this message.
    Blocked,
    /// The destination was deleted or never existed.
    Gone,
    /// The destination does not accept messages from Hookbell.
    Forbidden,
    /// A proxy, gateway or filter responded instead of the chat.
    NotTheChat,
    /// The chat's response is unknown to Hookbell.
    Unexpected,
}

impl Reason {
    /// Returns the name in metrics and in the store, such as `rate_limited`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::InvalidMessage => "invalid_message",
            Self::Blocked => "blocked",
            Self::Gone => "gone",
            Self::Forbidden => "forbidden",
            Self::NotTheChat => "not_the_chat",
            Self::Unexpected => "unexpected",
        }
    }
}

/// Amount of a message that a channel or a route posts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// A kind of chat: a valid value of `kind` in `[channels.NAME]`.
pub struct Kind {
    /// Value of `kind`, such as `slack`.
    pub name: &'static str,
    /// Domains of the chat's webhooks, which include their subdomains; empty if they are not known.
    pub domains: &'static [&'static str],
    /// Creates the channel. `None` for the console, which has no URL.
    pub build: Option<Build>,
    /// True if requests are signed with the channel's secret.
    pub signs: bool,
    /// True if links can be buttons only where the chat's app handles interactions, which the channel then says.
    pub asks_for_interactivity: bool,
    /// Ids of the chat's members, for kinds that can ping.
    pub members: Option<Members>,
    /// Renders a message as it would be sent. `None` for programs, which receive the event.
    pub draw: Option<fn(&Message) -> String>,
    /// Returns what is cut from a message to make it fit, if anything. `None` for a kind without limits.
    pub loss: Option<fn(&Message) -> Option<Loss>>,
    /// Completes a body that a chat-native template rendered: escapes each shielded value as its slot requires, and
    /// checks the chat's limits. The error describes the violation. `None` for a kind without native templates.
    pub native: Option<Finish>,
}

/// Ids of a chat's members, as in `[people.NAME]`. The key is the name of the kind.
pub struct Members {
    /// Name of the chat, for people: `Slack`.
    pub title: &'static str,
    /// Returns true if a text has the form of an id.
    pub is_id: fn(&str) -> bool,
    /// Forms of an id, with examples.
    pub help: &'static str,
}

/// Completes a body that a chat-native template rendered: replaces its shielded values and checks the chat's limits.
pub type Finish = fn(Value) -> Result<String, BodyError>;

/// Creates a channel from an address.
pub type Build = fn(Address) -> Result<Box<dyn Chat>, AddressError>;

/// Everything that a channel with a webhook URL needs.
pub struct Address {
    /// Webhook URL; it is a secret.
    pub url: SecretString,
    /// HTTP client that all channels share.
    pub http: Http,
    /// Rate limit from the configuration, if it sets one.
    pub pace: Option<Pace>,
    /// Secret that signs the requests, for kinds that sign them.
    pub secret: Option<SecretString>,
    /// True if the chat's app handles interactions, so that links can be buttons.
    pub interactivity: bool,
}

/// All kinds of chats.
pub static KINDS: &[Kind] = &[slack::KIND, teams::KIND, discord::KIND, program::KIND, console::KIND];

/// Returns the kind with this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Returns the kind whose domains include the URL's host.
pub fn kind_at(url: &SecretString) -> Option<&'static Kind> {
    let target = Target::parse(url).ok()?;
    KINDS.iter().find(|kind| kind.domains.iter().any(|domain| target.is_within(domain)))
}

#[cfg(test)]
mod testing;
