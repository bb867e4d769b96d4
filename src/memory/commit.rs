//! Commits: the branch that brought one, and the pull request that it is the tip or the merge of.

use serde::{Deserialize, Serialize};

use super::Recall;
use super::pull_request;
use crate::event::{Event, PullRequest, PullRequestState, Push, Via};

/// What is remembered of a commit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Known {
    /// The branch that it came on.
    pub(super) branch: Option<String>,
    /// The pull request that it is the tip of, or that was merged as it.
    pub(super) pull_request: Option<Tip>,
}

/// A pull request, as its tip or its merge commit knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Tip {
    id: u64,
    source: Option<String>,
    target: Option<String>,
    /// It is merged, or merging it deletes its branch.
    closes_source: bool,
}

/// Hashes are shortened to twelve characters in pull requests, so they are here.
pub(super) fn subject(repository: &str, hash: &str) -> String {
    let short = hash.char_indices().nth(12).map_or(hash, |(end, _)| &hash[..end]);
    format!("commit:{repository}:{short}")
}

/// The commits that a push or a pull request is about.
pub(super) fn subjects(event: &Event, repository: &str, subjects: &mut Vec<String>) {
    let mut add = |hash: &str| subjects.push(subject(repository, hash));
    if let Some(push) = &event.push {
        let tips = [&push.old, &push.new].into_iter().flatten();
        tips.chain(parents(push)).for_each(|hash| add(hash));
        push.commits.iter().for_each(|commit| add(&commit.hash));
    }
    if let Some(pull_request) = &event.pull_request {
        [&pull_request.source.commit, &pull_request.merge_commit].into_iter().flatten().for_each(|hash| add(hash));
    }
    if let Some(commit) = event.build.as_ref().and_then(|build| build.commit.as_ref()) {
        add(&commit.hash);
    }
}

/// The commits that a merge joins; of what is no merge, none.
fn parents(push: &Push) -> impl Iterator<Item = &String> {
    let merge = push.head.as_ref().filter(|head| head.parents.len() > 1 && !push.deleted);
    merge.into_iter().flat_map(|head| &head.parents)
}

/// Says whether a push is the merge of a pull request, and remembers the branch of its commits.
pub(super) fn recall_push(event: &mut Event, repository: &str, memory: &mut Recall<'_>) {
    let Some(push) = &mut event.push else { return };
    let claimed = push.pull_request.take();
    push.pull_request = merged(push, repository, memory).or_else(|| {
        // A commit's message can claim anything; the pull request must be known, and go where the push went.
        let target = pull_request::known_target(claimed?, repository, memory)?;
        claimed.filter(|_| Some(&target) == push.branch.as_ref())
    });
    push.via = push.pull_request.map(|_| Via::PullRequest);
    let Some(branch) = push.branch.as_ref().filter(|_| !push.deleted) else { return };
    let hashes = push.new.iter().chain(push.commits.iter().map(|commit| &commit.hash));
    for (n, hash) in hashes.enumerate() {
        let subject = subject(repository, hash);
        let mut known: Known = memory.get(&subject).unwrap_or_default();
        // A new branch also lists what was on others before; of what was there, only the tip is this branch's now.
        if known.branch.is_none() || (n == 0 && !push.created) {
            known.branch = Some(branch.clone());
            memory.set(subject, &known);
        }
    }
}

/// The pull request that a push merges, or whose branch it deletes because of that.
fn merged(push: &Push, repository: &str, memory: &Recall<'_>) -> Option<u64> {
    let tip = |hash: &str| memory.get::<Known>(&subject(repository, hash))?.pull_request;
    let branch = push.branch.as_ref()?;
    if push.deleted {
        let tip = tip(push.old.as_deref()?)?;
        return (tip.closes_source && tip.source.as_ref() == Some(branch)).then_some(tip.id);
    }
    let goes_here = |tip: &Tip| tip.target.as_ref() == Some(branch) && tip.source.as_ref() != Some(branch);
    let mut hashes = push.new.iter().filter(|_| !push.created).chain(parents(push));
    hashes.find_map(|hash| tip(hash).filter(goes_here)).map(|tip| tip.id)
}

/// Remembers the commits of a pull request; `before` is the tip that it had.
pub(super) fn remember_tips(pr: &PullRequest, before: Option<&str>, repository: &str, memory: &mut Recall<'_>) {
    let Some(id) = pr.id else { return };
    if let Some(before) = before.filter(|before| Some(*before) != pr.source.commit.as_deref()) {
        memory.set(subject(repository, before), &Known { branch: pr.source.branch.clone(), pull_request: None });
    }
    let merged = pr.state == Some(PullRequestState::Merged);
    let tip = Tip {
        id,
        source: pr.source.branch.clone(),
        target: pr.target.branch.clone(),
        closes_source: merged || pr.closes_source == Some(true),
    };
    let open = matches!(pr.state, None | Some(PullRequestState::Open));
    for hash in [&pr.source.commit, &pr.merge_commit].into_iter().flatten() {
        let subject = subject(repository, hash);
        let mut known: Known = memory.get(&subject).unwrap_or_default();
        known.pull_request = (open || merged).then(|| tip.clone());
        memory.set(subject, &known);
    }
}

/// The branch that brought a commit, or on which it is to be reviewed.
pub(super) fn branch(hash: &str, repository: &str, memory: &Recall<'_>) -> Option<String> {
    let known: Known = memory.get(&subject(repository, hash))?;
    known.branch.or_else(|| known.pull_request?.source)
}
