//! The vocabulary that routes and templates share: what happened on a code host, in the host-neutral words
//! of [`Kind`], [`Account`], [`Repository`], [`Push`], [`PullRequest`], [`Build`], [`Issue`] and their like.
//!
//! This is ground floor: it knows no provider, no chat, no store. A [`Source`](crate::source::Source) makes
//! events; routing reads them through [`Event::branch`] and its like; templates see the JSON that an event
//! serialises to, in which **every** field is present, `null` where it is empty.

mod build;
mod comment;
mod id;
mod issue;
mod kind;
mod people;
mod pull_request;
mod push;
mod repository;
mod summary;

pub use build::{Build, BuildState, Pipeline};
pub use comment::Comment;
pub use id::{ChannelName, DeliveryId, EventId, RequestId, SourceName};
pub use issue::Issue;
pub use kind::Kind;
pub use people::{Account, AccountKind};
pub use pull_request::{Endpoint, PullRequest, PullRequestState, Reviewer, Vote};
pub use push::{Commit, Push, Ref, RefKind, Via};
pub use repository::{Project, Repository, Visibility};
pub use summary::Summary;

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the JSON shape that [`Event`] serialises to; it is stored beside every event.
pub const SCHEMA_VERSION: u32 = 1;

/// One thing that happened on a code host.
///
/// A request may hold several (a push of three refs is three events). Which of the optional parts are there
/// depends on [`kind`](Self::kind): `push` for pushes, branches and tags, `pull_request` for pull requests,
/// `comment` beside what was commented on, and so on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// What happened, in our words: `pull_request.opened`.
    pub kind: Kind,
    /// What happened, in the host's: `pullrequest:created`.
    pub key: String,
    /// When it happened, by the host's clock where the payload says so, else when it came in.
    #[schemars(with = "Option<String>")]
    pub time: Option<Timestamp>,
    /// Who did it. `null` where the host names nobody (a pipeline's run).
    pub actor: Option<Arc<Account>>,
    /// Where it happened. `null` for what happens above repositories.
    pub repository: Option<Arc<Repository>>,
    /// The project that this is about, where it is about a whole project.
    pub project: Option<Project>,
    /// The ref that moved, and its commits.
    pub push: Option<Push>,
    /// All refs that the message is about, where one push moved several in the same way; `push` is the first of them.
    #[serde(default)]
    pub refs: Vec<Ref>,
    /// The commit that was commented on.
    pub commit: Option<Commit>,
    /// The pull request that this is about, as it was when the host sent it.
    pub pull_request: Option<PullRequest>,
    /// The comment that this is about.
    pub comment: Option<Comment>,
    /// The build that this is about.
    pub build: Option<Build>,
    /// The pipeline's run that this is about.
    pub pipeline: Option<Pipeline>,
    /// The issue that this is about, as it was when the host sent it.
    pub issue: Option<Issue>,
    /// The new fork, for `repository.forked`; `repository` is what was forked.
    pub forked_to: Option<Repository>,
    /// Whose the repository was before, for `repository.transferred`.
    pub previous_owner: Option<Account>,
    /// What changed, for what was updated: as the host says, or by comparison with what was seen before.
    pub changes: Vec<Change>,
}

/// The JSON Schema of [`Event`].
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Event)
}

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// What: `title`, `state`, `assignee`, `target`, …
    pub what: String,
    /// What it was; `null` if it was nothing, or a text too long to tell.
    pub old: Option<String>,
    /// What it is now; `null` likewise.
    pub new: Option<String>,
}

impl Change {
    /// A change of this from one thing to another.
    pub fn new(what: impl Into<String>, old: Option<String>, new: Option<String>) -> Self {
        Self { what: what.into(), old, new }
    }
}

impl Event {
    /// An event of this kind with nothing else known of it.
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
        }
    }

    /// The branch that rules call `branch`: the ref of a push, the target of a pull request, what a build is for.
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

    /// The workspace, organisation or group in which it happened.
    pub fn workspace(&self) -> Option<&str> {
        let of_repository = self.repository.as_ref().and_then(|repository| repository.workspace.as_deref());
        of_repository.or_else(|| self.project.as_ref()?.workspace.as_deref())
    }

    /// Where it happened, as a source's `repo` must allow it: `workspace/slug`, or `workspace/` for what is about a whole
    /// workspace. `None` for what names neither.
    pub fn place(&self) -> Option<String> {
        let repository = self.repository.as_ref();
        match repository.and_then(|repository| repository.full_name.clone()) {
            Some(name) => Some(name),
            // Named by its id alone.
            None if repository.is_some_and(|repository| repository.id.is_some()) => None,
            None => self.workspace().map(|workspace| format!("{workspace}/")),
        }
    }

    /// What the event is about, as a key that stays the same over the life of the thing:
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
    fn every_field_is_there_and_null_where_it_is_empty() {
        let json = serde_json::to_value(Event::new(Kind::Other, "repo:invented")).unwrap();
        let expected = serde_json::json!({
            "kind": "other", "key": "repo:invented", "time": null, "actor": null, "repository": null,
            "project": null, "push": null, "refs": [], "commit": null, "pull_request": null, "comment": null, "build": null,
            "pipeline": null, "issue": null, "forked_to": null, "previous_owner": null, "changes": [],
        });
        assert_eq!(json, expected);
    }
}
