//! Lanes with the real store and fake chats in the same process, so that tests control the clock: an hour passes at
//! once.

mod failing;
mod patient;

use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::*;
use crate::chat::{Action, Body, Chat, Failure, Outcome, Posted, Reason, Sent};
use crate::config::{Channel, DeliverySettings, Live};
use crate::event::{ChannelName, Content, DeliveryId, EventId, SourceName};
use crate::message::{Message, Style, plain_text};
use crate::store::*;
use patient::Patient;

/// A chat with scripted outcomes, which records the messages that it receives.
#[derive(Clone)]
struct Fake {
    name: &'static str,
    pace: Pace,
    state: Arc<Mutex<FakeState>>,
}

#[derive(Default)]
struct FakeState {
    /// Received messages, with the time.
    came: Vec<(Instant, String)>,
    /// Messages that were accepted.
    shown: Vec<String>,
    /// Outcomes of the next messages; after them, `always` applies.
    script: VecDeque<Outcome>,
    always: Option<Outcome>,
    /// Number of further sends that panic.
    panics: usize,
    /// Outcomes of all messages that contain a text.
    of: Vec<(String, Outcome)>,
}

impl Fake {
    fn new(name: &'static str) -> Self {
        Self { name, pace: Pace::default(), state: Arc::default() }
    }

    fn with(self, change: impl FnOnce(&mut FakeState)) -> Self {
        change(&mut self.state.lock().unwrap());
        self
    }

    fn set(&self, change: impl FnOnce(&mut FakeState)) {
        change(&mut self.state.lock().unwrap());
    }

    fn shown(&self) -> Vec<String> {
        self.state.lock().unwrap().shown.clone()
    }

    fn came(&self) -> Vec<(Instant, String)> {
        self.state.lock().unwrap().came.clone()
    }

    /// Waits until `count` messages are accepted.
    async fn wait_for(&self, count: usize) -> Vec<String> {
        // The deadline uses the real clock, so that a failing test does not hang.
        let deadline = std::time::Instant::now() + Duration::from_secs(300);
        while self.state.lock().unwrap().shown.len() < count {
            assert!(std::time::Instant::now() < deadline, "{} of {count} messages were accepted", self.shown().len());
            sleep(Duration::from_millis(20)).await;
        }
        self.shown()
    }
}

#[async_trait]
impl Chat for Fake {
    fn destination(&self) -> String {
        self.name.to_owned()
    }

    fn pace(&self) -> Pace {
        self.pace.clone()
    }

    fn encode(&self, message: &Message) -> Body {
        Body(plain_text(&message.line))
    }

    async fn perform(&self, _: &DeliveryId, action: Action<'_>) -> Sent {
        let Action::Post(body) = action else { return action.unsupported() };
        let mut state = self.state.lock().unwrap();
        if state.panics > 0 {
            state.panics -= 1;
            drop(state);
            panic!("a bug");
        }
        state.came.push((Instant::now(), body.0.clone()));
        let of = state.of.iter().find(|(text, _)| body.0.contains(text)).map(|(_, outcome)| outcome.clone());
        let outcome = of.or_else(|| state.script.pop_front()).or_else(|| state.always.clone());
        let outcome = outcome.unwrap_or_else(|| Outcome::Delivered(Posted::default()));
        if matches!(outcome, Outcome::Delivered(_) | Outcome::Accepted) {
            state.shown.push(body.0.clone());
        }
        outcome.into()
    }
}

fn retry(reason: Reason, after: Option<u64>) -> Outcome {
    let after = after.map(Duration::from_secs);
    Outcome::Retry { failure: Failure::new(reason, "not now"), after }
}

/// Returns the current time, which advances with the runtime's clock.
fn clock() -> Millis {
    static START: OnceLock<(Instant, Millis)> = OnceLock::new();
    let (start, at) = START.get_or_init(|| (Instant::now(), now()));
    at + Millis::try_from((Instant::now() - *start).as_millis()).unwrap()
}

