mod age;
mod configs;
mod file;
mod lanes;
mod migration;

use std::cell::Cell;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::chat::Reason;
use crate::event::{Content, DeliveryId, EventId};
use crate::store::{
    Attempt, AttemptOutcome, Decided, Finished, NewDelivery, NewEvent, NextState, Receipt, State, StoredDecision,
};
use crate::time::now;

const OWNER: &str = "owner";

thread_local! {
    /// Time of the stores that this thread opens; the system's clock if it is not set.
    static TIME: Cell<Option<Millis>> = const { Cell::new(None) };
}

/// Clock of the stores in tests.
pub(in crate::store) fn clock() -> Millis {
    TIME.get().unwrap_or_else(now)
}

/// Sets the clock of the stores in tests.
pub(in crate::store) fn set_clock(time: Millis) {
    TIME.set(Some(time));
}

impl SqliteStore {
    /// Opens a store with the clock of these tests.
    pub(in crate::store) fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_at(path, clock)
    }
}

struct Fixture {
    directory: tempfile::TempDir,
    store: SqliteStore,
}

/// Opens a store with some channels, each with a lane of the same name.
fn open() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("h.db");
    let store = SqliteStore::open(&path).unwrap();
    let db = Connection::open(path).unwrap();
    for channel in ["a", "b", "killed", "stopped", "waited", "idle"] {
        db.execute("INSERT INTO names (name) VALUES (?1)", [channel]).unwrap();
        db.execute("INSERT INTO channels SELECT id, name FROM names WHERE name = ?1", [channel]).unwrap();
    }
    Fixture { directory, store }
}

fn lane(name: &str) -> Lane {
    Lane(name.to_owned())
}

fn request(key: Option<&str>) -> NewRequest {
    NewRequest {
        source: "bitbucket".into(),
        hook: Some("hook".to_owned()),
        key: key.map(ToOwned::to_owned),
        received_at: now(),
        headers: json!({}),
        body: Bytes::from_static(b"{}"),
        digest: None,
        subjects: vec!["pr:1".to_owned()],
    }
}

fn new_delivery(event: EventId, channel: &str) -> NewDelivery {
    NewDelivery::new(event, channel.into(), "r")
}

/// Returns a configuration with these channels and their lanes.
fn assignment(pairs: &[(&str, &str)]) -> Assignment {
    let lanes = pairs.iter().map(|(channel, to)| ((*channel).into(), lane(to))).collect();
    Assignment { generation: Generation(1), lanes, route_pending: None }
}

/// Returns a receipt with a note.
fn receipt(note: &str) -> Receipt {
    Receipt { note: Some(note.to_owned()), ..Receipt::empty("req_1".into()) }
}

fn content(text: &str) -> Content {
    Content::Json(Arc::new(json!({ "text": text })))
}

/// Returns a decision with one event that contains `text`, and a delivery to each of these channels.
fn says(text: &str, channels: &[&str]) -> Decide {
    let (text, channels) = (text.to_owned(), channels.iter().map(|&c| c.to_owned()).collect::<Vec<_>>());
    Arc::new(move |_, ids| {
        let deliveries = channels.iter().map(|channel| new_delivery(ids.event(0), channel));
        Decided {
            deliveries: deliveries.collect(),
            events: vec![NewEvent {
                kind: "push",
                repository: None,
                subject: None,
                content: content(&text),
                decision: StoredDecision::default(),
            }],
            ..Decided::empty(receipt(&text))
        }
    })
}

async fn accept(store: &SqliteStore, text: &str, channels: &[&str]) {
    store.accept(request(None).into(), Generation::default(), says(text, channels)).await.unwrap();
}

async fn waiting(store: &SqliteStore, name: &str) -> Vec<String> {
    let heads = store.heads(&lane(name), 100).await.unwrap();
    heads.iter().map(|head| head.event.event()["text"].as_str().unwrap().to_owned()).collect()
}

/// Returns a turn that sent one message, with this result.
fn turn(delivery: &DeliveryId, next: NextState) -> Turn {
    let attempt = Attempt {
        at: now(),
        duration_ms: 1,
        outcome: FAILED,
        status: Some(200),
        response: None,
        body: "sent".to_owned(),
    };
    let finished = Finished { delivery: delivery.clone(), attempt: Some(attempt), next, template_error: None };
    Turn { finished: vec![finished], ..Turn::default() }
}

