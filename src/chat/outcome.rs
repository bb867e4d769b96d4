//! The outcome of an attempt to send.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Body, MessageRef};

/// Result of an attempt to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Outcome of the attempt.
    pub outcome: Outcome,
    /// HTTP status of the response, if there was one.
    pub status: Option<u16>,
}

impl Sent {
    /// Returns the cause if the chat rejects the form of the message, so that another form may be accepted.
    pub(super) fn rejected_form(&self) -> Option<&Failure> {
        match &self.outcome {
            Outcome::Rejected(failure) if failure.reason == Reason::InvalidMessage => Some(failure),
            _ => None,
        }
    }

    /// Completes the result of sending a replacement, which differs as `what` says, for a rejected body. `None` if it is
    /// rejected too.
    pub(super) fn of_replacement(self, body: Body, what: &str, rejected: &Failure) -> Option<Self> {
        match self.outcome {
            Outcome::Delivered(posted) => {
                let instead = Some(Instead { body, why: format!("{what} ({})", rejected.response) });
                Some(Self { outcome: Outcome::Delivered(Posted { instead, ..posted }), ..self })
            }
            Outcome::Rejected(_) => None,
            outcome => Some(Self { outcome, ..self }),
        }
    }
}

impl From<Outcome> for Sent {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, status: None }
    }
}

/// Outcome of an attempt to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The chat shows the message.
    Delivered(Posted),
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

impl Outcome {
    /// Returns the cause, unless the attempt succeeded.
    pub fn into_failure(self) -> Option<Failure> {
        match self {
            Self::Delivered(_) | Self::Accepted => None,
            Self::Retry { failure, .. } | Self::Rejected(failure) | Self::Closed(failure) | Self::Unknown(failure) => {
                Some(failure)
            }
        }
    }
}

/// Response of a chat to a message that it shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Posted {
    /// Reference to the message, if the chat gives one.
    pub message: Option<MessageRef>,
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
    /// The chat cannot do this.
    Unsupported,
    /// The chat's response is unknown to Hookbell.
    Unexpected,
}

impl Reason {
    /// All classes.
    pub const ALL: [Self; 12] = [
        Self::Io,
        Self::Network,
        Self::Timeout,
        Self::RateLimited,
        Self::ServerError,
        Self::InvalidMessage,
        Self::Blocked,
        Self::Gone,
        Self::Forbidden,
        Self::NotTheChat,
        Self::Unsupported,
        Self::Unexpected,
    ];

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
            Self::Unsupported => "unsupported",
            Self::Unexpected => "unexpected",
        }
    }
}
