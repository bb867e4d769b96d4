//! Lanes: leases, queued deliveries and the results of turns.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::AttemptOutcome;
use crate::chat::MessageRef;
use crate::event::{ChannelName, DeliveryId, EventId};
use crate::message::Style;
use crate::template::Context;
use crate::time::{Millis, millis};

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

/// Result of [`Lanes::lease`](super::Lanes::lease).
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

/// State of one lane as it is stored, and the rules by which it changes. They are the same for every store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneRecord {
    /// Owner of the lease, if the lane is leased.
    pub owner: Option<String>,
    /// End of the lease.
    pub lease_until: Millis,
    /// State of the lane.
    pub state: LaneState,
    /// Time at which the lane was closed or paused.
    pub since: Option<Millis>,
    /// End of the lane's wait.
    pub next_at: Millis,
    /// Length of the lane's wait; 0 unless the last attempt failed. Limits the rest of the wait if the clock changes.
    pub pause: Millis,
    /// `true` if the chat requested the wait.
    pub is_asked: bool,
    /// Message that is about to be sent, if it may not be the oldest or if the lane has failed.
    pub marked: Option<DeliveryId>,
}

/// Message that may have been in flight when its lane's owner ended without releasing the lane. It gets an attempt
/// with the outcome `unknown`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InDoubt {
    /// This message, if it is still queued.
    Marked(DeliveryId),
    /// The oldest queued message of the lane, if there is one.
    Oldest,
}

impl LaneRecord {
    /// Leases the lane to `owner` for a time, or renews the lease. Also returns the message that the previous owner
    /// left in doubt.
    pub fn lease(&mut self, owner: &str, time: Duration, now: Millis) -> (Lease, Option<InDoubt>) {
        if self.state != LaneState::Open {
            return (Lease::Shut, None);
        }
        let other = self.owner.as_deref().is_some_and(|holder| holder != owner);
        if other && self.lease_until > now {
            return (Lease::Taken, None);
        }
        let in_doubt = if other { self.in_doubt() } else { None };
        (self.owner, self.lease_until) = (Some(owner.to_owned()), now.saturating_add(millis(time)));
        let wait = self.next_at.saturating_sub(now).clamp(0, self.pause);
        let wait = Duration::from_millis(wait.unsigned_abs());
        (Lease::Held { wait, failing: self.pause > 0, is_asked: self.is_asked }, in_doubt)
    }

    /// Takes the lane from an owner that ended without releasing it. Returns the message that it left in doubt.
    pub fn reclaim(&mut self, owner: &str) -> Option<InDoubt> {
        if self.owner.as_deref() != Some(owner) {
            return None;
        }
        let in_doubt = self.in_doubt();
        self.release(owner);
        in_doubt
    }

    /// Records the message that `owner` is about to send.
    pub fn mark(&mut self, owner: &str, delivery: &DeliveryId) {
        if self.owner.as_deref() == Some(owner) {
            self.marked = Some(delivery.clone());
        }
    }

    /// Ends the lease of `owner`: none of the lane's messages is in flight.
    pub fn release(&mut self, owner: &str) {
        if self.owner.as_deref() == Some(owner) {
            (self.owner, self.lease_until, self.marked) = (None, 0, None);
        }
    }

    /// Applies the results of a turn to the lane. Returns `false`, and changes nothing, if `owner` has lost the lease.
    pub fn finish(&mut self, owner: &str, turn: &Turn, now: Millis) -> bool {
        if self.owner.as_deref() != Some(owner) {
            return false;
        }
        if let Some(state) = &turn.close {
            self.set(state.clone(), now);
            self.release(owner);
        } else if turn.pause > 0 || self.pause > 0 || self.marked.is_some() {
            (self.next_at, self.pause, self.is_asked) = (now.saturating_add(turn.pause), turn.pause, turn.is_asked);
            self.marked = None;
        }
        true
    }

    /// Opens, closes or pauses the lane. The lane does not wait any longer.
    pub fn set(&mut self, state: LaneState, now: Millis) {
        self.since = (state != LaneState::Open).then_some(now);
        self.state = state;
        (self.next_at, self.pause, self.is_asked) = (0, 0, false);
    }

    /// Returns `true` if the lane is kept while no channel uses it. The lane of a paused channel stays paused while the
    /// channel is not in the configuration.
    pub const fn is_kept(&self) -> bool {
        matches!(self.state, LaneState::Paused { .. })
    }

    /// Returns the message that the owner may have sent without storing the result. While a failing lane waits, nothing
    /// is in flight; it marks a message before sending it.
    fn in_doubt(&self) -> Option<InDoubt> {
        match &self.marked {
            Some(marked) => Some(InDoubt::Marked(marked.clone())),
            None => (self.pause == 0).then_some(InDoubt::Oldest),
        }
    }
}

/// Work that arrived in a lane, for the process that serves it.
#[derive(Clone, Debug)]
pub enum LaneSignal {
    /// A message was queued in the lane. Those of a lane arrive in the order of their ids.
    Arrived {
        /// The lane.
        lane: Lane,
        /// The message. Without it, the lane must read the store.
        message: Option<Arc<Delivery>>,
    },
    /// An operator opened, closed or paused the lane, or dropped messages from it.
    Changed(Lane),
    /// Any lane may have new messages or a new state.
    Any,
}

/// Signals to lanes, in the order of the commits that caused them. A slow reader gets [`LaneSignal::Any`] instead of
/// old signals.
pub struct Arrivals(broadcast::Receiver<LaneSignal>);

