//! Going over to a changed config while the service runs: whole or not at all, and the last valid one stays.
//!
//! A reload is asked for by whoever changes a file (what the config was read from is watched), by SIGHUP, or through the
//! admin API. They are done one at a time, by one task, which the lanes' tasks belong to.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::decide::Count;
use super::watch_files::Watcher;
use super::{addresses, decide};
use crate::config::{self, Listen, Live, Settings, Watched};
use crate::delivery::{Alert, Dispatcher, Outage};
use crate::health::{Health, supervise_service};
use crate::problem::{Place, Problem, Severity, render_all};
use crate::store::{Store, StoreError, now};

/// How many undecided events are routed between two requests.
const STEP: usize = 100;

/// The way to ask for a reload.
#[derive(Clone)]
pub struct Reloads(mpsc::Sender<Asked>);

/// What was asked.
pub struct Asking(mpsc::Receiver<Asked>);

type Asked = Option<oneshot::Sender<Result<ReloadAnswer, NotReloaded>>>;

/// The way to ask, and what is asked that way.
pub fn reloads() -> (Reloads, Asking) {
    let (sender, receiver) = mpsc::channel(1);
    (Reloads(sender), Asking(receiver))
}

/// What a reload came to.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ReloadAnswer {
    /// What is other than before.
    pub changes: Vec<String>,
    /// What has to wait for the next start.
    pub next_start: Vec<String>,
}

/// Why everything is as it was.
pub(super) enum NotReloaded {
    /// The config has mistakes; these, as a person sees them.
    Mistakes(String),
    /// The store fails, or the service stops.
    Failed(String),
}

impl Reloads {
    /// Asks, and waits for no answer. One that is asked for already is as good.
    pub fn ask(&self) {
        let _ = self.0.try_send(None);
    }

