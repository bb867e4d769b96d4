//! The last requests that were refused, and why.
//!
//! Anybody can have a request refused, so what that costs has an end: the last hundred are kept, and written to the
//! store as fast as it takes them, all that came in between at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::log_limit::LogLimit;
use crate::store::{REFUSALS, Refused, Store};

/// Refusals on their way into the store.
#[derive(Clone, Default)]
pub(super) struct Refusals(Arc<Waiting>);

#[derive(Default)]
struct Waiting {
    refused: Mutex<VecDeque<Refused>>,
    wake: Notify,
    logged: LogLimit,
}

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

    /// Logs a line about a rejected request, if there is room for it. The request is listed in any case.
    pub(super) fn log(&self, line: impl FnOnce(u64)) {
        self.0.logged.log(line);
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
