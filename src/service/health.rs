//! Health of the running service: store availability, current problems, and restarts of tasks that panic.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::store::Store;
use crate::time::{Millis, timestamp};

/// First and maximum pause before a panicked task is restarted.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Run time after which a task is restarted with the first pause again.
const STEADY: Duration = Duration::from_secs(5 * 60);

/// Time for which a panic is reported.
const REPORTED: Duration = Duration::from_secs(60 * 60);

/// Health of the service, as reported by its parts.
#[derive(Clone, Default)]
pub struct Health(Arc<Inner>);

#[derive(Default)]
struct Inner {
    is_store_failing: AtomicBool,
    store: Mutex<Option<StoreFailure>>,
    has_failed: Notify,
    panics: Mutex<BTreeMap<String, Panics>>,
    config: Mutex<Option<ConfigFailure>>,
    notes: Mutex<Vec<String>>,
    /// Problems that last until they are reported as solved, by name.
    lasting: Mutex<BTreeMap<String, String>>,
}

/// An invalid configuration.
struct ConfigFailure {
    errors: String,
    since: Millis,
    /// Description of what is in use instead.
    in_use: &'static str,
}

struct StoreFailure {
    error: String,
    since: Instant,
    /// Size of the largest body that could not be stored, in bytes.
    bytes: usize,
}

/// Panics of one task.
struct Panics {
    /// Number of panics since the service started.
    count: u64,
    last: Instant,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Health {
    /// Reports that a request with a body of `bytes` bytes could not be stored. Logged once until the store recovers.
    pub fn store_failed(&self, error: &dyn Display, bytes: usize) {
        let mut failure = locked(&self.0.store);
        match failure.as_mut() {
            Some(failure) => failure.bytes = failure.bytes.max(bytes),
            None => {
                let error = error.to_string();
                tracing::error!(error, "store failing; requests wait, then are rejected, until it recovers");
                *failure = Some(StoreFailure { error, since: Instant::now(), bytes });
                self.0.is_store_failing.store(true, Ordering::Release);
                self.0.has_failed.notify_one();
            }
        }
    }

    /// Reports that a request was stored.
    pub fn store_works(&self) {
        if self.0.is_store_failing.load(Ordering::Acquire)
            && let Some(failure) = locked(&self.0.store).take()
        {
            self.0.is_store_failing.store(false, Ordering::Release);
            tracing::info!(seconds = failure.since.elapsed().as_secs(), "store recovered");
        }
    }

    /// Waits until the store fails. Returns the size of the largest body that it could not store, in bytes.
    pub async fn store_failure(&self) -> usize {
        loop {
            if let Some(failure) = locked(&self.0.store).as_ref() {
                return failure.bytes;
            }
            self.0.has_failed.notified().await;
        }
    }

    /// Returns the error of the store, if it cannot store requests.
    pub fn store_error(&self) -> Option<String> {
        locked(&self.0.store).as_ref().map(|failure| failure.error.clone())
    }

    /// Reports an invalid configuration, its errors and what is in use instead. Returns the time since when the
    /// configuration is invalid, in milliseconds since 1970.
    pub fn config_rejected(&self, errors: String, in_use: &'static str, now: Millis) -> Millis {
        metrics::gauge!("hookbell_config_valid").set(0.0);
        let mut failure = locked(&self.0.config);
        let since = failure.as_ref().map_or(now, |failure| failure.since);
        *failure = Some(ConfigFailure { errors, since, in_use });
        since
    }

    /// Reports that the configuration files are valid and in use.
    pub fn config_accepted(&self) {
        metrics::gauge!("hookbell_config_valid").set(1.0);
        locked(&self.0.config).take();
    }

    /// Reports that a task panicked. `kind` is the task's label in metrics.
    pub fn panicked(&self, kind: &'static str, task: &str) {
        metrics::counter!("hookbell_panics_total", "task" => kind).increment(1);
        tracing::error!(task, "task panicked; restarting it");
        let mut panics = locked(&self.0.panics);
        let entry = panics.entry(task.to_owned()).or_insert(Panics { count: 0, last: Instant::now() });
        entry.count += 1;
        entry.last = Instant::now();
    }

    /// Reports a problem of this name, in one sentence, or that there is none.
    pub(super) fn report(&self, name: &str, problem: Option<String>) {
        let mut lasting = locked(&self.0.lasting);
        match problem {
            Some(problem) => drop(lasting.insert(name.to_owned(), problem)),
            None => drop(lasting.remove(name)),
        }
    }

    /// Adds a note for the operator that is not a problem.
    pub fn note(&self, note: String) {
        locked(&self.0.notes).push(note);
    }

    /// Returns all notes.
    pub fn notes(&self) -> Vec<String> {
        locked(&self.0.notes).clone()
    }

    /// Returns the number of panics of a task since the service started.
    pub fn panics(&self, task: &str) -> u64 {
        locked(&self.0.panics).get(task).map_or(0, |panics| panics.count)
    }

    /// Returns the current problems for the operator, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let store = self.store_error().map(|error| format!("the store cannot store requests: {error}"));
        let panics = locked(&self.0.panics);
        let recent = panics.iter().filter(|(_, panics)| panics.last.elapsed() < REPORTED);
        let recent = recent.map(|(task, panics)| {
            let minutes = panics.last.elapsed().as_secs() / 60;
            format!("{task} panicked {} times, last {minutes} min ago, and was restarted", panics.count)
        });
        let config = locked(&self.0.config).as_ref().map(|ConfigFailure { errors, since, in_use }| {
            format!("the configuration has been invalid since {}; {in_use}: {errors}", timestamp(*since))
        });
        let lasting = locked(&self.0.lasting);
        store.into_iter().chain(config).chain(recent).chain(lasting.values().cloned()).collect()
    }
}

