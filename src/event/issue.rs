//! Issues.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Account;

/// Issue, in the state that the host sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Issue {
    /// Number within the repository.
    pub id: Option<u64>,
    /// Title of the issue.
    pub title: Option<String>,
    /// Description in Markdown, as written by the author.
    pub text: Option<String>,
    /// URL of the issue's page.
    pub url: Option<String>,
    /// State in the host's terms: `new`, `open`, `resolved`, …
    pub state: Option<String>,
    /// Type in the host's terms: `bug`, `enhancement`, `proposal`, `task`.
    pub kind: Option<String>,
    /// Priority in the host's terms, from `trivial` to `blocker`.
    pub priority: Option<String>,
    /// Labels; `null` if the host does not send them.
    pub labels: Option<Vec<String>>,
    /// Account that reported the issue.
    pub author: Option<Account>,
    /// Account that the issue is assigned to.
    pub assignee: Option<Account>,
    /// Component that the issue is about.
    pub component: Option<String>,
    /// Milestone that the issue belongs to.
    pub milestone: Option<String>,
    /// Version that the issue is about.
    pub version: Option<String>,
    /// Creation time.
    #[schemars(with = "Option<String>")]
    pub created: Option<Timestamp>,
    /// Time of the last change.
    #[schemars(with = "Option<String>")]
    pub updated: Option<Timestamp>,
}
