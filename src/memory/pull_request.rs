//! Pull requests: the changes since the last known state.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use std::collections::HashSet;

use super::{Recall, commit};
use crate::event::{Change, Event, Kind, PullRequest, PullRequestState, Reviewer};

/// Maximum size of the stored reviewers in bytes.
const MAX_REVIEWERS: usize = 10 * 1024;

/// Suppression reason for a repeated state.
const ALREADY_REPORTED: &str = "this state of the pull request was already reported";

/// Suppression reason for an update without a known change.
const NOTHING_CHANGED: &str = "no field that Hookbell tracks has changed since the last update of the pull request";

/// Stored state of a pull request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct PullRequestMemory {
    state: Option<PullRequestState>,
    draft: Option<bool>,
    queued: Option<bool>,
    title: Option<String>,
    /// Hash: the text may be long, and messages do not show the old text.
    description: Option<String>,
    commit: Option<String>,
    target: Option<String>,
    reviewers: Option<Vec<Reviewer>>,
    updated: Option<Timestamp>,
    /// `true` if the state was reported, not only received with a vote or a comment.
    #[serde(rename = "told")] // plain-words: the stored name
    is_reported: bool,
    /// Commit that was pushed as the merge of the pull request.
    landed: Option<String>,
}

impl PullRequestMemory {
    fn of(pr: &PullRequest, is_reported: bool, landed: Option<String>) -> Self {
        let of_reviewers = |reviewers: &Vec<Reviewer>| -> Vec<Reviewer> {
            reviewers.iter().map(|reviewer| Reviewer { vote: None, ..reviewer.clone() }).collect()
        };
        // Reviewers are not stored if there are too many or their names are too long; then added reviewers are unknown.
        let bytes = |reviewer: &Reviewer| {
            let parts = [reviewer.id.as_deref(), Some(reviewer.name.as_str()), reviewer.nickname.as_deref()];
            64 + parts.iter().flatten().map(|part| part.len()).sum::<usize>()
        };
        let few = pr.reviewers.as_ref().filter(|reviewers| {
            reviewers.len() == pr.reviewer_count && reviewers.iter().map(bytes).sum::<usize>() <= MAX_REVIEWERS
        });
        let hash = |text: &String| hex::encode(&Sha256::digest(text.as_bytes())[..8]);
        Self {
            state: pr.state,
            draft: pr.draft,
            queued: pr.queued,
            title: pr.title.clone(),
            description: pr.description.as_ref().map(hash),
            commit: pr.source.commit.clone(),
            target: pr.target.branch.clone(),
            reviewers: few.map(of_reviewers),
            updated: pr.updated,
            is_reported,
            landed,
        }
    }
}

impl PullRequestMemory {
    /// Returns the state after an event whose kind the host named: of a change that the kind does not report, another
    /// event will.
    fn reported_by(self, kind: Kind, before: &Self) -> Self {
        let known = Self { updated: self.updated, is_reported: true, ..before.clone() };
        match kind {
            Kind::PullRequestReady => Self { draft: self.draft, ..known },
            Kind::PullRequestCommitsAdded => Self { commit: self.commit, ..known },
            Kind::PullRequestRetargeted => Self { target: self.target, ..known },
            Kind::PullRequestEdited => Self { title: self.title, description: self.description, ..known },
            Kind::PullRequestReviewersChanged => Self { reviewers: self.reviewers, ..known },
            _ => self,
        }
    }
}

fn subject(repository: &str, id: u64) -> String {
    format!("pr:{repository}:{id}")
}

pub(super) fn subjects(event: &Event, repository: &str, subjects: &mut Vec<String>) {
    let ids =
        [event.pull_request.as_ref().and_then(|pr| pr.id), event.push.as_ref().and_then(|push| push.pull_request)];
    subjects.extend(ids.into_iter().flatten().map(|id| subject(repository, id)));
}

/// Returns `true` if a push of `head` to `branch` may be the merge of this pull request, as its message claims: the
/// pull request is known, has this target, and was not merged as another commit before. Then stores the push as the
/// merge.
pub(super) fn lands(id: u64, branch: &str, head: &str, repository: &str, memory: &mut Recall<'_>) -> bool {
    let subject = subject(repository, id);
    let Some(mut known) = memory.get::<PullRequestMemory>(&subject) else { return false };
    let may_land = matches!(known.state, None | Some(PullRequestState::Open | PullRequestState::Merged))
        && known.target.as_deref() == Some(branch)
        && known.landed.as_deref().is_none_or(|landed| landed == head);
    if may_land {
        known.landed = Some(head.to_owned());
        memory.set(&subject, &known);
    }
    may_land
}

