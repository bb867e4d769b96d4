//! When each secret of a source last verified a request: whether a rotation is complete, and whether webhooks have the
//! secret at all.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};

use crate::event::SourceName;
use crate::store::Millis;

/// The last use of each secret since the service started. A secret is known by a hash, so that its place in the list of
/// its source may change.
#[derive(Clone, Default)]
pub(crate) struct SecretUses(Arc<Mutex<BTreeMap<u64, Millis>>>);

impl SecretUses {
    /// A request was verified.
    pub(crate) fn add(&self, source: &SourceName, secret: &SecretString, at: Millis) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key(source, secret), at);
    }

    /// When a secret last verified a request.
    pub(crate) fn last(&self, source: &SourceName, secret: &SecretString) -> Option<Millis> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key(source, secret)).copied()
    }
}

fn key(source: &SourceName, secret: &SecretString) -> u64 {
    let mut hasher = DefaultHasher::new();
    (source.as_str(), secret.expose_secret()).hash(&mut hasher);
    hasher.finish()
}