/// Running lanes.
struct Fixture {
    store: Arc<dyn Store>,
    live: Live,
    dispatcher: Dispatcher,
    health: Health,
    directory: tempfile::TempDir,
    fakes: Vec<Fake>,
}

/// Age at which messages are too old in these tests.
const MAX_AGE: Duration = Duration::from_secs(3 * 60 * 60);

impl Fixture {
    async fn new(fakes: &[&Fake]) -> Self {
        Self::new_at(fakes, clock).await
    }

    async fn new_at(fakes: &[&Fake], clock: fn() -> Millis) -> Self {
        let fakes: Vec<_> = fakes.iter().map(|fake| (*fake).clone()).collect();
        Self::open(tempfile::tempdir().unwrap(), &fakes, clock).await
    }

    async fn open(directory: tempfile::TempDir, fakes: &[Fake], clock: fn() -> Millis) -> Self {
        let store = StoreUrl::parse_in("sqlite:h.db", directory.path()).unwrap().open_at(clock).unwrap();
        let store: Arc<dyn Store> = Arc::new(Patient(store));
        let channel = |fake: &Fake| Channel {
            chat: Box::new(fake.clone()),
            style: Style::Line,
            avatars: true,
            kind: crate::chat::kind("console").unwrap(),
        };
        let mut settings = crate::config::testing::settings(directory.path(), "");
        settings.channels = fakes.iter().map(|fake| (ChannelName::from(fake.name), channel(fake))).collect();
        settings.lanes = fakes.iter().map(|fake| (ChannelName::from(fake.name), Lane(fake.destination()))).collect();
        settings.delivery =
            DeliverySettings { max_age: MAX_AGE, alerts: fakes.iter().map(|fake| fake.name.into()).collect() };
        let live = Live::new(settings);
        let health = Health::default();
        let dispatcher = Dispatcher::start_at(live.clone(), store.clone(), None, health.clone(), clock).await.unwrap();
        Self { store, live, dispatcher, health, directory, fakes: fakes.to_vec() }
    }

    /// Stops the lanes and starts them again with the same store.
    async fn restart(self) -> Self {
        let Self { store, dispatcher, directory, fakes, live, health: _ } = self;
        dispatcher.stop(Duration::from_secs(5)).await;
        drop((store, live));
        Self::open(directory, &fakes, clock).await
    }

    /// Stores an event with this text for a channel, like a request.
    async fn tell(&self, channel: &str, text: &str) -> DeliveryId {
        self.tell_all(channel, &[text.to_owned()]).await.remove(0)
    }

    /// Stores several events at once.
    async fn tell_all(&self, channel: &str, texts: &[String]) -> Vec<DeliveryId> {
        let (name, texts) = (ChannelName::from(channel), texts.to_vec());
        let count = texts.len();
        let decide: Decide = Arc::new(move |_, ids| {
            let mut decided = Decided::empty(Receipt::empty(ids.request()));
            for (n, text) in texts.iter().enumerate() {
                decided.events.push(NewEvent {
                    kind: "other",
                    repository: None,
                    subject: None,
                    content: Content::Json(Arc::new(json!({ "kind": "other", "key": text, "actor": null }))),
                    decision: StoredDecision::default(),
                });
                decided.deliveries.push(NewDelivery::new(ids.event(n), name.clone(), "r"));
            }
            decided
        });
        let request = NewRequest {
            source: "s".into(),
            hook: None,
            key: None,
            received_at: clock(),
            headers: json!({}),
            body: Bytes::new(),
            digest: None,
            subjects: vec![],
        };
        let generation = self.live.now().generation;
        let accepted = self.store.accept(request.into(), generation, decide).await.unwrap();
        let Accepted::Stored { receipt } = accepted else { panic!("{accepted:?}") };
        // By request, because an alert may already be the newest message of the channel.
        let filter = Filter { request: Some(receipt.request), limit: count, ..Filter::default() };
        self.store.deliveries(filter).await.unwrap().into_iter().map(|delivery| delivery.id).collect()
    }

