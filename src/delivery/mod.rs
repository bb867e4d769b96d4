//! The way out: each lane is worked on by one task, which takes what waits there in order, renders it, sends it,
//! and finishes it before the next. A lane that waits for its chat delays no other.

mod backoff;
mod lane;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use ulid::Ulid;

use crate::chat::{Pace, Pacer};
use crate::config::Settings;
use crate::event::ChannelName;
use crate::store::{Lane, Store, StoreError};

pub use backoff::backoff;

/// All lanes at work.
pub struct Dispatcher {
    lanes: BTreeMap<Lane, Arc<Notify>>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// The lane of each channel.
pub fn lanes(settings: &Settings) -> BTreeMap<ChannelName, Lane> {
    settings.channels.iter().map(|(name, channel)| (name.clone(), Lane(channel.chat.destination()))).collect()
}

impl Dispatcher {
    /// Starts a task for each destination; what waits from before is taken up at once.
    pub async fn start(
        settings: Arc<Settings>,
        channels: &BTreeMap<ChannelName, Lane>,
        store: Arc<dyn Store>,
    ) -> Result<Self, StoreError> {
        store.assign(channels.clone()).await?;
        let (stop, stopped) = watch::channel(false);
        let mut dispatcher = Self { lanes: BTreeMap::new(), stop, tasks: JoinSet::new() };
        for lane in channels.values() {
            if dispatcher.lanes.contains_key(lane) {
                continue;
            }
            // Channels that share a lane share all of their limits.
            let sharing = channels.iter().filter(|(_, other)| *other == lane);
            let paces = sharing.filter_map(|(name, _)| settings.channels.get(name)).flat_map(|c| c.chat.pace().0);
            let wake = Arc::new(Notify::new());
            let worker = lane::Worker {
                lane: lane.clone(),
                owner: Ulid::generate().to_string(),
                settings: settings.clone(),
                store: store.clone(),
                wake: wake.clone(),
                stopped: stopped.clone(),
                pacer: Pacer::new(&Pace(paces.collect())),
            };
            dispatcher.tasks.spawn(worker.run());
            dispatcher.lanes.insert(lane.clone(), wake);
        }
        Ok(dispatcher)
    }

    /// Tells a lane's task that something waits there.
    pub fn wake(&self, lane: &Lane) {
        if let Some(wake) = self.lanes.get(lane) {
            wake.notify_one();
        }
    }

    /// Lets each lane finish the message that it is at, and stops. What still waits, waits in the store.
    pub async fn stop(mut self, grace: Duration) {
        let _ = self.stop.send(true);
        let finished = tokio::time::timeout(grace, async { while self.tasks.join_next().await.is_some() {} }).await;
        if finished.is_err() {
            tracing::warn!(
                lanes = self.tasks.len(),
                "some lanes did not finish in time; their messages may be repeated"
            );
        }
    }
}
