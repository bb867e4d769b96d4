//! Builds and pipeline runs.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Commit, RefKind};

/// Build status of a commit, reported by the host's own pipelines or by any other system, such as Jenkins or a script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Build {
    /// Key of the build in the reporting system; a commit has one state per key.
    pub key: Option<String>,
    /// Display name: `Pipeline #311`.
    pub name: Option<String>,
    /// State of the build; `null` if Hookbell does not know the host's value.
    pub state: Option<BuildState>,
    /// Description from the reporting system.
    pub description: Option<String>,
    /// URL of the build's page or log.
    pub url: Option<String>,
    /// Branch of the build: as reported by the host, else the branch of the push or pull request that contains the
    /// commit.
    pub branch: Option<String>,
    /// URL of the branch's page, if Hookbell knows the push that contains the commit.
    pub branch_url: Option<String>,
    /// Number of the pull request whose latest commit was built, if Hookbell knows it.
    pub pull_request: Option<u64>,
    /// That number with the host's sign: `#482`.
    #[serde(default, skip_serializing)]
    pub pull_request_reference: Option<String>,
    /// URL of that pull request's page.
    pub pull_request_url: Option<String>,
    /// Commit that was built.
    pub commit: Option<Commit>,
    /// Number of consecutive failures on this branch: including this one for `build.failed`, before the fix for
    /// `build.fixed`.
    pub failures: Option<u64>,
    /// Time of the first report.
    #[schemars(with = "Option<String>")]
    pub created: Option<Timestamp>,
    /// Time of the last change.
    #[schemars(with = "Option<String>")]
    pub updated: Option<Timestamp>,
    /// Duration of a build that ended, as text: `4 min 25 s`; `null` if Hookbell does not know when it started.
    pub duration: Option<String>,
}

/// Returns a duration as text: `25 s`, `4 min 25 s`, `2 h 10 min`.
pub(crate) fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

impl Build {
    /// Removes the branch from the name (`Pipeline #4 for main`), because messages show the branch separately.
    pub fn shorten_name(&mut self) {
        if let (Some(name), Some(branch)) = (&mut self.name, &self.branch)
            && let Some(bare) = name.strip_suffix(branch.as_str()).and_then(|bare| bare.strip_suffix(" for "))
            && !bare.is_empty()
        {
            name.truncate(bare.len());
        }
    }
}

/// State of a build or a pipeline run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BuildState {
    /// In progress.
    Running,
    /// Passed.
    Succeeded,
    /// Finished with a failure.
    Failed,
    /// Stopped before it finished.
    Stopped,
}

impl BuildState {
    /// Returns the text form that rules use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// Run of one of the host's own pipelines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pipeline {
    /// Permanent id of the run on the host.
    pub id: Option<String>,
    /// Number of the run, as shown on its page.
    pub number: Option<u64>,
    /// Result of the run; `null` if Hookbell does not know the host's value.
    pub state: Option<BuildState>,
    /// Result of the run in the host's terms.
    pub result: Option<String>,
    /// URL of the run's page.
    pub url: Option<String>,
    /// Kind of the ref that the run is for: `branch` or `tag`.
    pub ref_kind: Option<RefKind>,
    /// Branch that the run is for; `null` for a tag.
    pub branch: Option<String>,
    /// Tag that the run is for; `null` for a branch.
    pub tag: Option<String>,
    /// Trigger of the run, in lower case: `push`, `manual`, `schedule`.
    pub trigger: Option<String>,
    /// Start time.
    #[schemars(with = "Option<String>")]
    pub started: Option<Timestamp>,
    /// End time.
    #[schemars(with = "Option<String>")]
    pub finished: Option<Timestamp>,
    /// Duration in seconds.
    pub seconds: Option<u64>,
    /// Duration as text: `4 min 25 s`.
    pub duration: Option<String>,
}
