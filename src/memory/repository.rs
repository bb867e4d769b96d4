//! Repositories by their lasting identity: some requests name them by nothing else.

use super::Recall;
use crate::event::{Event, Repository};

fn subject(repository: &Repository) -> Option<String> {
    Some(format!("repository:{}", repository.id.as_deref()?))
}

pub(super) fn subjects(event: &Event, subjects: &mut Vec<String>) {
    subjects.extend(event.repository.as_ref().and_then(subject));
}

pub(super) fn recall(event: &mut Event, memory: &mut Recall<'_>) {
    let Some(repository) = &mut event.repository else { return };
    let Some(subject) = subject(repository) else { return };
    let known = memory.get::<Repository>(&subject);
    match (known, &repository.full_name) {
        (Some(known), None) => *repository = known,
        (known, Some(_)) => {
            let known = known.unwrap_or_default();
            let now = Repository {
                description: None,
                project: repository.project.clone().or(known.project),
                visibility: repository.visibility.or(known.visibility),
                fork: repository.fork.or(known.fork),
                parent: repository.parent.clone().or(known.parent),
                ..repository.clone()
            };
            memory.set(subject, &now);
        }
        (None, None) => {}
    }
}
