//! Lanes: leases, queued deliveries and the results of turns.

use std::time::Duration;

use serde_json::Value;

use crate::event::{ChannelName, DeliveryId, EventId};
use crate::time::Millis;

/// Queue of one destination. Channels with the same destination share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(pub String);

/// State of a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LaneState {
    /// Messages are sent.
    #[default]
    Open,
    /// The destination no longer exists. Messages stay queued until an operator reopens the lane or the configuration
    /// changes the destination.
    Closed {
        /// Response of the chat.
        reason: String,
        /// Help to fix this.
        help: Option<String>,
    },
    /// Paused by an operator.
    Paused {
        /// Reason, if the operator gave one.
        reason: Option<String>,
    },
}

/// Result of [`Store::lease`](super::Store::lease).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    /// The caller holds the lease, and the lane is open.
    Held {
        /// Remaining wait of the lane; never longer than the requested wait, even if the clock changes.
        wait: Duration,
        /// `true` if the last attempt failed.
        failing: bool,
        /// `true` if the chat requested the wait.
        is_asked: bool,
    },
    /// The lane is closed or paused, so no one holds it.
    Shut,
    /// Another owner holds the lease.
    Taken,
}

/// Queued delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Id of the delivery.
    pub id: DeliveryId,
    /// Event to deliver.
    pub event_id: EventId,
    /// Channel of the delivery.
    pub channel: ChannelName,
    /// Template set by the route.
    pub template: Option<String>,
    /// Style set by the route.
    pub style: Option<String>,
    /// The event, as templates see it.
    pub event: Value,
    /// Size of the event's JSON in bytes.
    pub size: usize,
    /// Creation time.
    pub created_at: Millis,
    /// Number of attempts.
    pub attempts: u32,
    /// Number of failures that may be caused by the message itself.
    pub strikes: u32,
}

/// Results of a lane's turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Results of deliveries; usually of one.
    pub finished: Vec<Finished>,
    /// Wait of the lane in milliseconds.
    pub pause: Millis,
    /// `true` if the chat requested the wait.
    pub is_asked: bool,
    /// New state of the lane, if the chat reports that the destination no longer exists.
    pub close: Option<LaneState>,
}

/// Result of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Attempt with this result; `None` if nothing was sent.
    pub attempt: Option<Attempt>,
    /// Next state of the delivery.
    pub next: Next,
    /// Template that failed and its error, if the next template rendered the message.
    pub template_error: Option<String>,
}

/// Attempt to send a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Start time.
    pub at: Millis,
    /// Duration in milliseconds.
    pub duration_ms: Millis,
    /// Outcome in one word.
    pub outcome: &'static str,
    /// Status of the chat's response.
    pub status: Option<u16>,
    /// Response of the chat.
    pub response: Option<String>,
    /// Sent body.
    pub body: String,
}

/// Next state of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The chat shows the message.
    Delivered {
        /// Id of the message in the chat.
        message_id: Option<String>,
    },
    /// The chat accepted the message, but does not report whether it shows it.
    Accepted,
    /// The template skips the event.
    Skipped {
        /// Reason.
        why: String,
    },
    /// The message will not be delivered.
    Dead {
        /// Reason, if the attempt does not contain it.
        why: Option<String>,
    },
    /// The message is marked as suspect: it failed repeatedly, and the message behind it did not.
    Suspect {
        /// Reason, as text.
        why: String,
    },
    /// The message stays queued.
    Queued {
        /// `true` if the message itself may have caused the failure.
        strike: bool,
    },
}

impl Next {
    /// Returns `true` if the chat accepted the message.
    pub const fn is_sent(&self) -> bool {
        matches!(self, Self::Delivered { .. } | Self::Accepted)
    }
}
