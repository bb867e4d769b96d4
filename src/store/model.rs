//! Contract of a store, as a short program that keeps everything in vectors. Tests run random histories on a store and
//! on this model, and compare both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::event::{ChannelName, Content};
use crate::store::sqlite::tests::{clock, set_clock};

const CHANNELS: [&str; 3] = ["red", "green", "blue"];
const LANES: [&str; 3] = ["one", "two", "three"];
const OWNERS: [&str; 2] = ["first", "second"];
const LEASE: Duration = Duration::from_secs(1);

/// Operation on a store. Numbers select one of the existing objects.
#[derive(Clone, Debug)]
enum Step {
    Accept { key: Option<u8>, channels: Vec<usize> },
    Assign { lanes: [Option<usize>; 3] },
    Lease { lane: usize, owner: usize },
    Release { lane: usize, owner: usize },
    Mark { lane: usize, owner: usize, delivery: usize },
    Finish { lane: usize, owner: usize, end: u8, pause: Millis, is_asked: bool },
    Set { lane: usize, state: u8 },
    GiveUp { delivery: usize },
    Replay { delivery: usize },
    Time { millis: Millis },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let (lane, owner) = (0..LANES.len(), 0..OWNERS.len());
    prop_oneof![
        4 => (prop::option::of(0..4_u8), prop::collection::vec(0..CHANNELS.len(), 0..3))
            .prop_map(|(key, channels)| Step::Accept { key, channels }),
        1 => prop::array::uniform3(prop::option::weighted(0.8, 0..LANES.len())).prop_map(|lanes| Step::Assign { lanes }),
        4 => (lane.clone(), owner.clone()).prop_map(|(lane, owner)| Step::Lease { lane, owner }),
        1 => (lane.clone(), owner.clone()).prop_map(|(lane, owner)| Step::Release { lane, owner }),
        2 => (lane.clone(), owner.clone(), 0..3_usize)
            .prop_map(|(lane, owner, delivery)| Step::Mark { lane, owner, delivery }),
        6 => (lane.clone(), owner, 0..7_u8, 0..2_000_i64, any::<bool>())
            .prop_map(|(lane, owner, end, pause, is_asked)| Step::Finish { lane, owner, end, pause, is_asked }),
        1 => (lane, 0..3_u8).prop_map(|(lane, state)| Step::Set { lane, state }),
        1 => (0..20_usize).prop_map(|delivery| Step::GiveUp { delivery }),
        1 => (0..20_usize).prop_map(|delivery| Step::Replay { delivery }),
        2 => (0..1_500_i64).prop_map(|millis| Step::Time { millis }),
        1 => Just(Step::Restart),
    ]
}

/// Delivery of the model.
#[derive(Clone, Debug)]
struct Kept {
    id: DeliveryId,
    event: EventId,
    channel: &'static str,
    lane: &'static str,
    state: State,
    attempts: u32,
    strikes: u32,
}

struct Model {
    now: Millis,
    deliveries: Vec<Kept>,
    lanes: BTreeMap<&'static str, LaneRecord>,
    channels: BTreeMap<&'static str, &'static str>,
    seen: BTreeMap<u8, Receipt>,
}

impl Model {
    fn new() -> Self {
        let channels = CHANNELS.into_iter().zip(LANES).collect();
        Self { now: 1_000_000, deliveries: vec![], lanes: BTreeMap::new(), channels, seen: BTreeMap::new() }
    }

    fn heads(&self, lane: &str) -> Vec<&Kept> {
        self.deliveries.iter().filter(|kept| kept.lane == lane && kept.state == State::Queued).collect()
    }

    fn lease(&mut self, lane: &'static str, owner: &'static str) -> Lease {
        let (lease, in_doubt) = self.lanes.entry(lane).or_default().lease(owner, LEASE, self.now);
        self.mark_unknown(lane, in_doubt);
        lease
    }

    /// Adds an attempt to the message that may have been in flight, because the lane was not released.
    fn mark_unknown(&mut self, lane: &str, in_doubt: Option<InDoubt>) {
        // A message may have been sent before its channel was removed.
        let mut left = self.deliveries.iter_mut().filter(|kept| matches!(kept.state, State::Queued | State::Parked));
        let doubted = match in_doubt {
            Some(InDoubt::Marked(marked)) => left.find(|kept| kept.id == marked),
            Some(InDoubt::Oldest) => left.find(|kept| kept.lane == lane && kept.state == State::Queued),
            None => None,
        };
        if let Some(doubted) = doubted {
            doubted.attempts += 1;
        }
    }

    /// Restarts the process, so that all owners of lanes end.
    fn restart(&mut self) {
        for name in LANES {
            let Some(lane) = self.lanes.get_mut(name) else { continue };
            let Some(owner) = lane.owner.clone() else { continue };
            let in_doubt = lane.reclaim(&owner);
            self.mark_unknown(name, in_doubt);
        }
    }

