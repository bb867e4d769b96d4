//! The way out: each lane is worked on by one task, which takes what waits there in order, renders it, sends it,
//! and finishes it before the next. A lane that waits for its chat delays no other.

mod alert;
mod attempt;
mod backoff;
mod lane;
mod signals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use ulid::Ulid;

use crate::chat::{Pace, Pacer};
use crate::clock::SteadyClock;
use crate::config::{Live, Settings};
use crate::event::ChannelName;
use crate::health::{Health, supervise};
use crate::store::{Change, Lane, Millis, Settle, Store, StoreError, now};
use signals::Signals;

pub(crate) use alert::{Alert, Alerts, Outage};
pub use backoff::backoff;

/// All lanes at work.
pub struct Dispatcher {
    live: Live,
    store: Arc<dyn Store>,
    clock: fn() -> Millis,
    steady: SteadyClock,
    /// This run of the program.
    owner: String,
    bells: Bells,
    running: BTreeMap<Lane, Running>,
    health: Health,
}

/// A lane's task.
struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// The way to tell lanes' tasks what happened.
#[derive(Clone, Default)]
pub struct Bells(Arc<RwLock<BTreeMap<Lane, Arc<Signals>>>>);

impl Bells {
    /// Something waits in a lane now.
    pub fn arrival(&self, lane: &Lane) {
        if let Some(signals) = self.of(lane) {
            signals.ring_arrival();
        }
    }

    /// Somebody paused or reopened a lane, or gave up what waits there.
    pub fn change(&self, lane: &Lane) {
        if let Some(signals) = self.of(lane) {
            signals.ring_change();
        }
    }

    fn of(&self, lane: &Lane) -> Option<Arc<Signals>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(lane).cloned()
    }

    /// The bells of a lane; new ones where it had none.
    fn hang(&self, lane: &Lane) -> Arc<Signals> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).entry(lane.clone()).or_default().clone()
    }

    fn keep(&self, lanes: &BTreeSet<Lane>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|lane, _| lanes.contains(lane));
    }
}

/// Names this run of the program, for leases and attempts: the host, and what tells this run from others there.
fn node() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host = Some(host.trim()).filter(|host| !host.is_empty()).unwrap_or("node");
    format!("{host}/{}", Ulid::generate().to_string().to_ascii_lowercase())
}

/// The lanes, each with what its task must be started anew for if it changes: its channels, and how fast they may send.
fn outline(settings: &Settings) -> BTreeMap<Lane, (BTreeSet<ChannelName>, Pace)> {
    let mut lanes: BTreeMap<Lane, (BTreeSet<ChannelName>, Pace)> = BTreeMap::new();
    for (name, lane) in &settings.lanes {
        let (channels, pace) = lanes.entry(lane.clone()).or_default();
        channels.insert(name.clone());
        // Channels that share a lane share all of their limits.
        pace.0.extend(settings.channels.get(name).map(|channel| channel.chat.pace().0).unwrap_or_default());
    }
    lanes
}

impl Dispatcher {
    /// Starts a task for each destination; what waits from before is taken up at once, and what was undecided is routed
    /// first, if it can be by now.
    pub async fn start(
        live: Live,
        store: Arc<dyn Store>,
        settle: Option<Settle>,
        health: Health,
    ) -> Result<Self, StoreError> {
        Self::start_at(live, store, settle, health, now).await
    }

    /// The same, by a clock of one's own.
    pub async fn start_at(
        live: Live,
        store: Arc<dyn Store>,
        settle: Option<Settle>,
        health: Health,
        clock: fn() -> Millis,
    ) -> Result<Self, StoreError> {
        let bells = Bells::default();
        let steady = SteadyClock::start(clock());
        let mut dispatcher =
            Self { live, store, clock, steady, owner: node(), bells, running: BTreeMap::new(), health };
        let settings = dispatcher.live.now();
        dispatcher.store.assign(settings.lanes.clone(), Change { settle, then: None }).await?;
        dispatcher.work(BTreeMap::new());
        Ok(dispatcher)
    }

