//! Branches and tags: where they were last seen.

use serde::{Deserialize, Serialize};

use super::{Recall, hash};
use crate::event::{Event, Push, RefKind};

/// What is remembered of a ref.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Known {
    /// The commit, as a hash of its name; none of a ref that was deleted.
    at: Option<String>,
}

impl Known {
    fn after(push: &Push) -> Self {
        Self { at: push.new.as_deref().map(hash) }
    }
}

fn subject(push: &Push, repository: &str) -> Option<String> {
    let kind = match push.ref_kind {
        RefKind::Branch => "branch",
        RefKind::Tag => "tag",
    };
    Some(format!("ref:{repository}:{kind}:{}", push.name()?))
}

pub(super) fn subjects(event: &Event, repository: &str, subjects: &mut Vec<String>) {
    subjects.extend(event.push.as_ref().and_then(|push| subject(push, repository)));
}

/// Remembers where a push left its ref.
pub(super) fn remember(event: &Event, repository: &str, memory: &mut Recall<'_>) {
    if let Some(push) = &event.push
        && let Some(subject) = subject(push, repository)
    {
        memory.set(&subject, &Known::after(push));
    }
}

/// Whether the ref of a push is still where the push left it.
pub(super) fn is_still_there(push: &Push, repository: &str, memory: &Recall<'_>) -> bool {
    let known = subject(push, repository).and_then(|subject| memory.get::<Known>(&subject));
    known.is_some_and(|known| known == Known::after(push))
}
