//! Memory: the last known state of pull requests, commits, builds and repositories, which determines the kinds of
//! events.
//!
//! Hosts report neither what changed in a pull request nor whether the last build failed. So the store keeps the last
//! known state of each, and the difference determines the kind of an event. All of this runs in the transaction that
//! accepts a request: it is pure, and knows no provider.
//!
//! Requests may arrive twice and in any order. A state that is older than the stored one changes nothing, so that any
//! order results in the same memory.

mod build;
mod comment;
mod commit;
mod pull_request;
mod reference;
mod repository;
mod seen;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::event::{Event, Kind, Repository, SourceName};
use crate::time::Millis;
pub(crate) use seen::digest_of_subject;
pub use seen::{BodyDigest, SameBody, Seen, digest_of_body, seen};

/// Last known states, by subject.
pub type Memory = BTreeMap<String, Value>;

/// Returns the subjects whose states determine the kinds of these events. Each source has its own memory: the requests
/// of one source do not affect the events of another.
pub fn subjects(source: &SourceName, events: &[Event]) -> Vec<String> {
    let mut subjects = vec![];
    for event in events {
        let Some(repository) = event.repository.as_deref().and_then(Repository::identity) else { continue };
        repository::subjects(event, &mut subjects);
        commit::subjects(event, repository, &mut subjects);
        reference::subjects(event, repository, &mut subjects);
        pull_request::subjects(event, repository, &mut subjects);
        comment::subjects(event, repository, &mut subjects);
        build::subjects(event, repository, &mut subjects);
    }
    subjects.sort_unstable();
    subjects.dedup();
    subjects.into_iter().map(|subject| scoped(source, &subject)).collect()
}

/// Maximum length of a subject in bytes; a longer one is replaced by a hash.
const MAX_SUBJECT: usize = 256;

/// Maximum size of a state in bytes, as JSON; a larger one is not stored.
const MAX_STATE: usize = 16 * 1024;

fn scoped(source: &SourceName, subject: &str) -> String {
    format!("{source}/{}", bounded(subject))
}

/// Converts a text of untrusted length to a key: a short text is unchanged, a long one becomes its beginning and its
/// hash.
fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_SUBJECT {
        return text.into();
    }
    let beginning: String = text.chars().take(32).collect();
    format!("{beginning}…{}", hash(text)).into()
}

/// Returns `true` if a state is larger than [`MAX_STATE`].
fn is_too_large(state: &impl Serialize) -> bool {
    serde_json::to_vec(state).is_ok_and(|state| state.len() > MAX_STATE)
}

/// Returns a short hash of a text: 16 hex digits.
fn hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..8])
}

/// Determines the kinds of events from the stored states, and collects the new states.
pub struct Recall<'a> {
    source: &'a SourceName,
    /// Kinds of updates of pull requests that the host itself distinguishes.
    named: &'a [Kind],
    before: &'a Memory,
    after: Memory,
    now: Millis,
}

impl<'a> Recall<'a> {
    /// Starts with the states from the store. Updates of pull requests of the kinds that the host itself distinguishes,
    /// `named`, keep their kind and are not suppressed.
    pub fn new(source: &'a SourceName, named: &'a [Kind], before: &'a Memory, now: Millis) -> Self {
        Self { source, named, before, after: Memory::new(), now }
    }

    /// Restores the name of a repository that the event identifies only by its id.
    pub fn identify(&self, event: &mut Event) {
        repository::identify(event, self);
    }

    /// Determines the kind of an [identified](Self::identify) event and completes it. Returns the reason if the event is
    /// suppressed.
    pub fn name(&mut self, event: &mut Event) -> Option<&'static str> {
        repository::remember(event, self);
        let repository = event.repository.as_ref()?.identity()?.to_owned();
        commit::recall_push(event, &repository, self);
        reference::remember(event, &repository, self);
        comment::recall(event, &repository, self);
        let suppressed = pull_request::recall(event, &repository, self);
        suppressed.or_else(|| build::recall(event, &repository, self))
    }

    /// Returns the new states.
    pub fn into_memory(self) -> Memory {
        self.after
    }

    /// Returns the state of a subject. A state of an unknown shape counts as missing.
    fn get<T: DeserializeOwned>(&self, subject: &str) -> Option<T> {
        let subject = scoped(self.source, subject);
        let state = self.after.get(&subject).or_else(|| self.before.get(&subject))?;
        T::deserialize(state).ok()
    }

    /// Stores a state, if it is new.
    fn set(&mut self, subject: &str, state: &impl Serialize) {
        let subject = scoped(self.source, subject);
        let Ok(mut state) = serde_json::to_value(state) else { return };
        if is_too_large(&state) {
            // The previous state is no longer correct.
            state = Value::Null;
        }
        if self.before.get(&subject) != Some(&state) || self.after.contains_key(&subject) {
            self.after.insert(subject, state);
        }
    }
}

#[cfg(test)]
mod tests;
