//! What follows from a request: its events, named by what is remembered and routed by the rules, and who is to hear of
//! them. It runs within the store's transaction, so that it is decided once and stored whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::receipt;
use crate::chat;
use crate::config::{Live, Settings, SourceEntry};
use crate::event::{DeliveryId, Event, EventId, Kind, RequestId, SourceName};
use crate::memory::{Memory, Recall, Seen, seen, subjects};
use crate::routing::{Decision, Send, Subject};
use crate::store::{Decide, Decided, Duplicate, Millis, NewDelivery, NewEvent, Settle, Settled, moment};

/// What is told of an event that comes while the rules are broken.
const UNDECIDED: &str = "the rules have mistakes: the event is kept, and routed when they are mended";

/// A request, understood, and what to decide on it with.
pub(super) struct Incoming {
    pub(super) live: Live,
    pub(super) id: RequestId,
    pub(super) source: SourceName,
    pub(super) hook: Option<String>,
    pub(super) events: Vec<Event>,
    pub(super) note: Option<String>,
    pub(super) received_at: Millis,
    /// What its body is remembered as: [`subject_of_body`](crate::memory::subject_of_body).
    pub(super) body: String,
}

impl Incoming {
    /// What must be remembered to decide.
    pub(super) fn subjects(&self) -> Vec<String> {
        let mut subjects = subjects(&self.source, &self.events);
        subjects.push(self.body.clone());
        subjects
    }

    /// What the store is to run.
    pub(super) fn decide(self: Arc<Self>) -> Decide {
        Box::new(move |memory| self.decided(memory))
    }

    /// Whether all events have the same actor and the same repository, so that these need be stored once alone.
    fn shared(&self) -> bool {
        let same = |one: &Event, other: &Event| {
            let actor =
                one.actor.as_ref().zip(other.actor.as_ref()).is_some_and(|(one, other)| Arc::ptr_eq(one, other));
            let repository = one.repository.as_ref().zip(other.repository.as_ref());
            actor && repository.is_some_and(|(one, other)| Arc::ptr_eq(one, other))
        };
        self.events.first().is_some_and(|first| self.events.iter().all(|event| same(first, event)))
    }

    fn decided(&self, memory: &Memory) -> Decided {
        let (mut decided, mut receipts) = (Decided::default(), vec![]);
        let mut recall = Recall::new(&self.source, memory, self.received_at);
        let by = (self.hook.as_deref(), &self.id, self.received_at);
        let seen = seen((&self.body, &self.events), by, &recall, &mut decided.memory);
        if let Seen::Before(request) = seen {
            decided.duplicate_of = Some(Duplicate { request: request.into(), subject: self.body.clone() });
            return decided;
        }
        let shared = self.shared();
        // What is in use when it is stored, not when it came: a reload happens between two requests.
        let settings = self.live.now();
        let entry = settings.sources.get(&self.source);
        for event in &self.events {
            let mut event = event.clone();
            event.time = event.time.or_else(|| jiff::Timestamp::from_millisecond(self.received_at).ok());
            recall.identify(&mut event);
            let silent = match (&seen, entry.and_then(|entry| foreign(entry, &event))) {
                (Seen::ByOtherHook(request), _) => {
                    Some(format!("another webhook sent the same event just before, as {request}"))
                }
                // What it says is not remembered either.
                (_, Some(why)) => Some(why.to_owned()),
                (_, None) => recall.name(&mut event).map(ToOwned::to_owned),
            };
            // What a commit's message claims, and nobody looked into, is not so.
            if let Some(push) = event.push.as_mut().filter(|push| push.via.is_none()) {
                push.pull_request = None;
            }
            let undecided = (settings.is_undecided && silent.is_none()).then_some(UNDECIDED);
            let at = moment(self.received_at);
            let decision = match silent {
                Some(why) => Decision::silent(why),
                None => settings.router.decide(Subject { source: &self.source, event: &event, at }),
            };
            receipts.push(receipt::of_event(&event, &decision, undecided));
            let kind = event.kind;
            let stored = NewEvent {
                id: EventId::fresh(),
                kind: kind.as_str(),
                repository: event.repository.as_ref().and_then(|repository| repository.full_name.clone()),
                subject: event.subject(),
                json: json_of(event, shared && !decided.events.is_empty()),
                same: if shared { decided.events.first().map(|first| first.id.clone()) } else { None },
                decision: match undecided {
                    Some(_) => json!({ "undecided": true }).to_string(),
                    None => explained(&decision, &settings).to_string(),
                },
                is_undecided: undecided.is_some(),
            };
            decided.deliveries.extend(deliveries(decision.sends, (&self.id, &stored.id, kind), &settings));
            decided.events.push(stored);
        }
        decided.memory.extend(recall.into_memory());
        decided.receipt = receipt::of_request(&self.id, receipts, self.note.as_deref());
        decided
    }
}

