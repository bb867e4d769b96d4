//! Pull requests, and comments on them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Account;

/// A pull request, as it was when the host sent it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Its number within the repository.
    pub id: Option<u64>,
    /// Its title.
    pub title: Option<String>,
    /// Its description: Markdown, as its author wrote it.
    pub description: Option<String>,
    /// Its page.
    pub url: Option<String>,
    /// Where it is in its life.
    pub state: Option<PullRequestState>,
    /// Whether it is a draft; `null` where the host does not say.
    pub draft: Option<bool>,
    /// Who opened it.
    pub author: Option<Account>,
    /// Where the changes come from.
    pub source: Endpoint,
    /// Where they go.
    pub target: Endpoint,
    /// Who was asked for a review, and their votes.
    pub reviewers: Vec<Reviewer>,
    /// How many of `reviewers` there are.
    pub reviewer_count: usize,
    /// How many of `reviewers` approved.
    pub approvals: usize,
    /// Tasks that are still open.
    pub tasks: Option<u64>,
    /// Comments so far.
    pub comments: Option<u64>,
    /// Why it was declined, if somebody said.
    pub reason: Option<String>,
    /// The hash of the merge commit, once merged.
    pub merge_commit: Option<String>,
    /// The merge commit's page.
    pub merge_commit_url: Option<String>,
    /// When it was opened.
    pub created: Option<Timestamp>,
    /// When it last changed.
    pub updated: Option<Timestamp>,
}

/// Where a pull request stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullRequestState {
    /// Open for review.
    Open,
    /// Merged.
    Merged,
    /// Closed without a merge.
    Declined,
    /// Replaced by another one.
    Superseded,
}

impl PullRequestState {
    /// The text form that rules use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Merged => "merged",
            Self::Declined => "declined",
            Self::Superseded => "superseded",
        }
    }
}

/// One end of a pull request. Any part may be missing: the fork or the branch may be gone by now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The branch.
    pub branch: Option<String>,
    /// The commit at its tip; 12 characters where the host shortens it.
    pub commit: Option<String>,
    /// The repository that the branch is in: `workspace/slug`.
    pub repository: Option<String>,
}

/// Somebody who was asked for a review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewer {
    /// The host's lasting identity for the account.
    pub id: Option<String>,
    /// The name to show.
    pub name: String,
    /// A short name, where the host has one.
    pub nickname: Option<String>,
    /// What they said so far; `null` if nothing.
    pub vote: Option<Vote>,
}

/// A reviewer's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// Fine as it is.
    Approved,
    /// Not yet.
    ChangesRequested,
}

/// A comment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comment {
    /// The host's number for it.
    pub id: Option<u64>,
    /// What it says: Markdown, as its author wrote it.
    pub text: Option<String>,
    /// Who wrote it; may differ from the event's actor.
    pub author: Option<Account>,
    /// Its page.
    pub url: Option<String>,
    /// The file that it is on, for a comment on code.
    pub path: Option<String>,
    /// The line that it is on: of the new file, or of the old one for a removed line.
    pub line: Option<u64>,
    /// The comment that it answers.
    pub reply_to: Option<u64>,
}
