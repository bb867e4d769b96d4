//! Where things happen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A repository on a code host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repository {
    /// The host's lasting identity; it survives renames.
    pub id: Option<String>,
    /// The name people gave it; may hold spaces.
    pub name: Option<String>,
    /// `workspace/slug`: what rules call `repo`.
    pub full_name: Option<String>,
    /// The workspace, organisation or group that owns it.
    pub workspace: Option<String>,
    /// The project that it belongs to, on hosts that have projects.
    pub project: Option<Project>,
    /// Its page.
    pub url: Option<String>,
    /// Who may read it.
    pub visibility: Option<Visibility>,
    /// Whether it is a fork of another.
    pub fork: Option<bool>,
    /// The repository that it is a fork of: `workspace/slug`.
    pub parent: Option<String>,
    /// What it is for, as its owners say; `null` where the host does not send it.
    pub description: Option<String>,
}

impl Repository {
    /// What tells this repository from all others: its id, else its full name.
    pub fn identity(&self) -> Option<&str> {
        self.id.as_deref().or(self.full_name.as_deref())
    }
}

/// A group of repositories within a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Project {
    /// The host's lasting identity; it survives renames.
    pub id: Option<String>,
    /// The short key: `PLAT`.
    pub key: Option<String>,
    /// The name to show.
    pub name: Option<String>,
    /// The workspace that it belongs to.
    pub workspace: Option<String>,
    /// Its page.
    pub url: Option<String>,
}

/// Who may read a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Anybody.
    Public,
    /// Members only.
    Private,
}

impl Visibility {
    /// The text form that rules use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}
