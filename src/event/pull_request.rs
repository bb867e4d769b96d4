//! Pull requests.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Account;

/// Pull request, in the state that the host sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PullRequest {
    /// Number within the repository.
    pub id: Option<u64>,
    /// Number with the host's sign: `#482`.
    #[serde(default, skip_serializing)]
    pub reference: Option<String>,
    /// Title of the pull request.
    pub title: Option<String>,
    /// Description in Markdown, as written by the author; `null` if the host does not send it.
    pub description: Option<String>,
    /// URL of the pull request's page.
    pub url: Option<String>,
    /// API URL of the full diff, for programs.
    pub diff_url: Option<String>,
    /// State of the pull request.
    pub state: Option<PullRequestState>,
    /// `true` if the pull request is a draft; `null` if the host does not report it.
    pub draft: Option<bool>,
    /// `true` if the pull request is in the merge queue; `null` if the host does not report it.
    pub queued: Option<bool>,
    /// Account that opened the pull request.
    pub author: Option<Account>,
    /// Branch that contains the changes.
    pub source: Endpoint,
    /// Branch that the changes are merged into.
    pub target: Endpoint,
    /// Requested reviewers and their votes; `null` if the host does not report them.
    pub reviewers: Option<Vec<Reviewer>>,
    /// Number of requested reviewers.
    pub reviewer_count: usize,
    /// Number of requested reviewers who approved.
    pub approvals: usize,
    /// Number of requested reviewers who requested changes.
    pub changes_requested: usize,
    /// Reviewers added by this update, compared with the last known state.
    pub reviewers_added: Vec<Reviewer>,
    /// Reviewers removed by this update, compared with the last known state.
    pub reviewers_removed: Vec<Reviewer>,
    /// `true` if the source branch is in a fork; `null` if one of the repositories no longer exists.
    pub from_fork: Option<bool>,
    /// Labels; `null` if the host does not send them.
    pub labels: Option<Vec<String>>,
    /// Number of open tasks.
    pub tasks: Option<u64>,
    /// Number of comments.
    pub comments: Option<u64>,
    /// Reason for declining the pull request, if one was given.
    pub reason: Option<String>,
    /// Account that merged or declined the pull request.
    pub closed_by: Option<Account>,
    /// `true` if the merge deletes the source branch.
    pub closes_source: Option<bool>,
    /// Hash of the merge commit, once merged.
    pub merge_commit: Option<String>,
    /// URL of the merge commit's page.
    pub merge_commit_url: Option<String>,
    /// Creation time.
    #[schemars(with = "Option<String>")]
    pub created: Option<Timestamp>,
    /// Time of the last change.
    #[schemars(with = "Option<String>")]
    pub updated: Option<Timestamp>,
}

/// State of a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PullRequestState {
    /// Open for review.
    Open,
    /// Merged into the target branch.
    Merged,
    /// Closed without a merge.
    Declined,
    /// Replaced by another pull request.
    Superseded,
}

impl PullRequestState {
    /// Returns the text form that rules use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Merged => "merged",
            Self::Declined => "declined",
            Self::Superseded => "superseded",
        }
    }
}

/// Source or target of a pull request; any field is `null` if the fork or the branch no longer exists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// Name of the branch.
    pub branch: Option<String>,
    /// Hash of the latest commit of the branch; 12 characters if the host shortens it.
    pub commit: Option<String>,
    /// Repository of the branch: `workspace/slug`.
    pub repository: Option<String>,
}

/// Requested reviewer of a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reviewer {
    /// Permanent id of the account on the host.
    pub id: Option<String>,
    /// Display name.
    pub name: String,
    /// Short name, if the host has one.
    pub nickname: Option<String>,
    /// Current vote; `null` if there is none.
    pub vote: Option<Vote>,
}

/// Vote of a reviewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// Approved the changes.
    Approved,
    /// Requested changes.
    ChangesRequested,
}
