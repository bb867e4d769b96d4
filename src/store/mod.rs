//! Durable storage of requests, events and deliveries: no acknowledged request is ever lost.
//!
//! [`Store::accept`] stores a request and all its results in one durable transaction. Deliveries leave through *lanes*,
//! one per destination: the holder of a lane's lease reads the lane's heads and finishes them.

pub mod history;
#[cfg(test)]
mod model;
pub mod sqlite;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::event::{ChannelName, DeliveryId, EventId, Kind, RequestId, SourceName};
use crate::memory::Memory;

pub use history::{
    AttemptDetail, COUNTED, Counts, DeliveryDetail, DeliverySummary, EventSummary, Filter, LaneCounts, State,
};

/// Time in milliseconds since 1970.
pub type Millis = i64;

/// Returns the current time of the system clock.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// Converts a time to a [`jiff::Timestamp`].
pub fn timestamp(at: Millis) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at).unwrap_or_default()
}

/// Durable store: operations of the service, and queries and operations for operators ([`history`]).
///
/// For example, a request that the host sends twice is stored once:
///
/// ```
/// use std::sync::Arc;
///
/// use hookbell::event::RequestId;
/// use hookbell::store::sqlite::SqliteStore;
/// use hookbell::store::{Accepted, Decided, NewRequest, Store, StoreError, now};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), StoreError> {
/// # let directory = tempfile::tempdir().expect("a temporary directory");
/// # let path = directory.path().join("hookbell.db");
/// let store = SqliteStore::open(&path)?;
/// let request = Arc::new(NewRequest {
///     id: RequestId::fresh(),
///     source: "bitbucket".into(),
///     hook: None,
///     key: Some("b6c4b3f2".to_owned()),
///     received_at: now(),
///     headers: serde_json::json!({}),
///     body: "{}".into(),
///     subjects: vec![],
/// });
/// let decided = Decided { receipt: "{}".to_owned(), ..Decided::default() };
/// let accept = || store.accept(request.clone(), Box::new({
///     let decided = decided.clone();
///     move |_| decided.clone()
/// }));
/// assert!(matches!(accept().await?, Accepted::Stored { .. }));
/// assert!(matches!(accept().await?, Accepted::Duplicate { .. }));
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Store: Send + Sync {
    /// Accepts a request: atomic, durable (it survives a power cut), and aware of duplicates.
    ///
    /// If the request is new, `decide` runs within the transaction, on the stored memory of the request's subjects. It
    /// must be pure and fast. Its result is stored with the request.
    async fn accept(&self, request: Arc<NewRequest>, decide: Decide) -> Result<Accepted, StoreError>;

    /// Assigns the lanes of all channels, according to the current configuration. Queued messages move to the new lane
    /// of their channel. Messages for a channel without a lane are parked, and queued again once the channel has one.
    /// Unused lanes are deleted, with the reason why they were closed; paused lanes are kept.
    ///
    /// `change` is applied in the same transaction, between two requests: earlier requests are decided by the previous
    /// state, later ones by the new state.
    async fn assign(&self, lanes: BTreeMap<ChannelName, Lane>, change: Change) -> Result<(), StoreError>;

    /// Routes events that are pending routing, oldest first, at most `limit`. Returns `true` if there are more.
    async fn route_pending(&self, route_pending: RouteLater, limit: usize) -> Result<bool, StoreError>;

    /// Stores the rules to which decisions refer by this hash, or updates the time of their last use.
    async fn keep_config(&self, hash: &str, text: &str, now: Millis) -> Result<(), StoreError>;

    /// Returns the rules with this hash.
    async fn config(&self, hash: &str) -> Result<Option<String>, StoreError>;

    /// Leases a lane to `owner` until `until`, or renews the lease.
    ///
    /// If the previous owner did not [`release`](Self::release) the lane, one message may have been in flight: the
    /// [marked](Self::mark) one, or else the oldest, unless the lane was waiting after a failure. That message gets an
    /// attempt with the outcome `unknown`.
    async fn lease(&self, lane: &Lane, owner: &str, until: Millis, now: Millis) -> Result<Lease, StoreError>;

    /// Records the message that is about to be sent, if it may not be the lane's oldest or if the lane has failed, so
    /// that the next owner knows which message may have been in flight.
    async fn mark(&self, lane: &Lane, owner: &str, delivery: &DeliveryId) -> Result<(), StoreError>;

    /// Releases a lane: none of its messages is in flight.
    async fn release(&self, lane: &Lane, owner: &str) -> Result<(), StoreError>;

    /// Reclaims a lane from an owner that ended without releasing it, as [`lease`](Self::lease) does for a new owner.
    async fn reclaim(&self, lane: &Lane, owner: &str, now: Millis) -> Result<(), StoreError>;

    /// Returns the stored state of a subject; `null` counts as missing.
    async fn remembered(&self, subject: &str) -> Result<Option<Value>, StoreError>;

    /// Returns the queued messages of a lane, oldest first: at most `limit`, fewer if they are large.
    async fn heads(&self, lane: &Lane, limit: usize) -> Result<Vec<Delivery>, StoreError>;

    /// Stores the results of a lane's turn, if `owner` still holds the lease. The results survive a kill; a power cut
    /// may undo them, and then messages are sent again. Returns `false` if the lease is lost.
    async fn finish(&self, lane: &Lane, owner: &str, turn: Turn, now: Millis) -> Result<bool, StoreError>;

    /// Opens, closes or pauses a lane. An opened lane does not wait any longer.
    async fn set_lane(&self, lane: &Lane, state: LaneState) -> Result<(), StoreError>;

    /// Deletes some of the expired data, and returns `true` if there is more. Each call is a small step, so that
    /// requests can run in between.
    async fn prune(&self, keep: Retention, now: Millis) -> Result<bool, StoreError>;

    /// Records rejected requests; only the last [`MAX_REJECTED`] are kept.
    async fn refuse(&self, refused: Vec<RejectedRequest>) -> Result<(), StoreError>;

    /// Returns the last rejected requests, newest last.
    async fn rejected(&self, limit: usize) -> Result<Vec<RejectedRequest>, StoreError>;

    /// Counts the events that match the filter, without its limit; at most [`COUNTED`] + 1.
    async fn count_events(&self, filter: Filter) -> Result<u64, StoreError>;

    /// Counts the deliveries that match the filter, without its limit; at most [`COUNTED`] + 1.
    async fn count_deliveries(&self, filter: Filter) -> Result<u64, StoreError>;

    /// Returns the events that match the filter, newest last.
    async fn events(&self, filter: Filter) -> Result<Vec<EventSummary>, StoreError>;

    /// Returns the deliveries that match the filter, newest last, without their sent bodies.
    async fn deliveries(&self, filter: Filter) -> Result<Vec<DeliverySummary>, StoreError>;

    /// Returns a delivery with its attempts and its sent body.
    async fn delivery(&self, id: &DeliveryId) -> Result<Option<DeliveryDetail>, StoreError>;

    /// Returns the JSON of an event, as templates see it.
    async fn event_json(&self, id: &EventId) -> Result<Option<Value>, StoreError>;

    /// Checks that the store accepts writes, with as little writing as possible.
    async fn is_ready(&self) -> Result<(), StoreError>;

    /// Writes this number of bytes durably and deletes them again, to check that a request of that size could be
    /// stored.
    async fn probe(&self, bytes: usize) -> Result<(), StoreError>;

    /// Prepares the store for the end of the service: moves all data to its usual place on disk.
    async fn close(&self) -> Result<(), StoreError>;

    /// Returns faults that an operator must know about, as sentences.
    fn faults(&self) -> Vec<String>;

    /// Counts the queued messages of each lane, and the ended messages of each channel.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// Adds deliveries of stored events at the end of their lanes. A parked delivery that is sent again becomes dead.
    /// Deliveries whose event no longer exists are left out.
    async fn enqueue(&self, deliveries: Vec<NewDelivery>, now: Millis) -> Result<(), StoreError>;

    /// Drops queued and parked deliveries and those pending routing: they become dead, with this reason. Returns the
    /// dropped deliveries.
    async fn give_up(&self, ids: Vec<DeliveryId>, why: &str) -> Result<Vec<DeliveryId>, StoreError>;
}