    async fn state(&self, id: &DeliveryId) -> (State, Option<String>) {
        let whole = self.store.delivery(id).await.unwrap().unwrap();
        (whole.delivery.state, whole.delivery.reason)
    }

    async fn outcomes(&self, id: &DeliveryId) -> Vec<&'static str> {
        let attempt_log = self.store.delivery(id).await.unwrap().unwrap().attempt_log;
        attempt_log.into_iter().map(|attempt| attempt.outcome.as_str()).collect()
    }
}

/// Returns the numbers in texts like `event 17`, in order.
fn numbers(texts: &[String]) -> Vec<usize> {
    texts
        .iter()
        .filter_map(|text| text.split("event ").nth(1)?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
        .collect()
}

/// Waits until `holds` returns true.
async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(std::time::Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn hour_of_outage_delays_no_other_lane_and_ends_in_order() {
    const WAITING: usize = 10_000;
    let slow = Fake { pace: Pace::parse("10/s").unwrap(), ..Fake::new("slow") };
    slow.set(|state| state.always = Some(retry(Reason::ServerError, None)));
    let other = Fake::new("other");
    let f = Fixture::new(&[&slow, &other]).await;
    // Latency of an event for the other lane, without and during the outage, by the clock of the lanes.
    let latency = async |from: usize| {
        let mut worst = Duration::ZERO;
        for n in from..from + 20 {
            let began = Instant::now();
            f.tell("other", &format!("event {n}")).await;
            other.wait_for(n + 1).await;
            worst = worst.max(other.came()[n].0 - began);
        }
        worst
    };
    let before = latency(0).await;
    for first in (0..WAITING).step_by(100) {
        let texts: Vec<_> = (first..first + 100).map(|n| format!("event {n}")).collect();
        f.tell_all("slow", &texts).await;
    }
    let during = latency(20).await;
    let asked = slow.came().len();
    sleep(Duration::from_secs(50 * 60)).await;
    let asked = slow.came().len() - asked;
    assert!(
        (20..=42).contains(&asked),
        "{asked} attempts in 50 minutes; expected two for each wait of 2.5 to 5 minutes"
    );
    let late = latency(40).await;
    assert!(
        during <= before + Duration::from_millis(20) && late <= before + Duration::from_millis(20),
        "{before:?} before, {during:?} during, {late:?} after an hour"
    );
    assert_eq!(slow.shown().len(), 0);

    slow.set(|state| state.always = None);
    let back = Instant::now();
    let shown = slow.wait_for(WAITING).await;
    assert_eq!(numbers(&shown), (0..WAITING).collect::<Vec<_>>(), "in order, without duplicates");
    let duration_ms = Instant::now() - back;
    let at_pace = Duration::from_secs(WAITING as u64 / 10);
    assert!(
        duration_ms >= at_pace - Duration::from_secs(1) && duration_ms < at_pace + Duration::from_secs(320),
        "{duration_ms:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn requested_wait_is_respected_across_a_restart() {
    let fake = Fake::new("a").with(|state| state.script = [retry(Reason::RateLimited, Some(600))].into());
    let f = Fixture::new(&[&fake]).await;
    f.tell("a", "event 0").await;
    until("one attempt is made", async || fake.came().len() == 1).await;
    sleep(Duration::from_secs(100)).await;
    let f = f.restart().await;
    f.tell("a", "event 1").await;
    assert_eq!(numbers(&fake.wait_for(2).await), [0, 1]);
    let waited = fake.came()[1].0 - fake.came()[0].0;
    assert!(waited >= Duration::from_secs(600) && waited < Duration::from_secs(602), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn restart_or_reload_probes_at_once_and_resets_the_backoff() {
    let fake = Fake::new("a").with(|state| state.always = Some(retry(Reason::Network, None)));
    let mut f = Fixture::new(&[&fake]).await;
    let id = f.tell("a", "event 0").await;
    sleep(Duration::from_secs(60 * 60)).await;
    for restarts in 1..=5 {
        let before = fake.came().len();
        let began = Instant::now();
        f = f.restart().await;
        until("two more attempts are made", async || fake.came().len() >= before + 2).await;
        let (first, second) = (fake.came()[before].0 - began, fake.came()[before + 1].0 - began);
        assert!(first < Duration::from_secs(1) && second < Duration::from_secs(4), "{restarts}: {first:?}, {second:?}");
    }
    sleep(Duration::from_secs(60 * 60)).await;
    fake.set(|state| state.always = None);
    let began = Instant::now();
    f.dispatcher.probe();
    fake.wait_for(1).await;
    assert!(fake.came().last().unwrap().0 - began < Duration::from_secs(1), "a reload");
    assert!(f.outcomes(&id).await.iter().all(|outcome| *outcome != "unknown"));
}

#[tokio::test(start_paused = true)]
async fn unknown_outcome_marks_do_not_raise_the_backoff() {
    let mut f = Fixture::new(&[]).await;
    let id = f.tell("a", "event 0").await;
    let lanes = [(ChannelName::from("a"), Lane("a".to_owned()))].into();
    f.store.assign(Assignment { generation: Generation::default(), lanes, route_pending: None }).await.unwrap();
    // Ten runs of the program that each ended while the message was being sent.
    for run in 0..10 {
        let (lane, owner) = (Lane("a".to_owned()), format!("run {run}"));
        let held = f.store.lease(&lane, &owner, Duration::from_secs(60)).await.unwrap();
        assert!(matches!(held, Lease::Held { .. }), "{held:?}");
        f.store.reclaim(&lane, &owner).await.unwrap();
    }
    assert_eq!(f.outcomes(&id).await, ["unknown"; 10]);
    let fake = Fake::new("a").with(|state| state.script = [retry(Reason::Network, None)].into());
    f.fakes = vec![fake.clone()];
    let _f = f.restart().await;
    fake.wait_for(1).await;
    let waited = fake.came()[1].0 - fake.came()[0].0;
    assert!(waited < Duration::from_secs(2), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn outage_and_recovery_are_reported_across_a_restart() {
    let gone = Failure::with_help(Reason::Gone, "channel_is_archived", "unarchive the channel");
    let fake = Fake::new("a").with(|state| state.script = [Outcome::Closed(gone)].into());
    let other = Fake::new("b");
    let f = Fixture::new(&[&fake, &other]).await;
    let id = f.tell("a", "event 0").await;
    assert_eq!(other.wait_for(1).await, ["Hookbell: Channel a is closed: its messages stay queued"]);
    let filter = Filter { kinds: vec!["alert".to_owned()], limit: 9, ..Filter::default() };
    let event = f.store.events(filter).await.unwrap().remove(0);
    let alert = f.store.event_json(&event.id).await.unwrap().unwrap()["alert"].take();
    assert_eq!(alert["help"], "unarchive the channel; then run: hookbell channels reopen a");
    assert_eq!((&alert["message"]["delivery"], &alert["message"]["kind"]), (&json!(id.as_str()), &json!("other")));
    sleep(Duration::from_secs(2 * 60 * 60)).await;
    let f = f.restart().await;
    f.store.set_lane(&Lane("a".to_owned()), LaneState::Open).await.unwrap();
    f.tell("a", "event 1").await;
    let alerts = other.wait_for(2).await;
    assert_eq!(alerts[1], "Hookbell: Channel a has recovered");
    // The channel is open again, so it gets the alert too.
    until("the end is reported in the channel itself", async || fake.shown().len() == 3).await;
    f.tell("a", "event 2").await;
    fake.wait_for(4).await;
    assert_eq!(other.shown().len(), 2, "an outage ends once");
}

#[tokio::test(start_paused = true)]
async fn messages_queued_while_stopped_are_sent_at_any_age() {
    let fake = Fake::new("a").with(|state| state.always = Some(retry(Reason::Network, None)));
    let f = Fixture::new(&[&fake]).await;
    f.store.set_lane(&Lane("a".to_owned()), LaneState::Paused { reason: None }).await.unwrap();
    f.tell("a", "event 0").await;
    sleep(MAX_AGE * 3).await;
    fake.set(|state| state.always = None);
    f.store.set_lane(&Lane("a".to_owned()), LaneState::Open).await.unwrap();
    assert_eq!(numbers(&fake.wait_for(1).await), [0]);
}

#[tokio::test(start_paused = true)]
async fn repeated_waits_are_respected_each_time() {
    let fake = Fake::new("a");
    fake.set(|state| state.script = (0..4).map(|_| retry(Reason::RateLimited, Some(30))).collect());
    let f = Fixture::new(&[&fake]).await;
    f.tell("a", "event 0").await;
    fake.wait_for(1).await;
    let came = fake.came();
    assert_eq!(came.len(), 5);
    for two in came.windows(2) {
        let waited = two[1].0 - two[0].0;
        assert!(waited >= Duration::from_secs(30) && waited < Duration::from_secs(31), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn reopening_a_lane_probes_at_once() {
    let fake = Fake::new("a").with(|state| state.script = [retry(Reason::RateLimited, Some(3_600))].into());
    let f = Fixture::new(&[&fake]).await;
    let id = f.tell("a", "event 0").await;
    // Otherwise the store may open the lane before it stores the chat's request to wait.
    until("one attempt is stored", async || f.outcomes(&id).await.len() == 1).await;
    let began = Instant::now();
    f.store.set_lane(&Lane("a".to_owned()), LaneState::Open).await.unwrap();
    fake.wait_for(1).await;
    assert!(Instant::now() - began < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn dropped_delivery_that_was_read_ahead_is_not_sent() {
    let fake = Fake { pace: Pace::parse("1/min").unwrap(), ..Fake::new("a") };
    let f = Fixture::new(&[&fake]).await;
    let mut ids = vec![];
    for n in 0..4 {
        ids.push(f.tell("a", &format!("event {n}")).await);
    }
    fake.wait_for(1).await;
    f.store.give_up(vec![ids[1].clone(), ids[2].clone()], "by an operator").await.unwrap();
    assert_eq!(numbers(&fake.wait_for(2).await), [0, 3]);
    assert_eq!(f.state(&ids[1]).await, (State::Dead, Some("by an operator".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn clock_steps_lose_and_delay_nothing() {
    static STEP: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);
    fn stepping_clock() -> Millis {
        clock() + STEP.load(std::sync::atomic::Ordering::Relaxed)
    }
    let fake = Fake::new("a");
    let f = Fixture::new_at(&[&fake], stepping_clock).await;
    let hour = 60 * 60 * 1000;
    for (n, step) in [0, hour, -hour, 0, -hour, hour].into_iter().enumerate() {
        STEP.store(step, std::sync::atomic::Ordering::Relaxed);
        fake.set(|state| state.script = [retry(Reason::ServerError, None)].into());
        let began = Instant::now();
        f.tell("a", &format!("event {n}")).await;
        fake.wait_for(n + 1).await;
        assert!(Instant::now() - began < Duration::from_secs(3), "step {step}");
    }
    assert_eq!(numbers(&fake.shown()), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn panicked_lane_is_restarted_marked_counted_and_alerted() {
    let (broken, other) = (Fake::new("broken").with(|state| state.panics = 2), Fake::new("other"));
    let f = Fixture::new(&[&broken, &other]).await;
    let id = f.tell("broken", "event 1").await;
    let shown = broken.wait_for(2).await;
    assert!(shown.iter().any(|text| text.contains("event 1")), "{shown:?}");
    until("the result is stored", || async { f.state(&id).await.0 == State::Delivered }).await;
    // The message may have been sent before the task panicked.
    assert_eq!(f.outcomes(&id).await, ["unknown", "unknown", "delivered"]);
    assert_eq!(f.health.panics(&task_name(&Lane("broken".to_owned()))), 2);
    assert!(f.health.problems()[0].starts_with("the lane `broken` panicked 2 times"), "{:?}", f.health.problems());
    let alerts = other.wait_for(1).await;
    assert!(alerts[0].contains("`broken`") || alerts[0].contains("broken"), "{alerts:?}");
}
