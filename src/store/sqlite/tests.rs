mod configs;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::event::{DeliveryId, EventId, RequestId};
use crate::store::{Attempt, Decided, Finished, NewDelivery, NewEvent, Next, State};

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
            replay_of: None,
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
                is_undecided: false,
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

/// A turn that sent one message, to this end.
fn turn(delivery: &DeliveryId, next: Next) -> Turn {
    let attempt = Attempt { at: now(), took: 1, outcome: "x", status: Some(200), said: None, body: "sent".to_owned() };
    let finished = Finished { delivery: delivery.clone(), attempt: Some(attempt), next, template_error: None };
    Turn { finished: vec![finished], ..Turn::default() }
}

async fn finish_first(store: &SqliteStore, name: &str, next: Next) -> bool {
    let head = store.heads(&lane(name), 1).await.unwrap().remove(0);
    store.finish(&lane(name), OWNER, turn(&head.id, next), now()).await.unwrap()
}

const MINUTE: Millis = 60_000;

/// Takes a lane for a minute.
async fn lease(store: &SqliteStore, name: &str, owner: &str) -> Lease {
    store.lease(&lane(name), owner, now() + MINUTE, now()).await.unwrap()
}

const HELD: Lease = Lease::Held { wait: Duration::ZERO, failing: false };

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
    assert_eq!(lease(&f.store, "a", OWNER).await, HELD);
    assert!(finish_first(&f.store, "a", Next::Waits { strike: true }).await);
    let head = f.store.heads(&lane("a"), 1).await.unwrap().remove(0);
    assert_eq!((head.event["text"].as_str(), head.attempts, head.strikes), (Some("one"), 1, 1));
    assert!(finish_first(&f.store, "a", DELIVERED).await);
    assert_eq!(waiting(&f.store, "a").await, ["two"]);
}

#[tokio::test]
async fn only_the_holder_of_a_lane_may_finish_there() {
    let f = open();
    accept(&f.store, "one", &["a"]).await;
    assert!(!finish_first(&f.store, "a", DELIVERED).await, "nobody holds it");
    assert_eq!(lease(&f.store, "a", "somebody else").await, HELD);
    assert_eq!(lease(&f.store, "a", OWNER).await, Lease::Taken);
    assert!(!finish_first(&f.store, "a", DELIVERED).await, "somebody else holds it");
    assert_eq!(waiting(&f.store, "a").await, ["one"]);
    f.store.release(&lane("a"), OWNER).await.unwrap();
    assert_eq!(lease(&f.store, "a", OWNER).await, Lease::Taken, "nobody gives back what is another's");
    f.store.release(&lane("a"), "somebody else").await.unwrap();
    assert_eq!(lease(&f.store, "a", OWNER).await, HELD);
    f.store.lease(&lane("b"), "somebody else", now() - 1, now()).await.unwrap();
    assert_eq!(lease(&f.store, "b", OWNER).await, HELD, "that lease is over");
}

#[tokio::test]
async fn a_clock_that_steps_back_makes_nobody_wait_longer_than_asked() {
    let f = open();
    accept(&f.store, "one", &["a"]).await;
    lease(&f.store, "a", OWNER).await;
    let head = f.store.heads(&lane("a"), 1).await.unwrap().remove(0);
    let turn = Turn { pause: 5_000, ..turn(&head.id, Next::Waits { strike: false }) };
    let then = now();
    f.store.finish(&lane("a"), OWNER, turn, then).await.unwrap();
    for (what, at, wait) in [("at once", then, 5), ("an hour back", then - 60 * MINUTE, 5), ("later", then + MINUTE, 0)]
    {
        let lease = f.store.lease(&lane("a"), OWNER, at + MINUTE, at).await.unwrap();
        assert_eq!(lease, Lease::Held { wait: Duration::from_secs(wait), failing: true }, "{what}");
    }
}

