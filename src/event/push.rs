//! Refs that moved.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Account;

/// One ref that was created, moved or deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Push {
    /// Whether it is a branch or a tag.
    pub ref_kind: RefKind,
    /// The branch's name, if it is one.
    pub branch: Option<String>,
    /// The tag's name, if it is one.
    pub tag: Option<String>,
    /// The full hash that the ref pointed at before; `null` if it is new.
    pub old: Option<String>,
    /// The full hash that it points at now; `null` if it was deleted.
    pub new: Option<String>,
    /// The ref is new.
    pub created: bool,
    /// The ref is gone.
    pub deleted: bool,
    /// History was rewritten: the new commit does not follow from the old one.
    pub forced: bool,
    /// The host sent only the newest commits, and there are more.
    pub truncated: bool,
    /// What moved the ref, if not somebody's own push; known where the pull request was seen before.
    pub via: Option<Via>,
    /// The number of the pull request that this merges or closes.
    pub pull_request: Option<u64>,
    /// The commits that the host sent, newest first.
    pub commits: Vec<Commit>,
    /// The files that it changes; `null` where the host does not say.
    pub paths: Option<Vec<String>>,
    /// How many commits: exact as it stands, or "at least" where `truncated`.
    pub count: usize,
    /// What the ref points at now, or pointed at before it was deleted.
    pub head: Option<Commit>,
    /// The page of the ref.
    pub url: Option<String>,
    /// The page that compares old and new.
    pub compare_url: Option<String>,
    /// The address in the host's API of all that changed, for programs; `null` for new branches and rewritten history.
    pub diff_url: Option<String>,
    /// The page that lists the commits.
    pub commits_url: Option<String>,
    /// An annotated tag's own message.
    pub message: Option<String>,
}

impl Push {
    /// The ref's name, of either kind.
    pub fn name(&self) -> Option<&str> {
        self.branch.as_deref().or(self.tag.as_deref())
    }
}

/// One of several refs that moved in one push, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ref {
    /// Its name.
    pub name: String,
    /// Its page.
    pub url: Option<String>,
    /// It is new.
    pub created: bool,
    /// It is gone.
    pub deleted: bool,
    /// Its history was rewritten, or the tag was moved.
    pub forced: bool,
    /// How many commits: exact as it stands, or "at least" where `truncated`.
    pub count: usize,
    /// The host sent only the newest commits, and there are more.
    pub truncated: bool,
    /// The short hash of what it points at now, or pointed at before it was deleted.
    pub short: Option<String>,
    /// The first line of that commit's message.
    pub subject: Option<String>,
}

impl Ref {
    /// The ref of a push, from the JSON of the event.
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

/// What moves a ref beside somebody's own push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The merge of a pull request.
    PullRequest,
}

impl Via {
    /// The text form that rules use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PullRequest => "pull_request",
        }
    }
}

/// The kind of a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RefKind {
    /// A branch.
    Branch,
    /// A tag.
    Tag,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Commit {
    /// The full hash; 12 characters where the host shortens it.
    pub hash: String,
    /// Its first seven characters.
    pub short: String,
    /// The whole message.
    pub message: String,
    /// The message's first line.
    pub subject: String,
    /// Who wrote it. Never an e-mail address.
    pub author: Option<Account>,
    /// The author's name, if it is another than who pushed.
    pub by: Option<String>,
    /// The commit's page.
    pub url: Option<String>,
    /// The hashes of the commits before it: two or more for a merge; empty where the host does not say.
    pub parents: Vec<String>,
    /// When it was written.
    #[schemars(with = "Option<String>")]
    pub time: Option<Timestamp>,
}
