//! What is remembered of pull requests, commits, builds and repositories, and how events are named by it.
//!
//! Hosts do not say what changed about a pull request, nor whether the last build failed. So the last seen state of
//! each is kept with the store, and an event is named by the difference. All of it runs within the transaction that
//! takes a request in: it is pure, and knows no provider.
//!
//! Requests may come twice, and in any order. What is older than what is remembered changes nothing, so that any
//! order leads to the same memory.

mod build;
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

use crate::event::{Event, Repository, SourceName};
pub use seen::{Seen, seen, subject_of_body};

/// The last seen state of subjects, by the subject.
pub type Memory = BTreeMap<String, Value>;

/// A moment: milliseconds since 1970.
type Millis = i64;

/// What must be remembered to name these events. Each source has a memory of its own: what one says changes nothing of
/// what another is told.
pub fn subjects(source: &SourceName, events: &[Event]) -> Vec<String> {
    let mut subjects = vec![];
    for event in events {
        let Some(repository) = event.repository.as_deref().and_then(Repository::identity) else { continue };
        repository::subjects(event, &mut subjects);
        commit::subjects(event, repository, &mut subjects);
        reference::subjects(event, repository, &mut subjects);
        pull_request::subjects(event, repository, &mut subjects);
        build::subjects(event, repository, &mut subjects);
    }
    subjects.sort_unstable();
    subjects.dedup();
    subjects.into_iter().map(|subject| scoped(source, &subject)).collect()
}

/// Maximum length of a subject in bytes; of a longer one, a hash is remembered.
const MAX_SUBJECT: usize = 256;

/// Maximum size of a remembered state in bytes, as JSON; a larger one is not remembered.
const MAX_STATE: usize = 16 * 1024;

fn scoped(source: &SourceName, subject: &str) -> String {
    format!("{source}/{}", bounded(subject))
}

/// A text of untrusted length as a key: itself, or if it is long its beginning and its hash.
fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_SUBJECT {
        return text.into();
    }
    let beginning: String = text.chars().take(32).collect();
    format!("{beginning}…{}", hash(text)).into()
}

/// Whether a state takes more than [`MAX_STATE`].
fn is_too_large(state: &impl Serialize) -> bool {
    serde_json::to_vec(state).is_ok_and(|state| state.len() > MAX_STATE)
}

/// A short name for a text: 16 hex digits.
fn hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..8])
}

/// Names events by what is remembered of what they are about, and remembers what they say.
pub struct Recall<'a> {
    source: &'a SourceName,
    before: &'a Memory,
    after: Memory,
    now: Millis,
}

impl<'a> Recall<'a> {
    /// Begins with what the store remembers.
    pub fn new(source: &'a SourceName, before: &'a Memory, now: Millis) -> Self {
        Self { source, before, after: Memory::new(), now }
    }

    /// Gives a repository that is named by its id alone its name back.
    pub fn identify(&self, event: &mut Event) {
        repository::identify(event, self);
    }

    /// Names an event and completes it. The result is why nobody need hear of it, if that is so.
    pub fn name(&mut self, event: &mut Event) -> Option<&'static str> {
        self.identify(event);
        repository::remember(event, self);
        let repository = event.repository.as_ref()?.identity()?.to_owned();
        commit::recall_push(event, &repository, self);
        reference::remember(event, &repository, self);
        let silent = pull_request::recall(event, &repository, self);
        silent.or_else(|| build::recall(event, &repository, self))
    }

    /// What is to be remembered from now on.
    pub fn into_memory(self) -> Memory {
        self.after
    }

    /// What is remembered of a subject. A state of a shape that is known no more is as good as none.
    fn get<T: DeserializeOwned>(&self, subject: &str) -> Option<T> {
        let subject = scoped(self.source, subject);
        let state = self.after.get(&subject).or_else(|| self.before.get(&subject))?;
        T::deserialize(state).ok()
    }

    /// Remembers a state, if it is a new one.
    fn set(&mut self, subject: &str, state: &impl Serialize) {
        let subject = scoped(self.source, subject);
        let Ok(mut state) = serde_json::to_value(state) else { return };
        if is_too_large(&state) {
            // What was remembered before would be wrong now.
            state = Value::Null;
        }
        if self.before.get(&subject) != Some(&state) || self.after.contains_key(&subject) {
            self.after.insert(subject, state);
        }
    }
}

#[cfg(test)]
mod tests;
