//! Pull requests.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Account;

/// A pull request, as it was when the host sent it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PullRequest {
    /// Its number within the repository.
    pub id: Option<u64>,
    /// Its title.
    pub title: Option<String>,
    /// Its description: Markdown, as its author wrote it; `null` where the host does not send it.
    pub description: Option<String>,
    /// Its page.
    pub url: Option<String>,
    /// The address in the host's API of all that it changes, for programs.
    pub diff_url: Option<String>,
    /// Where it is in its life.
    pub state: Option<PullRequestState>,
    /// Whether it is a draft; `null` where the host does not say.
    pub draft: Option<bool>,
    /// Whether it waits in the merge queue; `null` where the host does not say.
    pub queued: Option<bool>,
    /// Who opened it.
    pub author: Option<Account>,
    /// Where the changes come from.
    pub source: Endpoint,
    /// Where they go.
    pub target: Endpoint,
    /// Who was asked for a review, and their votes; `null` where the host does not say.
    pub reviewers: Option<Vec<Reviewer>>,
    /// How many of `reviewers` there are.
    pub reviewer_count: usize,
    /// How many of `reviewers` approved.
    pub approvals: usize,
    /// How many of `reviewers` asked for changes.
    pub changes_requested: usize,
    /// Who was asked for a review just now, as far as Hookbell knew the pull request before.
    pub reviewers_added: Vec<Reviewer>,
    /// Who was taken off the review just now.
    pub reviewers_removed: Vec<Reviewer>,
    /// Whether it comes from a fork; `null` where an end is gone.
    pub from_fork: Option<bool>,
    /// Its labels; `null` where the host has none to give.
    pub labels: Option<Vec<String>>,
    /// Tasks that are still open.
    pub tasks: Option<u64>,
    /// Comments so far.
    pub comments: Option<u64>,
    /// Why it was declined, if somebody said.
    pub reason: Option<String>,
    /// Who merged or declined it.
    pub closed_by: Option<Account>,
    /// Whether merging it deletes the source branch.
    pub closes_source: Option<bool>,
    /// The hash of the merge commit, once merged.
    pub merge_commit: Option<String>,
    /// The merge commit's page.
    pub merge_commit_url: Option<String>,
    /// When it was opened.
    #[schemars(with = "Option<String>")]
    pub created: Option<Timestamp>,
    /// When it last changed.
    #[schemars(with = "Option<String>")]
    pub updated: Option<Timestamp>,
}

/// Where a pull request stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// The branch.
    pub branch: Option<String>,
    /// The commit at its tip; 12 characters where the host shortens it.
    pub commit: Option<String>,
    /// The repository that the branch is in: `workspace/slug`.
    pub repository: Option<String>,
}

/// Somebody who was asked for a review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// Fine as it is.
    Approved,
    /// Not yet.
    ChangesRequested,
}
