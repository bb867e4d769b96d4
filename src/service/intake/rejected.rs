//! The most recent rejected requests, with their reasons.
//!
//! Anyone can cause rejections, so their cost is bounded. The last hundred are kept. They are written to the store in
//! batches, as fast as it accepts them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::store::{MAX_REJECTED, RejectedRequest, Store};
use crate::telemetry::LogLimit;

/// Rejected requests that are queued for the store.
#[derive(Clone, Default)]
pub(in crate::service) struct RejectedList(Arc<Waiting>);

#[derive(Default)]
struct Waiting {
    refused: Mutex<VecDeque<RejectedRequest>>,
    wake: Notify,
    logged: LogLimit,
}

impl RejectedList {
    /// Adds a rejected request.
    pub(in crate::service) fn add(&self, refused: RejectedRequest) {
        let mut waiting = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == MAX_REJECTED {
            waiting.pop_front();
        }
        waiting.push_back(refused);
        self.0.wake.notify_one();
    }

    /// Logs a line about a rejected request if the log limit allows it. The request is listed in any case.
    pub(in crate::service) fn log(&self, line: impl FnOnce(Option<u64>)) {
        self.0.logged.log(line);
    }

    /// Writes queued requests as they arrive. Never returns.
    pub(in crate::service) async fn write(self, store: Arc<dyn Store>) {
        loop {
            self.0.wake.notified().await;
            self.write_waiting(&store).await;
        }
    }

    /// Writes the requests that are queued now.
    pub(in crate::service) async fn write_waiting(&self, store: &Arc<dyn Store>) {
        let waiting = std::mem::take(&mut *self.0.refused.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return;
        }
        if let Err(error) = store.add_rejected(waiting.into()).await {
            tracing::warn!(%error, "storing rejected requests failed");
        }
    }
}
