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
mod repository;
mod twin;

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::event::{Event, Repository, SourceName};
pub use twin::{subject_of_body, twin};

/// The last seen state of subjects, by the subject.
pub type Memory = BTreeMap<String, Value>;

/// A moment: milliseconds since 1970.
type Millis = i64;

/// What must be remembered to name these events. Each source has a memory of its own: what one says changes nothing of
/// what another is told.
pub fn subjects(source: &SourceName, events: &[Event]) -> Vec<String> {
    let mut subjects = vec![];
    for event in events {
        let Some(repository) = event.repository.as_ref().and_then(Repository::identity) else { continue };
        repository::subjects(event, &mut subjects);
        commit::subjects(event, repository, &mut subjects);
        pull_request::subjects(event, repository, &mut subjects);
        build::subjects(event, repository, &mut subjects);
    }
    subjects.sort_unstable();
    subjects.dedup();
    subjects.into_iter().map(|subject| scoped(source, &subject)).collect()
}

fn scoped(source: &SourceName, subject: &str) -> String {
    format!("{source}/{subject}")
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
        let Ok(state) = serde_json::to_value(state) else { return };
        if self.before.get(&subject) != Some(&state) || self.after.contains_key(&subject) {
            self.after.insert(subject, state);
        }
    }
}

#[cfg(test)]
mod tests;
