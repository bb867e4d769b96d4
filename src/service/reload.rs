//! Reloading the configuration while the service runs. A reload is atomic: if it fails, the last valid configuration
//! stays in use.
//!
//! Reloads are requested by file changes (the configuration's files are watched), by SIGHUP, and through the admin API.
//! One task performs them one at a time. It owns the lanes' tasks.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::addresses;
use super::delivery::{Alert, Dispatcher, Outage};
use super::health::{Health, supervise_service};
use super::intake::{Count, route_pending};
use super::watch_files::Watcher;
use crate::config::{self, Listen, Live, Settings, Watched};
use crate::problem::{Place, Problem, Severity, render_all};
use crate::store::{Store, StoreError, StoreUrl};
use crate::time::now;

/// Maximum number of pending events that are routed between two requests.
const STEP: usize = 100;

/// Handle for requesting reloads.
#[derive(Clone)]
pub struct Reloads(mpsc::Sender<Asked>);

/// Receiver of reload requests.
pub struct Asking(mpsc::Receiver<Asked>);

type Asked = Option<oneshot::Sender<Result<ReloadAnswer, NotReloaded>>>;

/// Creates a handle for requesting reloads, and its receiver.
pub fn reloads() -> (Reloads, Asking) {
    let (sender, receiver) = mpsc::channel(1);
    (Reloads(sender), Asking(receiver))
}

/// Result of a reload.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ReloadAnswer {
    /// Changed parts of the configuration, each as a phrase: "added", "changed" or "removed" and its name. Empty if
    /// nothing changed.
    pub changes: Vec<String>,
    /// Changed settings that take effect only after a restart. Empty if there are none.
    pub needs_restart: Vec<String>,
}

/// Reason why a reload changed nothing.
#[derive(Debug, Error)]
pub enum NotReloaded {
    /// The configuration is invalid.
    #[error("the configuration is invalid; {in_use}\n\n{}", render_all(problems, false).join("\n\n"))]
    Invalid {
        /// Which configuration stays in use, or that events are routed later; a clause.
        in_use: &'static str,
        /// Errors and warnings.
        problems: Vec<Problem>,
    },
    /// The service is stopping.
    #[error("the service is stopping")]
    Stopping,
    /// The reload panicked.
    #[error("the reload panicked: this is a bug in Hookbell")]
    Panicked,
    /// Reading the configuration panicked.
    #[error("cannot read the configuration: {0}")]
    ReadPanicked(tokio::task::JoinError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Reloads {
    /// Requests a reload without waiting for it. Does nothing if one is already requested.
    pub fn ask(&self) {
        let _ = self.0.try_send(None);
    }

    /// Requests a reload, and waits for its result.
    pub(super) async fn reload(&self) -> Result<ReloadAnswer, NotReloaded> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Some(reply)).await.map_err(|_| NotReloaded::Stopping)?;
        answer.await.map_err(|_| NotReloaded::Stopping)?
    }
}

/// Consequence of a configuration with errors, for logs and alerts.
const LAST_VALID: &str = "the last valid configuration stays in use";
const ROUTED_LATER: &str = "events are stored and will be routed once it is fixed";

/// Maximum number of errors in an alert.
const MAX_LISTED: usize = 3;

/// Formats errors with their places, one per line.
fn in_lines(errors: &[&Problem]) -> String {
    let line = |problem: &&Problem| format!("{}: {}", problem.place.named(), problem.message);
    let mut lines: Vec<_> = errors.iter().take(MAX_LISTED).map(line).collect();
    if errors.len() > MAX_LISTED {
        lines.push(format!("{} more", errors.len() - MAX_LISTED));
    }
    lines.join("\n")
}

/// Performs reloads.
pub(super) struct Reloader {
    config: PathBuf,
    live: Live,
    store: Arc<dyn Store>,
    dispatcher: Dispatcher,
    /// Tasks that refresh published address lists.
    lists: JoinSet<()>,
    /// Files that the configuration was last read from, valid or not.
    files: Watched,
    /// The configuration was invalid when it was last read.
    is_refused: bool,
    /// Settings that cannot change while the service runs.
    started: Lasting,
    /// Prints problems for the user who started the service.
    show: fn(&[Problem]),
    health: Health,
}

