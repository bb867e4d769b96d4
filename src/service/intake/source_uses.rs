//! Time at which each source last sent a verified request, and each of its secrets last verified one. It shows if a
//! rotation is complete, if webhooks have the secret, and if a source has gone silent.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};

use crate::event::SourceName;
use crate::time::Millis;

/// Last use of each source and each secret since the service started.
#[derive(Clone, Default)]
pub(in crate::service) struct SourceUses(Arc<Mutex<Uses>>);

#[derive(Default)]
struct Uses {
    sources: BTreeMap<SourceName, Millis>,
    /// By a hash of the secret, so that its position in the source's list may change.
    secrets: BTreeMap<u64, Millis>,
}

impl SourceUses {
    /// Records that a source sent a request, which this secret verified.
    pub(in crate::service) fn add(&self, source: &SourceName, secret: Option<&SecretString>, at: Millis) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match uses.sources.get_mut(source) {
            Some(last) => *last = at,
            None => drop(uses.sources.insert(source.clone(), at)),
        }
        if let Some(secret) = secret {
            uses.secrets.insert(key(source, secret), at);
        }
    }

    /// Returns the time of the last verified request of a source.
    pub(in crate::service) fn last_request(&self, source: &SourceName) -> Option<Millis> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).sources.get(source).copied()
    }

    /// Returns the time at which a secret last verified a request.
    pub(in crate::service) fn last(&self, source: &SourceName, secret: &SecretString) -> Option<Millis> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).secrets.get(&key(source, secret)).copied()
    }
}

fn key(source: &SourceName, secret: &SecretString) -> u64 {
    let mut hasher = DefaultHasher::new();
    (source.as_str(), secret.expose_secret()).hash(&mut hasher);
    hasher.finish()
}
