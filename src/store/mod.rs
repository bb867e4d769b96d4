//! Durable storage of requests, events and deliveries: no acknowledged request is ever lost.
//!
//! [`Intake::accept`] stores a request and all its results in one durable transaction. Deliveries leave through
//! [`Lanes`], one per destination: the holder of a lane's lease reads the lane's heads and finishes them. People use
//! [`History`]. Outside its folder, an engine is named in the list of [`StoreUrl`] only.

mod accept;
mod decision;
pub mod history;
mod ids;
mod lane;
#[cfg(test)]
mod model;
mod outcome;
mod receipt;
mod sqlite;
mod url;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::event::{DeliveryId, EventId, SourceName};
use crate::time::Millis;

pub(crate) use accept::joined;
pub use accept::{
    Accepted, Assignment, Decide, Decided, Generation, Known, NewDelivery, NewEvent, NewRequest, PendingEvent,
    RouteLater, RoutedLater,
};
pub use decision::{StoredDecision, Target};
pub use history::{
    AttemptDetail, COUNTED, Counts, DeliveryDetail, DeliverySummary, EventSummary, Filter, LaneCounts, State,
};
pub use ids::Ids;
pub use lane::{
    Arrivals, Attempt, Delivery, Finished, InDoubt, Lane, LaneRecord, LaneSignal, LaneState, Lease, NextState, Turn,
};
pub use outcome::AttemptOutcome;
pub use receipt::{EventReceipt, Receipt, RouteReceipt};
pub use url::StoreUrl;

/// Takes requests in.
///
/// For example, a request that the host sends twice is stored once:
///
/// ```
/// use std::sync::Arc;
///
/// use hookbell::store::{Accepted, Decide, Decided, Generation, NewRequest, Receipt, StoreError, StoreUrl};
/// use hookbell::time::now;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), StoreError> {
/// # let directory = tempfile::tempdir().expect("a temporary directory");
/// # let path = directory.path().join("hookbell.db");
/// let url = StoreUrl::parse(&format!("sqlite:{}", path.display())).expect("a store's URL");
/// let store = url.open()?;
/// let request = Arc::new(NewRequest {
///     source: "bitbucket".into(),
///     hook: None,
///     key: Some("b6c4b3f2".to_owned()),
///     received_at: now(),
///     headers: serde_json::json!({}),
///     body: "{}".into(),
///     digest: None,
///     subjects: vec![],
/// });
/// let none = Generation::default();
/// let decide: Decide = Arc::new(|_, ids| Decided::empty(Receipt::empty(ids.request())));
/// assert!(matches!(store.accept(request.clone(), none, decide.clone()).await?, Accepted::Stored { .. }));
/// assert!(matches!(store.accept(request, none, decide).await?, Accepted::Duplicate { .. }));
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Intake: Send + Sync {
    /// Accepts a request: atomic, durable (it survives a power cut), and aware of duplicates.
    ///
    /// If the request is new, `decide` runs within the transaction, on what the store knows about it. It must be fast. Its
    /// result is stored with the request. A decision of an older configuration than the
    /// [assigned](Self::assign) one is [`StoreError::Outdated`].
    async fn accept(
        &self,
        request: Arc<NewRequest>,
        generation: Generation,
        decide: Decide,
    ) -> Result<Accepted, StoreError>;

    /// Puts a configuration into effect: earlier requests are decided by the previous one, later ones must be decided
    /// by this one.
    ///
    /// Queued messages move to the lane of their channel. Messages for a channel without a lane are parked, and queued
    /// again once the channel has one. Unused lanes are deleted, with the reason why they were closed; paused lanes are
    /// kept. Events that are pending routing are routed, if the configuration can.
    async fn assign(&self, assignment: Assignment) -> Result<(), StoreError>;

    /// Routes events that are pending routing, oldest first, at most `limit`. Returns `true` if there are more.
    async fn route_pending(&self, route_pending: RouteLater, limit: usize) -> Result<bool, StoreError>;

    /// Stores the rules to which decisions refer by this hash, or updates the time of their last use.
    async fn keep_config(&self, hash: &str, text: &str) -> Result<(), StoreError>;

    /// Returns the stored state of a subject; `null` counts as missing.
    async fn remembered(&self, subject: &str) -> Result<Option<Value>, StoreError>;

    /// Records rejected requests; only the last [`MAX_REJECTED`] are kept.
    async fn add_rejected(&self, rejected: Vec<RejectedRequest>) -> Result<(), StoreError>;

    /// Checks that the store accepts writes, with as little writing as possible.
    async fn is_ready(&self) -> Result<(), StoreError>;

    /// Writes this number of bytes durably and deletes them again, to check that a request of that size could be
    /// stored.
    async fn probe(&self, bytes: usize) -> Result<(), StoreError>;
}

