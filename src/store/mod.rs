//! Where requests, events and deliveries are kept, so that nothing acknowledged is ever lost.
//!
//! [`Store::accept`] is the way in: one durable transaction for a request with all that follows from it. The way
//! out is by *lanes*, one a destination: whoever holds a lane's lease reads its heads and finishes them.

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

pub use history::{COUNTED, Counts, Filter, LaneCounts, SeenAttempt, SeenDelivery, SeenEvent, State, WholeDelivery};

/// A moment: milliseconds since 1970.
pub type Millis = i64;

/// Now, by the system's clock.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// A moment, as time is told elsewhere.
pub fn moment(at: Millis) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at).unwrap_or_default()
}

/// A durable store.
///
/// The service itself needs the first half; the second is for those who look after it ([`history`]).
#[async_trait]
pub trait Store: Send + Sync {
    /// Takes a request in: atomic, durable (it survives a power cut), and aware of duplicates.
    ///
    /// Where the request is new, `decide` runs within the transaction, on what the store remembers of the
    /// request's subjects; it must be pure and quick. What it returns is stored with the request.
    async fn accept(&self, request: Arc<NewRequest>, decide: Decide) -> Result<Accepted, StoreError>;

    /// Says which lane each channel's messages wait in, now that the config says so. What waits moves there;
    /// what waits for a channel that is not named is parked, and comes back when it is. Lanes that nobody uses any
    /// more are forgotten, with the reason why they were closed.
    ///
    /// What the change brings along is done in the same transaction, between two requests: each request before it is
    /// decided as things were, each after it as they are now.
    async fn assign(&self, lanes: BTreeMap<ChannelName, Lane>, change: Change) -> Result<(), StoreError>;

    /// Decides on events that are undecided, the oldest first, at most `limit`. Says whether there are more.
    async fn settle(&self, settle: Settle, limit: usize) -> Result<bool, StoreError>;

    /// Keeps the rules that decisions refer to by this hash, or says that they are in use still.
    async fn keep_config(&self, hash: &str, text: &str, now: Millis) -> Result<(), StoreError>;

    /// The rules of this hash.
    async fn config(&self, hash: &str) -> Result<Option<String>, StoreError>;

    /// Takes a lane for `owner` until `until`, or renews it.
    ///
    /// Who takes over from an owner that did not [`release`](Self::release) the lane cannot know whether a message was on
    /// its way then: the one that was [marked](Self::mark), or else the oldest, unless the lane waited after a failure. It
    /// gets an attempt `unknown`.
    async fn lease(&self, lane: &Lane, owner: &str, until: Millis, now: Millis) -> Result<Lease, StoreError>;

    /// Writes down which message is about to be sent, where it need not be the lane's oldest, or the lane has failed: so
    /// that whoever takes over can tell.
    async fn mark(&self, lane: &Lane, owner: &str, delivery: &DeliveryId) -> Result<(), StoreError>;

    /// Gives a lane back: nothing of it is on its way.
    async fn release(&self, lane: &Lane, owner: &str) -> Result<(), StoreError>;

    /// Takes a lane back from an owner that has ended without giving it back, as [`lease`](Self::lease) does when another
    /// takes over.
    async fn reclaim(&self, lane: &Lane, owner: &str, now: Millis) -> Result<(), StoreError>;

    /// The state that a subject was remembered by, if it is; `null` counts as none.
    async fn remembered(&self, subject: &str) -> Result<Option<Value>, StoreError>;

    /// What waits in a lane, oldest first, at most `limit`, and fewer where they are large.
    async fn heads(&self, lane: &Lane, limit: usize) -> Result<Vec<Delivery>, StoreError>;

    /// Writes down a turn of a lane, if `owner` still holds it. It survives a kill; a power cut may undo it, and then
    /// messages are sent once more. False where the lease is lost.
    async fn finish(&self, lane: &Lane, owner: &str, turn: Turn, now: Millis) -> Result<bool, StoreError>;

