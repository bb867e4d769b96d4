//! Event model shared by routes and templates: host-neutral types such as [`Kind`], [`Account`], [`Repository`],
//! [`Push`], [`PullRequest`], [`Build`] and [`Issue`].
//!
//! Base layer: it depends on no provider, chat or store. A [`Source`](crate::source::Source) creates events. Routing
//! reads them through accessors such as [`Event::branch`]. Templates see the JSON that an event serializes to, in which
//! **every** field is present; an empty field is `null`.

mod build;
mod comment;
mod content;
mod id;
mod issue;
mod kind;
mod people;
mod pull_request;
mod push;
mod repository;
mod summary;
mod words;

pub(crate) use build::duration;
pub use build::{Build, BuildState, Pipeline};
pub use comment::{Comment, ParentComment};
pub use content::Content;
pub use id::{ChannelName, DeliveryId, EventId, RequestId, SourceName};
pub use issue::Issue;
pub use kind::Kind;
pub use people::{Account, AccountKind};
pub use pull_request::{Endpoint, PullRequest, PullRequestState, Reviewer, Vote};
pub use push::{Commit, Push, Ref, RefKind, Via};
pub use repository::{Project, Repository, Visibility};
pub use summary::Summary;
pub use words::Words;

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the JSON shape that [`Event`] serializes to. It is stored with every event.
pub const SCHEMA_VERSION: u32 = 1;

/// An event on a code host.
///
/// One request may contain several events: a push of three refs is three events. The optional parts depend on `kind`:
/// `push` for pushes, branches and tags, `pull_request` for pull requests, `comment` in addition to the object that was
/// commented on, and so on. Every field is present; an empty field is `null`. Times are RFC 3339 strings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Kind of the event in Hookbell's terms: `pull_request.opened`.
    pub kind: Kind,
    /// Event key in the host's terms: `pullrequest:created`.
    pub key: String,
    /// Time of the event: the host's timestamp if the payload has one, else the time at which the request was received.
    #[schemars(with = "Option<String>")]
    pub time: Option<Timestamp>,
    /// Account that triggered the event; `null` if the host names none, as for pipeline runs.
    pub actor: Option<Arc<Account>>,
    /// Repository of the event; `null` for events above the repository level, such as `project.updated`.
    pub repository: Option<Arc<Repository>>,
    /// Project that the event is about, for events about a whole project.
    pub project: Option<Project>,
    /// Branch or tag that changed, with its commits.
    pub push: Option<Push>,
    /// All branches or tags in the message, if one push changed several in the same way; `push` is the first of them.
    /// Empty otherwise.
    #[serde(default)]
    pub refs: Vec<Ref>,
    /// Commit that was commented on, for `commit.comment_added`.
    pub commit: Option<Commit>,
    /// Pull request that the event is about, in the state that the host sent.
    pub pull_request: Option<PullRequest>,
    /// Comment that the event is about.
    pub comment: Option<Comment>,
    /// Build that the event is about.
    pub build: Option<Build>,
    /// Pipeline run that the event is about.
    pub pipeline: Option<Pipeline>,
    /// Issue that the event is about, in the state that the host sent.
    pub issue: Option<Issue>,
    /// New fork, for `repository.forked`; `repository` is the original.
    pub forked_to: Option<Repository>,
    /// Previous owner of the repository, for `repository.transferred`.
    pub previous_owner: Option<Account>,
    /// Changed fields, for updates: as reported by the host, or found by comparison with the last known state.
    pub changes: Vec<Change>,
    /// The host's words for a pull request.
    #[serde(default, skip_serializing_if = "Words::are_usual")]
    pub words: Words,
}

/// Returns the JSON Schema of [`Event`].
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Event)
}

/// A change of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Name of the changed field: `title`, `state`, `assignee`, `target`, …
    pub what: String,
    /// Previous value; `null` if there was none, or if the text is too long to show.
    pub old: Option<String>,
    /// New value; `null` if there is none, or if the text is too long to show.
    pub new: Option<String>,
}

