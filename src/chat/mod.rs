//! Where messages go: drawing one in a chat's own format, and sending it there.
//!
//! Each chat is a folder of its own, all of one shape: `mod.rs` (its [`Chat`], its limits with their sources),
//! `draw.rs` (the message in its format), `answer.rs` (what its answers mean). Nothing outside a chat's folder knows
//! it, but for the list [`KINDS`].

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
use crate::http_client::{Http, Target};
use crate::message::Message;
use crate::message::fit::Loss;

pub use pace::{Pace, Pacer};
pub use unaddressed::Unaddressed;

/// A destination for messages.
#[async_trait]
pub trait Chat: Send + Sync {
    /// What tells this destination from all others. Channels that share one share a lane. It is stored, so it
    /// holds no secret: a chat with a secret address gives a hash of it.
    fn destination(&self) -> String;

    /// How fast messages may follow each other there.
    fn pace(&self) -> Pace;

    /// Draws a message, within all of the chat's limits.
    fn encode(&self, message: &Message) -> Body;

    /// The event itself, where that is what the destination wants in place of a message: it is a program.
    fn encode_event(&self, _event: &Value) -> Option<Body> {
        None
    }

    /// Sends what was drawn for a delivery. It says *whether*; the lane says *when* to try again.
    async fn send(&self, delivery: &DeliveryId, body: &Body) -> Sent;
}

/// An attempt to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// What became of it.
    pub outcome: Outcome,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
}

impl From<Outcome> for Sent {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, status: None }
    }
}

/// What is sent: the exact bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body(pub String);

/// What became of an attempt to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The chat shows it.
    Delivered(Receipt),
    /// The chat has taken it, and does not say whether it will show it.
    Accepted,
    /// It may pass: try again, after the time that the chat asks for, if it does.
    Retry {
        /// Why.
        failure: Failure,
        /// How long the chat asks to wait.
        after: Option<Duration>,
    },
    /// The chat will never take this message.
    Rejected(Failure),
    /// The chat will take no message here any more, until somebody does something about it.
    Closed(Failure),
    /// It was sent, and no answer came: it may or may not be there.
    Unknown(Failure),
}

/// What a chat says of a message that it shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The chat's name for the message, where it gives one.
    pub message_id: Option<String>,
    /// How long the chat asks to wait before the next one.
    pub pause: Option<Duration>,
    /// What it shows, where that is not what was drawn.
    pub instead: Option<Instead>,
}

/// What was sent in the place of what a chat refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instead {
    /// The request's body.
    pub body: Body,
    /// What somebody should know of it.
    pub why: String,
}

/// Why an attempt did not deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In one of few words.
    pub reason: Reason,
    /// What the chat, or the system, said; without secrets.
    pub said: String,
    /// What to do about it.
    pub remedy: Option<&'static str>,
}

impl Failure {
    /// A failure without a known remedy.
    pub fn new(reason: Reason, said: impl Into<String>) -> Self {
        Self { reason, said: said.into(), remedy: None }
    }

    /// A failure, and what to do about it.
    pub fn with_remedy(reason: Reason, said: impl Into<String>, remedy: &'static str) -> Self {
        Self { remedy: Some(remedy), ..Self::new(reason, said) }
    }
}

/// Why an attempt did not deliver. A metric's label, so there are few.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It could not be written to where it belongs.
    Io,
    /// There is no way to the chat.
    Network,
    /// The chat did not answer in time.
    Timeout,
    /// Too many messages.
    RateLimited,
    /// The chat has trouble of its own.
    ServerError,
    /// The chat does not take this message's form.
    InvalidMessage,
    /// The chat's rules forbid this message.
    Blocked,
    /// The destination is gone, or was never there.
    Gone,
    /// The destination does not take messages from us.
    Forbidden,
    /// Something on the way answered in the chat's place: a proxy, a gateway, a filter.
    NotTheChat,
    /// An answer that nobody has seen yet.
    Unexpected,
}

impl Reason {
    /// The text form.
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

/// How much of a message a channel or a route wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// All of it.
    #[default]
    Full,
    /// Its line alone.
    Line,
}

impl Style {
    /// The text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Line => "line",
        }
    }

    /// The style of this text form.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Full, Self::Line].into_iter().find(|style| style.as_str() == name)
    }

    /// The message as this style has it.
    pub fn of(self, message: Message) -> Message {
        match self {
            Self::Full => message,
            Self::Line => message.into_line(),
        }
    }
}

/// A kind of chat: what `kind = "…"` in `[channels.NAME]` may say.
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// The domains that its webhooks are in or below, where these are known.
    pub domains: &'static [&'static str],
    /// Makes the channel. `None` for the console, which has no address.
    pub build: Option<Build>,
    /// Whether its requests are signed, with a secret of the channel's.
    pub signs: bool,
    /// Draws a message as it would be sent. `None` for programs, which get the event.
    pub draw: Option<fn(&Message) -> String>,
    /// What a message loses to fit, if anything. `None` where nothing is too large.
    pub loss: Option<fn(&Message) -> Option<Loss>>,
    /// Finishes a body that a template of the chat's own rendered to: turns shielded values back by the slots that they
    /// stand in, and holds it against the chat's limits; an error says what is wrong. `None` where there are no such
    /// templates.
    pub native: Option<fn(Value) -> Result<String, String>>,
}

/// Makes a channel of an address.
pub type Build = fn(Address) -> Result<Box<dyn Chat>, AddressError>;

/// What a channel with an address needs.
pub struct Address {
    /// The webhook's address: a secret.
    pub url: SecretString,
    /// The client that all channels share.
    pub http: Http,
    /// How fast messages may follow each other, where the config says so.
    pub pace: Option<Pace>,
    /// What requests are signed with, where the kind signs them.
    pub secret: Option<SecretString>,
}

/// Why an address cannot be one of this chat. Neither text holds the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub help: &'static str,
}

/// How requests name themselves where a chat asks for nothing else.
pub(crate) const USER_AGENT: &str = concat!("Hookbell/", env!("CARGO_PKG_VERSION"));

/// Every kind of chat.
pub static KINDS: &[Kind] = &[slack::KIND, teams::KIND, discord::KIND, program::KIND, console::KIND];

/// The kind of this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The kind that an address is known to be of.
pub fn kind_at(url: &SecretString) -> Option<&'static Kind> {
    let target = Target::parse(url).ok()?;
    KINDS.iter().find(|kind| kind.domains.iter().any(|domain| target.is_within(domain)))
}

#[cfg(test)]
mod testing;
