//! The service behind its edges: the server offers it over HTTP, commands call it directly.
//!
//! [`intake`] takes in requests, [`delivery`] sends messages, [`operations`] are for people who run Hookbell. In the
//! background, the configuration is [reloaded](reload) and expired data is deleted.

pub mod acme;
mod addresses;
pub mod check;
pub mod delivery;
pub mod expectations;
pub mod explain;
pub mod health;
pub mod hooks;
pub mod intake;
pub mod operations;
pub mod payload;
pub mod reload;
mod retention;
mod silence;
mod watch_files;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::config::{Live, Watched};
use crate::problem::Problem;
use crate::store::{Store, StoreError};
use crate::time::{SteadyClock, now};
use acme::Acme;
use delivery::Dispatcher;
use health::{Health, supervise_service};
use intake::{Intake, Records};
use operations::Operations;
use reload::{Asking, Reloader, Reloads};

/// The configuration, and the requests to reload it.
pub struct Config {
    /// Path of the config file.
    pub path: PathBuf,
    /// Settings in use.
    pub live: Live,
    /// Handle for requesting reloads.
    pub reloads: Reloads,
    /// Receiver of reload requests.
    pub asking: Asking,
    /// Files that the configuration was read from.
    pub files: Watched,
    /// Prints problems for the user who started the service.
    pub show: fn(&[Problem]),
}

/// The running service.
pub struct Service {
    /// Takes in requests.
    pub intake: Arc<Intake>,
    /// Operations for people who run the service.
    pub operations: Arc<Operations>,
    /// Certificate of the public listener, if it is requested from an authority.
    pub acme: Arc<Acme>,
    store: Arc<dyn Store>,
    records: Records,
    background: JoinSet<()>,
    reloader: JoinHandle<Dispatcher>,
    stopping: watch::Sender<bool>,
}

impl Service {
    /// Starts the lanes and the background tasks.
    pub async fn start(config: Config, store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let (health, clock, records) = (Health::default(), SteadyClock::start(now()), Records::default());
        let Config { path, live, reloads, asking, files, show } = config;
        let reloader = Reloader::start(path, live.clone(), store.clone(), files, show, health.clone()).await?;
        let mut background = JoinSet::new();
        let write_rejected = {
            let (rejected, store) = (records.rejected.clone(), store.clone());
            move || rejected.clone().write(store.clone())
        };
        background.spawn(supervise_service(health.clone(), "rejected request log", write_rejected));
        let prune = {
            let (store, live) = (store.clone(), live.clone());
            move || retention::prune(store.clone(), live.clone())
        };
        background.spawn(supervise_service(health.clone(), "retention", prune));
        let acme = Arc::new(Acme::new(&live.now()));
        let certify = {
            let (acme, live, health) = (acme.clone(), live.clone(), health.clone());
            move || acme.clone().run(live.clone(), health.clone())
        };
        background.spawn(supervise_service(health.clone(), "certificate renewal", certify));
        let silence = {
            let (store, live, health, uses) =
                (store.clone(), live.clone(), health.clone(), records.source_uses.clone());
            let started = now();
            move || {
                let (store, live, health, uses) = (store.clone(), live.clone(), health.clone(), uses.clone());
                silence::Watch { store, live, health, uses, started, clock: now }.run()
            }
        };
        background.spawn(supervise_service(health.clone(), "silent source watch", silence));
        let watch = move || crate::time::watch(clock);
        background.spawn(supervise_service(health.clone(), "clock watch", watch));
        let probe = {
            let (store, health) = (store.clone(), health.clone());
            move || health::probe(store.clone(), health.clone())
        };
        background.spawn(supervise_service(health.clone(), "store probe", probe));
        let operations = Operations {
            reloads: Some(reloads),
            health: health.clone(),
            records: records.clone(),
            ..Operations::offline(store.clone(), live.clone())
        };
        let intake = Intake::new(live, store.clone(), health, records.clone());
        let (stopping, stopped) = watch::channel(false);
        Ok(Self {
            intake: Arc::new(intake),
            operations: Arc::new(operations),
            acme,
            store,
            records,
            background,
            reloader: tokio::spawn(reloader.run(asking, stopped)),
            stopping,
        })
    }

    /// Returns the health of the service.
    pub fn health(&self) -> Health {
        self.operations.health.clone()
    }

    /// Stops reloading. Requests in progress and the lanes continue until [`stop`](Self::stop).
    pub fn begin_stop(&self) {
        let _ = self.stopping.send(true);
    }

    /// Lets deliveries in progress finish within `grace`, and closes the store.
    pub async fn stop(mut self, grace: Duration) -> Result<(), StoreError> {
        self.begin_stop();
        self.background.shutdown().await;
        self.records.rejected.write_waiting(&self.store).await;
        // Requests that outlive the grace period may still be stored. They are delivered after the next start.
        if let Ok(dispatcher) = self.reloader.await {
            dispatcher.stop(grace).await;
        }
        self.store.close().await
    }
}
