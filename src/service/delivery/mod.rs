//! Delivery. One task per lane takes the queued messages in order: it renders a message, sends it, and finishes it
//! before the next one. A lane that waits for its chat does not delay other lanes.

mod alert;
mod attempt;
mod backoff;
mod inbox;
mod lane;
mod signals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::chat::{Pace, Pacer};
use crate::config::{Live, Settings};
use crate::event::ChannelName;
use crate::service::health::{Health, supervise, supervise_service};
use crate::store::{Arrivals, Assignment, Lane, LaneSignal, RouteLater, Store, StoreError};
use crate::time::{Millis, SteadyClock, now};
use inbox::InAll;
use signals::Signals;

pub(crate) use alert::{Alert, Alerts, Outage};
pub use backoff::backoff;

/// Runs one task for each lane.
pub struct Dispatcher {
    live: Live,
    store: Arc<dyn Store>,
    clock: fn() -> Millis,
    steady: SteadyClock,
    /// Id of this run of the program.
    owner: String,
    waking: Waking,
    /// Passes on the signals of the store.
    passing_on: JoinSet<()>,
    running: BTreeMap<Lane, Running>,
    health: Health,
}

/// A running task of a lane.
struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Signals to the tasks of lanes.
#[derive(Clone, Default)]
struct Waking {
    lanes: Arc<RwLock<BTreeMap<Lane, Arc<Signals>>>>,
    in_all: InAll,
}

impl Waking {
    /// Passes signals of the store on to the lanes, until the store is closed.
    async fn pass_on(self, mut arrivals: Arrivals) {
        while let Some(signal) = arrivals.next().await {
            match signal {
                LaneSignal::Arrived { lane, message } => {
                    if let Some(signals) = self.of(&lane) {
                        signals.arrive(message.map(Arc::unwrap_or_clone));
                    }
                }
                LaneSignal::Changed(lane) => self.of(&lane).iter().for_each(|signals| signals.notify_change()),
                LaneSignal::Any => self.wake_all(),
            }
        }
    }

    fn wake_all(&self) {
        for signals in self.all() {
            signals.arrive(None);
            signals.notify_change();
        }
    }

    fn all(&self) -> Vec<Arc<Signals>> {
        self.lanes.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn of(&self, lane: &Lane) -> Option<Arc<Signals>> {
        self.lanes.read().unwrap_or_else(PoisonError::into_inner).get(lane).cloned()
    }

    /// Returns the signals of a lane; creates them if it has none.
    fn register(&self, lane: &Lane) -> Arc<Signals> {
        self.lanes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(lane.clone())
            .or_insert_with(|| Arc::new(Signals::new(self.in_all.clone())))
            .clone()
    }

    fn keep(&self, lanes: &BTreeSet<Lane>) {
        self.lanes.write().unwrap_or_else(PoisonError::into_inner).retain(|lane, _| lanes.contains(lane));
    }
}

/// Returns a name of this run of the program, for leases and attempts: the machine's host name and a random number.
fn node() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host = Some(host.trim()).filter(|host| !host.is_empty()).unwrap_or("node");
    format!("{host}/{:016x}", rand::random::<u64>())
}