impl Change {
    /// Creates a change of `what` from `old` to `new`.
    pub fn new(what: impl Into<String>, old: Option<String>, new: Option<String>) -> Self {
        Self { what: what.into(), old, new }
    }
}

impl Event {
    /// Creates an event of this kind in which everything else is empty.
    pub fn new(kind: Kind, key: impl Into<String>) -> Self {
        Self {
            kind,
            key: key.into(),
            time: None,
            actor: None,
            repository: None,
            project: None,
            push: None,
            refs: vec![],
            commit: None,
            pull_request: None,
            comment: None,
            build: None,
            pipeline: None,
            issue: None,
            forked_to: None,
            previous_owner: None,
            changes: vec![],
            words: Words::default(),
        }
    }

    /// Returns the branch that rules match as `branch`: the branch of a push, the target of a pull request, or the
    /// branch of a build or pipeline run.
    pub fn branch(&self) -> Option<&str> {
        if let Some(push) = &self.push {
            return push.branch.as_deref();
        }
        if let Some(pull_request) = &self.pull_request {
            return pull_request.target.branch.as_deref();
        }
        let build = self.build.as_ref().and_then(|build| build.branch.as_deref());
        build.or_else(|| self.pipeline.as_ref()?.branch.as_deref())
    }

    /// Returns the workspace, organization or group of the event.
    pub fn workspace(&self) -> Option<&str> {
        let of_repository = self.repository.as_ref().and_then(|repository| repository.workspace.as_deref());
        of_repository.or_else(|| self.project.as_ref()?.workspace.as_deref())
    }

    /// Returns the place that a source's `repo` setting must allow: `workspace/slug`, or `workspace/` for an event
    /// about a whole workspace. Returns `None` if the event names neither.
    pub fn place(&self) -> Option<String> {
        let repository = self.repository.as_ref();
        match repository.and_then(|repository| repository.full_name.clone()) {
            Some(name) => Some(name),
            // The event names the repository only by its id.
            None if repository.is_some_and(|repository| repository.id.is_some()) => None,
            None => self.workspace().map(|workspace| format!("{workspace}/")),
        }
    }

    /// Returns a key for the object that the event is about. The key is stable for the lifetime of the object:
    /// `pr:<repository id>:<number>`, `ref:<repository id>:<branch or tag>`, `issue:…`, `build:…`, `commit:…`.
    pub fn subject(&self) -> Option<String> {
        let Some(repository) = self.repository.as_deref().and_then(Repository::identity) else {
            let project = self.project.as_ref()?;
            return Some(format!("project:{}", project.id.as_deref().or(project.key.as_deref())?));
        };
        if let Some(pull_request) = &self.pull_request {
            return Some(format!("pr:{repository}:{}", pull_request.id?));
        }
        if let Some(push) = &self.push {
            return Some(format!("ref:{repository}:{}", push.name()?));
        }
        if let Some(issue) = &self.issue {
            return Some(format!("issue:{repository}:{}", issue.id?));
        }
        if let Some(pipeline) = &self.pipeline {
            return Some(format!("pipeline:{repository}:{}", pipeline.number?));
        }
        if let Some(build) = &self.build {
            return Some(format!("build:{repository}:{}", build.key.as_deref()?));
        }
        match &self.commit {
            Some(commit) => Some(format!("commit:{repository}:{}", commit.hash)),
            None => Some(format!("repository:{repository}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_present_or_null() {
        let json = serde_json::to_value(Event::new(Kind::Other, "repo:invented")).unwrap();
        let expected = serde_json::json!({
            "kind": "other", "key": "repo:invented", "time": null, "actor": null, "repository": null,
            "project": null, "push": null, "refs": [], "commit": null, "pull_request": null, "comment": null, "build": null,
            "pipeline": null, "issue": null, "forked_to": null, "previous_owner": null, "changes": [],
        });
        assert_eq!(json, expected);
    }
}
