//! Branches and tags that were created, moved or deleted.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Account;

/// Branch or tag that was created, moved or deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Push {
    /// Kind of the ref: `branch` or `tag`.
    pub ref_kind: RefKind,
    /// Name of the branch; `null` for a tag.
    pub branch: Option<String>,
    /// Name of the tag; `null` for a branch.
    pub tag: Option<String>,
    /// Full hash that the ref pointed to before; `null` if the ref is new.
    pub old: Option<String>,
    /// Full hash that the ref points to now; `null` if the ref was deleted.
    pub new: Option<String>,
    /// `true` if the ref is new.
    pub created: bool,
    /// `true` if the ref was deleted.
    pub deleted: bool,
    /// `true` if history was rewritten (the new commit does not descend from the old one) or the tag was moved.
    pub forced: bool,
    /// `true` if the host sent only the newest commits and there are more.
    pub truncated: bool,
    /// `pull_request` if the merge of a pull request moved the ref and Hookbell knows that pull request; otherwise
    /// `null`.
    pub via: Option<Via>,
    /// Number of the pull request that this push merges or closes.
    pub pull_request: Option<u64>,
    /// That number with the host's sign: `#482`.
    #[serde(default, skip_serializing)]
    pub pull_request_reference: Option<String>,
    /// Commits in the payload, newest first.
    pub commits: Vec<Commit>,
    /// Changed files; `null` if the host does not report them.
    pub paths: Option<Vec<String>>,
    /// Number of commits; a lower bound if `truncated` is `true`.
    pub count: usize,
    /// Commit that the ref points to, or pointed to before it was deleted.
    pub head: Option<Commit>,
    /// URL of the ref's page.
    pub url: Option<String>,
    /// URL of the page that compares the old and the new commit.
    pub compare_url: Option<String>,
    /// API URL of the full diff, for programs; `null` for new branches and rewritten history.
    pub diff_url: Option<String>,
    /// URL of the page that lists the commits.
    pub commits_url: Option<String>,
    /// Message of an annotated tag.
    pub message: Option<String>,
}

impl Push {
    /// Returns the name of the branch or tag.
    pub fn name(&self) -> Option<&str> {
        self.branch.as_deref().or(self.tag.as_deref())
    }
}

/// Summary of one of several branches or tags that one push changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ref {
    /// Name of the branch or tag.
    pub name: String,
    /// URL of the ref's page.
    pub url: Option<String>,
    /// `true` if the ref is new.
    pub created: bool,
    /// `true` if the ref was deleted.
    pub deleted: bool,
    /// `true` if history was rewritten or the tag was moved.
    pub forced: bool,
    /// Number of commits; a lower bound if `truncated` is `true`.
    pub count: usize,
    /// `true` if the host sent only the newest commits and there are more.
    pub truncated: bool,
    /// Short hash of the commit that the ref points to, or pointed to before it was deleted.
    pub short: Option<String>,
    /// First line of that commit's message.
    pub subject: Option<String>,
}

impl Ref {
    /// Reads the ref of a push from the JSON of an event.
    pub fn of_event_json(json: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct WithPush {
            push: Option<Push>,
        }
        let push = serde_json::from_str::<WithPush>(json).ok()?.push?;
        Some(Self {
            name: push.branch.or(push.tag)?,
            url: push.url,
            created: push.created,
            deleted: push.deleted,
            forced: push.forced,
            count: push.count,
            truncated: push.truncated,
            short: push.head.as_ref().map(|head| head.short.clone()),
            subject: push.head.map(|head| head.subject),
        })
    }
}

/// Origin of a push other than a direct push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// Merge of a pull request.
    PullRequest,
}

impl Via {
    /// Returns the text form that rules use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PullRequest => "pull_request",
        }
    }
}

/// Kind of a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RefKind {
    /// A branch.
    Branch,
    /// A tag.
    Tag,
}

/// Commit, as sent by the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Commit {
    /// Full hash; 12 characters if the host shortens it.
    pub hash: String,
    /// First seven characters of the hash.
    pub short: String,
    /// Full commit message.
    pub message: String,
    /// First line of the message.
    pub subject: String,
    /// Author of the commit. Never an e-mail address.
    pub author: Option<Account>,
    /// Name of the author, if the author is not the event's `actor`.
    pub by: Option<String>,
    /// URL of the commit's page.
    pub url: Option<String>,
    /// Hashes of the parent commits: two or more for a merge; empty if the host does not send them.
    pub parents: Vec<String>,
    /// Time of the commit.
    #[schemars(with = "Option<String>")]
    pub time: Option<Timestamp>,
}