#[tokio::test]
async fn what_waits_follows_its_channel_and_is_parked_without_one() {
    let f = open();
    accept(&f.store, "one", &["a"]).await;
    accept(&f.store, "two", &["b"]).await;
    let assign = |pairs: &[(&str, &str)]| {
        f.store.assign(
            pairs.iter().map(|(channel, to)| (ChannelName::from(*channel), lane(to))).collect(),
            Change::default(),
        )
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
    let path = f.directory.path().join("h.db");
    let error = SqliteStore::open(&path).err().unwrap().to_string();
    assert!(error.starts_with("another Hookbell is using the store `"), "{error}");
    assert_eq!(user_of(&path), None);
    f.store.reached_at("127.0.0.1:8081").unwrap();
    f.store.reached_at("[::1]:81").unwrap();
    assert_eq!(user_of(&path).as_deref(), Some("[::1]:81"));
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
    lease(&f.store, "a", OWNER).await;
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

/// What each request does may not cost more the more is kept.
#[tokio::test]
async fn old_bodies_are_found_by_their_age() {
    let f = open();
    let plan = f.store.read("explain", |db| {
        let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {}", query::FORGET_BODIES))?;
        let steps = explain.query_map([0], |row| row.get::<_, String>(3))?;
        steps.collect::<rusqlite::Result<Vec<_>>>()
    });
    let plan = plan.await.unwrap().join("\n");
    assert!(plan.contains("USING COVERING INDEX memory_bodies (at<?)"), "{plan}");
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

#[tokio::test]
async fn who_takes_over_a_lane_marks_what_may_have_been_on_its_way() {
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
    let waits = Turn { pause: MINUTE, ..turn(&head.id, Next::Waits { strike: false }) };
    store.finish(&lane("waited"), OWNER, waits, now()).await.unwrap();
    drop(store);

    let store = SqliteStore::open(&path).unwrap();
    for (name, outcomes) in [("killed", &["unknown"][..]), ("stopped", &[]), ("waited", &["x"]), ("idle", &[])] {
        assert!(matches!(lease(&store, name, "another run").await, Lease::Held { .. }), "{name}");
        assert!(matches!(lease(&store, name, "another run").await, Lease::Held { .. }), "{name}, once more");
        let Some(head) = store.heads(&lane(name), 1).await.unwrap().pop() else { continue };
        let tries = store.delivery(&head.id).await.unwrap().unwrap().tries;
        let told: Vec<_> = tries.iter().map(|attempt| attempt.outcome.as_str()).collect();
        assert_eq!(told, outcomes, "{name}");
    }
}

#[tokio::test]
async fn a_lane_that_is_closed_or_paused_is_nobodys_until_it_is_opened() {
    let Fixture { directory, store } = open();
    accept(&store, "one", &["a"]).await;
    assert_eq!(lease(&store, "a", OWNER).await, HELD);
    let head = store.heads(&lane("a"), 1).await.unwrap().remove(0);
    let closed = LaneState::Closed { reason: "gone".to_owned(), remedy: Some("make a new one".to_owned()) };
    let closing = Turn { close: Some(closed.clone()), ..turn(&head.id, Next::Waits { strike: false }) };
    assert!(store.finish(&lane("a"), OWNER, closing, now()).await.unwrap());
    assert_eq!(lease(&store, "a", OWNER).await, Lease::Shut);
    drop(store);
    let store = SqliteStore::open(&directory.path().join("h.db")).unwrap();
    assert_eq!(lease(&store, "a", OWNER).await, Lease::Shut, "after a restart too");
    let counts = store.counts().await.unwrap().lanes[&lane("a")].clone();
    assert_eq!((counts.state, counts.waiting), (closed, 1));
    assert!(counts.since.is_some());
    store.set_lane(&lane("a"), LaneState::Paused { reason: None }).await.unwrap();
    assert_eq!(lease(&store, "a", OWNER).await, Lease::Shut);
    store.set_lane(&lane("a"), LaneState::Open).await.unwrap();
    assert_eq!(lease(&store, "a", OWNER).await, HELD);
    // A lane that no channel leads to any more is forgotten, and with it why it was closed.
    store.set_lane(&lane("a"), LaneState::Closed { reason: "gone".to_owned(), remedy: None }).await.unwrap();
    store.assign([(ChannelName::from("a"), lane("elsewhere"))].into(), Change::default()).await.unwrap();
    store.assign([(ChannelName::from("a"), lane("a"))].into(), Change::default()).await.unwrap();
    assert_eq!(lease(&store, "a", OWNER).await, HELD);
    assert_eq!(waiting(&store, "a").await, ["one"]);
    // One that is paused stays so.
    store.set_lane(&lane("a"), LaneState::Paused { reason: None }).await.unwrap();
    store.assign(BTreeMap::new(), Change::default()).await.unwrap();
    store.assign([(ChannelName::from("a"), lane("a"))].into(), Change::default()).await.unwrap();
    assert_eq!(lease(&store, "a", OWNER).await, Lease::Shut);
}

/// A failing lane writes down what it is about to send: that, and nothing else, may have been on its way.
#[tokio::test]
async fn of_a_failing_lane_the_marked_message_is_the_doubtful_one() {
    let Fixture { directory, store } = open();
    accept(&store, "one", &["a"]).await;
    accept(&store, "two", &["a"]).await;
    lease(&store, "a", OWNER).await;
    let heads = store.heads(&lane("a"), 2).await.unwrap();
    let failed = Turn { pause: MINUTE, ..turn(&heads[0].id, Next::Waits { strike: true }) };
    store.finish(&lane("a"), OWNER, failed, now()).await.unwrap();
    store.mark(&lane("a"), OWNER, &heads[1].id).await.unwrap();
    drop(store);
    let store = SqliteStore::open(&directory.path().join("h.db")).unwrap();
    let outcomes = async |id| {
        let tries = store.delivery(id).await.unwrap().unwrap().tries;
        tries.into_iter().map(|attempt| attempt.outcome).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(&heads[0].id).await, ["x"]);
    assert_eq!(outcomes(&heads[1].id).await, ["unknown"]);
}

#[tokio::test]
async fn heads_are_read_ahead_as_far_as_they_are_small() {
    let f = open();
    for _ in 0..4 {
        accept(&f.store, &"x".repeat(100_000), &["a"]).await;
    }
    assert_eq!(f.store.heads(&lane("a"), 32).await.unwrap().len(), 2);
    accept(&f.store, &"x".repeat(1_000_000), &["b"]).await;
    assert_eq!(f.store.heads(&lane("b"), 32).await.unwrap().len(), 1, "one may be larger");
}

#[tokio::test]
async fn what_is_looked_for_is_found_and_nothing_else() {
    let f = open();
    f.store.accept(request(Some("uuid-1")), says("one", &["a", "b"])).await.unwrap();
    accept(&f.store, "two", &["a"]).await;
    lease(&f.store, "a", OWNER).await;
    finish_first(&f.store, "a", Next::Dead { why: Some("because".to_owned()) }).await;
    let all = Filter { limit: 10, ..Filter::default() };
    let found = async |filter: Filter| f.store.deliveries(filter).await.unwrap();
    let everything = found(all.clone()).await;
    let told: Vec<_> = everything.iter().map(|d| (d.channel.as_str(), d.state, d.why.as_deref())).collect();
    assert_eq!(told, [("a", State::Dead, Some("because")), ("b", State::Waiting, None), ("a", State::Waiting, None)]);
    let count = async |filter: Filter| found(filter).await.len();
    for state in State::ALL {
        let expected = everything.iter().filter(|delivery| delivery.state == state).count();
        assert_eq!(count(Filter { state: Some(state), ..all.clone() }).await, expected, "{state:?}");
    }
    assert_eq!(count(Filter { channel: Some("a".into()), ..all.clone() }).await, 2);
    assert_eq!(count(Filter { ids: vec![everything[1].id.to_string(), "dlv_x".to_owned()], ..all.clone() }).await, 1);
    assert_eq!(count(Filter { since: Some(now() + MINUTE), ..all.clone() }).await, 0);
    assert_eq!(count(Filter { before: Some(everything[2].seq), ..all.clone() }).await, 2);
    assert_eq!(count(Filter { kinds: vec!["push".to_owned()], limit: 2, ..all.clone() }).await, 2);
    assert_eq!(count(Filter { repository: Some("acme/api".to_owned()), ..all.clone() }).await, 0);
    assert_eq!(count(Filter { request_key: Some("uuid-1".to_owned()), ..all.clone() }).await, 2);
    let events = f.store.events(Filter { channel: Some("b".into()), ..all.clone() }).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(f.store.event_json(&events[0].id).await.unwrap(), Some(json!({ "text": "one" })));

    let whole = f.store.delivery(&everything[0].id).await.unwrap().unwrap();
    assert_eq!((whole.sent.as_deref(), whole.tries.len(), whole.tries[0].status), (Some("sent"), 1, Some(200)));
    let again = NewDelivery {
        id: DeliveryId::fresh(),
        event: everything[0].event.clone(),
        channel: "a".into(),
        lane: lane("a"),
        route: "r".to_owned(),
        template: None,
        style: None,
        replay_of: Some(everything[0].id.clone()),
    };
    let dead = Filter { state: Some(State::Dead), unrepeated: true, ..all };
    assert_eq!(count(dead.clone()).await, 1);
    f.store.enqueue(vec![again], now()).await.unwrap();
    assert_eq!(waiting(&f.store, "a").await, ["two", "one"], "at the end");
    assert_eq!(count(dead).await, 0, "it was sent again already");
}

#[tokio::test]
async fn a_backup_of_a_store_at_work_is_whole_and_of_one_moment() {
    use std::os::unix::fs::PermissionsExt;
    let f = open();
    let (path, copy) = (f.directory.path().join("h.db"), f.directory.path().join("copy.db"));
    for n in 0..20 {
        accept(&f.store, &n.to_string(), &["a"]).await;
    }
    let copying = tokio::task::spawn_blocking({
        let (path, copy) = (path.clone(), copy.clone());
        move || backup(&path, &copy)
    });
    for n in 20..60 {
        accept(&f.store, &n.to_string(), &["a"]).await;
    }
    copying.await.unwrap().unwrap();
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let restored = SqliteStore::open(&copy).unwrap();
    let texts = waiting(&restored, "a").await;
    let expected: Vec<_> = (0..texts.len()).map(|n| n.to_string()).collect();
    assert!(texts.len() >= 20, "{texts:?}");
    assert_eq!(texts, expected);

    let error = backup(&path, &copy).unwrap_err();
    assert!(error.contains("is there already; name a new file"), "{error}");
    let error = backup(Path::new("/no/such.db"), &copy).unwrap_err();
    assert_eq!(error, "there is no store `/no/such.db` yet");
    let error = backup(&path, Path::new("/no/such/place/copy.db")).unwrap_err();
    assert!(error.starts_with("`/no/such/place/copy.db`: "), "{error}");
}

#[test]
fn damage_is_found() {
    let f = open();
    let path = f.directory.path().join("h.db");
    drop(f.store);
    assert_eq!(check(&path), Ok(vec![]));
    let mut bytes = std::fs::read(&path).unwrap();
    let page = 4096;
    bytes[page * 2..page * 3].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    assert_ne!(check(&path), Ok(vec![]));
}

/// A file as the version before last left it.
#[tokio::test]
async fn an_older_file_is_copied_and_then_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("h.db");
    let db = Connection::open(&path).unwrap();
    for step in &schema::STEPS[..3] {
        db.execute_batch(step).unwrap();
    }
    db.execute_batch(
        "PRAGMA user_version = 3;
         INSERT INTO requests VALUES ('req_1', 's', NULL, 77, '{}', NULL, '{}');
         INSERT INTO events VALUES ('evt_1', 'req_1', 0, 'push', NULL, NULL, 1, '{\"text\": \"old\"}', '{}');
         INSERT INTO deliveries (id, event, lane, channel, route, state, due)
             VALUES ('dlv_1', 'evt_1', 'a', 'a', 'r', 'waiting', 99);",
    )
    .unwrap();
    drop(db);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(waiting(&store, "a").await, ["old"]);
    assert_eq!(store.heads(&lane("a"), 1).await.unwrap()[0].created_at, 77);
    let copy = Connection::open(directory.path().join("h.db.version-3")).unwrap();
    assert_eq!(schema::version(&copy).unwrap(), 3);
    assert_eq!(copy.query_row("SELECT count(*) FROM deliveries", [], |row| row.get(0)), Ok(1));
}

/// Under a load that never pauses the log begins anew all the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_stays_small_under_a_load_without_a_pause() {
    let f = open();
    let store = &f.store;
    let body = Bytes::from((0..200_000_u32).flat_map(u32::to_le_bytes).map(|byte| byte ^ 0x5a).collect::<Vec<_>>());
    let load = |n: usize| {
        let body = body.clone();
        async move {
            for i in 0..40 {
                let request = NewRequest { body: body.clone(), ..request(Some(&format!("{n} {i}"))) };
                store.accept(request, says("x", &["a"])).await.unwrap();
            }
        }
    };
    tokio::join!(load(0), load(1), load(2), load(3));
    let size = |name: &str| std::fs::metadata(f.directory.path().join(name)).unwrap().len();
    let (log, all) = (size("h.db-wal"), size("h.db"));
    assert!(all + log > 60 * 1024 * 1024, "{all} and {log}: too little for this test");
    assert!(log < 100 * 1024 * 1024, "{log} bytes of log, {all} of database");
}
