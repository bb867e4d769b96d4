//! Builds and pipelines: what machines say of a commit.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Commit, RefKind};

/// What a build says of a commit. Any system may report one: the host's own pipelines, Jenkins, a script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Build {
    /// What the reporting system calls this sort of build; one commit has one state for each key.
    pub key: Option<String>,
    /// The name to show: `Pipeline #311`.
    pub name: Option<String>,
    /// How it stands; `null` for a word that Hookbell does not know.
    pub state: Option<BuildState>,
    /// What the reporting system says of it.
    pub description: Option<String>,
    /// Its page, or its log.
    pub url: Option<String>,
    /// The branch that it is for: as the host says, else that of the push or pull request that brought the commit.
    pub branch: Option<String>,
    /// The commit that was built.
    pub commit: Option<Commit>,
    /// How often in a row it failed on this branch: with this failure, or before it was fixed.
    pub failures: Option<u64>,
    /// When it was first reported.
    #[schemars(with = "Option<String>")]
    pub created: Option<Timestamp>,
    /// When it last changed.
    #[schemars(with = "Option<String>")]
    pub updated: Option<Timestamp>,
}

impl Build {
    /// Takes the branch out of the name (`Pipeline #4 for main`): it is shown beside it.
    pub fn shorten_name(&mut self) {
        if let (Some(name), Some(branch)) = (&mut self.name, &self.branch)
            && let Some(bare) = name.strip_suffix(branch.as_str()).and_then(|bare| bare.strip_suffix(" for "))
            && !bare.is_empty()
        {
            name.truncate(bare.len());
        }
    }
}

/// How a build or a pipeline stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BuildState {
    /// Under way.
    Running,
    /// Passed.
    Succeeded,
    /// Failed.
    Failed,
    /// Stopped before its end.
    Stopped,
}

impl BuildState {
    /// The text form that rules use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// A run of a pipeline of the host's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pipeline {
    /// The host's lasting identity for the run.
    pub id: Option<String>,
    /// The number that its page shows.
    pub number: Option<u64>,
    /// How it ended; `null` for a word that Hookbell does not know.
    pub state: Option<BuildState>,
    /// How it ended, in the host's word.
    pub result: Option<String>,
    /// Its page.
    pub url: Option<String>,
    /// Whether it ran for a branch or a tag.
    pub ref_kind: Option<RefKind>,
    /// The branch that it ran for.
    pub branch: Option<String>,
    /// The tag that it ran for.
    pub tag: Option<String>,
    /// What set it off, in lower case: `push`, `manual`, `schedule`.
    pub trigger: Option<String>,
    /// When it began.
    #[schemars(with = "Option<String>")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[schemars(with = "Option<String>")]
    pub finished: Option<Timestamp>,
    /// How long it took, in seconds.
    pub seconds: Option<u64>,
    /// The same for reading: `4 min 25 s`.
    pub took: Option<String>,
}