    fn assign(&mut self, channels: BTreeMap<&'static str, &'static str>) {
        for kept in &mut self.deliveries {
            if matches!(kept.state, State::Queued | State::Parked) {
                match channels.get(kept.channel) {
                    Some(lane) => (kept.state, kept.lane) = (State::Queued, lane),
                    None => kept.state = State::Parked,
                }
            }
        }
        let used: BTreeSet<_> = channels.values().copied().collect();
        self.lanes.retain(|lane, record| used.contains(lane) || record.is_kept());
        self.channels = channels;
    }
}

/// Returns a configuration with these channels. All of them have one generation: requests of a history follow it.
fn assignment(channels: &BTreeMap<&'static str, &'static str>) -> Assignment {
    let lanes = channels.iter().map(|(channel, to)| (ChannelName::from(*channel), lane(to))).collect();
    Assignment { generation: Generation::default(), lanes, route_pending: None }
}

fn lane(name: &str) -> Lane {
    Lane(name.to_owned())
}

fn ended(end: u8) -> (NextState, State, u32) {
    match end {
        0 => (NextState::Delivered { message: None }, State::Delivered, 0),
        1 => (NextState::Accepted, State::Accepted, 0),
        2 => (NextState::Skipped { why: "s".to_owned() }, State::Skipped, 0),
        3 => (NextState::Dead { why: None }, State::Dead, 0),
        4 => (NextState::Suspect { why: "s".to_owned() }, State::Suspect, 0),
        5 => (NextState::Queued { strike: true }, State::Queued, 1),
        _ => (NextState::Queued { strike: false }, State::Queued, 0),
    }
}

/// Runs a history on a store and on the model, and compares them after each step.
async fn check(open: impl Fn() -> Arc<dyn Store>, steps: Vec<Step>) {
    let (mut store, mut model) = (open(), Model::new());
    set_clock(model.now);
    store.assign(assignment(&model.channels)).await.unwrap();
    for step in steps {
        match step.clone() {
            Step::Accept { key, channels } => accept(store.as_ref(), &mut model, key, &channels).await,
            Step::Assign { lanes } => {
                let channels = CHANNELS.into_iter().zip(lanes).filter_map(|(name, to)| Some((name, LANES[to?])));
                let channels: BTreeMap<_, _> = channels.collect();
                store.assign(assignment(&channels)).await.unwrap();
                model.assign(channels);
            }
            Step::Lease { lane: n, owner } => {
                let (name, owner) = (LANES[n], OWNERS[owner]);
                let got = store.lease(&lane(name), owner, LEASE).await.unwrap();
                assert_eq!(got, model.lease(name, owner), "{step:?}");
            }
            Step::Release { lane: n, owner } => {
                let (name, owner) = (LANES[n], OWNERS[owner]);
                store.release(&lane(name), owner).await.unwrap();
                model.lanes.entry(name).or_default().release(owner);
            }
            Step::Mark { lane: n, owner, delivery } => {
                let (name, owner) = (LANES[n], OWNERS[owner]);
                let Some(id) = model.heads(name).get(delivery).map(|kept| kept.id.clone()) else { continue };
                store.mark(&lane(name), owner, &id).await.unwrap();
                model.lanes.entry(name).or_default().mark(owner, &id);
            }
            Step::Finish { lane: n, owner, end, pause, is_asked } => {
                let (name, owner) = (LANES[n], OWNERS[owner]);
                let Some(head) = model.heads(name).first().map(|head| head.id.clone()) else { continue };
                let (next, state, strike) = ended(end);
                let attempt = Attempt {
                    at: model.now,
                    duration_ms: 1,
                    outcome: AttemptOutcome::Unknown,
                    status: None,
                    response: None,
                    body: "b".to_owned(),
                };
                let finished = Finished { delivery: head.clone(), attempt: Some(attempt), next, template_error: None };
                let turn = Turn { finished: vec![finished], pause, is_asked, close: None };
                let held = store.finish(&lane(name), owner, turn.clone().into()).await.unwrap();
                let is_held = model.lanes.entry(name).or_default().finish(owner, &turn, model.now);
                assert_eq!(held, is_held, "{step:?}");
                if is_held {
                    let kept = model.deliveries.iter_mut().find(|kept| kept.id == head).unwrap();
                    (kept.state, kept.attempts, kept.strikes) = (state, kept.attempts + 1, kept.strikes + strike);
                }
            }
            Step::Set { lane: n, state } => {
                let state = match state {
                    0 => LaneState::Open,
                    1 => LaneState::Paused { reason: None },
                    _ => LaneState::Closed { reason: "r".to_owned(), help: None },
                };
                store.set_lane(&lane(LANES[n]), state.clone()).await.unwrap();
                let now = model.now;
                model.lanes.entry(LANES[n]).or_default().set(state, now);
            }
            Step::GiveUp { delivery } => {
                let Some(kept) = model.deliveries.get_mut(delivery) else { continue };
                let waits = matches!(kept.state, State::Queued | State::Parked);
                let given_up = store.give_up(vec![kept.id.clone()], "by hand").await.unwrap();
                assert_eq!(given_up.len(), usize::from(waits), "{step:?}");
                if waits {
                    kept.state = State::Dead;
                }
            }
            Step::Replay { delivery } => {
                let Some(kept) = model.deliveries.get(delivery).cloned() else { continue };
                let Some(to) = model.channels.get(kept.channel).copied() else { continue };
                let replay =
                    NewDelivery { replay_of: Some(kept.id.clone()), ..new_delivery(kept.event.clone(), kept.channel) };
                let id = store.enqueue(vec![replay], Generation::default()).await.unwrap().remove(0);
                let repeated = &mut model.deliveries[delivery];
                if repeated.state == State::Parked {
                    repeated.state = State::Dead;
                }
                model.deliveries.push(Kept { id, lane: to, state: State::Queued, attempts: 0, strikes: 0, ..kept });
            }
            Step::Time { millis } => {
                model.now += millis;
                set_clock(model.now);
            }
            Step::Restart => {
                drop(store);
                store = open();
                model.restart();
            }
        }
        compare(store.as_ref(), &model, &step).await;
    }
}