async fn finish_first(store: &SqliteStore, name: &str, next: NextState) -> bool {
    let head = store.heads(&lane(name), 1).await.unwrap().remove(0);
    store.finish(&lane(name), OWNER, turn(&head.id, next).into()).await.unwrap()
}

const MINUTE: Millis = 60_000;

/// Leases a lane for a minute.
async fn lease(store: &SqliteStore, name: &str, owner: &str) -> Lease {
    store.lease(&lane(name), owner, Duration::from_secs(60)).await.unwrap()
}

const HELD: Lease = Lease::Held { wait: Duration::ZERO, failing: false, is_asked: false };

const DELIVERED: NextState = NextState::Delivered { message: None };

const FAILED: AttemptOutcome = AttemptOutcome::Failed(Reason::Io);

#[tokio::test]
async fn accepted_deliveries_are_queued_in_order_per_lane() {
    let f = open();
    accept(&f.store, "one", &["a", "b"]).await;
    accept(&f.store, "two", &["a"]).await;
    assert_eq!(waiting(&f.store, "a").await, ["one", "two"]);
    assert_eq!(waiting(&f.store, "b").await, ["one"]);
    assert_eq!(waiting(&f.store, "c").await, Vec::<String>::new());
}

#[tokio::test]
async fn accepted_requests_survive_the_process() {
    let Fixture { directory, store } = open();
    accept(&store, "one", &["a"]).await;
    drop(store);
    let store = SqliteStore::open(&directory.path().join("h.db")).unwrap();
    assert_eq!(waiting(&store, "a").await, ["one"]);
}