/// Work that a change of the configuration requires.
#[derive(Default)]
pub struct Change {
    /// Routes the events that are still pending routing.
    pub route_pending: Option<RouteLater>,
    /// Action that runs after the commit, and before the next request is decided.
    pub then: Option<Box<dyn FnOnce() + Send>>,
}

/// Routes an event that was stored while the routing configuration was invalid.
pub type RouteLater = Box<dyn Fn(PendingEvent) -> RoutedLater + Send>;

/// Event that was stored while the routing configuration was invalid.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingEvent {
    /// Id of the event.
    pub event: EventId,
    /// Request that contained the event.
    pub request: RequestId,
    /// Source that received the request.
    pub source: SourceName,
    /// Time of receipt.
    pub received_at: Millis,
    /// The event, as templates see it.
    pub json: Value,
}

/// Routing of an event that was pending routing.
#[derive(Clone, Debug, Default)]
pub struct RoutedLater {
    /// Routing decision, as JSON.
    pub decision: String,
    /// New deliveries.
    pub deliveries: Vec<NewDelivery>,
}

/// Retention times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Retention of requests, with their events, deliveries and attempts. A delivery that has not ended is kept
    /// regardless of its age.
    pub all: Duration,
    /// Retention of raw bodies, which contain e-mail addresses.
    pub raw: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
        Self { all: days(30), raw: days(7) }
    }
}

