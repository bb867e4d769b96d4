//! What a lane's task is told from outside.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A lane's bells. Each is heard once, also if it rang before anybody listened.
#[derive(Default)]
pub(super) struct Signals {
    arrival: Notify,
    change: Notify,
    is_changed: AtomicBool,
    probe: AtomicBool,
}

impl Signals {
    /// Something waits in the lane now.
    pub(super) fn ring_arrival(&self) {
        self.arrival.notify_one();
    }

    /// Somebody paused or reopened the lane, or gave up what waits there.
    pub(super) fn ring_change(&self) {
        self.is_changed.store(true, Ordering::Release);
        self.change.notify_one();
    }

    /// The configuration was reloaded: a chat that failed is to be tried again at once.
    pub(super) fn ring_probe(&self) {
        self.probe.store(true, Ordering::Release);
        self.ring_change();
    }

    /// Whether that was asked for since the last call.
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

    /// Whether there was a change that nobody has taken note of.
    pub(super) fn take_change(&self) -> bool {
        self.is_changed.swap(false, Ordering::AcqRel)
    }
}
