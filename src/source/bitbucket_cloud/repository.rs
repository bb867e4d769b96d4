//! What happens to repositories and projects as a whole: `repo:fork`, `repo:updated`, `repo:transfer` and their like,
//! `project:updated`.

use serde_json::Value;

use super::Reader;
use super::changes::{self, changes};
use crate::event::{Event, Kind};

/// What is told of a repository's changes. There are many more, down to `updated_on`.
const OF_REPOSITORY: &[(&str, &str)] = &[
    ("name", "name"),
    ("full_name", "full name"),
    ("description", "description"),
    ("is_private", "visibility"),
    ("website", "website"),
    ("language", "language"),
];

/// What is told of a project's changes.
const OF_PROJECT: &[(&str, &str)] =
    &[("name", "name"), ("key", "key"), ("description", "description"), ("is_private", "visibility")];

impl Reader<'_> {
    pub(super) fn fork_event(&self) -> Event {
        let mut event = self.event(Kind::RepositoryForked);
        event.forked_to = self.repository(&self.payload["fork"]);
        event
    }

    pub(super) fn transfer_event(&self) -> Event {
        let mut event = self.event(Kind::RepositoryTransferred);
        // Bodies of 2017 say `previous_owner`; since then owners have become workspaces.
        let known = ["previous_owner", "previous_workspace"].iter().map(|name| &self.payload[name]);
        event.previous_owner = known.filter(|owner| owner.is_object()).map(|owner| self.account(owner)).next();
        event
    }

    pub(super) fn repository_updated(&self) -> Result<Event, &'static str> {
        let mut event = self.updated(Kind::RepositoryUpdated, OF_REPOSITORY)?;
        // A new name is a new full name too; once is enough.
        if event.changes.iter().any(|change| change.what == "name") {
            event.changes.retain(|change| change.what != "full name");
        }
        Ok(event)
    }

    pub(super) fn project_updated(&self) -> Result<Event, &'static str> {
        let mut event = self.updated(Kind::ProjectUpdated, OF_PROJECT)?;
        event.project = self.project(&self.payload["project"]);
        Ok(event)
    }

    /// An update, if it holds anything to tell. Where the body does not say what changed, the fact is told.
    fn updated(&self, kind: Kind, told: &[(&str, &str)]) -> Result<Event, &'static str> {
        let mut event = self.event(kind);
        match &self.payload["changes"] {
            all @ Value::Object(_) => {
                event.changes = changes(all, told);
                if event.changes.is_empty() { Err(changes::TRIVIAL) } else { Ok(event) }
            }
            _ => Ok(event),
        }
    }
}
