//! Comments on pull requests, commits and issues.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Account;

/// Comment on a pull request, a commit or an issue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comment {
    /// Number of the comment on the host.
    pub id: Option<u64>,
    /// Text in Markdown, as written by the author; `null` if the comment was deleted.
    pub text: Option<String>,
    /// Author of the comment; may differ from the event's `actor`.
    pub author: Option<Account>,
    /// URL of the comment.
    pub url: Option<String>,
    /// Path of the file, for a comment on code.
    pub path: Option<String>,
    /// Line number: in the new file, or in the old file for a removed line.
    pub line: Option<u64>,
    /// `true` if the line was removed; `null` if the comment is not on a line.
    pub removed_line: Option<bool>,
    /// `true` if the code has changed since the comment was written.
    pub outdated: Option<bool>,
    /// Number of the comment that this one replies to.
    pub reply_to: Option<u64>,
    /// Comment that this one replies to, if it is one of the last 25 comments of the pull request that Hookbell received.
    /// `null` for comments on commits and issues.
    pub parent: Option<ParentComment>,
    /// `true` if the comment's thread is resolved.
    pub resolved: bool,
    /// Account that resolved the thread.
    pub resolved_by: Option<Account>,
    /// Creation time.
    #[schemars(with = "Option<String>")]
    pub created: Option<Timestamp>,
    /// Time of the last change.
    #[schemars(with = "Option<String>")]
    pub updated: Option<Timestamp>,
}

/// Comment that another one replies to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ParentComment {
    /// Display name of the author.
    pub author: Option<String>,
    /// Text on one line, without markup; long texts are cut.
    pub text: String,
}
