//! `repo:commit_status_*`: build statuses of commits.

use std::sync::Arc;

use crate::source::json::Json;

use super::Reader;
use super::json::{link, long_text, name_in_path, text, time};
use crate::event::{Build, BuildState, Commit, Event, Kind, duration};

impl Reader<'_> {
    pub(super) fn build_event(&self) -> Event {
        let status = &self.payload["commit_status"];
        let state = state(&status["state"]);
        let kind = match state {
            Some(BuildState::Running) => Kind::BuildStarted,
            Some(BuildState::Succeeded) => Kind::BuildSucceeded,
            Some(BuildState::Failed) => Kind::BuildFailed,
            Some(BuildState::Stopped) => Kind::BuildStopped,
            None => Kind::Other,
        };
        let mut event = self.event(kind);
        let (created, updated) = (time(&status["created_on"]), time(&status["updated_on"]));
        let is_over = state.is_some_and(|state| state != BuildState::Running);
        let took = created.zip(updated).filter(|_| is_over).map(|(created, updated)| updated.duration_since(created));
        let build = Build {
            pull_request_reference: None,
            key: text(&status["key"]),
            name: text(&status["name"]),
            state,
            description: long_text(&status["description"]),
            url: link(&status["url"]),
            commit: self.built_commit(status),
            branch: text(&status["refname"]),
            branch_url: None,
            pull_request: None,
            pull_request_url: None,
            failures: None,
            created,
            updated,
            // Some systems report a build only once, at its end.
            duration: took.and_then(|took| u64::try_from(took.as_secs()).ok()).filter(|took| *took > 0).map(duration),
        };
        event.time = build.updated.or(build.created);
        if event.repository.is_none() {
            event.repository = self.repository(&status["repository"]).map(Arc::new);
        }
        event.build = Some(build);
        event
    }

    /// Returns the commit. Old bodies have none; then the hash comes from the link.
    fn built_commit(&self, status: &Json<'_>) -> Option<Commit> {
        self.commit(&status["commit"]).or_else(|| {
            let hash = name_in_path(status["links"]["commit"]["href"].as_str()?)?;
            self.commit(&Json::from_iter([("hash", Json::from(hash))]))
        })
    }
}

/// Converts a state (<https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commit-statuses/>).
fn state(state: &Json<'_>) -> Option<BuildState> {
    match state.as_str()? {
        "INPROGRESS" => Some(BuildState::Running),
        "SUCCESSFUL" => Some(BuildState::Succeeded),
        "FAILED" => Some(BuildState::Failed),
        "STOPPED" => Some(BuildState::Stopped),
        _ => None,
    }
}
