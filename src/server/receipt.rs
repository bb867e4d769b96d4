//! Receipt: the response to a stored request. Hosts show it to the people who manage the webhook, so that they see
//! where an event was routed, or why it was not. It never contains a destination address or a secret.

use serde::Serialize;

use crate::event::{ChannelName, Event, Push, RequestId};
use crate::routing::{Decision, Held, NearMiss};
use crate::text::cut_text;

/// Maximum size of a receipt in bytes.
const MAX_BYTES: usize = 4 * 1024;

/// Number of refs that each event keeps before whole events are left out.
const MIN_REFS: usize = 3;

/// Minimum size of an event in a receipt, in bytes.
const MIN_EVENT_BYTES: usize = 40;

/// Receipt of one event.
#[derive(PartialEq, Serialize)]
pub(super) struct EventReceipt {
    kind: &'static str,
    key: String,
    /// Branches or tags of the event. Events that differ only in these are merged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refs: Vec<String>,
    /// Number of refs that did not fit.
    #[serde(skip_serializing_if = "is_zero")]
    more_refs: usize,
    routes: Vec<RouteReceipt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    muted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressed: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    held: Vec<Held>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    near_misses: Vec<NearMiss>,
    /// Explanation, if routing is pending because the routing configuration is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_routing: Option<&'static str>,
}

#[derive(PartialEq, Serialize)]
struct RouteReceipt {
    route: String,
    channels: Vec<ChannelName>,
}

/// Builds the receipt of one event.
pub(super) fn of_event(event: &Event, decision: &Decision, pending_routing: Option<&'static str>) -> EventReceipt {
    let routes = decision.matched.iter().map(|route| RouteReceipt {
        route: route.clone(),
        channels: decision.sends.iter().filter(|s| s.route == *route).map(|s| s.channel.clone()).collect(),
    });
    EventReceipt {
        kind: event.kind.as_str(),
        key: event.key.clone(),
        refs: event.push.as_ref().and_then(Push::name).map(cut_ref).into_iter().collect(),
        more_refs: 0,
        routes: routes.collect(),
        muted: decision.muted.clone(),
        suppressed: decision.suppressed.clone(),
        held: decision.held.clone(),
        near_misses: decision.near_misses.clone(),
        pending_routing,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Maximum length of a ref name in a receipt, in UTF-16 units.
const MAX_REF: usize = 100;

fn cut_ref(name: &str) -> String {
    cut_text(name, MAX_REF)
}

/// Merges consecutive events that differ only in their refs.
fn merged(events: Vec<EventReceipt>) -> Vec<EventReceipt> {
    let mut all: Vec<EventReceipt> = vec![];
    for mut event in events {
        let refs = std::mem::take(&mut event.refs);
        if let Some(last) = all.last_mut().filter(|_| !refs.is_empty()) {
            let known = std::mem::take(&mut last.refs);
            let is_same = *last == event;
            last.refs = known;
            if is_same {
                last.refs.extend(refs);
                continue;
            }
        }
        all.push(EventReceipt { refs, ..event });
    }
    all
}

/// Receipt of one request.
#[derive(Serialize)]
struct RequestReceipt<'a> {
    request: &'a str,
    events: &'a [EventReceipt],
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    /// Number of events that did not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    more_events: Option<usize>,
}

/// Builds the receipt of a request as JSON. Leaves out what does not fit: first near misses and held channels, then
/// refs, then events.
pub(super) fn of_request(id: &RequestId, events: Vec<EventReceipt>, note: Option<&str>) -> String {
    let mut events = merged(events);
    let json = |events: &[EventReceipt], more: usize| {
        let more_events = Some(more).filter(|more| *more > 0);
        serde_json::to_string(&RequestReceipt { request: id.as_str(), events, note, more_events }).unwrap_or_default()
    };
    let full = json(&events, 0);
    if full.len() <= MAX_BYTES {
        return full;
    }
    for event in &mut events {
        event.near_misses.clear();
        event.held.clear();
    }
    events = merged(events);
    let total = events.len();
    // No more events than this can fit. Truncating first keeps the loop below short.
    events.truncate(MAX_BYTES / MIN_EVENT_BYTES);
    loop {
        let json = json(&events, total - events.len());
        if json.len() <= MAX_BYTES || events.is_empty() {
            return json;
        }
        if let Some(event) = events.iter_mut().rev().find(|event| event.refs.len() > MIN_REFS) {
            let kept = (event.refs.len() * 3 / 4).max(MIN_REFS);
            event.more_refs += event.refs.len() - kept;
            event.refs.truncate(kept);
        } else {
            events.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Kind, RefKind};

    fn events(count: usize, name: impl Fn(usize) -> String) -> Vec<EventReceipt> {
        let push = |n: usize| {
            let json = serde_json::json!({
                "ref_kind": RefKind::Tag, "tag": name(n), "created": true, "deleted": false, "forced": false,
                "truncated": false, "commits": [], "count": 0,
            });
            serde_json::from_value(json).unwrap()
        };
        let event = |n| Event { push: Some(push(n)), ..Event::new(Kind::TagCreated, "repo:push") };
        (0..count).map(|n| of_event(&event(n), &Decision::default(), None)).collect()
    }

    #[test]
    fn receipt_lists_refs_with_the_same_routing_as_one_event() {
        let of =
            |events| serde_json::from_str::<serde_json::Value>(&of_request(&"req_1".into(), events, None)).unwrap();
        let few = of(events(3, |n| format!("v{n}")));
        assert_eq!(few["events"][0]["refs"], serde_json::json!(["v0", "v1", "v2"]));
        assert_eq!(
            (few["events"].as_array().unwrap().len(), &few["events"][0]["more_refs"]),
            (1, &serde_json::Value::Null)
        );
        let json = of_request(&"req_1".into(), events(1_000, |n| format!("release/{n:0>90}")), None);
        assert!(json.len() <= MAX_BYTES, "{}", json.len());
        let many: serde_json::Value = serde_json::from_str(&json).unwrap();
        let listed = many["events"][0]["refs"].as_array().unwrap().len();
        assert!(listed > 20 && many["events"][0]["more_refs"] == 1_000 - listed, "{many}");
    }
}
