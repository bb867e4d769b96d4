//! Requests, and what is decided about them: events, deliveries and states of memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::{Ids, Lane, Receipt, StoredDecision};
use crate::event::{ChannelName, Content, DeliveryId, EventId, Kind, RequestId, SourceName};
use crate::memory::{BodyDigest, Memory, SameBody};
use crate::message::Style;
use crate::time::Millis;

/// Decides the results of a request from what is known, with the ids of what it creates. It is pure, and may run more
/// than once.
pub type Decide = Arc<dyn Fn(&Known, &Ids) -> Decided + Send + Sync>;

/// What the store knows before a request is decided.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Stored states of the request's [subjects](NewRequest::subjects).
    pub memory: Memory,
    /// The last [new](Decided::is_new) request with the same [digest](NewRequest::digest).
    pub same_body: Option<SameBody>,
}

/// Number of a configuration, which grows with each change. A store to which none is assigned has 0, and accepts
/// decisions of any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub u64);

impl Generation {
    /// Returns the number of the next configuration.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Received request.
#[derive(Clone, Debug)]
pub struct NewRequest {
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
    /// Digest of the body. Without it, the body is not compared with others.
    pub digest: Option<BodyDigest>,
    /// Memory subjects of the request.
    pub subjects: Vec<String>,
}

/// Results of a request.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Receipt for the host; a duplicate gets the same one.
    pub receipt: Receipt,
    /// Events of the request.
    pub events: Vec<NewEvent>,
    /// New deliveries, in the order in which they are sent.
    pub deliveries: Vec<NewDelivery>,
    /// New states of subjects.
    pub memory: Memory,
    /// `true` if later requests with the same body are compared with this one.
    pub is_new: bool,
    /// Earlier request of which this one is a duplicate, one that the store knows; then there are no other results.
    pub duplicate_of: Option<RequestId>,
}

impl Decided {
    /// Creates a result without events.
    pub fn empty(receipt: Receipt) -> Self {
        Self { receipt, events: vec![], deliveries: vec![], memory: Memory::new(), is_new: true, duplicate_of: None }
    }
}

/// Event to store. Its id follows from its place: [`Ids::event`].
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Kind of the event.
    pub kind: &'static str,
    /// `workspace/slug`.
    pub repository: Option<String>,
    /// Subject of the event.
    pub subject: Option<String>,
    /// The event itself.
    pub content: Content,
    /// Routing decision.
    pub decision: StoredDecision,
}

/// Delivery to store, to the lane of its channel.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Event to deliver.
    pub event: EventId,
    /// Channel of the delivery.
    pub channel: ChannelName,
    /// Route that created the delivery.
    pub route: String,
    /// Template set by the route.
    pub template: Option<String>,
    /// Style set by the route.
    pub style: Option<Style>,
    /// Delivery that this one sends again.
    pub replay_of: Option<DeliveryId>,
    /// Request and kind of the event. Deliveries with the same values become one message, if channel, route, template
    /// and style are also the same.
    pub joins: Option<(RequestId, Kind)>,
    /// Further events in the message.
    pub also: Vec<EventId>,
}

impl NewDelivery {
    /// Creates a delivery that sends the event alone, for the first time, and as the channel is configured.
    pub fn new(event: EventId, channel: ChannelName, route: impl Into<String>) -> Self {
        Self {
            event,
            channel,
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
        let way = (delivery.channel.clone(), delivery.route.clone(), delivery.template.clone(), delivery.style);
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

/// Result of [`Intake::accept`](super::Intake::accept).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The request is new and stored.
    Stored {
        /// Receipt for the host.
        receipt: Receipt,
    },
    /// The request is a duplicate.
    Duplicate {
        /// Receipt of the earlier request.
        receipt: Receipt,
    },
}

/// A configuration that takes effect.
pub struct Assignment {
    /// Its number.
    pub generation: Generation,
    /// Lane of each channel.
    pub lanes: BTreeMap<ChannelName, Lane>,
    /// Routes the events that are still pending routing, if the configuration can route.
    pub route_pending: Option<RouteLater>,
}

/// Routes an event that was stored while the routing configuration was invalid. It is pure, and may run more than once.
pub type RouteLater = Arc<dyn Fn(PendingEvent) -> RoutedLater + Send + Sync>;

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
    /// Routing decision.
    pub decision: StoredDecision,
    /// New deliveries.
    pub deliveries: Vec<NewDelivery>,
}