    /// Asks, and waits until it is done.
    pub(super) async fn reload(&self) -> Result<ReloadAnswer, NotReloaded> {
        let stopping = || NotReloaded::Failed("the service stops".to_owned());
        let (reply, answer) = oneshot::channel();
        self.0.send(Some(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }
}

/// What is in use while the configuration has errors.
const LAST_VALID: &str = "the last valid one stays in use";
const UNDECIDED: &str = "events are stored, and routed once it is fixed";

/// Errors that an alert lists.
const MAX_LISTED: usize = 3;

/// Errors with their places, a line each.
fn in_lines(errors: &[&Problem]) -> String {
    let line = |problem: &&Problem| format!("{}: {}", problem.place.named(), problem.message);
    let mut lines: Vec<_> = errors.iter().take(MAX_LISTED).map(line).collect();
    if errors.len() > MAX_LISTED {
        lines.push(format!("{} more", errors.len() - MAX_LISTED));
    }
    lines.join("\n")
}

/// What does it.
pub(super) struct Reloader {
    config: PathBuf,
    live: Live,
    store: Arc<dyn Store>,
    dispatcher: Dispatcher,
    /// Keeping published lists of addresses fresh.
    lists: JoinSet<()>,
    /// What the config was read from last, sound or not.
    files: Watched,
    /// The config was refused when it was read last.
    is_refused: bool,
    /// What cannot change while the service runs.
    started: Lasting,
    /// Shows problems to whoever started the service.
    show: fn(&[Problem]),
    health: Health,
}

/// What stays as it was at the start: where the service listens, and its store.
struct Lasting {
    listen: Listen,
    admin_listen: SocketAddr,
    store: PathBuf,
}

impl Lasting {
    fn of(settings: &Settings) -> Self {
        Self { listen: settings.listen, admin_listen: settings.admin.listen, store: settings.store.clone() }
    }

    /// What has to wait for the next start.
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
    /// Starts the lanes; what was undecided is routed first, if it can be by now.
    pub(super) async fn start(
        config: PathBuf,
        live: Live,
        store: Arc<dyn Store>,
        files: Watched,
        show: fn(&[Problem]),
        health: Health,
    ) -> Result<Self, StoreError> {
        let settings = live.now();
        let (mut settle, routed) = (None, Count::default());
        if !settings.is_undecided {
            store.keep_config(&settings.kept.hash, &settings.kept.text, now()).await?;
            settle_most(&store, &settings, &routed).await?;
            settle = Some(decide::settle(settings.clone(), routed.clone()));
        }
        let dispatcher = Dispatcher::start(live.clone(), store.clone(), settle, health.clone()).await?;
        tell_routed(&routed);
        if settings.is_undecided {
            health.config_rejected("`hookbell check` shows them".to_owned(), UNDECIDED, now());
        } else {
            health.config_accepted();
        }
        let started = Lasting::of(&settings);
        let is_refused = settings.is_undecided;
        let lists = JoinSet::new();
        let mut reloader = Self { config, live, store, dispatcher, lists, files, is_refused, started, show, health };
        reloader.keep_fresh(&settings, None);
        if !is_refused {
            reloader.report_recovery().await;
        }
        Ok(reloader)
    }

    pub(super) fn bells(&self) -> crate::delivery::Bells {
        self.dispatcher.bells()
    }

    /// Does what is asked until the service stops; the lanes go on until they are stopped too.
    pub(super) async fn run(mut self, mut asking: Asking, mut stopped: watch::Receiver<bool>) -> Dispatcher {
        let mut watcher = Watcher::new(self.health.clone());
        loop {
            watcher.watch(&self.files);
            if self.files.is_changed() {
                // Since it was read, and before it was watched.
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

    /// Reloads; a panic leaves everything as it is, and is this reload's alone: the lanes belong to this task.
    async fn reload_caught(&mut self) -> Result<ReloadAnswer, NotReloaded> {
        let reloaded = AssertUnwindSafe(self.reload()).catch_unwind().await;
        reloaded.unwrap_or_else(|_| {
            self.health.panicked("reload", "the reload of the configuration");
            Err(NotReloaded::Failed("reloading panicked: this is a defect of Hookbell".to_owned()))
        })
    }

    async fn reload(&mut self) -> Result<ReloadAnswer, NotReloaded> {
        let old = self.live.now();
        let (path, before) = (self.config.clone(), old.clone());
        let read = move || config::reload(&path, &before);
        let loaded = tokio::task::spawn_blocking(read).await;
        let loaded = loaded.map_err(|error| NotReloaded::Failed(format!("reading the config failed: {error}")))?;
        self.files = loaded.files.clone();
        let warnings: Vec<_> = loaded.problems.clone();
        let new = match loaded.sound() {
            Ok(new) if new.sources.is_empty() && !old.sources.is_empty() => {
                return Err(self.refuse(&[self.without_sources()], old.is_undecided).await);
            }
            Ok(new) => new,
            Err(problems) => return Err(self.refuse(&problems, old.is_undecided).await),
        };
        let was_refused = std::mem::take(&mut self.is_refused);
        let changes = old.outline.changes(&new.outline);
        if changes.is_empty() && !old.is_undecided {
            self.health.config_accepted();
            if was_refused {
                tracing::info!("the config has no mistakes any more, and is what is in use");
                self.report_recovery().await;
            }
            self.dispatcher.probe();
            return Ok(ReloadAnswer::default());
        }
        (self.show)(&warnings);
        let next_start = self.started.differing(&new);
        self.change(&old, new).await.map_err(|error| {
            tracing::error!(%error, "could not go over to the changed config; the last valid one stays");
            NotReloaded::Failed(error.to_string())
        })?;
        self.health.config_accepted();
        tracing::info!(changes = changes.join(", "), "went over to the changed config");
        if was_refused {
            self.report_recovery().await;
        }
        for what in &next_start {
            tracing::warn!(what, "this changes at the next start only");
        }
        Ok(ReloadAnswer { changes, next_start })
    }

    /// A file that is empty for a moment, or was truncated, is not what somebody wants.
    fn without_sources(&self) -> Problem {
        let file = Place::Named(self.config.display().to_string());
        Problem::error("there are no sources any more, so no webhook could come in", file)
            .help("add `[sources.NAME]`; whoever wants no source restarts Hookbell")
    }

    async fn refuse(&mut self, problems: &[Problem], is_undecided: bool) -> NotReloaded {
        self.is_refused = true;
        (self.show)(problems);
        let errors: Vec<_> = problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
        let in_use = if is_undecided { UNDECIDED } else { LAST_VALID };
        tracing::error!(errors = errors.len(), "the changed config has mistakes; {in_use}");
        let (told, now) = (in_lines(&errors), now());
        let since = self.health.config_rejected(told.replace('\n', "; "), in_use, now);
        let alert = Alert::config_rejected(&told, in_use, since);
        self.dispatcher.alerts().send(alert, None, now).await;
        let shown = render_all(problems, false).join("\n\n");
        NotReloaded::Mistakes(format!("the config has mistakes; {in_use}\n\n{shown}"))
    }

    /// Reports that the configuration is valid again, if it was reported that it is not.
    async fn report_recovery(&self) {
        let alerts = self.dispatcher.alerts();
        match alerts.outage_since(&Outage::Config).await {
            Ok(Some(since)) => alerts.recovered(&Outage::Config, since, now()).await,
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "cannot read since when the configuration was rejected"),
        }
    }

    async fn change(&mut self, old: &Settings, new: Settings) -> Result<(), StoreError> {
        let new = Arc::new(new);
        self.store.keep_config(&new.kept.hash, &new.kept.text, now()).await?;
        let routed = Count::default();
        settle_most(&self.store, &new, &routed).await?;
        self.dispatcher.change(new.clone(), Some(decide::settle(new.clone(), routed.clone()))).await?;
        tell_routed(&routed);
        self.keep_fresh(&new, Some(old));
        Ok(())
    }

    /// Keeps lists of addresses fresh that were not kept so before.
    fn keep_fresh(&mut self, settings: &Settings, before: Option<&Settings>) {
        let Some(http) = &settings.http else { return };
        let before = before.map(|before| before.address_lists.as_slice()).unwrap_or_default();
        for list in settings.address_lists.iter().filter(|list| !before.iter().any(|old| Arc::ptr_eq(old, list))) {
            let kept = list.kept_at(&settings.store);
            let (list, http) = (list.clone(), http.clone());
            let keep = move || addresses::keep_fresh(list.clone(), http.clone(), kept.clone());
            self.lists.spawn(supervise_service(self.health.clone(), "the list of addresses", keep));
        }
    }
}

/// Routes what is undecided but for a rest that may have come meanwhile. Requests come in between.
async fn settle_most(store: &Arc<dyn Store>, settings: &Arc<Settings>, routed: &Count) -> Result<(), StoreError> {
    while store.settle(decide::settle(settings.clone(), routed.clone()), STEP).await? {}
    Ok(())
}

fn tell_routed(routed: &Count) {
    let events = routed.load(Ordering::Relaxed);
    if events > 0 {
        tracing::info!(events, "routed what had come while the rules had mistakes");
    }
}

/// The config's file as it is watched: absolute, so that its directory is known.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
