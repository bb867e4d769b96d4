//! Events about whole repositories and projects: `repo:fork`, `repo:updated`, `repo:transfer` and similar keys,
//! `project:updated`.

use crate::source::json::Json;

use super::Reader;
use super::changes::{self, changes};
use crate::event::{Event, Kind};

/// Fields of a repository whose changes are posted. Bodies have many more, even `updated_on`.
const OF_REPOSITORY: &[(&str, &str)] = &[
    ("name", "name"),
    ("full_name", "full name"),
    ("description", "description"),
    ("is_private", "visibility"),
    ("website", "website"),
    ("language", "language"),
];

/// Fields of a project whose changes are posted.
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
        // Bodies from 2017 have `previous_owner`; since then, owners are workspaces.
        let known = ["previous_owner", "previous_workspace"].iter().map(|name| &self.payload[*name]);
        event.previous_owner = known.filter(|owner| owner.is_object()).map(|owner| self.account(owner)).next();
        event
    }

    pub(super) fn repository_updated(&self) -> Result<Event, &'static str> {
        let mut event = self.updated(Kind::RepositoryUpdated, OF_REPOSITORY)?;
        // A new name also changes the full name; one change is enough.
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

    /// Creates an update event, if there is a change to post. If the body does not report what changed, the event has
    /// no changes.
    fn updated(&self, kind: Kind, reported: &[(&str, &str)]) -> Result<Event, &'static str> {
        let mut event = self.event(kind);
        match &self.payload["changes"] {
            all @ Json::Object(_) => {
                event.changes = changes(all, reported);
                if event.changes.is_empty() { Err(changes::TRIVIAL) } else { Ok(event) }
            }
            _ => Ok(event),
        }
    }
}
