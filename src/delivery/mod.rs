//! The way out: each lane is worked on by one task, which takes what waits there in order, renders it, sends it,
//! and finishes it before the next. A lane that waits for its chat delays no other.

mod alert;
mod attempt;
mod backoff;
mod lane;
mod signals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use ulid::Ulid;

use crate::chat::{Pace, Pacer};
use crate::config::Settings;
use crate::event::ChannelName;
use crate::store::{Lane, Millis, Store, StoreError, now};
use alert::Alerts;
use signals::Signals;

pub use backoff::backoff;

/// All lanes at work.
pub struct Dispatcher {
    bells: Bells,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// The way to tell lanes' tasks what happened.
#[derive(Clone, Default)]
pub struct Bells(Arc<BTreeMap<Lane, Arc<Signals>>>);

impl Bells {
    /// Something waits in a lane now.
    pub fn arrival(&self, lane: &Lane) {
        if let Some(signals) = self.0.get(lane) {
            signals.ring_arrival();
        }
    }

    /// Somebody paused or reopened a lane, or gave up what waits there.
    pub fn change(&self, lane: &Lane) {
        if let Some(signals) = self.0.get(lane) {
            signals.ring_change();
        }
    }
}

/// The lane of each channel.
pub fn lanes(settings: &Settings) -> BTreeMap<ChannelName, Lane> {
    settings.channels.iter().map(|(name, channel)| (name.clone(), Lane(channel.chat.destination()))).collect()
}

/// Names this run of the program, for leases and attempts: the host, and what tells this run from others there.
fn node() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host = Some(host.trim()).filter(|host| !host.is_empty()).unwrap_or("node");
    format!("{host}/{}", Ulid::generate().to_string().to_ascii_lowercase())
}

impl Dispatcher {
    /// Starts a task for each destination; what waits from before is taken up at once.
    pub async fn start(
        settings: Arc<Settings>,
        channels: &BTreeMap<ChannelName, Lane>,
        store: Arc<dyn Store>,
    ) -> Result<Self, StoreError> {
        Self::start_at(settings, channels, store, now).await
    }

    /// The same, by a clock of one's own.
    pub async fn start_at(
        settings: Arc<Settings>,
        channels: &BTreeMap<ChannelName, Lane>,
        store: Arc<dyn Store>,
        clock: fn() -> Millis,
    ) -> Result<Self, StoreError> {
        store.assign(channels.clone()).await?;
        let used: BTreeSet<&Lane> = channels.values().collect();
        let lanes: BTreeMap<Lane, Arc<Signals>> =
            used.into_iter().map(|lane| (lane.clone(), Arc::new(Signals::default()))).collect();
        let bells = Bells(Arc::new(lanes));
        let alerted =
            settings.delivery.alerts.iter().filter_map(|name| Some((name.clone(), channels.get(name)?.clone())));
        let alerts = Alerts { channels: alerted.collect(), bells: bells.clone(), store: store.clone() };
        let (stop, stopped) = watch::channel(false);
        let (mut tasks, owner) = (JoinSet::new(), node());
        for (lane, signals) in bells.0.iter() {
            // Channels that share a lane share all of their limits.
            let sharing = channels.iter().filter(|(_, other)| *other == lane);
            let paces = sharing.filter_map(|(name, _)| settings.channels.get(name)).flat_map(|c| c.chat.pace().0);
            let worker = lane::Worker {
                lane: lane.clone(),
                owner: owner.clone(),
                settings: settings.clone(),
                store: store.clone(),
                signals: signals.clone(),
                stopped: stopped.clone(),
                pacer: Pacer::new(&Pace(paces.collect())),
                alerts: alerts.clone(),
                clock,
                leased: None,
                failing: false,
                suspect: None,
            };
            tasks.spawn(worker.run());
        }
        Ok(Self { bells, stop, tasks })
    }

    /// The way to tell the tasks what happened.
    pub fn bells(&self) -> Bells {
        self.bells.clone()
    }

    /// Lets each lane finish the message that it is at, and stops. What still waits, waits in the store.
    pub async fn stop(mut self, grace: Duration) {
        let _ = self.stop.send(true);
        let finished = tokio::time::timeout(grace, async { while self.tasks.join_next().await.is_some() {} }).await;
        if finished.is_err() {
            tracing::warn!(
                lanes = self.tasks.len(),
                "some lanes did not finish in time; what they had sent is marked as perhaps repeated"
            );
        }
    }
}

#[cfg(test)]
mod tests;