/// Number of signals that wait for a slow reader.
const SIGNALS: usize = 1_024;

/// Sends signals; every store has one.
#[derive(Clone)]
pub(super) struct Announcer(broadcast::Sender<LaneSignal>);

impl Default for Announcer {
    fn default() -> Self {
        Self(broadcast::Sender::new(SIGNALS))
    }
}

impl Announcer {
    pub(super) fn announce(&self, signal: LaneSignal) {
        // An error means that nobody serves lanes here.
        let _ = self.0.send(signal);
    }

    pub(super) fn listen(&self) -> Arrivals {
        Arrivals(self.0.subscribe())
    }
}

impl Arrivals {
    /// Waits for the next signal; `None` after the store was closed.
    pub async fn next(&mut self) -> Option<LaneSignal> {
        match self.0.recv().await {
            Ok(signal) => Some(signal),
            Err(RecvError::Lagged(_)) => Some(LaneSignal::Any),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Queued delivery.
#[derive(Clone, Debug)]
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
    pub style: Option<Style>,
    /// The event, as templates see it.
    pub event: Arc<Context>,
    /// Approximate size of the event's JSON in bytes.
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
    pub next: NextState,
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
    /// Outcome of the attempt.
    pub outcome: AttemptOutcome,
    /// Status of the chat's response.
    pub status: Option<u16>,
    /// Response of the chat.
    pub response: Option<String>,
    /// Sent body.
    pub body: String,
}

/// Next state of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextState {
    /// The chat shows the message.
    Delivered {
        /// Reference to the message, if the chat gave one.
        message: Option<MessageRef>,
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

impl NextState {
    /// Returns `true` if the chat accepted the message.
    pub const fn is_sent(&self) -> bool {
        matches!(self, Self::Delivered { .. } | Self::Accepted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HELD: Lease = Lease::Held { wait: Duration::ZERO, failing: false, is_asked: false };

    /// Returns a lane that `one` has leased at time 0.
    fn leased() -> LaneRecord {
        let mut lane = LaneRecord::default();
        assert_eq!(lane.lease("one", MINUTE, 0), (HELD, None));
        lane
    }

    fn failed(pause: Millis) -> Turn {
        Turn { pause, is_asked: true, ..Turn::default() }
    }

    #[test]
    fn lease_belongs_to_one_owner_until_it_expires() {
        let mut lane = leased();
        assert_eq!(lane.lease("two", MINUTE, 59_999), (Lease::Taken, None));
        assert_eq!(lane.lease("one", MINUTE, 59_999), (HELD, None), "renewed");
        assert_eq!(lane.lease("two", MINUTE, 119_999), (HELD, Some(InDoubt::Oldest)), "expired");
        assert!(!lane.finish("one", &failed(5), 120_000), "it lost the lease");
        lane.release("one");
        assert_eq!(lane.owner.as_deref(), Some("two"), "only the owner can release it");
        lane.release("two");
        assert_eq!(lane.lease("three", MINUTE, 120_000), (HELD, None), "nothing is in doubt");
    }

    #[test]
    fn message_in_flight_is_in_doubt() {
        let marked = DeliveryId::from("dlv_1");
        // A lane that does not fail sends its oldest message.
        assert_eq!(leased().reclaim("one"), Some(InDoubt::Oldest));
        assert_eq!(leased().reclaim("two"), None, "it is not the owner");
        // A failing lane waits, unless it has marked a message.
        let mut lane = leased();
        assert!(lane.finish("one", &failed(1_000), 0));
        assert_eq!(lane.clone().reclaim("one"), None);
        lane.mark("two", &marked);
        assert_eq!(lane.clone().reclaim("one"), None, "only the owner can mark");
        lane.mark("one", &marked);
        assert_eq!(lane.clone().reclaim("one"), Some(InDoubt::Marked(marked)));
        assert!(lane.finish("one", &Turn::default(), 0), "the result of the marked message");
        assert_eq!((lane.marked, lane.pause), (None, 0));
    }

    #[test]
    fn wait_is_never_longer_than_requested() {
        let mut lane = leased();
        lane.finish("one", &failed(5_000), 1_000_000);
        let mut wait = |now: Millis| match lane.lease("one", MINUTE, now).0 {
            Lease::Held { wait, failing: true, is_asked: true } => wait.as_millis(),
            other => panic!("{other:?}"),
        };
        assert_eq!((wait(1_000_000), wait(1_004_000), wait(1_006_000)), (5_000, 1_000, 0));
        assert_eq!(wait(0), 5_000, "the clock was set back");
    }

    #[test]
    fn state_ends_the_wait_and_decides_who_may_lease() {
        let mut lane = leased();
        lane.finish("one", &failed(5_000), 0);
        let closed = LaneState::Closed { reason: "gone".to_owned(), help: None };
        assert!(lane.finish("one", &Turn { close: Some(closed.clone()), ..Turn::default() }, 7));
        assert_eq!((&lane.state, lane.since, lane.owner.as_deref()), (&closed, Some(7), None));
        assert_eq!((lane.lease("one", MINUTE, 8), lane.is_kept()), ((Lease::Shut, None), false));
        lane.set(LaneState::Paused { reason: None }, 9);
        assert_eq!((lane.lease("one", MINUTE, 9), lane.is_kept()), ((Lease::Shut, None), true));
        lane.set(LaneState::Open, 10);
        assert_eq!((lane.lease("one", MINUTE, 10), lane.since), ((HELD, None), None));
    }
}
