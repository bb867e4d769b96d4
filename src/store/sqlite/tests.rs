use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::event::{DeliveryId, EventId, RequestId};
use crate::store::{Decided, NewDelivery, NewEvent, Next};

const OWNER: &str = "owner";

struct Fixture {
    directory: tempfile::TempDir,
    store: SqliteStore,
}

fn open() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("h.db")).unwrap();
    Fixture { directory, store }
}

fn lane(name: &str) -> Lane {
    Lane(name.to_owned())
}

fn request(key: Option<&str>) -> NewRequest {
    NewRequest {
        id: RequestId::fresh(),
        source: "bitbucket".into(),
        hook: Some("hook".to_owned()),
        key: key.map(ToOwned::to_owned),
        received_at: now(),
        headers: json!({}),
        body: Bytes::from_static(b"{}"),
        subjects: vec!["pr:1".to_owned()],
    }
}

/// One event that says `text`, for each of these channels, whose lanes have their names.
fn says(text: &str, channels: &[&str]) -> Decide {
    let (text, channels) = (text.to_owned(), channels.iter().map(|&c| c.to_owned()).collect::<Vec<_>>());
    Box::new(move |_| {
        let event = EventId::fresh();
        let deliveries = channels.iter().map(|channel| NewDelivery {
            id: DeliveryId::fresh(),
            event: event.clone(),
            channel: channel.as_str().into(),
            lane: lane(channel),
            route: "r".to_owned(),
            template: None,
            style: None,
        });
        Decided {
            receipt: format!("receipt of {text}"),
            deliveries: deliveries.collect(),
            events: vec![NewEvent {
                id: event,
                kind: "push",
                repository: None,
                subject: None,
                json: json!({ "text": text }).to_string(),
                decision: "{}".to_owned(),
            }],
            ..Decided::default()
        }
    })
}

async fn accept(store: &SqliteStore, text: &str, channels: &[&str]) {
    store.accept(request(None), says(text, channels)).await.unwrap();
}

async fn waiting(store: &SqliteStore, name: &str) -> Vec<String> {
    let heads = store.heads(&lane(name), 100).await.unwrap();
    heads.iter().map(|head| head.event["text"].as_str().unwrap().to_owned()).collect()
}

async fn finish_first(store: &SqliteStore, name: &str, next: Next) -> bool {
    let head = store.heads(&lane(name), 1).await.unwrap().remove(0);
    let finished =
        Finished { delivery: head.id, at: now(), took: 1, outcome: "x", said: None, next, body: "sent".to_owned() };
    store.finish(&lane(name), OWNER, finished).await.unwrap()
}

const DELIVERED: Next = Next::Delivered { message_id: None };