/// Determines the kind of an update from what changed.
pub(super) fn recall(event: &mut Event, repository: &str, memory: &mut Recall<'_>) -> Option<&'static str> {
    let pr = event.pull_request.as_mut()?;
    let subject = subject(repository, pr.id?);
    let before: Option<PullRequestMemory> = memory.get(&subject);
    // Votes and comments may overtake the update that they include; the update must still be reported.
    let has_state = matches!(
        event.kind,
        Kind::PullRequestOpened
            | Kind::PullRequestReady
            | Kind::PullRequestUpdated
            | Kind::PullRequestCommitsAdded
            | Kind::PullRequestRetargeted
            | Kind::PullRequestEdited
            | Kind::PullRequestReviewersChanged
            | Kind::PullRequestMerged
            | Kind::PullRequestDeclined
    );
    let Some(before) = before else {
        commit::remember_tips(pr, None, repository, memory);
        memory.set(&subject, &PullRequestMemory::of(pr, has_state, None));
        return None;
    };
    let mut now = PullRequestMemory::of(pr, true, before.landed.clone());
    let overtaken = before.updated.zip(now.updated).is_some_and(|(before, now)| now < before);
    if !has_state || overtaken {
        return None;
    }
    let mut suppressed = None;
    if memory.named.contains(&event.kind) {
        now = now.reported_by(event.kind, &before);
        let (_, changes) = difference(&before, &now, pr);
        if event.changes.is_empty() {
            event.changes = changes;
        }
    } else if matches!(event.kind, Kind::PullRequestUpdated | Kind::PullRequestCommitsAdded) {
        let (kind, changes) = difference(&before, &now, pr);
        if changes.is_empty() && before.is_reported {
            let same = before.updated.is_some() && before.updated == now.updated;
            suppressed = Some(if same { ALREADY_REPORTED } else { NOTHING_CHANGED });
        }
        event.kind = kind.unwrap_or(event.kind);
        event.changes = changes;
    }
    commit::remember_tips(pr, before.commit.as_deref(), repository, memory);
    memory.set(&subject, &now);
    suppressed
}

/// Returns all changes, and the kind of the most important one.
fn difference(
    before: &PullRequestMemory,
    now: &PullRequestMemory,
    pr: &mut PullRequest,
) -> (Option<Kind>, Vec<Change>) {
    let (mut kinds, mut changes) = (vec![], vec![]);
    if (before.draft, now.draft) == (Some(true), Some(false)) {
        kinds.push(Kind::PullRequestReady);
        changes.push(Change::new("draft", Some("draft".to_owned()), Some("ready".to_owned())));
    }
    if (before.draft, now.draft) == (Some(false), Some(true)) {
        changes.push(Change::new("draft", Some("ready".to_owned()), Some("draft".to_owned())));
    }
    let moved = |before: &Option<String>, now: &Option<String>| before.is_some() && now.is_some() && before != now;
    if moved(&before.target, &now.target) {
        kinds.push(Kind::PullRequestRetargeted);
        changes.push(Change::new("target", before.target.clone(), now.target.clone()));
    }
    if moved(&before.commit, &now.commit) {
        kinds.push(Kind::PullRequestCommitsAdded);
        let short = |hash: &Option<String>| hash.as_ref().map(|hash| hash.chars().take(7).collect());
        changes.push(Change::new("commits", short(&before.commit), short(&now.commit)));
    }
    let absent = |from: &[Reviewer], other: &[Reviewer]| -> Vec<Reviewer> {
        let (ids, names): (HashSet<_>, HashSet<_>) = (
            other.iter().filter_map(|known| known.id.as_ref()).collect(),
            other.iter().map(|known| &known.name).collect(),
        );
        let nameless: HashSet<_> = other.iter().filter(|known| known.id.is_none()).map(|known| &known.name).collect();
        // Names are not unique, but some accounts have nothing else.
        let is_there = |reviewer: &Reviewer| match &reviewer.id {
            Some(id) => ids.contains(id) || nameless.contains(&reviewer.name),
            None => names.contains(&reviewer.name),
        };
        from.iter().filter(|reviewer| !is_there(reviewer)).cloned().collect()
    };
    if let (Some(before), Some(now)) = (&before.reviewers, &now.reviewers) {
        pr.reviewers_added = absent(now, before);
        pr.reviewers_removed = absent(before, now);
    }
    if !pr.reviewers_added.is_empty() || !pr.reviewers_removed.is_empty() {
        kinds.push(Kind::PullRequestReviewersChanged);
        let names = |reviewers: &[Reviewer]| {
            let names: Vec<_> = reviewers.iter().map(|reviewer| reviewer.name.as_str()).collect();
            (!names.is_empty()).then(|| names.join(", "))
        };
        changes.push(Change::new("reviewers", names(&pr.reviewers_removed), names(&pr.reviewers_added)));
    }
    if moved(&before.title, &now.title) {
        kinds.push(Kind::PullRequestEdited);
        changes.push(Change::new("title", before.title.clone(), now.title.clone()));
    }
    if moved(&before.description, &now.description) {
        kinds.push(Kind::PullRequestEdited);
        changes.push(Change::new("description", None, None));
    }
    if let (Some(was), Some(is)) = (before.queued, now.queued)
        && was != is
    {
        let word = |queued: bool| Some(if queued { "queued" } else { "not queued" }.to_owned());
        changes.push(Change::new("merge queue", word(was), word(is)));
    }
    (kinds.first().copied(), changes)
}