/// Maximum number of stored rejected requests.
pub const MAX_REJECTED: usize = 100;

/// Rejected request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RejectedRequest {
    /// Time of the rejection, in milliseconds since 1970.
    pub at: Millis,
    /// Source to which the request was sent.
    pub source: SourceName,
    /// Client address.
    pub client: Option<String>,
    /// The host's event key, which is not verified.
    pub key: Option<String>,
    /// Reason for the rejection.
    pub reason: String,
}

/// Decides the results of a request from the stored states of its subjects. It may run more than once.
pub type Decide = Box<dyn Fn(&Memory) -> Decided + Send>;

/// Received request.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// Id of the request.
    pub id: RequestId,
    /// Source that received the request.
    pub source: SourceName,
    /// Id of the webhook on the host.
    pub hook: Option<String>,
    /// Id of the request on the host. Together with source and hook it identifies a duplicate; without it, duplicates
    /// are not detected.
    pub key: Option<String>,
    /// Time of receipt.
    pub received_at: Millis,
    /// Headers, without secrets.
    pub headers: Value,
    /// Raw body.
    pub body: Bytes,
    /// Memory subjects of the request.
    pub subjects: Vec<String>,
}

/// Results of a request.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    /// Receipt for the host; a duplicate gets the same one.
    pub receipt: String,
    /// Events of the request.
    pub events: Vec<NewEvent>,
    /// New deliveries, in the order in which they are sent.
    pub deliveries: Vec<NewDelivery>,
    /// New states of subjects.
    pub memory: Memory,
    /// Earlier request of which this one is a duplicate; then there are no other results.
    pub duplicate_of: Option<Duplicate>,
}

/// Earlier request that is the same as a new one, although the host's ids of the requests differ.
#[derive(Clone, Debug)]
pub struct Duplicate {
    /// The earlier request.
    pub request: RequestId,
    /// Memory subject of the earlier request. If that request is no longer stored, the new one is decided without this
    /// subject.
    pub subject: String,
}

