//! Builds: which were told before, and how often in a row they failed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Millis, Recall, bounded, commit};
use crate::event::{Build, BuildState, Event, Kind};

/// Branches and commits of a build of which something is kept; the longest untouched are forgotten first.
const KEPT: usize = 32;

/// Failures in a row that are told apart; those before are counted.
const FAILURES: usize = 8;

/// What is remembered of one sort of build, over all commits.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Known {
    /// By the branch; of a build whose branch nobody knows, by the commit.
    branches: BTreeMap<String, Runs>,
    /// The last state by commit and key.
    last: BTreeMap<String, Last>,
}

/// When a run began, and when it got to where it is: slow ones end after quick ones that began later, and what is run
/// once more for the same commit began when it did for the first time.
type Moment = (Millis, Millis);

/// The runs on a branch.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Runs {
    /// The newest that passed.
    passed: Option<Moment>,
    /// The last ones that failed since, and hashes that tell which they are.
    failed: Vec<(Moment, String)>,
    /// Those that failed before them.
    earlier: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Last {
    state: BuildState,
    /// A hash: it may be long, and is only compared.
    url: Option<String>,
    at: Millis,
}

impl Runs {
    fn newest(&self) -> Moment {
        let failed = self.failed.iter().map(|(moment, _)| *moment).max();
        self.passed.max(failed).unwrap_or_default()
    }

    /// Takes note of a failure: how many there are in a row with it. `None` where a newer run passed before.
    fn fail(&mut self, moment: Moment, run: String) -> Option<u64> {
        if self.passed.is_some_and(|passed| passed >= moment) {
            return None;
        }
        let failure = (moment, run);
        if !self.failed.contains(&failure) {
            self.failed.push(failure);
            self.failed.sort_unstable();
        }
        let surplus = self.failed.len().saturating_sub(FAILURES);
        self.failed.drain(..surplus);
        self.earlier += surplus as u64;
        Some(self.earlier + self.failed.len() as u64)
    }

    /// Takes note of a run that passed: how many failures it ends. `None` where it ends none, or a newer one failed.
    fn pass(&mut self, moment: Moment) -> Option<u64> {
        let before = self.earlier + self.failed.len() as u64;
        if self.failed.first().is_none_or(|(failed, _)| *failed <= moment) {
            self.earlier = 0;
        }
        self.failed.retain(|(failed, _)| *failed > moment);
        self.passed = self.passed.max(Some(moment));
        (before > 0 && self.failed.is_empty()).then_some(before)
    }
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
    let millis = |time: Option<jiff::Timestamp>| time.map_or(memory.now, jiff::Timestamp::as_millisecond);
    let (began, at) = (millis(build.created.or(build.updated)), millis(build.updated.or(build.created)));

    let url = build.url.as_deref().map(super::hash);
    let this = super::hash(&format!("{}:{}", commit::subject("", &hash), build.key.as_deref().unwrap_or_default()));
    if let Some(last) = known.last.get(&this) {
        if last.at > at {
            return Some("a later state of this build was told before");
        }
        if last.state == state && (state == BuildState::Running || last.url == url) {
            return Some("this state of the build was told before");
        }
    }
    let place = build.branch.as_deref().map_or_else(|| format!("@{hash}"), |branch| bounded(branch).into_owned());
    let runs = known.branches.entry(place).or_default();
    match state {
        BuildState::Failed => {
            build.failures =
                runs.fail((began, at), super::hash(&format!("{this} {}", url.as_deref().unwrap_or_default())))
        }
        BuildState::Succeeded => {
            build.failures = runs.pass((began, at));
            if build.failures.is_some() {
                event.kind = Kind::BuildFixed;
            }
        }
        BuildState::Running | BuildState::Stopped => {}
    }
    known.last.insert(this, Last { state, url, at });
    forget(&mut known.branches, Runs::newest);
    forget(&mut known.last, |last| last.at);
    memory.set(&subject, &known);
    None
}

/// Drops what was untouched for longest, down to [`KEPT`].
fn forget<T, M: Ord>(states: &mut BTreeMap<String, T>, at: impl Fn(&T) -> M) {
    while states.len() > KEPT {
        let Some(oldest) = states.iter().min_by_key(|(_, state)| at(state)).map(|(key, _)| key.clone()) else { return };
        states.remove(&oldest);
    }
}
