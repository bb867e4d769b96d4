//! Pull request events: `pullrequest:*`.

use std::collections::HashMap;
use std::sync::Arc;

use crate::source::json::Json;

use super::Reader;
use super::json::{flag, items, link, long_text, number, page, text, time};
use super::objects::account_id;
use crate::event::{Endpoint, Event, Kind, PullRequest, PullRequestState, Reviewer, Vote};

/// Maximum number of listed reviewers of a pull request; further ones are only counted.
const MAX_REVIEWERS: usize = 250;

impl Reader<'_> {
    pub(super) fn pull_request_event(&self, kind: Kind) -> Event {
        let pull_request = self.pull_request(&self.payload["pullrequest"]);
        let mut event = self.event(kind);
        event.time = match kind {
            Kind::PullRequestOpened => pull_request.created.or(pull_request.updated),
            _ => pull_request.updated,
        };
        // Some bodies of declined pull requests have an old `approval`.
        let vote = match kind {
            Kind::PullRequestApproved | Kind::PullRequestApprovalWithdrawn => &self.payload["approval"],
            Kind::PullRequestChangesRequested | Kind::PullRequestChangesWithdrawn => &self.payload["changes_request"],
            _ => &Json::Null,
        };
        event.time = time(&vote["date"]).or(event.time);
        if vote["user"].is_object() {
            event.actor = Some(Arc::new(self.account(&vote["user"])));
        }
        if let Some(comment) = self.commented() {
            let time = if kind == Kind::PullRequestCommentAdded { comment.created } else { comment.updated };
            event.time = time.or(event.time);
            event.comment = Some(comment);
        }
        event.pull_request = Some(pull_request);
        event
    }

    fn pull_request(&self, pr: &Json<'_>) -> PullRequest {
        let votes = votes(pr);
        let asked = items(&pr["reviewers"]).iter().filter(|reviewer| reviewer.is_object());
        let mut reviewers: Vec<_> = asked.map(|reviewer| self.reviewer(reviewer, &votes)).collect();
        let voted = |vote| reviewers.iter().filter(|reviewer| reviewer.vote == Some(vote)).count();
        let (reviewer_count, approvals, changes_requested) =
            (reviewers.len(), voted(Vote::Approved), voted(Vote::ChangesRequested));
        reviewers.truncate(MAX_REVIEWERS);
        let (source, target) = (endpoint(&pr["source"]), endpoint(&pr["destination"]));
        let account = |value: &Json<'_>| value.is_object().then(|| self.account(value));
        PullRequest {
            reference: None,
            id: number(&pr["id"]),
            title: text(&pr["title"]),
            description: self.description(pr),
            url: page(pr),
            diff_url: link(&pr["links"]["diff"]["href"]),
            state: state(&pr["state"]),
            draft: pr["draft"].as_bool(),
            queued: pr["queued"].as_bool(),
            author: account(&pr["author"]),
            from_fork: source.repository.as_ref().zip(target.repository.as_ref()).map(|(from, to)| from != to),
            source,
            target,
            reviewer_count,
            approvals,
            changes_requested,
            reviewers: pr["reviewers"].is_array().then_some(reviewers),
            reviewers_added: vec![],
            reviewers_removed: vec![],
            tasks: number(&pr["task_count"]),
            comments: number(&pr["comment_count"]),
            reason: long_text(&pr["reason"]),
            closed_by: account(&pr["closed_by"]),
            closes_source: pr["close_source_branch"].as_bool(),
            labels: None,
            merge_commit: text(&pr["merge_commit"]["hash"]),
            merge_commit_url: page(&pr["merge_commit"]),
            created: time(&pr["created_on"]),
            updated: time(&pr["updated_on"]),
        }
    }

    /// Returns the description. Only the rendered text contains the names of mentioned people.
    fn description(&self, pr: &Json<'_>) -> Option<String> {
        let description = pr["description"].as_str()?;
        if description.trim().is_empty() {
            return Some(String::new());
        }
        let html = &pr["rendered"]["description"]["html"];
        let html = if html.is_string() { html } else { &pr["summary"]["html"] };
        self.content(&Json::from_iter([("raw", Json::from(description)), ("html", html.clone())]))
    }

    /// Returns a reviewer with the vote: `reviewers` lists the requested accounts, `participants` the votes.
    fn reviewer(&self, reviewer: &Json<'_>, votes: &HashMap<String, Option<Vote>>) -> Reviewer {
        let account = self.account(reviewer);
        let vote = account.id.as_ref().and_then(|id| votes.get(id).copied().flatten());
        Reviewer { id: account.id, name: account.name, nickname: account.nickname, vote }
    }
}

/// Returns the votes of all participants, by account id; if an account is listed twice, its first vote.
pub(super) fn votes(pr: &Json<'_>) -> HashMap<String, Option<Vote>> {
    let mut votes = HashMap::new();
    for participant in items(&pr["participants"]) {
        if let Some(id) = account_id(&participant["user"]) {
            let vote = match participant["state"].as_str() {
                Some("approved") => Some(Vote::Approved),
                Some("changes_requested") => Some(Vote::ChangesRequested),
                // Bodies from before changes could be requested have only the flag.
                _ => flag(&participant["approved"]).then_some(Vote::Approved),
            };
            votes.entry(id).or_insert(vote);
        }
    }
    votes
}

pub(super) fn state(state: &Json<'_>) -> Option<PullRequestState> {
    match state.as_str()? {
        "OPEN" => Some(PullRequestState::Open),
        "MERGED" => Some(PullRequestState::Merged),
        "DECLINED" => Some(PullRequestState::Declined),
        "SUPERSEDED" => Some(PullRequestState::Superseded),
        _ => None,
    }
}

/// Reads one end of a pull request. The repository and the commit are null if the fork or the branch no longer exists.
fn endpoint(end: &Json<'_>) -> Endpoint {
    Endpoint {
        branch: text(&end["branch"]["name"]),
        commit: text(&end["commit"]["hash"]),
        repository: text(&end["repository"]["full_name"]),
    }
}