/// Settings that change only on restart: listen addresses and the store.
struct Lasting {
    listen: Listen,
    admin_listen: SocketAddr,
    store: StoreUrl,
}

impl Lasting {
    fn of(settings: &Settings) -> Self {
        Self { listen: settings.listen, admin_listen: settings.admin.listen, store: settings.store.clone() }
    }

    /// Returns the changed settings that need a restart.
    fn differing(&self, new: &Settings) -> Vec<String> {
        let new = Self::of(new);
        let differs = [
            ("`listen`", self.listen != new.listen),
            ("`admin_listen`", self.admin_listen != new.admin_listen),
            ("the store's `url`", self.store != new.store),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what.to_owned()).collect()
    }
}

impl Reloader {
    /// Routes pending events if the routing configuration is valid, then starts the lanes.
    pub(super) async fn start(
        config: PathBuf,
        live: Live,
        store: Arc<dyn Store>,
        files: Watched,
        show: fn(&[Problem]),
        health: Health,
    ) -> Result<Self, StoreError> {
        let settings = live.now();
        let (mut pending, routed) = (None, Count::default());
        if !settings.is_routing_invalid {
            store.keep_config(&settings.kept.hash, &settings.kept.text).await?;
            route_most_pending(&store, &settings, &routed).await?;
            pending = Some(route_pending(settings.clone(), routed.clone()));
        }
        let dispatcher = Dispatcher::start(live.clone(), store.clone(), pending, health.clone()).await?;
        tell_routed(&routed);
        if settings.is_routing_invalid {
            health.config_rejected("run `hookbell check` to list them".to_owned(), ROUTED_LATER, now());
        } else {
            health.config_accepted();
        }
        let started = Lasting::of(&settings);
        let is_refused = settings.is_routing_invalid;
        let lists = JoinSet::new();
        let mut reloader = Self { config, live, store, dispatcher, lists, files, is_refused, started, show, health };
        reloader.keep_fresh(&settings, None);
        if !is_refused {
            reloader.report_recovery().await;
        }
        Ok(reloader)
    }

    /// Performs reloads until the service stops. The lanes continue until they are stopped too.
    pub(super) async fn run(mut self, mut asking: Asking, mut stopped: watch::Receiver<bool>) -> Dispatcher {
        let mut watcher = Watcher::new(self.health.clone());
        loop {
            watcher.watch(&self.files);
            if self.files.is_changed() {
                // Changed after it was read and before it was watched.
                let _ = self.reload_caught().await;
                continue;
            }
            let asked = tokio::select! {
                Some(asked) = asking.0.recv() => asked,
                () = watcher.changed() => None,
                _ = stopped.wait_for(|stopped| *stopped) => return self.dispatcher,
            };
            let done = self.reload_caught().await;
            if let Some(reply) = asked {
                let _ = reply.send(done);
            }
        }
    }

    /// Reloads. A panic changes nothing and ends only this reload: the lanes belong to this task.
    async fn reload_caught(&mut self) -> Result<ReloadAnswer, NotReloaded> {
        let reloaded = AssertUnwindSafe(self.reload()).catch_unwind().await;
        reloaded.unwrap_or_else(|_| {
            self.health.panicked("reload", "configuration reload");
            Err(NotReloaded::Panicked)
        })
    }

