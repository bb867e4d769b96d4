//! The current settings.

use std::sync::Arc;

use tokio::sync::watch;

use super::Settings;

/// The settings in use. A reload replaces them atomically. A task calls [`now`](Self::now) once and finishes with these
/// settings.
#[derive(Clone)]
pub struct Live(watch::Sender<Arc<Settings>>);

impl Live {
    /// Wraps the initial settings.
    pub fn new(settings: Settings) -> Self {
        Self(watch::Sender::new(Arc::new(settings)))
    }

    /// The current settings.
    pub fn now(&self) -> Arc<Settings> {
        self.0.borrow().clone()
    }

    /// Replaces the current settings.
    pub fn replace(&self, settings: Arc<Settings>) {
        self.0.send_replace(settings);
    }

    /// Waits until other settings than `old` are in use, and returns them.
    pub async fn after(&self, old: &Arc<Settings>) -> Arc<Settings> {
        let mut receiver = self.0.subscribe();
        // It fails only if every sender is dropped, and `self` holds one.
        let found = receiver.wait_for(|now| !Arc::ptr_eq(now, old)).await.map(|now| now.clone());
        found.unwrap_or_else(|_| self.now())
    }
}
