//! Processing of a parsed request: names its events from memory, routes them and creates their deliveries. Runs inside
//! the store's transaction, so that each request is stored atomically with what was decided about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::receipt;
use crate::config::{Settings, SourceEntry};
use crate::event::{Content, Event, EventId, Kind, RequestId};
use crate::memory::{Recall, Seen, seen};
use crate::routing::{Decision, RouteTarget, Subject};
use crate::store::{
    Decide, Decided, Ids, Known, NewDelivery, NewEvent, NewRequest, Receipt, RouteLater, RoutedLater, StoredDecision,
};
use crate::time::timestamp;

/// Receipt text of an event that arrives while the routing configuration is invalid.
const PENDING_ROUTING: &str =
    "the routing configuration is invalid; the event is stored and will be routed once the configuration is fixed";

/// A parsed request, and what is needed to decide on it.
pub(super) struct Incoming {
    pub(super) request: Arc<NewRequest>,
    pub(super) events: Vec<Event>,
    pub(super) note: Option<String>,
}

impl Incoming {
    /// Returns the function that the store runs.
    pub(super) fn decide(self: Arc<Self>, settings: Arc<Settings>) -> Decide {
        Arc::new(move |known, ids| self.decided(&settings, known, ids))
    }

    fn decided(&self, settings: &Settings, known: &Known, ids: &Ids) -> Decided {
        let NewRequest { source, hook, received_at, .. } = self.request.as_ref();
        let request = ids.request();
        let (mut decided, mut receipts) = (Decided::empty(Receipt::empty(request.clone())), vec![]);
        // The settings may have changed since the request was parsed.
        let entry = settings.sources.get(source);
        let named = entry.map_or(&[][..], |entry| entry.provider.named);
        let mut recall = Recall::new(source, named, &known.memory, *received_at);
        let seen = seen(&self.events, (hook.as_deref(), *received_at), known.same_body.as_ref(), &recall);
        if let Seen::Before(earlier) = seen {
            decided.duplicate_of = Some(earlier);
            return decided;
        }
        decided.is_new = seen == Seen::New;
        for event in &self.events {
            let mut event = event.clone();
            event.time = event.time.or_else(|| jiff::Timestamp::from_millisecond(*received_at).ok());
            if let Some(entry) = entry {
                event.words = entry.provider.words.clone();
            }
            recall.identify(&mut event);
            let suppressed = match (&seen, entry.and_then(|entry| foreign(entry, &event))) {
                (Seen::ByOtherHook(request), _) => {
                    Some(format!("duplicate: another webhook already sent this event as {request}"))
                }
                // Its content is not stored in memory either.
                (_, Some(why)) => Some(why.to_owned()),
                (_, None) => recall.name(&mut event).map(ToOwned::to_owned),
            };
            // A pull request that only a commit message claims is not verified.
            if let Some(push) = event.push.as_mut().filter(|push| push.via.is_none()) {
                push.pull_request = None;
            }
            let pending_routing = (settings.is_routing_invalid && suppressed.is_none()).then_some(PENDING_ROUTING);
            let at = timestamp(*received_at);
            let decision = match suppressed {
                Some(why) => Decision::suppressed(why),
                None => settings.router.decide(Subject { source, event: &event, at }),
            };
            receipts.push(receipt::of_event(&event, &decision, pending_routing));
            let kind = event.kind;
            let stored = NewEvent {
                kind: kind.as_str(),
                repository: event.repository.as_ref().and_then(|repository| repository.full_name.clone()),
                subject: event.subject(),
                content: Content::Event(Arc::new(event)),
                decision: match pending_routing {
                    Some(_) => StoredDecision::pending_routing(),
                    None => StoredDecision::new(&decision, &settings.kept.hash),
                },
            };
            let of = Origin { request: &request, event: &ids.event(decided.events.len()), kind };
            let new = deliveries(decision.sends, of, settings);
            decided.deliveries.extend(new);
            decided.events.push(stored);
        }
        decided.memory.extend(recall.into_memory());
        decided.receipt = receipt::of_request(&request, receipts, self.note.as_deref());
        decided
    }
}

/// Returns the reason why the source may not send this event, if any. Events that name a repository or workspace were
/// already checked when they were parsed. The name of a repository that is given only by its id may come from memory.
fn foreign(entry: &SourceEntry, event: &Event) -> Option<&'static str> {
    if entry.foreign_place(event).is_some() {
        return Some("this source may not send events for this repository");
    }
    let is_nowhere = event.place().is_none() && !entry.speaks_for_all();
    is_nowhere.then_some("the request does not name its repository, and no earlier one did")
}

/// Event of new deliveries.
#[derive(Clone, Copy)]
pub(in crate::service) struct Origin<'a> {
    pub(in crate::service) request: &'a RequestId,
    pub(in crate::service) event: &'a EventId,
    pub(in crate::service) kind: Kind,
}

/// Creates the deliveries of an event for storage.
pub(in crate::service) fn deliveries(sends: Vec<RouteTarget>, of: Origin<'_>, settings: &Settings) -> Vec<NewDelivery> {
    let served = sends.into_iter().filter_map(|send| {
        let channel = settings.channels.get(&send.channel)?;
        settings.lanes.contains_key(&send.channel).then_some((send, channel))
    });
    let deliveries = served.map(|(send, channel)| {
        // A program receives every event. A person gets one message for all refs of a push that moved in the same way.
        let is_drawn = !channel.kind.takes_events();
        NewDelivery {
            template: send.template,
            style: send.style,
            joins: (is_drawn && of.kind.is_of_ref()).then(|| (of.request.clone(), of.kind)),
            ..NewDelivery::new(of.event.clone(), send.channel, send.route)
        }
    });
    deliveries.collect()
}

/// Number of routed events.
pub(in crate::service) type Count = Arc<AtomicU64>;

/// Routes events that arrived while the routing configuration was invalid, and counts them.
pub(in crate::service) fn route_pending(settings: Arc<Settings>, routed: Count) -> RouteLater {
    Arc::new(move |pending| {
        routed.fetch_add(1, Ordering::Relaxed);
        let (kind, decision) = match serde_json::from_value::<Event>(pending.json) {
            Ok(event) => {
                let at = timestamp(pending.received_at);
                (event.kind, settings.router.decide(Subject { source: &pending.source, event: &event, at }))
            }
            Err(error) => (Kind::Other, Decision::suppressed(format!("the stored event cannot be read: {error}"))),
        };
        let stored = StoredDecision::new(&decision, &settings.kept.hash);
        let of = Origin { request: &pending.request, event: &pending.event, kind };
        RoutedLater { decision: stored, deliveries: deliveries(decision.sends, of, &settings) }
    })
}
