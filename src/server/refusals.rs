//! The last requests that were refused, and why.
//!
//! Anybody can have a request refused, so what that costs has an end: the last hundred are kept, and written to the
//! store as fast as it takes them, all that came in between at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::store::{REFUSALS, Refused, Store};

/// Refusals on their way into the store.
#[derive(Clone, Default)]
pub(super) struct Refusals(Arc<Waiting>);

#[derive(Default)]
struct Waiting {
    refused: Mutex<VecDeque<Refused>>,
    wake: Notify,
    /// Since when lines are counted, and how many there were.
    logged: Mutex<Option<(Instant, u32)>>,
}

/// How many lines of the log refusals may take within [`WINDOW`].
const LINES: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

impl Refusals {
    /// Takes note of a refusal.
    pub(super) fn add(&self, refused: Refused) {
        let mut waiting = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == REFUSALS {
            waiting.pop_front();
        }
        waiting.push_back(refused);
        self.0.wake.notify_one();
    }

    /// Whether there is room in the log for one more. What is not logged is among the last hundred all the same.
    pub(super) fn may_log(&self) -> bool {
        let mut logged = self.0.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (since, lines) = logged.filter(|(since, _)| now - *since < WINDOW).unwrap_or((now, 0));
        *logged = Some((since, lines.saturating_add(1)));
        if lines == LINES {
            tracing::warn!("many requests are refused; `hookbell events --refused` lists the last hundred");
        }
        lines < LINES
    }

    /// Writes what waits, whenever something does. It never ends by itself.
    pub(super) async fn write(self, store: Arc<dyn Store>) {
        loop {
            self.0.wake.notified().await;
            self.write_waiting(&store).await;
        }
    }

    /// Writes what waits now.
    pub(super) async fn write_waiting(&self, store: &Arc<dyn Store>) {
        let waiting = std::mem::take(&mut *self.0.refused.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return;
        }
        if let Err(error) = store.refuse(waiting.into()).await {
            tracing::warn!(%error, "could not write down refused requests");
        }
    }
}
