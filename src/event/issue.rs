//! Issues.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Account;

/// An issue, as it was when the host sent it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Issue {
    /// Its number within the repository.
    pub id: Option<u64>,
    /// Its title.
    pub title: Option<String>,
    /// What it says: Markdown, as its author wrote it.
    pub text: Option<String>,
    /// Its page.
    pub url: Option<String>,
    /// Where it is in its life, in the host's word: `new`, `open`, `resolved`, …
    pub state: Option<String>,
    /// What sort it is, in the host's word: `bug`, `enhancement`, `proposal`, `task`.
    pub kind: Option<String>,
    /// How pressing it is, in the host's word: `trivial` to `blocker`.
    pub priority: Option<String>,
    /// Its labels; `null` where the host has none to give.
    pub labels: Option<Vec<String>>,
    /// Who reported it.
    pub author: Option<Account>,
    /// Who is to see to it.
    pub assignee: Option<Account>,
    /// The part of the whole that it is about.
    pub component: Option<String>,
    /// The milestone that it belongs to.
    pub milestone: Option<String>,
    /// The version that it is about.
    pub version: Option<String>,
    /// When it was opened.
    #[schemars(with = "Option<String>")]
    pub created: Option<Timestamp>,
    /// When it last changed.
    #[schemars(with = "Option<String>")]
    pub updated: Option<Timestamp>,
}
