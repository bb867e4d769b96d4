//! Where messages go: drawing one in a chat's own format, and sending it there.
//!
//! Each chat is a folder of its own, all of one shape: `mod.rs` (its [`Chat`]), a file that draws. Nothing
//! outside a chat's folder knows it, but for the list [`KINDS`].

pub mod console;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::message::Message;

/// A destination for messages.
#[async_trait]
pub trait Chat: Send + Sync {
    /// What tells this destination from all others. Channels that share one share a lane. It is stored, so it
    /// holds no secret: a chat with a secret address gives a hash of it.
    fn destination(&self) -> String;

    /// Draws a message, within all of the chat's limits.
    fn encode(&self, message: &Message) -> Body;

    /// Sends what [`encode`](Self::encode) drew. It says *whether*; the lane says *when* to try again.
    async fn send(&self, body: &Body) -> Outcome;
}

/// What is sent: the exact bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body(pub String);

/// What became of an attempt to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The chat has it.
    Delivered {
        /// The chat's name for the message, where it gives one.
        message_id: Option<String>,
    },
    /// It may pass: try again.
    Retry {
        /// Why.
        reason: Reason,
        /// What the chat, or the system, said.
        said: String,
    },
}

/// Why an attempt did not deliver. A metric's label, so there are few.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It could not be written.
    Io,
}

impl Reason {
    /// The text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Io => "io",
        }
    }
}

/// What `kind = "…"` in `[channels.NAME]` may say.
pub const KINDS: &[&str] = &[console::KIND];