    /// Goes over to other settings, whole or not at all. Lanes whose channels or pace are others finish the message that
    /// they are at, and start anew; all others go on.
    pub async fn change(&mut self, settings: Arc<Settings>, settle: Option<Settle>) -> Result<(), StoreError> {
        let (old, new) = (outline(&self.live.now()), outline(&settings));
        let other: Vec<_> = self.running.keys().filter(|lane| old.get(*lane) != new.get(*lane)).cloned().collect();
        let stopped = self.halt(other).await;
        let live = self.live.clone();
        let (lanes, next) = (settings.lanes.clone(), settings);
        let change = Change { settle, then: Some(Box::new(move || live.replace(next))) };
        let changed = self.store.assign(lanes, change).await;
        self.work(stopped);
        // What waited elsewhere may wait here now.
        self.running.keys().for_each(|lane| self.bells.arrival(lane));
        self.probe();
        changed
    }

    /// Has every lane that waits after a failure try again at once, unless its chat asked for the wait.
    pub fn probe(&self) {
        self.running.keys().filter_map(|lane| self.bells.of(lane)).for_each(|signals| signals.ring_probe());
    }

    /// The way to send alerts.
    pub(crate) fn alerts(&self) -> Alerts {
        Alerts { live: self.live.clone(), bells: self.bells.clone(), store: self.store.clone() }
    }

    /// Stops lanes' tasks. Those that are not done in time are returned: whoever works there next waits for them.
    async fn halt(&mut self, lanes: Vec<Lane>) -> BTreeMap<Lane, JoinHandle<()>> {
        let running: Vec<_> = lanes.into_iter().filter_map(|lane| self.running.remove_entry(&lane)).collect();
        for (_, running) in &running {
            running.stop.send_replace(true);
        }
        let mut late = BTreeMap::new();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        for (lane, Running { mut task, .. }) in running {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                tracing::warn!(lane = lane.0, "a lane is still at a message, which may be sent twice");
                late.insert(lane, task);
            }
        }
        late
    }

    /// Starts a task for each lane that has none.
    fn work(&mut self, mut late: BTreeMap<Lane, JoinHandle<()>>) {
        let outline = outline(&self.live.now());
        self.bells.keep(&outline.keys().cloned().collect());
        for (lane, (_, pace)) in outline {
            if self.running.contains_key(&lane) {
                continue;
            }
            let (stop, stopped) = watch::channel(false);
            let worker = lane::Worker {
                lane: lane.clone(),
                owner: self.owner.clone(),
                live: self.live.clone(),
                store: self.store.clone(),
                signals: self.bells.hang(&lane),
                stopped,
                pacer: Pacer::new(&pace),
                alerts: self.alerts(),
                clock: self.clock,
                steady: self.steady,
                leased: None,
                failing: false,
                failures: 0,
                probe: true,
                outages: None,
                suspect: None,
            };
            let (before, health, name) = (late.remove(&lane), self.health.clone(), task_name(&lane));
            let task = tokio::spawn(async move {
                if let Some(before) = before {
                    let _ = before.await;
                }
                supervise(health, "lane", name, || worker.clone().run(), || worker.clone().recover()).await;
            });
            self.running.insert(lane, Running { stop, task });
        }
    }

    /// The way to tell the tasks what happened.
    pub fn bells(&self) -> Bells {
        self.bells.clone()
    }

    /// Lets each lane finish the message that it is at, and stops. What still waits, waits in the store.
    pub async fn stop(self, grace: Duration) {
        for running in self.running.values() {
            running.stop.send_replace(true);
        }
        let mut late = 0;
        let deadline = tokio::time::Instant::now() + grace;
        for Running { mut task, .. } in self.running.into_values() {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
                late += 1;
            }
        }
        if late > 0 {
            tracing::warn!(
                lanes = late,
                "some lanes did not finish in time; what they had sent is marked as perhaps repeated"
            );
        }
    }
}

/// The name of a lane's task, for [`Health`].
pub fn task_name(lane: &Lane) -> String {
    format!("the lane `{}`", lane.0)
}

/// How long lanes may take to finish their messages when their channels change: longer than any chat is waited for.
const PATIENCE: Duration = Duration::from_secs(25);

#[cfg(test)]
mod tests;