/// Event to store.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Id of the event.
    pub id: EventId,
    /// Kind of the event.
    pub kind: &'static str,
    /// `workspace/slug`.
    pub repository: Option<String>,
    /// Subject of the event.
    pub subject: Option<String>,
    /// The event, as templates see it.
    pub json: String,
    /// Event of the same request that also stores the actor and the repository of this one.
    pub same: Option<EventId>,
    /// Routing decision, as JSON.
    pub decision: String,
    /// `true` if the event is routed later.
    pub is_pending_routing: bool,
}

/// Delivery to store.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Id of the delivery.
    pub id: DeliveryId,
    /// Event to deliver.
    pub event: EventId,
    /// Channel of the delivery.
    pub channel: ChannelName,
    /// Lane of the delivery.
    pub lane: Lane,
    /// Route that created the delivery.
    pub route: String,
    /// Template set by the route.
    pub template: Option<String>,
    /// Style set by the route.
    pub style: Option<String>,
    /// Delivery that this one sends again.
    pub replay_of: Option<DeliveryId>,
    /// Request and kind of the event. Deliveries with the same values become one message, if channel, route, template
    /// and style are also the same.
    pub joins: Option<(RequestId, Kind)>,
    /// Further events in the message.
    pub also: Vec<EventId>,
}

impl NewDelivery {
    /// Creates a delivery with a new id that sends the event alone, for the first time, and as the channel is
    /// configured.
    pub fn new(event: EventId, channel: ChannelName, lane: Lane, route: impl Into<String>) -> Self {
        Self {
            id: DeliveryId::fresh(),
            event,
            channel,
            lane,
            route: route.into(),
            template: None,
            style: None,
            replay_of: None,
            joins: None,
            also: vec![],
        }
    }
}

/// Merges deliveries that [join](NewDelivery::joins) into one, in the place of the first.
pub(crate) fn joined(deliveries: Vec<NewDelivery>) -> Vec<NewDelivery> {
    let mut all: Vec<NewDelivery> = Vec::with_capacity(deliveries.len());
    let mut firsts = BTreeMap::new();
    for delivery in deliveries {
        let Some((request, kind)) = &delivery.joins else {
            all.push(delivery);
            continue;
        };
        let way = (delivery.channel.clone(), delivery.route.clone(), delivery.template.clone(), delivery.style.clone());
        match firsts.entry((request.clone(), *kind, way)) {
            Entry::Vacant(entry) => {
                entry.insert(all.len());
                all.push(delivery);
            }
            Entry::Occupied(entry) => {
                let NewDelivery { event, also, .. } = delivery;
                all[*entry.get()].also.extend(std::iter::once(event).chain(also));
            }
        }
    }
    all
}

/// Queue of one destination. Channels with the same destination share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(pub String);

/// Result of [`Store::accept`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The request is new and stored.
    Stored {
        /// Receipt for the host.
        receipt: String,
        /// Lanes with new messages.
        lanes: BTreeSet<Lane>,
    },
    /// The request is a duplicate.
    Duplicate {
        /// Receipt of the earlier request.
        receipt: String,
    },
}

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

/// Result of [`Store::lease`].
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

/// Error of the store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database reported an error.
    #[error("the store cannot {doing}: {source}")]
    Database {
        /// Operation that failed.
        doing: &'static str,
        /// Error of the database.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database file cannot be used.
    #[error("cannot use the store `{path}`: {reason}")]
    Unusable {
        /// Path of the file.
        path: String,
        /// Reason, and help to fix it.
        reason: String,
    },
    /// Another Hookbell process uses the store.
    #[error("another Hookbell process is using the store `{path}`; stop that process first")]
    InUse {
        /// Path of the file.
        path: String,
    },
    /// The store did not respond in time.
    #[error("the store did not respond in time")]
    Busy,
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}