/// An event as it is stored; without what it shares with the first one of its request, if that is stored there.
fn json_of(mut event: Event, is_stored_elsewhere: bool) -> String {
    if is_stored_elsewhere {
        (event.actor, event.repository) = (None, None);
    }
    serde_json::to_string(&event).unwrap_or_default()
}

/// Why an event is not one that its source may speak of. What names a repository or a workspace itself was looked at
/// before; a repository that is named by its id alone may have its name from memory.
fn foreign(entry: &SourceEntry, event: &Event) -> Option<&'static str> {
    match event.place() {
        Some(place) if entry.repo.matches(&place) => None,
        Some(_) => Some("this source may not speak for this repository"),
        None if entry.speaks_for_all() => None,
        None => Some("the request does not name its repository, and no earlier one did"),
    }
}

/// Where an event of a request is sent, as it is stored.
pub(super) fn deliveries(
    sends: Vec<Send>,
    (request, event, kind): (&RequestId, &EventId, Kind),
    settings: &Settings,
) -> Vec<NewDelivery> {
    let sends = sends.into_iter().filter_map(|send| {
        // A program gets each event; a reader, one message about all refs of a push that moved in the same way.
        let is_drawn =
            settings.channels.get(&send.channel).and_then(|channel| chat::kind(channel.kind)?.draw).is_some();
        Some(NewDelivery {
            id: DeliveryId::fresh(),
            event: event.clone(),
            lane: settings.lanes.get(&send.channel)?.clone(),
            channel: send.channel,
            route: send.route,
            template: send.template,
            style: send.style.map(|style| style.as_str().to_owned()),
            replay_of: None,
            joins: (is_drawn && kind.is_of_ref()).then(|| (request.clone(), kind)),
            also: vec![],
        })
    });
    sends.collect()
}

/// How many events were routed.
pub(super) type Count = Arc<AtomicU64>;

/// Routes events that came while the rules were broken, by these, and counts them.
pub(super) fn settle(settings: Arc<Settings>, routed: Count) -> Settle {
    Box::new(move |undecided| {
        routed.fetch_add(1, Ordering::Relaxed);
        let (kind, decision) = match serde_json::from_value::<Event>(undecided.json) {
            Ok(event) => {
                let at = moment(undecided.received_at);
                (event.kind, settings.router.decide(Subject { source: &undecided.source, event: &event, at }))
            }
            Err(error) => (Kind::Other, Decision::silent(format!("it cannot be read any more: {error}"))),
        };
        let explained = explained(&decision, &settings).to_string();
        let of = (&undecided.request, &undecided.event, kind);
        Settled { decision: explained, deliveries: deliveries(decision.sends, of, &settings) }
    })
}

/// How an event was routed, in short; with the config of that hash the rest can be told again.
fn explained(decision: &Decision, settings: &Settings) -> Value {
    let sends = decision.sends.iter().map(|send| json!({ "route": send.route, "channel": send.channel }));
    json!({
        "config": settings.kept.hash,
        "matched": decision.matched,
        "sends": sends.collect::<Vec<_>>(),
        "muted": decision.muted,
        "silent": decision.silent,
        "held": decision.held,
    })
}
