//! `pullrequest:*`.

use serde_json::Value;

use super::Reader;
use super::json::{items, number, page, text, time};
use crate::event::{Comment, Endpoint, Event, Kind, PullRequest, PullRequestState, Reviewer, Vote};
use crate::source::Refusal;

/// What a key means, where it is about a pull request.
pub(super) fn kind(key: &str) -> Option<Kind> {
    Some(match key {
        "pullrequest:created" => Kind::PullRequestOpened,
        "pullrequest:updated" => Kind::PullRequestUpdated,
        "pullrequest:approved" => Kind::PullRequestApproved,
        "pullrequest:unapproved" => Kind::PullRequestApprovalWithdrawn,
        "pullrequest:fulfilled" => Kind::PullRequestMerged,
        "pullrequest:rejected" => Kind::PullRequestDeclined,
        "pullrequest:comment_created" => Kind::PullRequestCommentAdded,
        _ => return None,
    })
}

/// The object that bodies of a kind have beside `pullrequest`.
fn beside(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::PullRequestApproved | Kind::PullRequestApprovalWithdrawn => Some("approval"),
        Kind::PullRequestCommentAdded => Some("comment"),
        _ => None,
    }
}

impl Reader<'_> {
    pub(super) fn pull_request_event(&self, kind: Kind) -> Result<Event, Refusal> {
        let pull_request = self.pull_request(self.required("pullrequest")?);
        if let Some(name) = beside(kind) {
            self.required(name)?;
        }
        // Declined pull requests have been seen with an `approval`; a `comment` is of comments alone.
        if beside(kind) != Some("comment") {
            self.forbidden("comment")?;
        }
        let mut event = self.event(kind);
        event.time = pull_request.updated;
        if let (Some("approval"), approval) = (beside(kind), &self.payload["approval"]) {
            event.time = time(&approval["date"]).or(event.time);
            if approval["user"].is_object() {
                event.actor = Some(self.account(&approval["user"]));
            }
        }
        if let comment @ Value::Object(_) = &self.payload["comment"] {
            event.time = time(&comment["created_on"]).or(event.time);
            event.comment = Some(self.comment(comment));
        }
        event.pull_request = Some(pull_request);
        Ok(event)
    }

    fn pull_request(&self, pr: &Value) -> PullRequest {
        let participants = items(&pr["participants"]);
        let reviewers: Vec<_> = items(&pr["reviewers"])
            .iter()
            .filter(|reviewer| reviewer.is_object())
            .map(|reviewer| self.reviewer(reviewer, participants))
            .collect();
        PullRequest {
            id: number(&pr["id"]),
            title: text(&pr["title"]),
            description: text(&pr["description"]),
            url: page(pr),
            state: state(&pr["state"]),
            draft: pr["draft"].as_bool(),
            author: pr["author"].is_object().then(|| self.account(&pr["author"])),
            source: endpoint(&pr["source"]),
            target: endpoint(&pr["destination"]),
            reviewer_count: reviewers.len(),
            approvals: reviewers.iter().filter(|reviewer| reviewer.vote == Some(Vote::Approved)).count(),
            reviewers,
            tasks: number(&pr["task_count"]),
            comments: number(&pr["comment_count"]),
            reason: text(&pr["reason"]),
            merge_commit: text(&pr["merge_commit"]["hash"]),
            merge_commit_url: page(&pr["merge_commit"]),
            created: time(&pr["created_on"]),
            updated: time(&pr["updated_on"]),
        }
    }

    /// `reviewers` says who was asked; what they said stands in `participants`.
    fn reviewer(&self, reviewer: &Value, participants: &[Value]) -> Reviewer {
        let account = self.account(reviewer);
        let same = |participant: &&Value| {
            let other = self.account(&participant["user"]);
            account.id.is_some() && other.id == account.id
        };
        let vote = participants.iter().find(same).and_then(|participant| match participant["state"].as_str() {
            Some("approved") => Some(Vote::Approved),
            Some("changes_requested") => Some(Vote::ChangesRequested),
            // Bodies from before requests for changes have only the flag.
            _ => (participant["approved"] == true).then_some(Vote::Approved),
        });
        Reviewer { id: account.id, name: account.name, nickname: account.nickname, vote }
    }

    fn comment(&self, comment: &Value) -> Comment {
        let inline = &comment["inline"];
        Comment {
            id: number(&comment["id"]),
            text: text(&comment["content"]["raw"]),
            author: comment["user"].is_object().then(|| self.account(&comment["user"])),
            url: page(comment),
            path: text(&inline["path"]),
            // `to` is null for a comment on a line that was removed.
            line: number(&inline["to"]).or_else(|| number(&inline["from"])),
            reply_to: number(&comment["parent"]["id"]),
        }
    }
}

fn state(state: &Value) -> Option<PullRequestState> {
    match state.as_str()? {
        "OPEN" => Some(PullRequestState::Open),
        "MERGED" => Some(PullRequestState::Merged),
        "DECLINED" => Some(PullRequestState::Declined),
        "SUPERSEDED" => Some(PullRequestState::Superseded),
        _ => None,
    }
}

/// One end of a pull request. The repository and the commit are null where a fork or a branch is gone.
fn endpoint(end: &Value) -> Endpoint {
    Endpoint {
        branch: text(&end["branch"]["name"]),
        commit: text(&end["commit"]["hash"]),
        repository: text(&end["repository"]["full_name"]),
    }
}
