//! Time at which each secret of a source last verified a request. It shows if a rotation is complete, and if webhooks
//! have the secret.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};

use crate::event::SourceName;
use crate::time::Millis;

/// Last use of each secret since the service started. The key is a hash of the secret, so that its position in the
/// source's list may change.
#[derive(Clone, Default)]
pub(in crate::service) struct SecretUses(Arc<Mutex<BTreeMap<u64, Millis>>>);

impl SecretUses {
    /// Records that a secret verified a request.
    pub(in crate::service) fn add(&self, source: &SourceName, secret: &SecretString, at: Millis) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key(source, secret), at);
    }

    /// Returns the time at which a secret last verified a request.
    pub(in crate::service) fn last(&self, source: &SourceName, secret: &SecretString) -> Option<Millis> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key(source, secret)).copied()
    }
}

fn key(source: &SourceName, secret: &SecretString) -> u64 {
    let mut hasher = DefaultHasher::new();
    (source.as_str(), secret.expose_secret()).hash(&mut hasher);
    hasher.finish()
}
