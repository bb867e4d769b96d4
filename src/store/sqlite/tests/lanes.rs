//! Leases, results and states of lanes.

use super::*;

#[tokio::test]
async fn finished_deliveries_leave_the_queue_and_failed_ones_stay() {
    let f = open();
    accept(&f.store, "one", &["a"]).await;
    accept(&f.store, "two", &["a"]).await;
    assert_eq!(lease(&f.store, "a", OWNER).await, HELD);
    assert!(finish_first(&f.store, "a", NextState::Queued { strike: true }).await);
    let head = f.store.heads(&lane("a"), 1).await.unwrap().remove(0);
    assert_eq!((head.event.event()["text"].as_str(), head.attempts, head.strikes), (Some("one"), 1, 1));
    assert!(finish_first(&f.store, "a", DELIVERED).await);
    assert_eq!(waiting(&f.store, "a").await, ["two"]);
}

#[tokio::test]
async fn only_the_lease_holder_can_finish() {
    let f = open();
    accept(&f.store, "one", &["a"]).await;
    assert!(!finish_first(&f.store, "a", DELIVERED).await, "no one holds the lease");
    assert_eq!(lease(&f.store, "a", "another owner").await, HELD);
    assert_eq!(lease(&f.store, "a", OWNER).await, Lease::Taken);
    assert!(!finish_first(&f.store, "a", DELIVERED).await, "another owner holds the lease");
    assert_eq!(waiting(&f.store, "a").await, ["one"]);
    f.store.release(&lane("a"), OWNER).await.unwrap();
    assert_eq!(lease(&f.store, "a", OWNER).await, Lease::Taken, "only the owner can release a lane");
    f.store.release(&lane("a"), "another owner").await.unwrap();
    assert_eq!(lease(&f.store, "a", OWNER).await, HELD);
    assert_eq!(lease(&f.store, "b", "another owner").await, HELD);
    set_clock(now() + MINUTE + 1_000);
    assert_eq!(lease(&f.store, "b", OWNER).await, HELD, "that lease has expired");
}

#[tokio::test]
async fn clock_set_back_does_not_lengthen_waits() {
    let f = open();
    accept(&f.store, "one", &["a"]).await;
    lease(&f.store, "a", OWNER).await;
    let head = f.store.heads(&lane("a"), 1).await.unwrap().remove(0);
    let turn = Turn { pause: 5_000, is_asked: true, ..turn(&head.id, NextState::Queued { strike: false }) };
    let then = now();
    set_clock(then);
    f.store.finish(&lane("a"), OWNER, turn.into()).await.unwrap();
    for (what, at, wait) in [("at once", then, 5), ("an hour back", then - 60 * MINUTE, 5), ("later", then + MINUTE, 0)]
    {
        set_clock(at);
        let lease = lease(&f.store, "a", OWNER).await;
        assert_eq!(lease, Lease::Held { wait: Duration::from_secs(wait), failing: true, is_asked: true }, "{what}");
    }
}

#[tokio::test]
async fn reclaimed_lane_marks_unknown_outcomes() {
    let Fixture { directory, store } = open();
    let path = directory.path().join("h.db");
    for name in ["killed", "stopped", "waited", "idle"] {
        if name != "idle" {
            accept(&store, name, &[name]).await;
        }
        assert_eq!(lease(&store, name, OWNER).await, HELD);
    }
    store.release(&lane("stopped"), OWNER).await.unwrap();
    let head = store.heads(&lane("waited"), 1).await.unwrap().remove(0);
    let waits = Turn { pause: MINUTE, ..turn(&head.id, NextState::Queued { strike: false }) };
    store.finish(&lane("waited"), OWNER, waits.into()).await.unwrap();
    drop(store);

    let store = SqliteStore::open(&path).unwrap();
    for (name, outcomes) in [("killed", &["unknown"][..]), ("stopped", &[]), ("waited", &["io"]), ("idle", &[])] {
        assert!(matches!(lease(&store, name, "another run").await, Lease::Held { .. }), "{name}");
        assert!(matches!(lease(&store, name, "another run").await, Lease::Held { .. }), "{name}, once more");
        let Some(head) = store.heads(&lane(name), 1).await.unwrap().pop() else { continue };
        let attempt_log = store.delivery(&head.id).await.unwrap().unwrap().attempt_log;
        let actual: Vec<_> = attempt_log.iter().map(|attempt| attempt.outcome.as_str()).collect();
        assert_eq!(actual, outcomes, "{name}");
    }
}