fn new_delivery(event: EventId, channel: &str) -> NewDelivery {
    NewDelivery::new(event, channel.into(), "r")
}

async fn accept(store: &dyn Store, model: &mut Model, key: Option<u8>, channels: &[usize]) {
    let mut names: Vec<_> = channels.iter().map(|n| CHANNELS[*n]).collect();
    names.dedup();
    names.retain(|channel| model.channels.contains_key(channel));
    let request = NewRequest {
        source: "s".into(),
        hook: None,
        key: key.map(|key| key.to_string()),
        received_at: model.now,
        headers: json!({}),
        body: Bytes::new(),
        digest: None,
        subjects: vec![],
    };
    let to = names.clone();
    let decide: Decide = Arc::new(move |_, ids| Decided {
        events: vec![NewEvent {
            kind: "push",
            repository: None,
            subject: None,
            content: Content::Json(Arc::new(json!({}))),
            decision: StoredDecision::default(),
        }],
        deliveries: to.iter().map(|channel| new_delivery(ids.event(0), channel)).collect(),
        ..Decided::empty(Receipt { note: Some(ids.event(0).to_string()), ..Receipt::empty(ids.request()) })
    });
    let accepted = store.accept(request.into(), Generation::default(), decide).await.unwrap();
    if let Some(receipt) = key.and_then(|key| model.seen.get(&key)) {
        assert_eq!(accepted, Accepted::Duplicate { receipt: receipt.clone() });
        return;
    }
    let Accepted::Stored { receipt } = accepted else { panic!("{accepted:?}") };
    let event = EventId::from(receipt.note.clone().unwrap());
    let filter = Filter { event: Some(event.clone()), limit: 1_000, ..Filter::default() };
    let stored = store.deliveries(filter).await.unwrap();
    assert_eq!(stored.iter().map(|new| new.channel.as_str()).collect::<Vec<_>>(), names);
    for (new, channel) in stored.into_iter().zip(names) {
        let lane = model.channels[channel];
        let (state, event) = (State::Queued, event.clone());
        model.deliveries.push(Kept { id: new.id, event, channel, lane, state, attempts: 0, strikes: 0 });
    }
    model.seen.extend(key.map(|key| (key, receipt)));
}

async fn compare(store: &dyn Store, model: &Model, step: &Step) {
    for name in LANES {
        let heads = store.heads(&lane(name), 1_000).await.unwrap();
        let got: Vec<_> = heads.iter().map(|head| (&head.id, head.attempts, head.strikes)).collect();
        let heads = model.heads(name);
        let expected: Vec<_> = heads.iter().map(|kept| (&kept.id, kept.attempts, kept.strikes)).collect();
        assert_eq!(got, expected, "lane {name} after {step:?}");
    }
    let filter = Filter { limit: 1_000, ..Filter::default() };
    let all = store.deliveries(filter).await.unwrap();
    let got: Vec<_> = all.iter().map(|seen| (&seen.id, seen.state, seen.attempts)).collect();
    let expected: Vec<_> = model.deliveries.iter().map(|kept| (&kept.id, kept.state, kept.attempts)).collect();
    assert_eq!(got, expected, "after {step:?}");
    let counts = store.counts().await.unwrap();
    for name in LANES {
        let got = counts.lanes.get(&lane(name)).map_or(0, |counts| counts.queued);
        assert_eq!(got, model.heads(name).len() as u64, "lane {name} after {step:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sqlite_does_what_the_model_does(steps in prop::collection::vec(step(), 1..40)) {
        let directory = tempfile::tempdir().unwrap();
        let url = StoreUrl::parse_in("sqlite:h.db", directory.path()).unwrap();
        let open = || url.open_at(clock).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(open, steps));
    }
}
