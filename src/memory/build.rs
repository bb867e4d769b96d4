//! Builds: reported states, and the number of consecutive failures.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::{Millis, Recall, bounded, commit, is_too_large};
use crate::event::{Build, BuildState, Event, Kind, duration};

/// Maximum number of stored branches and commits of a build; those that changed longest ago are deleted first.
const KEPT: usize = 32;

/// Maximum number of consecutive failures that are stored individually; earlier ones are only counted.
const FAILURES: usize = 8;

/// Stored state of a build series, over all commits.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct BuildMemory {
    /// Runs by branch; for a build whose branch is unknown, by commit.
    branches: BTreeMap<String, Runs>,
    /// Last state by commit and key.
    last: BTreeMap<String, Last>,
}

/// Start time of a run and time of its state. Slow runs end after fast ones that started later. A run that is repeated
/// for the same commit keeps its first start time.
type BuildTime = (Millis, Millis);

/// Runs on a branch.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Runs {
    /// Newest run that passed.
    passed: Option<BuildTime>,
    /// Latest failures since then.
    failed: Vec<Failure>,
    /// Number of failures before those in `failed`.
    earlier: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Last {
    state: BuildState,
    /// Hash: the URL may be long, and is only compared.
    url: Option<String>,
    at: Millis,
}

/// Run that failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Failure {
    at: BuildTime,
    /// Hashes of the commit, of the key, and of the run.
    commit: String,
    key: String,
    run: String,
}

/// Run that ended.
struct Ended {
    at: BuildTime,
    commit: String,
    key: String,
}

impl Runs {
    fn newest(&self) -> BuildTime {
        let failed = self.failed.iter().map(|failure| failure.at).max();
        self.passed.max(failed).unwrap_or_default()
    }

    /// Stores a failure. Returns the number of consecutive failures up to it, or `None` if a newer run passed.
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

    /// Stores a run that passed. Returns the number of failures that it ends, or `None` if it ends none or a newer run
    /// failed.
    fn pass(&mut self, ended: &Ended) -> Option<u64> {
        let before = self.earlier + self.failed.len() as u64;
        // Parts of one build run in parallel for the same commit: a part that passes does not fix another that failed.
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

/// Part of a key or name that differs between runs: a number or a UUID at its end.
#[expect(clippy::expect_used, reason = "a literal, which a test compiles")]
static RUN: LazyLock<Regex> = LazyLock::new(|| {
    let uuid = r"\{?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?";
    Regex::new(&format!(r"(?i)(?:^|[\s/#:_.-]+)(?:#?[0-9]+|{uuid})$")).expect("a valid pattern")
});

/// Returns the name that all runs of a build share: its key without the run's number, or, if nothing is left of it, its
/// name without the number.
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

/// Completes a build's branch, suppresses repeated states, and distinguishes fixed builds from passed ones.
pub(super) fn recall(event: &mut Event, repository: &str, memory: &mut Recall<'_>) -> Option<&'static str> {
    let build = event.build.as_mut()?;
    let subject = subject(build, repository);
    let hash = build.commit.as_ref().map(|commit| commit.hash.clone());
    commit::complete(build, repository, memory);
    build.shorten_name();
    let (hash, state, subject) = (hash?, build.state?, subject?);
    let mut known: BuildMemory = memory.get(&subject).unwrap_or_default();
    let millis = |time: Option<jiff::Timestamp>| time.map_or(memory.now, jiff::Timestamp::as_millisecond);
    let (began, at) = (millis(build.created.or(build.updated)), millis(build.updated.or(build.created)));

    let url = build.url.as_deref().map(super::hash);
    let of_commit = commit::subject("", &hash);
    let this = super::hash(&format!("{of_commit}:{}", build.key.as_deref().unwrap_or_default()));
    if let Some(last) = known.last.get(&this) {
        // The host's time of the first report is that of the first run, even if this is another.
        let took = Some(at - last.at).filter(|_| last.state == BuildState::Running && state != BuildState::Running);
        build.duration = took.and_then(|took| u64::try_from(took / 1_000).ok()).filter(|took| *took > 0).map(duration);
        if last.at > at {
            return Some("a later state of this build was already reported");
        }
        if last.state == state && (state == BuildState::Running || last.url == url) {
            return Some("this state of the build was already reported");
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
    prune(&mut known.branches, Runs::newest);
    prune(&mut known.last, |last| last.at);
    // A series with very many branches keeps those with the latest runs.
    while known.branches.len() > 1 && is_too_large(&known) {
        forget_oldest(&mut known.branches, Runs::newest);
        forget_oldest(&mut known.last, |last| last.at);
    }
    memory.set(&subject, &known);
    None
}

/// Deletes the oldest entries, down to [`KEPT`].
fn prune<T, M: Ord>(states: &mut BTreeMap<String, T>, at: impl Fn(&T) -> M) {
    while states.len() > KEPT {
        forget_oldest(states, &at);
    }
}

fn forget_oldest<T, M: Ord>(states: &mut BTreeMap<String, T>, at: impl Fn(&T) -> M) {
    if let Some(oldest) = states.iter().min_by_key(|(_, state)| at(state)).map(|(key, _)| key.clone()) {
        states.remove(&oldest);
    }
}
