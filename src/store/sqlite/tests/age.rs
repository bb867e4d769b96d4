//! Deletion of expired data, and data that is never deleted.

use super::*;

const DAY: Millis = 24 * 60 * 60 * 1000;

#[tokio::test]
async fn old_records_are_pruned_but_never_queued_ones() {
    let f = open();
    let today = now();
    for (days, key) in [(40, "delivered"), (40, "queued"), (10, "of last week"), (0, "new")] {
        set_clock(today - days * DAY);
        f.store.accept(request(Some(key)).into(), Generation::default(), says(key, &["a"])).await.unwrap();
    }
    lease(&f.store, "a", OWNER).await;
    assert!(finish_first(&f.store, "a", DELIVERED).await);
    while f.store.prune(Retention::default()).await.unwrap() {}
    assert_eq!(waiting(&f.store, "a").await, ["queued", "of last week", "new"]);
    assert_eq!(count(&f.store, "requests").await, 3);
    assert_eq!(count(&f.store, "bodies").await, 1, "the body of today");
    assert_eq!((count(&f.store, "events").await, count(&f.store, "deliveries").await), (3, 3));
    assert_eq!(count(&f.store, "attempts").await, 0);
    assert!(matches!(
        f.store.accept(request(Some("new")).into(), Generation::default(), says("x", &[])).await.unwrap(),
        Accepted::Duplicate { .. }
    ));
}

#[tokio::test]
async fn pruning_runs_in_small_steps() {
    let f = open();
    set_clock(now() - 40 * DAY);
    for n in 0..450 {
        let old = request(Some(&n.to_string()));
        f.store.accept(old.into(), Generation::default(), says("x", &[])).await.unwrap();
    }
    let last = f.store.events(Filter { limit: 1, ..Filter::default() }).await.unwrap().remove(0);
    set_clock(now());
    let mut left = vec![];
    while f.store.prune(Retention::default()).await.unwrap() {
        left.push(count(&f.store, "requests").await);
    }
    assert_eq!(left, [250, 50]);
    for table in ["requests", "events", "bodies"] {
        assert_eq!(count(&f.store, table).await, 0, "{table}");
    }
    // No number is used twice, even if the clock is set back.
    set_clock(now() - 40 * DAY);
    f.store.accept(request(None).into(), Generation::default(), says("x", &[])).await.unwrap();
    let new = f.store.events(Filter { limit: 1, ..Filter::default() }).await.unwrap().remove(0);
    assert!(new.id > last.id, "{} after {}", new.id, last.id);
}

#[tokio::test]
async fn states_of_subjects_expire_later_than_requests() {
    let f = open();
    let remember = |subject: &str, at: Millis| {
        let state = [(subject.to_owned(), json!({}))];
        let decide: Decide = Arc::new(move |_, _| Decided {
            memory: state.clone().into(),
            ..Decided::empty(Receipt::empty("req_1".into()))
        });
        f.store.accept(NewRequest { received_at: at, ..request(None) }.into(), Generation::default(), decide)
    };
    remember("s/pr:old", now() - 100 * DAY).await.unwrap();
    remember("s/pr:ancient", now() - 200 * DAY).await.unwrap();
    assert_eq!(count(&f.store, "memory").await, 2);
    f.store.prune(Retention::default()).await.unwrap();
    assert_eq!(count(&f.store, "memory WHERE subject = 's/pr:old'").await, 1);
    assert_eq!(count(&f.store, "memory").await, 1);
}

/// A step looks at a part of the subjects, and the next one at those behind it.
#[tokio::test]
async fn all_subjects_are_looked_at_in_turn() {
    let f = open();
    let old: crate::memory::Memory = (0..2_500).map(|n| (format!("s/pr:{n}"), json!({}))).collect();
    let decide: Decide =
        Arc::new(move |_, _| Decided { memory: old.clone(), ..Decided::empty(Receipt::empty("req_1".into())) });
    let request = NewRequest { received_at: now() - 200 * DAY, ..request(None) };
    f.store.accept(request.into(), Generation::default(), decide).await.unwrap();
    let mut left = vec![];
    for _ in 0..3 {
        f.store.prune(Retention::default()).await.unwrap();
        left.push(count(&f.store, "memory").await);
    }
    assert_eq!(left, [1_500, 500, 0]);
}

/// Replays are newer than other requests, but belong to the request of their event.
#[tokio::test]
async fn replays_are_deleted_with_their_event() {
    let f = open();
    let today = now();
    set_clock(today - 40 * DAY);
    accept(&f.store, "one", &["a"]).await;
    lease(&f.store, "a", OWNER).await;
    let event = f.store.heads(&lane("a"), 1).await.unwrap().remove(0).event_id;
    assert!(finish_first(&f.store, "a", DELIVERED).await);
    set_clock(today - 10 * DAY);
    accept(&f.store, "two", &["b"]).await;
    f.store.enqueue(vec![new_delivery(event, "a")], Generation::default()).await.unwrap();
    set_clock(today);
    while f.store.prune(Retention::default()).await.unwrap() {}
    assert_eq!(count(&f.store, "requests").await, 2, "the replay has not ended");
    lease(&f.store, "a", OWNER).await;
    assert!(finish_first(&f.store, "a", DELIVERED).await);
    while f.store.prune(Retention::default()).await.unwrap() {}
    assert_eq!((count(&f.store, "requests").await, count(&f.store, "deliveries").await), (1, 1));
    assert_eq!((count(&f.store, "attempts").await, waiting(&f.store, "b").await), (0, vec!["two".to_owned()]));
}
