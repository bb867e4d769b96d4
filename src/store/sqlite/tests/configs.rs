//! Stored rules, and events that were stored while the routing configuration was invalid.

use super::*;
use crate::store::RoutedLater;

/// Returns a decision with an event that is routed later.
fn later(text: &str) -> Decide {
    let says = says(text, &[]);
    Arc::new(move |known, ids| {
        let mut decided = says(known, ids);
        decided.events.iter_mut().for_each(|event| event.decision = StoredDecision::pending_routing());
        decided
    })
}

/// Routes each event to `a`, except those with the text `unrouted`.
fn to_a() -> RouteLater {
    Arc::new(|pending| {
        let sends = new_delivery(pending.event, "a");
        let deliveries = if pending.json["text"] == "unrouted" { vec![] } else { vec![sends] };
        RoutedLater {
            decision: StoredDecision { config: Some("now".to_owned()), ..StoredDecision::default() },
            deliveries,
        }
    })
}

async fn pending_routing(store: &SqliteStore) -> usize {
    let filter = Filter { state: Some(State::PendingRouting), limit: 100, ..Filter::default() };
    store.deliveries(filter).await.unwrap().len()
}

#[tokio::test]
async fn pending_routing_survives_restarts_and_is_decided_once_in_order() {
    let Fixture { directory, store } = open();
    for text in ["one", "unrouted", "two", "three"] {
        store.accept(request(None).into(), Generation::default(), later(text)).await.unwrap();
    }
    drop(store);
    let store = SqliteStore::open(&directory.path().join("h.db")).unwrap();
    assert_eq!((pending_routing(&store).await, store.counts().await.unwrap().pending_routing), (4, 4));
    // It is not deleted, although it is old.
    let keep = Retention { all: Duration::ZERO, raw: Duration::ZERO };
    set_clock(now() + MINUTE);
    while store.prune(keep).await.unwrap() {}
    assert!(store.route_pending(to_a(), 3).await.unwrap(), "there are more events");
    assert_eq!(waiting(&store, "a").await, ["one", "two"]);
    assert!(!store.route_pending(to_a(), 3).await.unwrap());
    assert!(!store.route_pending(to_a(), 3).await.unwrap());
    assert_eq!(waiting(&store, "a").await, ["one", "two", "three"]);
    let events = store.events(Filter { limit: 10, ..Filter::default() }).await.unwrap();
    assert!(
        events.iter().all(|event| event.decision.config.is_some() && !event.decision.pending_routing),
        "{events:?}"
    );
    assert_eq!(pending_routing(&store).await, 0);
}

/// Concurrent requests are decided either by the old rules or by the new ones, and keep their order.
#[tokio::test(flavor = "multi_thread")]
async fn settings_change_between_two_requests() {
    let f = open();
    let generation = Arc::new(AtomicU64::new(1));
    let accept = async |n: usize| {
        loop {
            let known = generation.load(Ordering::Relaxed);
            let text = n.to_string();
            let decide = if known == 1 { later(&text) } else { says(&text, &["a"]) };
            match f.store.accept(request(None).into(), Generation(known), decide).await {
                Err(StoreError::Outdated) => tokio::task::yield_now().await,
                accepted => return accepted.unwrap(),
            }
        }
    };
    let change = async || {
        let assignment =
            Assignment { generation: Generation(2), route_pending: Some(to_a()), ..assignment(&[("a", "a")]) };
        f.store.assign(assignment).await.unwrap();
        generation.store(2, Ordering::Relaxed);
    };
    let requests = async |from: usize| {
        for n in from..from + 40 {
            accept(n).await;
        }
    };
    let changing = async {
        tokio::task::yield_now().await;
        change().await;
    };
    tokio::join!(requests(0), changing, requests(100));
    assert_eq!(pending_routing(&f.store).await, 0);
    let came = waiting(&f.store, "a").await.iter().map(|n| n.parse::<usize>().unwrap()).collect::<Vec<_>>();
    assert_eq!(came.len(), 80);
    for from in [0, 100] {
        let of_one: Vec<_> = came.iter().copied().filter(|n| (from..from + 40).contains(n)).collect();
        assert_eq!(of_one, (from..from + 40).collect::<Vec<_>>(), "in the order in which they were stored");
    }
}

#[tokio::test]
async fn rules_are_kept_with_their_decisions() {
    let f = open();
    let (day, at) = (24 * 60 * MINUTE, now());
    set_clock(at - 40 * day);
    f.store.keep_config("old", "{}").await.unwrap();
    f.store.keep_config("used", "{}").await.unwrap();
    set_clock(at);
    f.store.keep_config("used", "not what it was").await.unwrap();
    f.store.prune(Retention::default()).await.unwrap();
    assert_eq!(f.store.config("old").await.unwrap(), None);
    assert_eq!(f.store.config("used").await.unwrap().as_deref(), Some("{}"));
}
