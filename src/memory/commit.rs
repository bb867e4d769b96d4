//! Commits: the branch of a commit, and the pull requests of which it is the tip or the merge.

use serde::{Deserialize, Serialize};

use super::{Recall, pull_request};
use crate::event::{Build, Event, PullRequest, PullRequestState, Push, Via};

/// Maximum number of pull requests that are stored for one tip.
const TIPS: usize = 8;

/// Stored state of a commit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct CommitMemory {
    /// Branch to which the commit was pushed.
    branch: Option<String>,
    /// URL of the branch's page.
    branch_url: Option<String>,
    /// Pull requests of which the commit is the tip.
    tips: Vec<Ends>,
    /// Pull request that was merged as this commit.
    merge: Option<Ends>,
}

/// Pull request, as stored with its commits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ends {
    id: u64,
    #[serde(default)]
    url: Option<String>,
    /// Source branch, if it is in this repository.
    source: Option<String>,
    target: Option<String>,
    /// `true` if the pull request is merged, or if its merge deletes the source branch.
    closes_source: bool,
}

/// Returns the subject of a commit. Pull requests contain hashes of twelve characters, so all hashes are shortened to
/// that length.
pub(super) fn subject(repository: &str, hash: &str) -> String {
    let short = hash.char_indices().nth(12).map_or(hash, |(end, _)| &hash[..end]);
    format!("commit:{repository}:{short}")
}

/// Adds the commits of a push, a pull request or a build.
pub(super) fn subjects(event: &Event, repository: &str, subjects: &mut Vec<String>) {
    let mut add = |hash: &str| subjects.push(subject(repository, hash));
    if let Some(push) = &event.push {
        let tips = [&push.old, &push.new].into_iter().flatten();
        tips.chain(parents(push)).for_each(|hash| add(hash));
    }
    if let Some(pull_request) = &event.pull_request {
        [&pull_request.source.commit, &pull_request.merge_commit].into_iter().flatten().for_each(|hash| add(hash));
    }
    if let Some(commit) = event.build.as_ref().and_then(|build| build.commit.as_ref()) {
        add(&commit.hash);
    }
}

/// Returns the commits that a merge joins; none for another commit.
fn parents(push: &Push) -> impl Iterator<Item = &String> {
    let merge = push.head.as_ref().filter(|head| head.parents.len() > 1 && !push.deleted);
    merge.into_iter().flat_map(|head| &head.parents)
}

/// Determines whether a push is the merge of a pull request, and stores the branch of its tip: hosts build tips, and the
/// other commits of a push would be most of what is stored.
pub(super) fn recall_push(event: &mut Event, repository: &str, memory: &mut Recall<'_>) {
    let Some(push) = &mut event.push else { return };
    let claimed = push.pull_request.take();
    // A merge neither rewrites history nor creates a branch.
    if !push.forced && !push.created {
        push.pull_request = merged(push, repository, memory);
        if push.pull_request.is_none()
            && let (Some(id), Some(branch), Some(head)) = (claimed, &push.branch, &push.new)
        {
            push.pull_request = Some(id).filter(|id| pull_request::lands(*id, branch, head, repository, memory));
        }
    }
    push.via = push.pull_request.map(|_| Via::PullRequest);
    let Some(branch) = push.branch.as_ref().filter(|_| !push.deleted) else { return };
    let Some(tip) = &push.new else { return };
    let subject = subject(repository, tip);
    let mut known: CommitMemory = memory.get(&subject).unwrap_or_default();
    // The tip of a moved branch belongs to that branch. The tip of a new branch may already belong to another branch, and
    // stays there.
    if known.branch.is_none() || !push.created {
        known.branch = Some(branch.clone());
        known.branch_url = short(push.url.as_ref());
        memory.set(&subject, &known);
    }
}

