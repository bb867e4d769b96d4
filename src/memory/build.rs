//! Builds: which were told before, and how often in a row they failed.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::{Millis, Recall, bounded, commit, is_too_large};
use crate::event::{Build, BuildState, Event, Kind};

/// Branches and commits of a build of which something is kept; the longest untouched are forgotten first.
const KEPT: usize = 32;

/// Failures in a row that are kept one by one; of those before, only the number is kept.
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
    /// The last ones that failed since.
    failed: Vec<Failure>,
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

/// A run that failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Failure {
    at: Moment,
    /// Hashes that tell which commit it was of, under which key, and which run.
    commit: String,
    key: String,
    run: String,
}

/// A run that ended.
struct Ended {
    at: Moment,
    commit: String,
    key: String,
}

impl Runs {
    fn newest(&self) -> Moment {
        let failed = self.failed.iter().map(|failure| failure.at).max();
        self.passed.max(failed).unwrap_or_default()
    }

    /// Takes note of a failure: how many there are in a row with it. `None` where a newer run passed before.
    fn fail(&mut self, ended: Ended, run: String) -> Option<u64> {
        let Ended { at, commit, key } = ended;
        if self.passed.is_some_and(|passed| passed >= at) {
            return None;
        }
        let failure = Failure { at, commit, key, run };
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
    fn pass(&mut self, ended: &Ended) -> Option<u64> {
        let before = self.earlier + self.failed.len() as u64;
        // Parts of one build run side by side for the same commit: one that passes says nothing of another that failed.
        let goes_on = |failed: &Failure| {
            let beside = failed.commit == ended.commit && failed.key != ended.key && failed.at.1 > ended.at.0;
            failed.at > ended.at || beside
        };
        self.failed.retain(goes_on);
        if self.failed.is_empty() {
            self.earlier = 0;
        }
        self.passed = self.passed.max(Some(ended.at));
        (before > 0 && self.failed.is_empty()).then_some(before)
    }
}

/// What changes from one run to the next: a number or a UUID at the end of a key or a name.
#[expect(clippy::expect_used, reason = "a literal, which a test compiles")]
static RUN: LazyLock<Regex> = LazyLock::new(|| {
    let uuid = r"\{?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?";
    Regex::new(&format!(r"(?i)(?:^|[\s/#:_.-]+)(?:#?[0-9]+|{uuid})$")).expect("a valid pattern")
});

/// What stays the same over the runs of one sort of build: its key without the run's number; or if nothing is left of that,
/// its name without it.
fn series(build: &Build) -> Option<String> {
    let key = build.key.as_deref()?;
    let bare = RUN.replace(key, "");
    if !bare.is_empty() {
        return Some(bare.into_owned());
    }
    let name = build.name.as_deref().map(|name| {
        let words = name.split_whitespace().filter(|word| !word.starts_with('#')).collect::<Vec<_>>().join(" ");
        RUN.replace(&words, "").into_owned()
    });
    Some(name.filter(|name| !name.is_empty()).unwrap_or_else(|| key.to_owned()))
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
    let of_commit = commit::subject("", &hash);
    let this = super::hash(&format!("{of_commit}:{}", build.key.as_deref().unwrap_or_default()));
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
    let ended = Ended { at: (began, at), commit: super::hash(&of_commit), key: this.clone() };
    match state {
        BuildState::Failed => {
            build.failures = runs.fail(ended, super::hash(&format!("{this} {}", url.as_deref().unwrap_or_default())));
        }
        BuildState::Succeeded => {
            build.failures = runs.pass(&ended);
            if build.failures.is_some() {
                event.kind = Kind::BuildFixed;
            }
        }
        BuildState::Running | BuildState::Stopped => {}
    }
    known.last.insert(this, Last { state, url, at });
    forget(&mut known.branches, Runs::newest);
    forget(&mut known.last, |last| last.at);
    // A series on very many branches keeps those that were built last.
    while known.branches.len() > 1 && is_too_large(&known) {
        forget_oldest(&mut known.branches, Runs::newest);
        forget_oldest(&mut known.last, |last| last.at);
    }
    memory.set(&subject, &known);
    None
}

/// Drops what was untouched for longest, down to [`KEPT`].
fn forget<T, M: Ord>(states: &mut BTreeMap<String, T>, at: impl Fn(&T) -> M) {
    while states.len() > KEPT {
        forget_oldest(states, &at);
    }
}

fn forget_oldest<T, M: Ord>(states: &mut BTreeMap<String, T>, at: impl Fn(&T) -> M) {
    if let Some(oldest) = states.iter().min_by_key(|(_, state)| at(state)).map(|(key, _)| key.clone()) {
        states.remove(&oldest);
    }
}