    /// Opens, closes or pauses a lane. An open one does not wait any more.
    async fn set_lane(&self, lane: &Lane, state: LaneState) -> Result<(), StoreError>;

    /// Forgets a little of what is too old by now, and says whether there is more of it. Each call is a small step, so
    /// that requests come in between.
    async fn forget(&self, keep: Keep, now: Millis) -> Result<bool, StoreError>;

    /// Writes down that requests were refused; of all, the last [`REFUSALS`] are kept.
    async fn refuse(&self, refused: Vec<Refused>) -> Result<(), StoreError>;

    /// The last requests that were refused, the newest last.
    async fn refusals(&self, limit: usize) -> Result<Vec<Refused>, StoreError>;

    /// How many events fit, but for the limit; at most [`COUNTED`] and one more.
    async fn count_events(&self, filter: Filter) -> Result<u64, StoreError>;

    /// How many deliveries fit, likewise.
    async fn count_deliveries(&self, filter: Filter) -> Result<u64, StoreError>;

    /// Events that fit, the newest last.
    async fn events(&self, filter: Filter) -> Result<Vec<SeenEvent>, StoreError>;

    /// Deliveries that fit, the newest last; without what was sent.
    async fn deliveries(&self, filter: Filter) -> Result<Vec<SeenDelivery>, StoreError>;

    /// One delivery with its attempts and what was sent.
    async fn delivery(&self, id: &DeliveryId) -> Result<Option<WholeDelivery>, StoreError>;

    /// The JSON of an event, as templates see it.
    async fn event_json(&self, id: &EventId) -> Result<Option<Value>, StoreError>;

    /// Whether it takes writes, as far as can be told without writing much.
    async fn is_ready(&self) -> Result<(), StoreError>;

    /// Writes so many bytes durably, and removes them again: whether a request of that size could be stored.
    async fn probe(&self, bytes: usize) -> Result<(), StoreError>;

    /// Brings the store to rest before the service ends: everything is in its usual place on the disk.
    async fn close(&self) -> Result<(), StoreError>;

    /// Faults that an operator has to know of, as sentences.
    fn faults(&self) -> Vec<String>;

    /// What waits in each lane, and how each channel's messages ended.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// Adds deliveries of stored events at the ends of their lanes. A parked one that is repeated is dead then; what
    /// belongs to no event any more is left out.
    async fn enqueue(&self, deliveries: Vec<NewDelivery>, now: Millis) -> Result<(), StoreError>;

    /// Gives up what waits or is parked; it is dead then, for this reason. Returns what was given up.
    async fn give_up(&self, ids: Vec<DeliveryId>, why: &str) -> Result<Vec<DeliveryId>, StoreError>;
}

/// What a change of the config brings along.
#[derive(Default)]
pub struct Change {
    /// Decides on what is undecided still.
    pub settle: Option<Settle>,
    /// What is to be done once that is committed, and before the next request is decided.
    pub then: Option<Box<dyn FnOnce() + Send>>,
}

/// Decides on an event that came when the rules were broken.
pub type Settle = Box<dyn Fn(Undecided) -> Settled + Send>;

/// An event that came when the rules were broken.
#[derive(Clone, Debug, PartialEq)]
pub struct Undecided {
    /// Its id.
    pub event: EventId,
    /// The request that brought it.
    pub request: RequestId,
    /// The source that it came through.
    pub source: SourceName,
    /// When it came.
    pub received_at: Millis,
    /// The event as templates see it.
    pub json: Value,
}

/// What was decided on it.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// How it was routed.
    pub decision: String,
    /// Who is to hear of it.
    pub deliveries: Vec<NewDelivery>,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// Decides what follows from a request, given what is remembered of its subjects. It may run more than once.
pub type Decide = Box<dyn Fn(&Memory) -> Decided + Send>;

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
    /// The request is the same as an earlier one, and nothing else follows.
    pub duplicate_of: Option<Duplicate>,
}