#[tokio::test]
async fn what_is_accepted_waits_in_order_in_each_lane() {
    let f = open();
    accept(&f.store, "one", &["a", "b"]).await;
    accept(&f.store, "two", &["a"]).await;
    assert_eq!(waiting(&f.store, "a").await, ["one", "two"]);
    assert_eq!(waiting(&f.store, "b").await, ["one"]);
    assert_eq!(waiting(&f.store, "c").await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_accepted_outlives_the_process_that_took_it() {
    let Fixture { directory, store } = open();
    accept(&store, "one", &["a"]).await;
    drop(store);
    let store = SqliteStore::open(&directory.path().join("h.db")).unwrap();
    assert_eq!(waiting(&store, "a").await, ["one"]);
}

#[tokio::test]
async fn a_request_seen_before_is_told_and_decided_once() {
    let f = open();
    let decided = Arc::new(AtomicUsize::new(0));
    let count = || -> Decide {
        let decided = decided.clone();
        let says = says("one", &["a"]);
        Box::new(move |memory| {
            decided.fetch_add(1, Ordering::Relaxed);
            says(memory)
        })
    };
    // Twenty at once, so that some share a transaction.
    let all = (0..20).map(|_| f.store.accept(request(Some("key")), count()));
    let answers: Vec<_> = futures(all).await;
    let stored = answers.iter().filter(|answer| matches!(answer, Accepted::Stored { .. })).count();
    assert_eq!((stored, decided.load(Ordering::Relaxed)), (1, 1));
    let duplicate = Accepted::Duplicate { receipt: "receipt of one".to_owned() };
    assert_eq!(answers.iter().filter(|answer| **answer == duplicate).count(), 19);
    assert_eq!(waiting(&f.store, "a").await, ["one"]);

    let other_hook = NewRequest { hook: Some("another".to_owned()), ..request(Some("key")) };
    let answer = f.store.accept(other_hook, says("two", &["a"])).await.unwrap();
    assert!(matches!(answer, Accepted::Stored { .. }));
}

async fn futures<T>(all: impl Iterator<Item = impl Future<Output = Result<T, StoreError>>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut done = vec![];
    std::future::poll_fn(|context| {
        all.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(value) => {
                done.push(value.unwrap());
                false
            }
            std::task::Poll::Pending => true,
        });
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

#[tokio::test]
async fn memory_is_handed_to_the_next_decision() {
    let f = open();
    let remember = |state: serde_json::Value| -> Decide {
        Box::new(move |memory| {
            let seen = memory.get("pr:1").cloned().unwrap_or_default();
            let memory = [("pr:1".to_owned(), state)].into();
            Decided { receipt: seen.to_string(), memory, ..Decided::default() }
        })
    };
    let first = f.store.accept(request(None), remember(json!({ "title": "a" }))).await.unwrap();
    assert!(matches!(first, Accepted::Stored { receipt, .. } if receipt == "null"));
    let second = f.store.accept(request(None), remember(json!({ "title": "b" }))).await.unwrap();
    assert!(matches!(second, Accepted::Stored { receipt, .. } if receipt == r#"{"title":"a"}"#));
}

#[tokio::test]
async fn what_is_finished_no_longer_waits_and_what_failed_does() {
    let f = open();
    accept(&f.store, "one", &["a"]).await;
    accept(&f.store, "two", &["a"]).await;
    assert!(f.store.lease(&lane("a"), OWNER, now() + 60_000).await.unwrap());
    assert!(finish_first(&f.store, "a", Next::Retry { after: 30_000 }).await);
    let head = f.store.heads(&lane("a"), 1).await.unwrap().remove(0);
    assert_eq!((head.event["text"].as_str(), head.attempts), (Some("one"), 1));
    assert!(head.wait > Duration::from_secs(29) && head.wait <= Duration::from_secs(30), "{:?}", head.wait);
    assert!(finish_first(&f.store, "a", DELIVERED).await);
    assert_eq!(waiting(&f.store, "a").await, ["two"]);
}

#[tokio::test]
async fn only_the_holder_of_a_lane_may_finish_there() {
    let f = open();
    accept(&f.store, "one", &["a"]).await;
    assert!(!finish_first(&f.store, "a", DELIVERED).await, "nobody holds it");
    assert!(f.store.lease(&lane("a"), "somebody else", now() + 60_000).await.unwrap());
    assert!(!f.store.lease(&lane("a"), OWNER, now() + 60_000).await.unwrap());
    assert!(!finish_first(&f.store, "a", DELIVERED).await, "somebody else holds it");
    assert_eq!(waiting(&f.store, "a").await, ["one"]);
    assert!(f.store.lease(&lane("b"), "somebody else", now() - 1).await.unwrap());
    assert!(f.store.lease(&lane("b"), OWNER, now() + 60_000).await.unwrap(), "that lease is over");
}

#[tokio::test]
async fn a_clock_that_steps_back_makes_nobody_wait_longer_than_asked() {
    let f = open();
    accept(&f.store, "one", &["a"]).await;
    f.store.lease(&lane("a"), OWNER, now() + 60_000).await.unwrap();
    finish_first(&f.store, "a", Next::Retry { after: 5_000 }).await;
    let an_hour_back = now() - 3_600_000;
    let heads = f.store.read("look", move |db| query::heads(db, &lane("a"), 1, an_hour_back)).await.unwrap();
    assert_eq!(heads[0].wait, Duration::from_secs(5));
}

#[tokio::test]
async fn what_waits_follows_its_channel_and_is_parked_without_one() {
    let f = open();
    accept(&f.store, "one", &["a"]).await;
    accept(&f.store, "two", &["b"]).await;
    let assign = |pairs: &[(&str, &str)]| {
        f.store.assign(pairs.iter().map(|(channel, to)| (ChannelName::from(*channel), lane(to))).collect())
    };
    assign(&[("a", "moved")]).await.unwrap();
    assert_eq!(waiting(&f.store, "moved").await, ["one"]);
    assert_eq!(waiting(&f.store, "b").await, Vec::<String>::new());
    assign(&[("a", "moved"), ("b", "b")]).await.unwrap();
    assert_eq!(waiting(&f.store, "b").await, ["two"]);
}

#[tokio::test]
async fn an_error_in_one_request_of_a_batch_leaves_the_others() {
    let f = open();
    let taken = request(None);
    let twin = NewRequest { ..taken.clone() };
    f.store.accept(taken, says("one", &["a"])).await.unwrap();
    let (twin, other) =
        tokio::join!(f.store.accept(twin, says("twin", &["a"])), f.store.accept(request(None), says("two", &["a"])));
    let error = twin.unwrap_err().to_string();
    assert!(error.starts_with("the store cannot take in a request: UNIQUE constraint failed"), "{error}");
    other.unwrap();
    assert_eq!(waiting(&f.store, "a").await, ["one", "two"]);
}

/// What a full disk does: SQLite rolls all of the transaction back by itself.
#[tokio::test]
async fn whoever_is_told_that_it_is_stored_can_rely_on_it_whatever_fails_beside_it() {
    let f = open();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let block = f.store.writer.write("wait", Durability::Kill, move |_| {
        let _ = released.recv();
        Ok(())
    });
    let fail = || {
        f.store.writer.write("fail", Durability::Kill, |db| {
            db.execute_batch("ROLLBACK")?;
            Err::<(), _>(rusqlite::Error::InvalidQuery)
        })
    };
    // All of these wait behind the first, and so share a transaction.
    let all = async {
        tokio::join!(
            f.store.accept(request(None), says("one", &["a"])),
            fail(),
            f.store.accept(request(None), says("two", &["a"])),
            fail(),
            f.store.accept(request(None), says("three", &["a"])),
            async { release.send(()) },
        )
    };
    let (_, (one, _, two, _, three, _)) = tokio::join!(block, all);
    let told = [("one", one), ("two", two), ("three", three)];
    let told: Vec<_> = told.into_iter().filter(|(_, result)| result.is_ok()).map(|(name, _)| name).collect();
    assert_eq!(waiting(&f.store, "a").await, told);
    accept(&f.store, "after", &["a"]).await;
    assert_eq!(waiting(&f.store, "a").await.last().unwrap(), "after");
}

#[test]
fn a_second_hookbell_is_kept_away() {
    let f = open();
    let error = SqliteStore::open(&f.directory.path().join("h.db")).err().unwrap().to_string();
    assert!(error.ends_with("another Hookbell is using it; stop that one first"), "{error}");
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("h.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let error = SqliteStore::open(&path).err().unwrap().to_string();
    assert!(error.contains("a newer Hookbell made it (its version is 999"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("h.db");
    std::fs::write(&path, "x".repeat(5_000)).unwrap();
    let error = SqliteStore::open(&path).err().unwrap().to_string();
    assert!(error.contains("file is not a database"), "{error}");
    let error = SqliteStore::open(Path::new("/no/such/place/h.db")).err().unwrap().to_string();
    assert!(error.contains("cannot use the store `/no/such/place/h.db`"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn its_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let f = open();
    accept(&f.store, "one", &["a"]).await;
    let mut files = 0;
    for entry in std::fs::read_dir(f.directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        files += 1;
    }
    assert!(files >= 3, "{files} files");
}

/// How many rows a table has that fit.
async fn count(store: &SqliteStore, what: &'static str) -> u64 {
    store
        .read("count", move |db| db.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)))
        .await
        .unwrap()
}

const DAY: Millis = 24 * 60 * 60 * 1000;

#[tokio::test]
async fn what_is_too_old_is_forgotten_but_never_what_still_waits() {
    let f = open();
    let ago = |days: Millis, key: &str| NewRequest { received_at: now() - days * DAY, ..request(Some(key)) };
    for (days, key) in [(40, "delivered"), (40, "waiting"), (10, "of last week"), (0, "new")] {
        f.store.accept(ago(days, key), says(key, &["a"])).await.unwrap();
    }
    assert!(f.store.lease(&lane("a"), OWNER, now() + 60_000).await.unwrap());
    assert!(finish_first(&f.store, "a", DELIVERED).await);
    while f.store.forget(Keep::default(), now()).await.unwrap() {}
    assert_eq!(waiting(&f.store, "a").await, ["waiting", "of last week", "new"]);
    assert_eq!(count(&f.store, "requests").await, 3);
    assert_eq!(count(&f.store, "requests WHERE body IS NOT NULL").await, 1, "that of today");
    assert_eq!((count(&f.store, "events").await, count(&f.store, "deliveries").await), (3, 3));
    assert_eq!(count(&f.store, "attempts").await, 0);
    assert_eq!(count(&f.store, "dedupe").await, 1);
    assert!(matches!(f.store.accept(ago(0, "new"), says("x", &[])).await.unwrap(), Accepted::Duplicate { .. }));
}

#[tokio::test]
async fn forgetting_goes_in_small_steps_to_the_end() {
    let f = open();
    for n in 0..450 {
        let old = NewRequest { received_at: now() - 40 * DAY, ..request(Some(&n.to_string())) };
        f.store.accept(old, says("x", &[])).await.unwrap();
    }
    let mut left = vec![];
    while f.store.forget(Keep::default(), now()).await.unwrap() {
        left.push(count(&f.store, "requests").await);
    }
    assert_eq!(left, [250, 50]);
    assert_eq!((count(&f.store, "requests").await, count(&f.store, "dedupe").await), (0, 0));
}

#[tokio::test]
async fn bodies_are_remembered_for_minutes_and_other_things_for_long() {
    let f = open();
    let remember = |subject: &str, at: Millis| {
        let state = [(subject.to_owned(), json!({}))];
        let decide: Decide = Box::new(move |_| Decided { memory: state.into(), ..Decided::default() });
        f.store.accept(NewRequest { received_at: at, ..request(None) }, decide)
    };
    remember("body:s:old", now() - 700_000).await.unwrap();
    remember("s/pr:old", now() - 100 * DAY).await.unwrap();
    remember("s/pr:ancient", now() - 200 * DAY).await.unwrap();
    remember("body:s:new", now()).await.unwrap();
    assert_eq!(count(&f.store, "memory").await, 3);
    f.store.forget(Keep::default(), now()).await.unwrap();
    assert_eq!(count(&f.store, "memory WHERE subject = 's/pr:old'").await, 1);
    assert_eq!(count(&f.store, "memory").await, 2);
}
