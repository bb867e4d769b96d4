//! Repositories and projects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Repository on a code host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repository {
    /// Permanent id on the host; a rename does not change it.
    pub id: Option<String>,
    /// Display name; may contain spaces.
    pub name: Option<String>,
    /// Full name: `workspace/slug`. Rules match it as `repo`.
    pub full_name: Option<String>,
    /// Workspace, organization or group that owns the repository.
    pub workspace: Option<String>,
    /// Project of the repository, if the host has projects.
    pub project: Option<Project>,
    /// URL of the repository's page.
    pub url: Option<String>,
    /// Visibility: `public` or `private`.
    pub visibility: Option<Visibility>,
    /// `true` if the repository is a fork.
    pub fork: Option<bool>,
    /// Repository that this one was forked from: `workspace/slug`.
    pub parent: Option<String>,
    /// Description of the repository; `null` if the host does not send it.
    pub description: Option<String>,
}

impl Repository {
    /// Returns a unique key of the repository: its id, else its full name.
    pub fn identity(&self) -> Option<&str> {
        self.id.as_deref().or(self.full_name.as_deref())
    }
}

/// Group of repositories within a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Project {
    /// Permanent id on the host; a rename does not change it.
    pub id: Option<String>,
    /// Short key: `PLAT`.
    pub key: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Workspace of the project.
    pub workspace: Option<String>,
    /// URL of the project's page.
    pub url: Option<String>,
}

/// Visibility of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Readable by anyone.
    Public,
    /// Readable by members only.
    Private,
}

impl Visibility {
    /// Returns the text form that rules use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}