#[tokio::test]
async fn duplicate_request_is_decided_once() {
    let f = open();
    let decided = Arc::new(AtomicUsize::new(0));
    let count = || -> Decide {
        let decided = decided.clone();
        let says = says("one", &["a"]);
        Arc::new(move |known, ids| {
            decided.fetch_add(1, Ordering::Relaxed);
            says(known, ids)
        })
    };
    // Twenty requests at once, so that some share a transaction.
    let all = (0..20).map(|_| f.store.accept(request(Some("key")).into(), Generation::default(), count()));
    let answers: Vec<_> = futures(all).await;
    let stored = answers.iter().filter(|answer| matches!(answer, Accepted::Stored { .. })).count();
    assert_eq!((stored, decided.load(Ordering::Relaxed)), (1, 1));
    let duplicate = Accepted::Duplicate { receipt: receipt("one") };
    assert_eq!(answers.iter().filter(|answer| **answer == duplicate).count(), 19);
    assert_eq!(waiting(&f.store, "a").await, ["one"]);

    let other_hook = NewRequest { hook: Some("another".to_owned()), ..request(Some("key")) };
    let answer = f.store.accept(other_hook.into(), Generation::default(), says("two", &["a"])).await.unwrap();
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
async fn memory_is_passed_to_the_next_decision() {
    let f = open();
    let remember = |state: serde_json::Value| -> Decide {
        Arc::new(move |known, _| {
            let seen = known.memory.get("pr:1").cloned().unwrap_or_default();
            let memory = [("pr:1".to_owned(), state.clone())].into();
            Decided { memory, ..Decided::empty(receipt(&seen.to_string())) }
        })
    };
    let first =
        f.store.accept(request(None).into(), Generation::default(), remember(json!({ "title": "a" }))).await.unwrap();
    assert!(matches!(first, Accepted::Stored { receipt: got, .. } if got == receipt("null")));
    let second =
        f.store.accept(request(None).into(), Generation::default(), remember(json!({ "title": "b" }))).await.unwrap();
    assert!(matches!(second, Accepted::Stored { receipt: got, .. } if got == receipt(r#"{"title":"a"}"#)));
}

#[tokio::test]
async fn requests_of_an_earlier_configuration_are_decided_again() {
    let f = open();
    let of = |n: u64| Generation(n);
    f.store.assign(Assignment { generation: of(2), ..assignment(&[("a", "a")]) }).await.unwrap();
    let accept = |n: u64| f.store.accept(request(None).into(), of(n), says(&n.to_string(), &["a"]));
    assert!(matches!(accept(1).await, Err(StoreError::Outdated)));
    accept(2).await.unwrap();
    let event = f.store.heads(&lane("a"), 1).await.unwrap().remove(0).event_id;
    let new = || vec![new_delivery(event.clone(), "a"), new_delivery("evt_1".into(), "a")];
    assert!(matches!(f.store.enqueue(new(), of(1)).await, Err(StoreError::Outdated)));
    f.store.enqueue(new(), of(2)).await.unwrap();
    assert_eq!(waiting(&f.store, "a").await, ["2", "2"], "the other event does not exist");
}

#[tokio::test]
async fn signals_follow_the_commits() {
    let f = open();
    let mut arrivals = f.store.arrivals();
    accept(&f.store, "one", &["a"]).await;
    let id = f.store.heads(&lane("a"), 1).await.unwrap().remove(0).id;
    f.store.set_lane(&lane("b"), LaneState::Paused { reason: None }).await.unwrap();
    let dropped = id.clone();
    f.store.give_up(vec![id], "by hand").await.unwrap();
    f.store.assign(assignment(&[("a", "a")])).await.unwrap();
    let mut next = async || arrivals.next().await.unwrap();
    let arrived = next().await;
    let LaneSignal::Arrived { lane: to, message: Some(message) } = &arrived else { panic!("{arrived:?}") };
    assert_eq!((to, &message.id, message.event.event()["text"].as_str()), (&lane("a"), &dropped, Some("one")));
    let other = next().await;
    assert!(matches!(&other, LaneSignal::Changed(changed) if *changed == lane("b")), "{other:?}");
    let other = next().await;
    assert!(matches!(&other, LaneSignal::Changed(changed) if *changed == lane("a")), "{other:?}");
    let other = next().await;
    assert!(matches!(other, LaneSignal::Any), "{other:?}");
}

#[tokio::test]
async fn queued_messages_follow_their_channel_or_are_parked() {
    let f = open();
    accept(&f.store, "one", &["a"]).await;
    accept(&f.store, "two", &["b"]).await;
    let assign = |pairs: &[(&str, &str)]| f.store.assign(assignment(pairs));
    assign(&[("a", "moved")]).await.unwrap();
    assert_eq!(waiting(&f.store, "moved").await, ["one"]);
    assert_eq!(waiting(&f.store, "b").await, Vec::<String>::new());
    assign(&[("a", "moved"), ("b", "b")]).await.unwrap();
    assert_eq!(waiting(&f.store, "b").await, ["two"]);
}

#[tokio::test]
async fn error_in_one_request_of_a_batch_affects_only_it() {
    let f = open();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON events WHEN new.subject = 'refused'
                  BEGIN SELECT raise(ABORT, 'no'); END";
    f.store.writer.write("refuse", Durability::Kill, move |db| db.execute_batch(refuse)).await.unwrap();
    let is_refused: Decide = {
        let says = says("refused", &["a"]);
        Arc::new(move |known, ids| {
            let mut decided = says(known, ids);
            decided.events[0].subject = Some("refused".to_owned());
            decided
        })
    };
    accept(&f.store, "one", &["a"]).await;
    let (refused, other) = tokio::join!(
        f.store.accept(request(None).into(), Generation::default(), is_refused),
        f.store.accept(request(None).into(), Generation::default(), says("two", &["a"]))
    );
    let error = refused.unwrap_err().to_string();
    assert_eq!(error, "the store cannot accept a request: no");
    other.unwrap();
    assert_eq!(waiting(&f.store, "a").await, ["one", "two"]);
}

/// Simulates a full disk: SQLite rolls back the whole transaction by itself.
#[tokio::test]
async fn requests_are_stored_one_by_one_if_the_batch_fails() {
    let f = open();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let mut released = Some(released);
    let block = f.store.writer.write("wait", Durability::Kill, move |_: &mut Database| {
        // It runs again if it shares the transaction that fails.
        let _ = released.take().map(|released| released.recv());
        Ok(())
    });
    let fail = || {
        f.store.writer.write("fail", Durability::Kill, |db: &mut Database| {
            db.execute_batch("ROLLBACK")?;
            Err::<(), _>(rusqlite::Error::InvalidQuery)
        })
    };
    // All of these are queued behind the first, so they share a transaction.
    let all = async {
        tokio::join!(
            f.store.accept(request(None).into(), Generation::default(), says("one", &["a"])),
            fail(),
            f.store.accept(request(None).into(), Generation::default(), says("two", &["a"])),
            fail(),
            f.store.accept(request(None).into(), Generation::default(), says("three", &["a"])),
            async { release.send(()) },
        )
    };
    let (_, (one, _, two, _, three, _)) = tokio::join!(block, all);
    assert!(one.is_ok() && two.is_ok() && three.is_ok(), "{one:?} {two:?} {three:?}");
    assert_eq!(waiting(&f.store, "a").await, ["one", "two", "three"]);
    accept(&f.store, "after", &["a"]).await;
    assert_eq!(waiting(&f.store, "a").await.last().unwrap(), "after");
}

/// Counts the rows of a table that match.
async fn count(store: &SqliteStore, what: &'static str) -> u64 {
    store
        .read("count", move |db| db.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)))
        .await
        .unwrap()
}

#[tokio::test]
async fn filters_select_exactly() {
    let f = open();
    f.store.accept(request(Some("uuid-1")).into(), Generation::default(), says("one", &["a", "b"])).await.unwrap();
    accept(&f.store, "two", &["a"]).await;
    lease(&f.store, "a", OWNER).await;
    finish_first(&f.store, "a", NextState::Dead { why: Some("because".to_owned()) }).await;
    let all = Filter { limit: 10, ..Filter::default() };
    let found = async |filter: Filter| f.store.deliveries(filter).await.unwrap();
    let everything = found(all.clone()).await;
    let actual: Vec<_> = everything.iter().map(|d| (d.channel.as_str(), d.state, d.reason.as_deref())).collect();
    assert_eq!(actual, [("a", State::Dead, Some("because")), ("b", State::Queued, None), ("a", State::Queued, None)]);
    let count = async |filter: Filter| found(filter).await.len();
    for state in State::ALL {
        let expected = everything.iter().filter(|delivery| delivery.state == state).count();
        assert_eq!(count(Filter { state: Some(state), ..all.clone() }).await, expected, "{state:?}");
    }
    assert_eq!(count(Filter { channel: Some("a".into()), ..all.clone() }).await, 2);
    assert_eq!(count(Filter { ids: vec![everything[1].id.to_string(), "dlv_x".to_owned()], ..all.clone() }).await, 1);
    assert_eq!(count(Filter { since: Some(now() + MINUTE), ..all.clone() }).await, 0);
    assert_eq!(count(Filter { before: Some(everything[2].id.clone()), ..all.clone() }).await, 2);
    assert_eq!(count(Filter { kinds: vec!["push".to_owned()], limit: 2, ..all.clone() }).await, 2);
    assert_eq!(count(Filter { repository: Some("acme/api".to_owned()), ..all.clone() }).await, 0);
    assert_eq!(count(Filter { request_key: Some("uuid-1".to_owned()), ..all.clone() }).await, 2);
    let events = f.store.events(Filter { channel: Some("b".into()), ..all.clone() }).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(f.store.event_json(&events[0].id).await.unwrap(), Some(json!({ "text": "one" })));

    let whole = f.store.delivery(&everything[0].id).await.unwrap().unwrap();
    assert_eq!(
        (whole.sent.as_deref(), whole.attempt_log.len(), whole.attempt_log[0].status),
        (Some("sent"), 1, Some(200))
    );
    let again =
        NewDelivery { replay_of: Some(everything[0].id.clone()), ..new_delivery(everything[0].event.clone(), "a") };
    let dead = Filter { state: Some(State::Dead), unrepeated: true, ..all };
    assert_eq!(count(dead.clone()).await, 1);
    f.store.enqueue(vec![again], Generation::default()).await.unwrap();
    assert_eq!(waiting(&f.store, "a").await, ["two", "one"], "at the end");
    assert_eq!(count(dead).await, 0, "it was sent again already");
}

#[test]
fn changes_of_deliveries_fill_no_table_in_memory() {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(include_str!("schema.sql")).unwrap();
    // It would cost each message more than all the rest of the statement.
    for sql in ["INSERT INTO deliveries DEFAULT VALUES", "UPDATE deliveries SET state = 3 WHERE id = 1"] {
        let mut explained = db.prepare(&format!("EXPLAIN {sql}")).unwrap();
        let steps: rusqlite::Result<Vec<String>> = explained.query_map([], |row| row.get(1)).unwrap().collect();
        let steps = steps.unwrap();
        assert!(steps.contains(&"OpenWrite".to_owned()) && !steps.contains(&"OpenEphemeral".to_owned()), "{sql}");
    }
}