#[tokio::test]
async fn closed_or_paused_lane_is_not_leased() {
    let Fixture { directory, store } = open();
    accept(&store, "one", &["a"]).await;
    assert_eq!(lease(&store, "a", OWNER).await, HELD);
    let head = store.heads(&lane("a"), 1).await.unwrap().remove(0);
    let closed = LaneState::Closed { reason: "gone".to_owned(), help: Some("make a new one".to_owned()) };
    let closing = Turn { close: Some(closed.clone()), ..turn(&head.id, NextState::Queued { strike: false }) };
    assert!(store.finish(&lane("a"), OWNER, closing.into()).await.unwrap());
    assert_eq!(lease(&store, "a", OWNER).await, Lease::Shut);
    drop(store);
    let store = SqliteStore::open(&directory.path().join("h.db")).unwrap();
    assert_eq!(lease(&store, "a", OWNER).await, Lease::Shut, "after a restart too");
    let counts = store.counts().await.unwrap().lanes[&lane("a")].clone();
    assert_eq!((counts.state, counts.queued), (closed, 1));
    assert!(counts.since.is_some());
    store.set_lane(&lane("a"), LaneState::Paused { reason: None }).await.unwrap();
    assert_eq!(lease(&store, "a", OWNER).await, Lease::Shut);
    store.set_lane(&lane("a"), LaneState::Open).await.unwrap();
    assert_eq!(lease(&store, "a", OWNER).await, HELD);
    // A lane without a channel is deleted, with the reason why it was closed.
    store.set_lane(&lane("a"), LaneState::Closed { reason: "gone".to_owned(), help: None }).await.unwrap();
    store.assign(assignment(&[("a", "elsewhere")])).await.unwrap();
    store.assign(assignment(&[("a", "a")])).await.unwrap();
    assert_eq!(lease(&store, "a", OWNER).await, HELD);
    assert_eq!(waiting(&store, "a").await, ["one"]);
    // A paused lane stays paused.
    store.set_lane(&lane("a"), LaneState::Paused { reason: None }).await.unwrap();
    store.assign(assignment(&[])).await.unwrap();
    store.assign(assignment(&[("a", "a")])).await.unwrap();
    assert_eq!(lease(&store, "a", OWNER).await, Lease::Shut);
}

/// A failing lane marks the message that it is about to send: only that message may have been in flight.
#[tokio::test]
async fn failing_lane_marks_the_message_with_unknown_outcome() {
    let Fixture { directory, store } = open();
    accept(&store, "one", &["a"]).await;
    accept(&store, "two", &["a"]).await;
    lease(&store, "a", OWNER).await;
    let heads = store.heads(&lane("a"), 2).await.unwrap();
    let failed = Turn { pause: MINUTE, ..turn(&heads[0].id, NextState::Queued { strike: true }) };
    store.finish(&lane("a"), OWNER, failed.into()).await.unwrap();
    store.mark(&lane("a"), OWNER, &heads[1].id).await.unwrap();
    drop(store);
    let store = SqliteStore::open(&directory.path().join("h.db")).unwrap();
    let outcomes = async |id| {
        let attempt_log = store.delivery(id).await.unwrap().unwrap().attempt_log;
        attempt_log.into_iter().map(|attempt| attempt.outcome.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(&heads[0].id).await, ["io"]);
    assert_eq!(outcomes(&heads[1].id).await, ["unknown"]);
}

#[tokio::test]
async fn heads_are_read_ahead_within_a_size_limit() {
    let f = open();
    for _ in 0..4 {
        accept(&f.store, &"x".repeat(100_000), &["a"]).await;
    }
    assert_eq!(f.store.heads(&lane("a"), 32).await.unwrap().len(), 2);
    accept(&f.store, &"x".repeat(1_000_000), &["b"]).await;
    assert_eq!(f.store.heads(&lane("b"), 32).await.unwrap().len(), 1, "one may be larger");
}