/// Runs a task and restarts it when it panics, after a growing pause. Returns when the task returns.
///
/// `restart` runs after each panic, before the pause.
pub async fn supervise<Run, Running, Restart, Restarting>(
    health: Health,
    kind: &'static str,
    task: String,
    mut run: Run,
    mut restart: Restart,
) where
    Run: FnMut() -> Running,
    Running: Future<Output = ()>,
    Restart: FnMut() -> Restarting,
    Restarting: Future<Output = ()>,
{
    let mut pause = PAUSES.0;
    loop {
        let began = Instant::now();
        // The state of the panicked task is dropped: the task starts from the beginning.
        if AssertUnwindSafe(run()).catch_unwind().await.is_ok() {
            return;
        }
        health.panicked(kind, &task);
        if AssertUnwindSafe(restart()).catch_unwind().await.is_err() {
            health.panicked(kind, &task);
        }
        if began.elapsed() > STEADY {
            pause = PAUSES.0;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Supervises a task of the service itself, which has nothing to do before a restart.
pub async fn supervise_service<Running: Future<Output = ()>>(
    health: Health,
    task: &'static str,
    run: impl FnMut() -> Running,
) {
    supervise(health, task, task.to_owned(), run, || async {}).await;
}

/// Interval between probes of a failing store.
const PROBE: Duration = Duration::from_secs(1);

/// Probes a failing store until it accepts writes again, so that recovery is noticed without waiting for a request.
/// Never returns.
pub(super) async fn probe(store: Arc<dyn Store>, health: Health) {
    loop {
        let bytes = health.store_failure().await;
        sleep(PROBE).await;
        if store.probe(bytes).await.is_ok() {
            health.store_works();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn panicked_task_is_restarted_with_backoff_and_reported() {
        let (health, mut runs) = (Health::default(), vec![]);
        let began = Instant::now();
        let run = || {
            runs.push(began.elapsed().as_secs());
            let is_last = runs.len() == 9;
            async move { assert!(is_last, "the task fails") }
        };
        supervise_service(health.clone(), "the test", run).await;
        assert_eq!(runs, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
        assert_eq!(health.panics("the test"), 8);
        assert_eq!(health.problems(), ["the test panicked 8 times, last 1 min ago, and was restarted"]);
        tokio::time::advance(REPORTED).await;
        assert!(health.problems().is_empty());
    }

    #[tokio::test]
    async fn failing_store_is_reported_until_it_works() {
        let health = Health::default();
        health.store_works();
        health.store_failed(&"disk full", 10);
        health.store_failed(&"disk full again", 300);
        assert_eq!(health.problems(), ["the store cannot store requests: disk full"]);
        assert_eq!(health.store_failure().await, 300);
        health.store_works();
        assert!(health.problems().is_empty());
    }
}
