//! Builds: which were told before, and how often in a row they failed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Millis, Recall, commit};
use crate::event::{Build, BuildState, Event, Kind};

/// Of how many branches and commits of a build the state is kept; the longest untouched are forgotten first.
const KEPT: usize = 64;

/// What is remembered of one sort of build, over all commits.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Known {
    /// Failures in a row, by the branch; of a build whose branch nobody knows, by the commit.
    failures: BTreeMap<String, Failures>,
    /// The last state by commit and key.
    last: BTreeMap<String, Last>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Failures {
    count: u64,
    at: Millis,
}

#[derive(Debug, Serialize, Deserialize)]
struct Last {
    state: BuildState,
    url: Option<String>,
    at: Millis,
}

/// What stays the same over the runs of one sort of build: its key, unless that is a mere number; then its name, but
/// for the number of the run.
fn series(build: &Build) -> Option<String> {
    let key = build.key.as_deref()?;
    let number = key.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
    match build.name.as_deref().filter(|_| number) {
        Some(name) => Some(name.split_whitespace().filter(|word| !word.starts_with('#')).collect::<Vec<_>>().join(" ")),
        None => Some(key.to_owned()),
    }
}

fn subject(build: &Build, repository: &str) -> Option<String> {
    Some(format!("build:{repository}:{}", series(build)?))
}

pub(super) fn subjects(event: &Event, repository: &str, subjects: &mut Vec<String>) {
    subjects.extend(event.build.as_ref().and_then(|build| subject(build, repository)));
}

/// Completes a build's branch, folds what was told before, and tells what is fixed from what passes.
pub(super) fn recall(event: &mut Event, repository: &str, memory: &mut Recall<'_>) -> Option<&'static str> {
    let build = event.build.as_mut()?;
    let subject = subject(build, repository);
    let hash = build.commit.as_ref().map(|commit| commit.hash.clone());
    if build.branch.is_none() {
        build.branch = hash.as_deref().and_then(|hash| commit::branch(hash, repository, memory));
    }
    build.shorten_name();
    let (hash, state, subject) = (hash?, build.state?, subject?);
    let mut known: Known = memory.get(&subject).unwrap_or_default();
    let at = build.updated.or(build.created).map_or(memory.now, jiff::Timestamp::as_millisecond);

    let this = format!("{}:{}", commit::subject("", &hash), build.key.as_deref().unwrap_or_default());
    if let Some(last) = known.last.get(&this) {
        if last.at > at {
            return Some("a later state of this build was told before");
        }
        if last.state == state && (state == BuildState::Running || last.url == build.url) {
            return Some("this state of the build was told before");
        }
    }
    let place = build.branch.clone().unwrap_or_else(|| format!("@{hash}"));
    match state {
        BuildState::Failed => {
            let failures = known.failures.entry(place).or_insert(Failures { count: 0, at });
            failures.count += 1;
            failures.at = failures.at.max(at);
            build.failures = Some(failures.count);
        }
        BuildState::Succeeded => {
            if let Some(failures) = known.failures.remove(&place) {
                build.failures = Some(failures.count);
                event.kind = Kind::BuildFixed;
            }
        }
        BuildState::Running | BuildState::Stopped => {}
    }
    known.last.insert(this, Last { state, url: build.url.clone(), at });
    forget(&mut known.failures, |failures| failures.at);
    forget(&mut known.last, |last| last.at);
    memory.set(subject, &known);
    None
}

/// Drops what was untouched for longest, down to [`KEPT`].
fn forget<T>(states: &mut BTreeMap<String, T>, at: impl Fn(&T) -> Millis) {
    while states.len() > KEPT {
        let Some(oldest) = states.iter().min_by_key(|(_, state)| at(state)).map(|(key, _)| key.clone()) else { return };
        states.remove(&oldest);
    }
}
