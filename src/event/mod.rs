//! The vocabulary that routes and templates share: what happened on a code host, in the host-neutral words
//! of [`Kind`], [`Account`], [`Repository`], [`Push`] and [`PullRequest`].
//!
//! This is ground floor: it knows no provider, no chat, no store. A [`Source`](crate::source::Source) makes
//! events; routing reads them through [`Event::branch`] and its like; templates see the JSON that an event
//! serialises to, in which **every** field is present, `null` where it is empty.

mod id;
mod kind;
mod people;
mod pull_request;
mod push;
mod repository;

pub use id::{ChannelName, DeliveryId, EventId, RequestId, SourceName};
pub use kind::Kind;
pub use people::{Account, AccountKind};
pub use pull_request::{Comment, Endpoint, PullRequest, PullRequestState, Reviewer, Vote};
pub use push::{Commit, Push, RefKind};
pub use repository::{Project, Repository, Visibility};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the JSON shape that [`Event`] serialises to; it is stored beside every event.
pub const SCHEMA_VERSION: u32 = 1;

/// One thing that happened on a code host.
///
/// A request may hold several (a push of three refs is three events). Which of the optional parts are there
/// depends on [`kind`](Self::kind): `push` for pushes, branches and tags, `pull_request` for pull requests,
/// `comment` beside it for comments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What happened, in our words: `pull_request.opened`.
    pub kind: Kind,
    /// What happened, in the host's: `pullrequest:created`.
    pub key: String,
    /// When it happened, by the host's clock, where the payload says so.
    pub time: Option<Timestamp>,
    /// Who did it. `null` where the host does not say (a deleted account, a machine).
    pub actor: Option<Account>,
    /// Where it happened. `null` for what happens above repositories.
    pub repository: Option<Repository>,
    /// The ref that moved, and its commits.
    pub push: Option<Push>,
    /// The pull request that this is about, as it was when the host sent it.
    pub pull_request: Option<PullRequest>,
    /// The comment that this is about.
    pub comment: Option<Comment>,
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
            push: None,
            pull_request: None,
            comment: None,
        }
    }

    /// The branch that rules call `branch`: the ref of a push, the target of a pull request.
    pub fn branch(&self) -> Option<&str> {
        match (&self.push, &self.pull_request) {
            (Some(push), _) => push.branch.as_deref(),
            (None, Some(pull_request)) => pull_request.target.branch.as_deref(),
            (None, None) => None,
        }
    }

    /// What the event is about, as a key that stays the same over the life of the thing:
    /// `pr:<repository id>:<number>`, `ref:<repository id>:<branch or tag>`.
    pub fn subject(&self) -> Option<String> {
        let repository = self.repository.as_ref().and_then(Repository::identity)?;
        if let Some(pull_request) = &self.pull_request {
            return Some(format!("pr:{repository}:{}", pull_request.id?));
        }
        let push = self.push.as_ref()?;
        Some(format!("ref:{repository}:{}", push.name()?))
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
            "push": null, "pull_request": null, "comment": null,
        });
        assert_eq!(json, expected);
    }
}
