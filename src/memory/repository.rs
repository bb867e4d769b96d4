//! Repositories by id: some requests identify a repository only by its id.

use std::sync::Arc;

use super::Recall;
use crate::event::{Event, Repository};

fn subject(repository: &Repository) -> Option<String> {
    Some(format!("repository:{}", repository.id.as_deref()?))
}

pub(super) fn subjects(event: &Event, subjects: &mut Vec<String>) {
    subjects.extend(event.repository.as_deref().and_then(subject));
}

pub(super) fn identify(event: &mut Event, memory: &Recall<'_>) {
    let Some(repository) = event.repository.as_mut().filter(|repository| repository.full_name.is_none()) else {
        return;
    };
    let known = subject(repository).and_then(|subject| memory.get(&subject));
    if let Some(known) = known {
        *repository = Arc::new(known);
    }
}

pub(super) fn remember(event: &Event, memory: &mut Recall<'_>) {
    let Some(repository) = event.repository.as_ref().filter(|repository| repository.full_name.is_some()) else {
        return;
    };
    let Some(subject) = subject(repository) else { return };
    let known: Repository = memory.get(&subject).unwrap_or_default();
    let now = Repository {
        description: None,
        project: repository.project.clone().or(known.project),
        visibility: repository.visibility.or(known.visibility),
        fork: repository.fork.or(known.fork),
        parent: repository.parent.clone().or(known.parent),
        ..Repository::clone(repository)
    };
    memory.set(&subject, &now);
}