/// Returns the lanes, each with the settings whose change restarts its task: its channels and their rate limits.
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
    /// Starts a task for each destination. With `route_pending`, first routes the events that are pending routing. Then
    /// the tasks send what is queued.
    pub async fn start(
        live: Live,
        store: Arc<dyn Store>,
        route_pending: Option<RouteLater>,
        health: Health,
    ) -> Result<Self, StoreError> {
        Self::start_at(live, store, route_pending, health, now).await
    }

    /// Starts the tasks with another clock; see [`Self::start`].
    pub async fn start_at(
        live: Live,
        store: Arc<dyn Store>,
        route_pending: Option<RouteLater>,
        health: Health,
        clock: fn() -> Millis,
    ) -> Result<Self, StoreError> {
        let waking = Waking::default();
        // Before the assignment, so that no signal is lost.
        let mut first = Some(store.arrivals());
        let pass_on = {
            let (waking, store) = (waking.clone(), store.clone());
            move || {
                let (is_first, arrivals) = (first.is_some(), first.take().unwrap_or_else(|| store.arrivals()));
                if !is_first {
                    // Signals were lost by the panic.
                    waking.wake_all();
                }
                waking.clone().pass_on(arrivals)
            }
        };
        let mut passing_on = JoinSet::new();
        passing_on.spawn(supervise_service(health.clone(), "lane signals", pass_on));
        let steady = SteadyClock::start(clock());
        let (owner, running) = (node(), BTreeMap::new());
        let mut dispatcher = Self { live, store, clock, steady, owner, waking, passing_on, running, health };
        let settings = dispatcher.live.now();
        dispatcher.store.assign(assignment(&settings, route_pending)).await?;
        dispatcher.work(BTreeMap::new());
        Ok(dispatcher)
    }

    /// Replaces the settings atomically. Lanes whose channels or rate limits change finish their current message and
    /// restart; all others continue.
    pub async fn change(
        &mut self,
        settings: Arc<Settings>,
        route_pending: Option<RouteLater>,
    ) -> Result<(), StoreError> {
        let (old, new) = (outline(&self.live.now()), outline(&settings));
        let other: Vec<_> = self.running.keys().filter(|lane| old.get(*lane) != new.get(*lane)).cloned().collect();
        let stopped = self.halt(other).await;
        // From here to the replacement, requests wait: nothing may come between.
        let changed = self.store.assign(assignment(&settings, route_pending)).await;
        if changed.is_ok() {
            self.live.replace(settings);
        }
        self.work(stopped);
        self.probe();
        changed
    }

    /// Makes every lane that waits after a failure retry at once, unless its chat asked for the wait.
    pub fn probe(&self) {
        self.waking.all().iter().for_each(|signals| signals.notify_probe());
    }

    /// Returns a handle that sends alerts.
    pub(crate) fn alerts(&self) -> Alerts {
        Alerts { live: self.live.clone(), store: self.store.clone() }
    }

    /// Stops the tasks of lanes. Returns those that do not end in time; the next task of the lane waits for them.
    async fn halt(&mut self, lanes: Vec<Lane>) -> BTreeMap<Lane, JoinHandle<()>> {
        let running: Vec<_> = lanes.into_iter().filter_map(|lane| self.running.remove_entry(&lane)).collect();
        for (_, running) in &running {
            running.stop.send_replace(true);
        }
        let mut late = BTreeMap::new();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        for (lane, Running { mut task, .. }) in running {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                tracing::warn!(lane = lane.0, "lane did not stop in time; its current message may be sent twice");
                late.insert(lane, task);
            }
        }
        late
    }

    /// Starts a task for each lane that has none.
    fn work(&mut self, mut late: BTreeMap<Lane, JoinHandle<()>>) {
        let outline = outline(&self.live.now());
        self.waking.keep(&outline.keys().cloned().collect());
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
                signals: self.waking.register(&lane),
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

    /// Stops after each lane has finished its current message, or after `grace`. Queued messages stay in the store.
    pub async fn stop(mut self, grace: Duration) {
        for running in self.running.values() {
            running.stop.send_replace(true);
        }
        self.passing_on.shutdown().await;
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
                "lanes did not finish in time; their current messages have an unknown outcome and may be sent twice"
            );
        }
    }
}

/// Returns what the store must know about the settings.
fn assignment(settings: &Settings, route_pending: Option<RouteLater>) -> Assignment {
    Assignment { generation: settings.generation, lanes: settings.lanes.clone(), route_pending }
}

/// Returns the name of a lane's task in [`Health`].
pub fn task_name(lane: &Lane) -> String {
    format!("the lane `{}`", lane.0)
}

/// Maximum time for lanes to finish their messages when their channels change. Longer than the timeout of a request.
const PATIENCE: Duration = Duration::from_secs(25);

#[cfg(test)]
mod tests;