/// Lets messages out, lane by lane. [`LaneRecord`] has the rules.
#[async_trait]
pub trait Lanes: Send + Sync {
    /// Leases a lane to `owner` for a time, or renews the lease.
    ///
    /// If the previous owner did not [`release`](Self::release) the lane, one message may have been in flight: the
    /// [marked](Self::mark) one, or else the oldest, unless the lane was waiting after a failure. That message gets an
    /// attempt with the outcome `unknown`.
    async fn lease(&self, lane: &Lane, owner: &str, time: Duration) -> Result<Lease, StoreError>;

    /// Records the message that is about to be sent, if it may not be the lane's oldest or if the lane has failed, so
    /// that the next owner knows which message may have been in flight.
    async fn mark(&self, lane: &Lane, owner: &str, delivery: &DeliveryId) -> Result<(), StoreError>;

    /// Releases a lane: none of its messages is in flight.
    async fn release(&self, lane: &Lane, owner: &str) -> Result<(), StoreError>;

    /// Reclaims a lane from an owner that ended without releasing it, as [`lease`](Self::lease) does for a new owner.
    async fn reclaim(&self, lane: &Lane, owner: &str) -> Result<(), StoreError>;

    /// Returns the queued messages of a lane, oldest first: at most `limit`, fewer if they are large.
    async fn heads(&self, lane: &Lane, limit: usize) -> Result<Vec<Delivery>, StoreError>;

    /// Stores the results of a lane's turn, if `owner` still holds the lease. The results survive a kill; a power cut
    /// may undo them, and then messages are sent again. Returns `false` if the lease is lost.
    async fn finish(&self, lane: &Lane, owner: &str, turn: Arc<Turn>) -> Result<bool, StoreError>;

    /// Opens, closes or pauses a lane. An opened lane does not wait any longer.
    async fn set_lane(&self, lane: &Lane, state: LaneState) -> Result<(), StoreError>;

    /// Returns the signals to lanes from now on: of messages that are queued, and of what operators do.
    fn arrivals(&self) -> Arrivals;
}

/// Look-ups and operations for people, and the deletion of expired data.
#[async_trait]
pub trait History: Send + Sync {
    /// Returns the rules with this hash.
    async fn config(&self, hash: &str) -> Result<Option<String>, StoreError>;

    /// Returns the last rejected requests, newest last.
    async fn rejected(&self, limit: usize) -> Result<Vec<RejectedRequest>, StoreError>;

    /// Returns the time of the last request of a source, or `since` if it is older. `None` if the source has never sent
    /// one.
    async fn last_request(&self, source: &SourceName, since: Millis) -> Result<Option<Millis>, StoreError>;

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

    /// Counts the queued messages of each lane, and the ended messages of each channel.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// Adds deliveries of stored events at the end of their lanes, and returns their ids. A parked delivery that is sent
    /// again becomes dead. Deliveries whose event no longer exists are left out. Deliveries of an older configuration
    /// than the assigned one are [`StoreError::Outdated`].
    async fn enqueue(
        &self,
        deliveries: Vec<NewDelivery>,
        generation: Generation,
    ) -> Result<Vec<DeliveryId>, StoreError>;

    /// Drops queued and parked deliveries and those pending routing: they become dead, with this reason. Returns the
    /// dropped deliveries.
    async fn give_up(&self, ids: Vec<DeliveryId>, why: &str) -> Result<Vec<DeliveryId>, StoreError>;

    /// Deletes some of the expired data, and returns `true` if there is more. Each call is a small step, so that
    /// requests can run in between.
    async fn prune(&self, keep: Retention) -> Result<bool, StoreError>;
}

/// A durable store. It uses its own clock.
#[async_trait]
pub trait Store: Intake + Lanes + History {
    /// Prepares the store for the end of the service: moves all data to its usual place on disk.
    async fn close(&self) -> Result<(), StoreError>;

    /// Returns faults that an operator must know about, as sentences.
    fn faults(&self) -> Vec<String>;

    /// Records the address at which this process can be reached, for commands that find the store in use.
    fn set_address(&self, address: &str) -> std::io::Result<()>;
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
    #[error("cannot use the store `{path}`: {source}")]
    Unusable {
        /// Path of the file.
        path: String,
        /// Reason, and help to fix it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A copy of the store could not be made.
    #[error("{0}")]
    Backup(Box<dyn std::error::Error + Send + Sync>),
    /// Another Hookbell process uses the store.
    #[error("another Hookbell process is using the store `{path}`; stop that process first")]
    InUse {
        /// Path of the file.
        path: String,
    },
    /// The configuration changed in the meantime: decide again, with the new one.
    #[error("the configuration changed in the meantime")]
    Outdated,
    /// The store did not respond in time.
    #[error("the store did not respond in time")]
    Busy,
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}
