//! What a host is told of a request that was stored. Hosts show it to those who look after the webhook, so that
//! they see where an event went, or why nowhere. Never an address or a secret.

use serde::Serialize;

use crate::event::{ChannelName, Event, RequestId};
use crate::routing::{Decision, Held, Near};

/// The most bytes that a receipt may have.
const LARGEST: usize = 4 * 1024;

/// The fewest bytes that an event takes.
const SMALLEST_EVENT: usize = 40;

/// What is told of one event.
#[derive(Serialize)]
pub(super) struct EventReceipt {
    kind: &'static str,
    key: String,
    routes: Vec<RouteReceipt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    muted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    held: Vec<Held>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    near: Vec<Near>,
    /// The rules are broken; it is routed when they are mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    undecided: Option<&'static str>,
}

#[derive(Serialize)]
struct RouteReceipt {
    route: String,
    channels: Vec<ChannelName>,
}

/// What is told of one event.
pub(super) fn of_event(event: &Event, decision: &Decision, undecided: Option<&'static str>) -> EventReceipt {
    let routes = decision.matched.iter().map(|route| RouteReceipt {
        route: route.clone(),
        channels: decision.sends.iter().filter(|s| s.route == *route).map(|s| s.channel.clone()).collect(),
    });
    EventReceipt {
        kind: event.kind.as_str(),
        key: event.key.clone(),
        routes: routes.collect(),
        muted: decision.muted.clone(),
        silent: decision.silent.clone(),
        held: decision.held.clone(),
        near: decision.near.clone(),
        undecided,
    }
}

/// What is told of a request.
#[derive(Serialize)]
struct RequestReceipt<'a> {
    request: &'a str,
    events: &'a [EventReceipt],
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    /// How many events there is no room for.
    #[serde(skip_serializing_if = "Option::is_none")]
    more_events: Option<usize>,
}

/// The whole receipt, as JSON. What does not fit is left out from its least telling part on.
pub(super) fn of_request(id: &RequestId, mut events: Vec<EventReceipt>, note: Option<&str>) -> String {
    let total = events.len();
    // No more than these could fit, so that leaving out one after the other takes little time.
    events.truncate(LARGEST / SMALLEST_EVENT);
    loop {
        let receipt = RequestReceipt {
            request: id.as_str(),
            events: &events,
            note,
            more_events: Some(total - events.len()).filter(|more| *more > 0),
        };
        let json = serde_json::to_string(&receipt).unwrap_or_default();
        if json.len() <= LARGEST || events.is_empty() {
            return json;
        }
        let spare = events.iter_mut().rev().find(|event| !event.near.is_empty() || !event.held.is_empty());
        if let Some(event) = spare {
            event.near.clear();
            event.held.clear();
        } else {
            events.pop();
        }
    }
}