/// Returns the pull request that a push merges, or whose merge deletes the branch.
fn merged(push: &Push, repository: &str, memory: &Recall<'_>) -> Option<u64> {
    let known = |hash: &str| memory.get::<CommitMemory>(&subject(repository, hash)).unwrap_or_default();
    let branch = push.branch.as_ref()?;
    if push.deleted {
        let tips = known(push.old.as_deref()?).tips;
        return tips.iter().find(|tip| tip.closes_source && tip.source.as_ref() == Some(branch)).map(|tip| tip.id);
    }
    let goes_here = |ends: &&Ends| ends.target.as_ref() == Some(branch) && ends.source.as_ref() != Some(branch);
    let head = known(push.new.as_deref()?);
    if let Some(merge) = head.merge.as_ref().filter(goes_here) {
        return Some(merge.id);
    }
    // A fast-forward to the tip, or a merge commit with the tip as a parent.
    let of_parents = parents(push).flat_map(|hash| known(hash).tips);
    head.tips.into_iter().chain(of_parents).find(|tip| goes_here(&tip)).map(|tip| tip.id)
}

/// Stores the commits of a pull request; `before` is its previous tip.
pub(super) fn remember_tips(pr: &PullRequest, before: Option<&str>, repository: &str, memory: &mut Recall<'_>) {
    let Some(id) = pr.id else { return };
    // A branch of a fork does not exist in this repository.
    let source = pr.source.branch.clone().filter(|_| pr.from_fork == Some(false));
    if let Some(before) = before.filter(|before| Some(*before) != pr.source.commit.as_deref()) {
        let subject = subject(repository, before);
        let known: CommitMemory = memory.get(&subject).unwrap_or_default();
        let branch_url = known.branch_url.filter(|_| known.branch == source);
        memory.set(&subject, &CommitMemory { branch: source.clone(), branch_url, ..CommitMemory::default() });
    }
    let merged = pr.state == Some(PullRequestState::Merged);
    let ends = Ends {
        id,
        url: short(pr.url.as_ref()),
        source,
        target: pr.target.branch.clone(),
        closes_source: merged || pr.closes_source == Some(true),
    };
    let open = matches!(pr.state, None | Some(PullRequestState::Open));
    if let Some(hash) = &pr.source.commit {
        let subject = subject(repository, hash);
        let mut known: CommitMemory = memory.get(&subject).unwrap_or_default();
        known.tips.retain(|tip| tip.id != id);
        known.tips.extend((open || merged).then(|| ends.clone()));
        known.tips.sort_by_key(|tip| tip.id);
        let surplus = known.tips.len().saturating_sub(TIPS);
        known.tips.drain(..surplus);
        memory.set(&subject, &known);
    }
    if let Some(hash) = pr.merge_commit.as_ref().filter(|_| merged) {
        let subject = subject(repository, hash);
        let known: CommitMemory = memory.get(&subject).unwrap_or_default();
        memory.set(&subject, &CommitMemory { merge: Some(ends), ..known });
    }
}

/// Completes a build by what is known of its commit: the branch to which it was pushed, or the source branch of its
/// pull request; and the pull request of which it is the latest commit, if there is only one.
pub(super) fn complete(build: &mut Build, repository: &str, memory: &Recall<'_>) {
    let Some(hash) = build.commit.as_ref().map(|commit| &commit.hash) else { return };
    let Some(known) = memory.get::<CommitMemory>(&subject(repository, hash)) else { return };
    if build.branch.is_none() || build.branch == known.branch {
        build.branch_url = known.branch_url.filter(|_| known.branch.is_some());
    }
    if let [tip] = known.tips.as_slice() {
        (build.pull_request, build.pull_request_url) = (Some(tip.id), tip.url.clone());
    }
    if build.branch.is_none() {
        build.branch = known.branch.or_else(|| known.tips.into_iter().find_map(|tip| tip.source));
    }
}

/// Maximum length of a stored URL in bytes.
const MAX_URL: usize = 512;

fn short(url: Option<&String>) -> Option<String> {
    url.filter(|url| url.len() <= MAX_URL).cloned()
}
