//! The settings of now.

use std::sync::Arc;

use tokio::sync::watch;

use super::Settings;

/// The settings that are in use; a reload replaces them whole. Whoever works on something asks once, and ends with what
/// it began with.
#[derive(Clone)]
pub struct Live(watch::Sender<Arc<Settings>>);

impl Live {
    /// These, until they are replaced.
    pub fn new(settings: Settings) -> Self {
        Self(watch::Sender::new(Arc::new(settings)))
    }

    /// The settings of now.
    pub fn now(&self) -> Arc<Settings> {
        self.0.borrow().clone()
    }

    /// Puts others in their place.
    pub fn replace(&self, settings: Arc<Settings>) {
        self.0.send_replace(settings);
    }

    /// Waits until others are in their place.
    pub async fn replaced(&self) {
        // It ends with an error where nobody can replace them any more, which `self` can.
        let _ = self.0.subscribe().changed().await;
    }
}
