//! Comments on pull requests, commits and issues.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Account;

/// A comment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comment {
    /// The host's number for it.
    pub id: Option<u64>,
    /// What it says: Markdown, as its author wrote it; `null` once it is deleted.
    pub text: Option<String>,
    /// Who wrote it; may differ from the event's actor.
    pub author: Option<Account>,
    /// Its page.
    pub url: Option<String>,
    /// The file that it is on, for a comment on code.
    pub path: Option<String>,
    /// The line that it is on: of the new file, or of the old one for a removed line.
    pub line: Option<u64>,
    /// Whether that line was removed; `null` for a comment on no line.
    pub removed_line: Option<bool>,
    /// Whether the code that it is on has changed since.
    pub outdated: Option<bool>,
    /// The comment that it answers.
    pub reply_to: Option<u64>,
    /// Whether its thread is resolved.
    pub resolved: bool,
    /// Who resolved it.
    pub resolved_by: Option<Account>,
    /// When it was written.
    #[schemars(with = "Option<String>")]
    pub created: Option<Timestamp>,
    /// When it last changed.
    #[schemars(with = "Option<String>")]
    pub updated: Option<Timestamp>,
}
