//! Deletion of expired data, and data that is never deleted.

use super::*;

const DAY: Millis = 24 * 60 * 60 * 1000;

#[tokio::test]
async fn old_records_are_pruned_but_never_queued_ones() {
    let f = open();
    let ago = |days: Millis, key: &str| NewRequest { received_at: now() - days * DAY, ..request(Some(key)) };
    for (days, key) in [(40, "delivered"), (40, "queued"), (10, "of last week"), (0, "new")] {
        f.store.accept(ago(days, key).into(), Generation::default(), says(key, &["a"])).await.unwrap();
    }
    lease(&f.store, "a", OWNER).await;
    assert!(finish_first(&f.store, "a", DELIVERED).await);
    while f.store.prune(Retention::default()).await.unwrap() {}
    assert_eq!(waiting(&f.store, "a").await, ["queued", "of last week", "new"]);
    assert_eq!(count(&f.store, "requests").await, 3);
    assert_eq!(count(&f.store, "requests WHERE body IS NOT NULL").await, 1, "the body of today");
    assert_eq!((count(&f.store, "events").await, count(&f.store, "deliveries").await), (3, 3));
    assert_eq!(count(&f.store, "attempts").await, 0);
    assert_eq!(count(&f.store, "dedupe").await, 1);
    assert!(matches!(
        f.store.accept(ago(0, "new").into(), Generation::default(), says("x", &[])).await.unwrap(),
        Accepted::Duplicate { .. }
    ));
}

#[tokio::test]
async fn pruning_runs_in_small_steps() {
    let f = open();
    for n in 0..450 {
        let old = NewRequest { received_at: now() - 40 * DAY, ..request(Some(&n.to_string())) };
        f.store.accept(old.into(), Generation::default(), says("x", &[])).await.unwrap();
    }
    let mut left = vec![];
    while f.store.prune(Retention::default()).await.unwrap() {
        left.push(count(&f.store, "requests").await);
    }
    assert_eq!(left, [250, 50]);
    assert_eq!((count(&f.store, "requests").await, count(&f.store, "dedupe").await), (0, 0));
}

#[tokio::test]
async fn body_hashes_expire_with_requests_and_other_memory_later() {
    let f = open();
    let remember = |subject: &str, at: Millis| {
        let state = [(subject.to_owned(), json!({}))];
        let decide: Decide = Arc::new(move |_, _| Decided {
            memory: state.clone().into(),
            ..Decided::empty(Receipt::empty("req_1".into()))
        });
        f.store.accept(NewRequest { received_at: at, ..request(None) }.into(), Generation::default(), decide)
    };
    remember("body:s:old", now() - 40 * DAY).await.unwrap();
    remember("s/pr:old", now() - 100 * DAY).await.unwrap();
    remember("s/pr:ancient", now() - 200 * DAY).await.unwrap();
    remember("body:s:new", now()).await.unwrap();
    assert_eq!(count(&f.store, "memory").await, 4);
    f.store.prune(Retention::default()).await.unwrap();
    assert_eq!(count(&f.store, "memory WHERE subject = 's/pr:old'").await, 1);
    assert_eq!(count(&f.store, "memory").await, 2);
}
