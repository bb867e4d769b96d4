//! Kinds of events whose body contradicts their key.
//!
//! The key is in a header, and only the body is signed: anyone who has recorded a delivery could send it again with
//! another key. So the body determines the kind, as far as it can.

use crate::source::json::Json;
use jiff::SignedDuration;

use super::Reader;
use super::json::{flag, time};
use super::objects::account_id;
use super::pull_request::{state, votes};
use crate::event::{Kind, PullRequestState, Vote};

impl Reader<'_> {
    /// Returns the kind of the event. `by_key` is the kind that the key stands for; a note reports if the body differs.
    pub(super) fn kind(&self, by_key: Kind) -> Kind {
        let by_body = by_body(by_key, self.payload);
        if by_body != by_key {
            let key = self.key;
            let _ = self.note.set(format!("the body describes `{by_body}`, not `{key}`; the body determines the kind"));
        }
        by_body
    }
}

fn by_body(by_key: Kind, body: &Json<'_>) -> Kind {
    let pr = &body["pullrequest"];
    match by_key {
        Kind::PullRequestOpened | Kind::PullRequestMerged | Kind::PullRequestDeclined => match state(&pr["state"]) {
            Some(PullRequestState::Merged) => Kind::PullRequestMerged,
            Some(PullRequestState::Declined | PullRequestState::Superseded) => Kind::PullRequestDeclined,
            // The memory determines what changed.
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

/// Returns the vote of the account in `voting`; `None` if the account is not among the participants.
fn vote(pr: &Json<'_>, voting: &Json<'_>) -> Option<Option<Vote>> {
    votes(pr).get(&account_id(&voting["user"])?).copied()
}

/// Maximum time between the creation and the last change of a comment that was not edited.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(5);

/// Returns the kind of a comment event. A missing field determines nothing: bodies from before threads could be
/// resolved have no `resolution`.
fn comment(by_key: Kind, comment: &Json<'_>) -> Kind {
    let is_resolved = comment.get("resolution").map(Json::is_object);
    let plain = || {
        let since_created = time(&comment["updated_on"]).zip(time(&comment["created_on"]));
        let is_edited = since_created.is_some_and(|(updated, created)| updated.duration_since(created) > AT_ONCE);
        if !is_edited { Kind::PullRequestCommentAdded } else { Kind::PullRequestCommentEdited }
    };
    match by_key {
        _ if flag(&comment["deleted"]) => Kind::PullRequestCommentDeleted,
        Kind::PullRequestCommentDeleted if comment["deleted"].as_bool() == Some(false) => plain(),
        Kind::PullRequestCommentResolved if is_resolved == Some(false) => plain(),
        Kind::PullRequestCommentReopened if is_resolved == Some(true) => Kind::PullRequestCommentResolved,
        _ => by_key,
    }
}
