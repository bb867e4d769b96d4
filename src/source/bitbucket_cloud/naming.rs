//! What a body says that happened, where that is not what its key says.
//!
//! The key stands in a header, and only the body is signed: whoever has recorded a delivery could send it again under
//! another key. So the body decides, as far as it says anything.

use jiff::SignedDuration;
use serde_json::Value;

use super::Reader;
use super::json::{flag, time};
use super::objects::account_id;
use super::pull_request::{state, votes};
use crate::event::{Kind, PullRequestState, Vote};

impl Reader<'_> {
    /// The kind of what happened, where the key says `by_key`. A note says so if it is another.
    pub(super) fn kind(&self, by_key: Kind) -> Kind {
        let by_body = by_body(by_key, self.payload);
        if by_body != by_key {
            let key = self.key;
            let _ = self.note.set(format!("the body says {by_body}, not {key}: the event is named by the body"));
        }
        by_body
    }
}

fn by_body(by_key: Kind, body: &Value) -> Kind {
    let pr = &body["pullrequest"];
    match by_key {
        Kind::PullRequestOpened | Kind::PullRequestMerged | Kind::PullRequestDeclined => match state(&pr["state"]) {
            Some(PullRequestState::Merged) => Kind::PullRequestMerged,
            Some(PullRequestState::Declined | PullRequestState::Superseded) => Kind::PullRequestDeclined,
            // What changed of an open one, memory says.
            Some(PullRequestState::Open) if by_key != Kind::PullRequestOpened => Kind::PullRequestUpdated,
            Some(PullRequestState::Open) | None => by_key,
        },
        Kind::PullRequestApproved | Kind::PullRequestApprovalWithdrawn => match vote(pr, &body["approval"]) {
            Some(Some(Vote::Approved)) => Kind::PullRequestApproved,
            Some(_) => Kind::PullRequestApprovalWithdrawn,
            None => by_key,
        },
        Kind::PullRequestChangesRequested | Kind::PullRequestChangesWithdrawn => {
            match vote(pr, &body["changes_request"]) {
                Some(Some(Vote::ChangesRequested)) => Kind::PullRequestChangesRequested,
                Some(_) => Kind::PullRequestChangesWithdrawn,
                None => by_key,
            }
        }
        Kind::PullRequestCommentAdded
        | Kind::PullRequestCommentEdited
        | Kind::PullRequestCommentDeleted
        | Kind::PullRequestCommentResolved
        | Kind::PullRequestCommentReopened => comment(by_key, &body["comment"]),
        Kind::IssueCommentAdded if body["changes"].as_object().is_some_and(|changes| !changes.is_empty()) => {
            Kind::IssueUpdated
        }
        _ => by_key,
    }
}

/// The vote of the one whom the body is about; `None` where they are not among the participants.
fn vote(pr: &Value, voting: &Value) -> Option<Option<Vote>> {
    votes(pr).get(&account_id(&voting["user"])?).copied()
}

/// Time between writing a comment and storing it.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(5);

/// Fields that a body does not have say nothing: bodies from before threads could be resolved have no `resolution`.
fn comment(by_key: Kind, comment: &Value) -> Kind {
    let is_resolved = comment.get("resolution").map(Value::is_object);
    let plain = || {
        let since_created = time(&comment["updated_on"]).zip(time(&comment["created_on"]));
        let is_edited = since_created.is_some_and(|(updated, created)| updated.duration_since(created) > AT_ONCE);
        if !is_edited { Kind::PullRequestCommentAdded } else { Kind::PullRequestCommentEdited }
    };
    match by_key {
        _ if flag(&comment["deleted"]) => Kind::PullRequestCommentDeleted,
        Kind::PullRequestCommentDeleted if comment["deleted"] == false => plain(),
        Kind::PullRequestCommentResolved if is_resolved == Some(false) => plain(),
        Kind::PullRequestCommentReopened if is_resolved == Some(true) => Kind::PullRequestCommentResolved,
        _ => by_key,
    }
}
