//! Branches and tags: their last known commits.

use serde::{Deserialize, Serialize};

use super::{Recall, hash};
use crate::event::{Event, Push, RefKind};

/// Stored state of a ref.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct RefMemory {
    /// Hash of the commit's name; `None` if the ref was deleted.
    at: Option<String>,
}

impl RefMemory {
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

/// Stores the commit to which a push moved its ref.
pub(super) fn remember(event: &Event, repository: &str, memory: &mut Recall<'_>) {
    if let Some(push) = &event.push
        && let Some(subject) = subject(push, repository)
    {
        memory.set(&subject, &RefMemory::after(push));
    }
}

/// Returns `true` if the ref of a push is still at the commit to which the push moved it.
pub(super) fn is_still_there(push: &Push, repository: &str, memory: &Recall<'_>) -> bool {
    let known = subject(push, repository).and_then(|subject| memory.get::<RefMemory>(&subject));
    known.is_some_and(|known| known == RefMemory::after(push))
}
