//! Builds the receipt of a request, within its maximum size: where each event was routed, or why it was not.

use crate::event::{Event, Push, RequestId};
use crate::routing::Decision;
use crate::store::{EventReceipt, Receipt, RouteReceipt};
use crate::text::cut_text;

/// Maximum size of a receipt in bytes.
const MAX_BYTES: usize = 4 * 1024;

/// Number of refs that each event keeps before whole events are left out.
const MIN_REFS: usize = 3;

/// Minimum size of an event in a receipt, in bytes.
const MIN_EVENT_BYTES: usize = 40;

/// Builds the receipt of one event.
pub(super) fn of_event(event: &Event, decision: &Decision, pending_routing: Option<&'static str>) -> EventReceipt {
    let routes = decision.matched.iter().map(|route| RouteReceipt {
        route: route.clone(),
        channels: decision.sends.iter().filter(|s| s.route == *route).map(|s| s.channel.clone()).collect(),
    });
    EventReceipt {
        kind: event.kind.as_str().into(),
        key: event.key.clone(),
        refs: event.push.as_ref().and_then(Push::name).map(cut_ref).into_iter().collect(),
        more_refs: 0,
        routes: routes.collect(),
        muted: decision.muted.clone(),
        suppressed: decision.suppressed.clone(),
        held: decision.held.clone(),
        near_misses: decision.near_misses.clone(),
        pending_routing: pending_routing.map(Into::into),
    }
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

/// Builds the receipt of a request. Leaves out what does not fit: first near misses and held channels, then refs, then
/// events.
pub(super) fn of_request(request: &RequestId, events: Vec<EventReceipt>, note: Option<&str>) -> Receipt {
    let note = note.map(ToOwned::to_owned);
    let mut receipt = Receipt { request: request.clone(), events: merged(events), note, more_events: 0 };
    if size(&receipt) <= MAX_BYTES {
        return receipt;
    }
    for event in &mut receipt.events {
        event.near_misses.clear();
        event.held.clear();
    }
    receipt.events = merged(receipt.events);
    let total = receipt.events.len();
    // No more events than this can fit. Truncating first keeps the loop below short.
    receipt.events.truncate(MAX_BYTES / MIN_EVENT_BYTES);
    loop {
        receipt.more_events = total - receipt.events.len();
        if size(&receipt) <= MAX_BYTES || receipt.events.is_empty() {
            return receipt;
        }
        if let Some(event) = receipt.events.iter_mut().rev().find(|event| event.refs.len() > MIN_REFS) {
            let kept = (event.refs.len() * 3 / 4).max(MIN_REFS);
            event.more_refs += event.refs.len() - kept;
            event.refs.truncate(kept);
        } else {
            receipt.events.pop();
        }
    }
}

/// Returns the size of a receipt as JSON, in bytes.
fn size(receipt: &Receipt) -> usize {
    serde_json::to_string(receipt).map_or(0, |json| json.len())
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
        let of = |events| of_request(&"req_1".into(), events, None);
        let few = of(events(3, |n| format!("v{n}")));
        assert_eq!(few.events[0].refs, ["v0", "v1", "v2"]);
        assert_eq!((few.events.len(), few.events[0].more_refs), (1, 0));
        let many = of(events(1_000, |n| format!("release/{n:0>90}")));
        assert!(size(&many) <= MAX_BYTES, "{}", size(&many));
        let listed = many.events[0].refs.len();
        assert!(listed > 20 && many.events[0].more_refs == 1_000 - listed, "{many:?}");
    }
}
