//! Signals from other tasks to a lane's task.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::inbox::{InAll, Inbox};
use crate::store::Delivery;

/// Signals to a lane. Each is received once, even if it was sent before the lane waited for it.
pub(super) struct Signals {
    /// Messages that arrived.
    pub(super) inbox: Inbox,
    arrival: Notify,
    change: Notify,
    is_changed: AtomicBool,
    probe: AtomicBool,
}

impl Signals {
    pub(super) fn new(in_all: InAll) -> Self {
        Self {
            inbox: Inbox::new(in_all),
            arrival: Notify::new(),
            change: Notify::new(),
            is_changed: AtomicBool::new(false),
            probe: AtomicBool::new(false),
        }
    }

    /// Hands over a message that was queued in the lane. Without the message, the lane reads it.
    pub(super) fn arrive(&self, message: Option<Delivery>) {
        self.inbox.add(message);
        self.arrival.notify_one();
    }

    /// Signals that an operator paused or reopened the lane, or dropped messages from it.
    pub(super) fn notify_change(&self) {
        self.is_changed.store(true, Ordering::Release);
        self.change.notify_one();
    }

    /// Signals that the configuration was reloaded, so that a lane that failed retries at once.
    pub(super) fn notify_probe(&self) {
        self.probe.store(true, Ordering::Release);
        self.notify_change();
    }

    /// Returns true if a probe was requested since the last call.
    pub(super) fn take_probe(&self) -> bool {
        self.probe.swap(false, Ordering::AcqRel)
    }

    pub(super) async fn arrived(&self) {
        self.arrival.notified().await;
    }

    pub(super) async fn changed(&self) {
        while !self.take_change() {
            self.change.notified().await;
        }
    }

    /// Returns true if there was a change since the last call.
    pub(super) fn take_change(&self) -> bool {
        self.is_changed.swap(false, Ordering::AcqRel)
    }
}