/// An earlier request that is the same as a new one, though the host's name for it is another.
#[derive(Clone, Debug)]
pub struct Duplicate {
    /// The earlier request.
    pub request: RequestId,
    /// The subject that it was remembered by. If the earlier request is not kept any more, the new one is decided without.
    pub subject: String,
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
    /// The event of the same request that holds the actor and the repository of this one too.
    pub same: Option<EventId>,
    /// How it was routed.
    pub decision: String,
    /// It is to be routed later.
    pub is_undecided: bool,
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
    pub style: Option<String>,
    /// The delivery that it repeats.
    pub replay_of: Option<DeliveryId>,
    /// What tells the deliveries that it becomes one message with, if they also go the same way: the request and the kind of
    /// the event.
    pub joins: Option<(RequestId, Kind)>,
    /// Further events that its message is about.
    pub also: Vec<EventId>,
}

/// Makes one delivery of those that [join](NewDelivery::joins), in the place of the first.
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

/// Whether a lane may be worked on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LaneState {
    /// It may.
    #[default]
    Open,
    /// Its destination is gone; its messages wait until somebody reopens it, or the config leads elsewhere.
    Closed {
        /// What the chat said.
        reason: String,
        /// What to do about it.
        remedy: Option<String>,
    },
    /// Somebody wants it to wait.
    Paused {
        /// Why, if they said so.
        reason: Option<String>,
    },
}

/// What came of asking for a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    /// It is ours, and open.
    Held {
        /// How long it is still to wait; never longer than it was asked to, whatever the clock says.
        wait: Duration,
        /// Whether its last attempt failed.
        failing: bool,
        /// Whether the chat itself asked for the wait.
        is_asked: bool,
    },
    /// It is closed or paused, and so nobody's.
    Shut,
    /// Somebody else holds it.
    Taken,
}

/// A delivery that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The event that it delivers.
    pub event_id: EventId,
    /// The channel that it goes to.
    pub channel: ChannelName,
    /// The template that its route asks for.
    pub template: Option<String>,
    /// The style that its route asks for.
    pub style: Option<String>,
    /// The event as templates see it.
    pub event: Value,
    /// Size of the event's JSON in bytes.
    pub size: usize,
    /// When it was asked for.
    pub created_at: Millis,
    /// How often it was tried.
    pub attempts: u32,
    /// How often it failed for a reason that may lie in itself.
    pub strikes: u32,
}

/// What came of a lane's turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// What became of deliveries; most often of one.
    pub finished: Vec<Finished>,
    /// For how long the lane waits now, in milliseconds.
    pub pause: Millis,
    /// The chat itself asked for that.
    pub is_asked: bool,
    /// The chat says that the lane's destination is gone.
    pub close: Option<LaneState>,
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The attempt that it became so by; none where it was not sent.
    pub attempt: Option<Attempt>,
    /// What follows.
    pub next: Next,
    /// Which template failed, and how, if the message was made by the next one.
    pub template_error: Option<String>,
}

/// An attempt to send a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: Millis,
    /// How long it took, in milliseconds.
    pub took: Millis,
    /// In a word.
    pub outcome: &'static str,
    /// The status of the chat's answer.
    pub status: Option<u16>,
    /// What the chat said.
    pub said: Option<String>,
    /// What was sent.
    pub body: String,
}

/// What follows for a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Done.
    Delivered {
        /// The chat's name for the message.
        message_id: Option<String>,
    },
    /// Done as far as anybody can tell: the chat took it, and does not say what became of it.
    Accepted,
    /// Its template says that there is nothing to tell.
    Skipped {
        /// Why.
        why: String,
    },
    /// It will never be delivered.
    Dead {
        /// Why, where the attempt does not say so.
        why: Option<String>,
    },
    /// It failed again and again where the message behind it did not.
    Suspect {
        /// In words.
        why: String,
    },
    /// It waits on.
    Waits {
        /// Its failure may lie in itself.
        strike: bool,
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
    /// Another Hookbell has it.
    #[error("another Hookbell is using the store `{path}`; stop that one first")]
    InUse {
        /// The file.
        path: String,
    },
    /// The store did not answer in time.
    #[error("the store did not answer in time")]
    Busy,
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}
