//! Where requests, events and deliveries are kept, so that nothing acknowledged is ever lost.
//!
//! [`Store::accept`] is the way in: one durable transaction for a request with all that follows from it. The way
//! out is by *lanes*, one a destination: whoever holds a lane's lease reads its heads and finishes them.

pub mod sqlite;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::event::{ChannelName, DeliveryId, EventId, RequestId, SourceName};
use crate::memory::Memory;

/// A moment: milliseconds since 1970.
pub type Millis = i64;

/// Now, by the system's clock.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// A durable store.
#[async_trait]
pub trait Store: Send + Sync {
    /// Takes a request in: atomic, durable (it survives a power cut), and aware of duplicates.
    ///
    /// Where the request is new, `decide` runs within the transaction, on what the store remembers of the
    /// request's subjects; it must be pure and quick. What it returns is stored with the request.
    async fn accept(&self, request: NewRequest, decide: Decide) -> Result<Accepted, StoreError>;

    /// Says which lane each channel's messages wait in, now that the config says so. What waits moves there;
    /// what waits for a channel that is not named is parked, and comes back when it is.
    async fn assign(&self, lanes: BTreeMap<ChannelName, Lane>) -> Result<(), StoreError>;

    /// Takes a lane for `owner` until `until`, or renews it. False where somebody else holds it.
    async fn lease(&self, lane: &Lane, owner: &str, until: Millis) -> Result<bool, StoreError>;

    /// What waits in a lane, oldest first, at most `limit`.
    async fn heads(&self, lane: &Lane, limit: usize) -> Result<Vec<Delivery>, StoreError>;

    /// Writes down an attempt and what became of its delivery, if `owner` still holds the lane. It survives a
    /// kill; a power cut may undo it, and then the message is sent once more. False where the lease is lost.
    async fn finish(&self, lane: &Lane, owner: &str, finished: Finished) -> Result<bool, StoreError>;

    /// Forgets a little of what is too old by now, and says whether there is more of it. Each call is a small step, so
    /// that requests come in between.
    async fn forget(&self, keep: Keep, now: Millis) -> Result<bool, StoreError>;

    /// Writes down that requests were refused; of all, the last [`REFUSALS`] are kept.
    async fn refuse(&self, refused: Vec<Refused>) -> Result<(), StoreError>;
}

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Requests, their events, and the deliveries and attempts of these. What still waits is kept, however old it is.
    pub all: Duration,
    /// Untouched bodies: they hold e-mail addresses.
    pub raw: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
        Self { all: days(30), raw: days(7) }
    }
}

/// How many refused requests are kept.
pub const REFUSALS: usize = 100;

/// A request that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// When.
    pub at: Millis,
    /// The source that it wanted to come through.
    pub source: SourceName,
    /// The address that it came from.
    pub client: Option<String>,
    /// The host's word for what it said happened.
    pub key: Option<String>,
    /// Why.
    pub reason: String,
}

/// An event that was stored, in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Seen {
    /// Its id.
    pub id: EventId,
    /// The request that brought it.
    pub request: RequestId,
    /// When that came.
    pub at: Millis,
    /// Its kind.
    pub kind: String,
    /// `workspace/slug`.
    pub repository: Option<String>,
    /// How it was routed.
    pub decision: Value,
}

/// Decides what follows from a request, given what is remembered of its subjects.
pub type Decide = Box<dyn FnOnce(&Memory) -> Decided + Send>;

/// A request that came in.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// Its id.
    pub id: RequestId,
    /// The source that it came through.
    pub source: SourceName,
    /// The webhook that sent it.
    pub hook: Option<String>,
    /// The host's word for it; with source and hook it tells a duplicate. Without one, none is told.
    pub key: Option<String>,
    /// When it came.
    pub received_at: Millis,
    /// Its headers, without secrets.
    pub headers: Value,
    /// Its body, as it came.
    pub body: Bytes,
    /// What it is about, for memory.
    pub subjects: Vec<String>,
}

/// What follows from a request.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    /// What the host is answered; a duplicate is answered the same.
    pub receipt: String,
    /// What happened.
    pub events: Vec<NewEvent>,
    /// Who is to hear of it, in the order in which they are to be told.
    pub deliveries: Vec<NewDelivery>,
    /// The new states of subjects.
    pub memory: Memory,
}

/// An event to store.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Its id.
    pub id: EventId,
    /// Its kind.
    pub kind: &'static str,
    /// `workspace/slug`.
    pub repository: Option<String>,
    /// What it is about.
    pub subject: Option<String>,
    /// The event as templates see it.
    pub json: String,
    /// How it was routed.
    pub decision: String,
}

/// A delivery to store.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// The event that it delivers.
    pub event: EventId,
    /// The channel that it goes to.
    pub channel: ChannelName,
    /// The lane that it waits in.
    pub lane: Lane,
    /// The route that sends it.
    pub route: String,
    /// The template that the route asks for.
    pub template: Option<String>,
    /// The style that the route asks for.
    pub style: Option<&'static str>,
}

/// The queue of one destination; channels that share the destination share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(pub String);

/// What [`Store::accept`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The request is new, and stored.
    Stored {
        /// What the host is to be answered.
        receipt: String,
        /// The lanes in which something waits now.
        lanes: BTreeSet<Lane>,
    },
    /// It was seen before.
    Duplicate {
        /// What the host was answered then.
        receipt: String,
    },
}

/// A delivery that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The channel that it goes to.
    pub channel: ChannelName,
    /// The template that its route asks for.
    pub template: Option<String>,
    /// The style that its route asks for.
    pub style: Option<String>,
    /// The event as templates see it.
    pub event: Value,
    /// How often it was tried.
    pub attempts: u32,
    /// How long it is still to wait; never longer than what its last attempt asked for, whatever the clock says.
    pub wait: Duration,
}

/// An attempt, and what became of its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The delivery.
    pub delivery: DeliveryId,
    /// When the attempt began.
    pub at: Millis,
    /// How long it took, in milliseconds.
    pub took: Millis,
    /// In a word.
    pub outcome: &'static str,
    /// What the chat said.
    pub said: Option<String>,
    /// What follows.
    pub next: Next,
    /// What was sent.
    pub body: String,
}

/// What follows from an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Done.
    Delivered {
        /// The chat's name for the message.
        message_id: Option<String>,
    },
    /// Done as far as anybody can tell: the chat took it, and does not say what became of it.
    Accepted,
    /// It will never be delivered; the attempt says why.
    Dead,
    /// It waits on, to be tried again after this long.
    Retry {
        /// In milliseconds.
        after: Millis,
    },
}

/// Why the store cannot do what it should.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database says no.
    #[error("the store cannot {doing}: {source}")]
    Database {
        /// What was tried.
        doing: &'static str,
        /// The database's own words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database file cannot be used.
    #[error("cannot use the store `{path}`: {reason}")]
    Unusable {
        /// The file.
        path: String,
        /// Why, and the way out.
        reason: String,
    },
    /// The store did not answer in time.
    #[error("the store did not answer in time")]
    Busy,
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}