    async fn reload(&mut self) -> Result<ReloadAnswer, NotReloaded> {
        let old = self.live.now();
        let (path, before) = (self.config.clone(), old.clone());
        let read = move || config::reload(&path, &before);
        let loaded = tokio::task::spawn_blocking(read).await;
        let loaded = loaded.map_err(NotReloaded::ReadPanicked)?;
        self.files = loaded.files.clone();
        let warnings: Vec<_> = loaded.problems.clone();
        let new = match loaded.sound() {
            Ok(new) if new.sources.is_empty() && !old.sources.is_empty() => {
                return Err(self.refuse(&[self.without_sources()], old.is_routing_invalid).await);
            }
            Ok(new) => new,
            Err(problems) => return Err(self.refuse(&problems, old.is_routing_invalid).await),
        };
        let was_refused = std::mem::take(&mut self.is_refused);
        let changes = old.outline.changes(&new.outline);
        if changes.is_empty() && !old.is_routing_invalid {
            self.health.config_accepted();
            if was_refused {
                tracing::info!("configuration valid again");
                self.report_recovery().await;
            }
            self.dispatcher.probe();
            return Ok(ReloadAnswer::default());
        }
        (self.show)(&warnings);
        let needs_restart = self.started.differing(&new);
        self.change(&old, new).await.map_err(|error| {
            tracing::error!(%error, "configuration reload failed; the last valid configuration stays in use");
            error
        })?;
        self.health.config_accepted();
        let listed = if changes.is_empty() { "none, but the errors are gone".to_owned() } else { changes.join(", ") };
        tracing::info!(changes = listed, "configuration reloaded");
        if was_refused {
            self.report_recovery().await;
        }
        for what in &needs_restart {
            tracing::warn!(what, "setting takes effect after a restart");
        }
        Ok(ReloadAnswer { changes, needs_restart })
    }

    /// Returns the error for a configuration without sources. An editor may empty or truncate a file while it saves.
    fn without_sources(&self) -> Problem {
        crate::config::sources_removed(Place::Named(self.config.display().to_string()))
    }

    async fn refuse(&mut self, problems: &[Problem], is_routing_invalid: bool) -> NotReloaded {
        self.is_refused = true;
        (self.show)(problems);
        let errors: Vec<_> = problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
        let in_use = if is_routing_invalid { ROUTED_LATER } else { LAST_VALID };
        tracing::error!(errors = errors.len(), "configuration rejected; {in_use}");
        let (listed, now) = (in_lines(&errors), now());
        let since = self.health.config_rejected(listed.replace('\n', "; "), in_use, now);
        let alert = Alert::config_rejected(&listed, in_use, since);
        self.dispatcher.alerts().send(alert, None, now).await;
        NotReloaded::Invalid { in_use, problems: problems.to_vec() }
    }

    /// Sends a recovery alert, if the configuration was reported as invalid.
    async fn report_recovery(&self) {
        let alerts = self.dispatcher.alerts();
        match alerts.outage_since(&Outage::Config).await {
            Ok(Some(since)) => alerts.recovered(&Outage::Config, since, now()).await,
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "cannot read the start of the configuration outage"),
        }
    }

    async fn change(&mut self, old: &Settings, new: Settings) -> Result<(), StoreError> {
        let new = Arc::new(new);
        self.store.keep_config(&new.kept.hash, &new.kept.text).await?;
        let routed = Count::default();
        route_most_pending(&self.store, &new, &routed).await?;
        self.dispatcher.change(new.clone(), Some(route_pending(new.clone(), routed.clone()))).await?;
        tell_routed(&routed);
        self.keep_fresh(&new, Some(old));
        Ok(())
    }

    /// Starts refreshing address lists that were not refreshed before.
    fn keep_fresh(&mut self, settings: &Settings, before: Option<&Settings>) {
        let Some(http) = &settings.http else { return };
        let before = before.map(|before| before.address_lists.as_slice()).unwrap_or_default();
        for list in settings.address_lists.iter().filter(|list| !before.iter().any(|old| Arc::ptr_eq(old, list))) {
            let kept = settings.store.file(&list.extension());
            let (list, http) = (list.clone(), http.clone());
            let keep = move || addresses::keep_fresh(list.clone(), http.clone(), kept.clone());
            self.lists.spawn(supervise_service(self.health.clone(), "address list refresh", keep));
        }
    }
}

/// Routes pending events, except for a few that may arrive meanwhile. New requests are stored in between.
async fn route_most_pending(
    store: &Arc<dyn Store>,
    settings: &Arc<Settings>,
    routed: &Count,
) -> Result<(), StoreError> {
    while store.route_pending(route_pending(settings.clone(), routed.clone()), STEP).await? {}
    Ok(())
}

fn tell_routed(routed: &Count) {
    let events = routed.load(Ordering::Relaxed);
    if events > 0 {
        tracing::info!(events, "pending events routed");
    }
}

/// Returns the absolute path of a watched file, so that its directory is known.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
