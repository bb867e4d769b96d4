//! `repo:push`: one event for each ref that was created, moved or deleted.

use crate::source::json::Json;
use url::Url;

use super::Reader;
use super::json::{flag, items, link, long_text, page, text};
use crate::event::{Commit, Event, Kind, Push, RefKind};

/// Maximum number of refs of a push that become events; further ones are only counted.
const MAX_REFS: usize = 1_000;

/// Maximum number of listed commits of a push, over all its refs; further ones are only counted. Bitbucket sends at
/// most five per ref.
const MAX_COMMITS: usize = 1_000;

impl Reader<'_> {
    pub(super) fn push_events(&self) -> Vec<Event> {
        let changes = items(&self.payload["push"]["changes"]);
        let mut commits_left = MAX_COMMITS;
        let events: Vec<_> =
            changes.iter().take(MAX_REFS).filter_map(|change| self.change(change, &mut commits_left)).collect();
        if changes.len() > MAX_REFS {
            let (all, more) = (changes.len(), changes.len() - MAX_REFS);
            let _ = self.note.set(format!("the push changed {all} refs: the last {more} are not routed"));
        }
        events
    }

    /// Converts one changed ref. Returns `None` if both the old and the new ref are missing.
    fn change(&self, change: &Json<'_>, commits_left: &mut usize) -> Option<Event> {
        let (old, new) = (&change["old"], &change["new"]);
        let there = if new.is_object() { new } else { old };
        let name = text(&there["name"])?;
        // Mercurial's types of branches no longer exist, because Bitbucket dropped Mercurial.
        let ref_kind = if there["type"].as_str() == Some("tag") { RefKind::Tag } else { RefKind::Branch };
        let (created, deleted) = (!old.is_object(), !new.is_object());
        let kind = match (ref_kind, created, deleted) {
            (RefKind::Branch, false, false) => Kind::Push,
            (RefKind::Branch, _, false) => Kind::BranchCreated,
            (RefKind::Branch, ..) => Kind::BranchDeleted,
            (RefKind::Tag, _, false) => Kind::TagCreated,
            (RefKind::Tag, ..) => Kind::TagDeleted,
        };
        let all = items(&change["commits"]);
        let commits: Vec<Commit> = all.iter().take(*commits_left).filter_map(|c| self.commit(c)).collect();
        let count = commits.len() + all.len().saturating_sub(*commits_left);
        *commits_left -= commits.len();
        let mut event = self.event(kind);
        let repository_url = event.repository.as_ref().and_then(|repository| repository.url.clone());
        event.push = Some(Push {
            pull_request_reference: None,
            old: text(&old["target"]["hash"]),
            new: text(&new["target"]["hash"]),
            created,
            deleted,
            // Moving an existing tag needs force, even if the flag is not set.
            forced: flag(&change["forced"]) || (ref_kind == RefKind::Tag && !created && !deleted),
            truncated: flag(&change["truncated"]),
            paths: None,
            via: None,
            // Only a claim: the memory of the pull request confirms it.
            pull_request: long_text(&new["target"]["message"]).and_then(|message| merged_by(&message)),
            count,
            commits,
            head: self.commit(&there["target"]),
            url: if deleted { None } else { page(new).map(|url| with_encoded_end(url, &name)) },
            // For forced pushes and new branches, this link is the URL of the branch.
            compare_url: page(change).filter(|url| url.contains("/branches/compare/")),
            diff_url: link(&change["links"]["diff"]["href"]),
            commits_url: repository_url
                .filter(|_| ref_kind == RefKind::Branch)
                .and_then(|url| commits_page(&url, &name)),
            message: long_text(&new["message"]).filter(|_| ref_kind == RefKind::Tag),
            branch: (ref_kind == RefKind::Branch).then(|| name.clone()),
            tag: (ref_kind == RefKind::Tag).then(|| name.clone()),
            ref_kind,
        });
        Some(event)
    }
}

/// Returns the URL of a ref's page with the ref's name encoded. An unencoded `#` or `?` in the name would cut the URL.
fn with_encoded_end(url: String, name: &str) -> String {
    let before = url.strip_suffix(name).filter(|_| name.contains(['#', '?', '%'])).and_then(|url| Url::parse(url).ok());
    let Some(mut encoded) = before else { return url };
    if let Ok(mut segments) = encoded.path_segments_mut() {
        segments.pop_if_empty().extend(name.split('/'));
    }
    encoded.into()
}

/// Returns the URL of the page that lists a branch's commits; the payload links only to the list in the API.
fn commits_page(repository_url: &str, branch: &str) -> Option<String> {
    let mut url = Url::parse(repository_url).ok()?;
    url.path_segments_mut().ok()?.pop_if_empty().extend(["commits", "branch"]).extend(branch.split('/'));
    Some(url.into())
}

/// Returns the pull request that a commit message claims to merge: Bitbucket writes
/// `Merged in feature/x (pull request #12)`, also for a squash merge.
fn merged_by(message: &str) -> Option<u64> {
    let (_, number) = message.lines().next()?.strip_prefix("Merged in ")?.rsplit_once("(pull request #")?;
    number.trim_end().strip_suffix(')')?.parse().ok()
}
