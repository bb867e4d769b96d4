//! Sets of events, such as `event = "@calm"`. Each set is made for one type of reader.

use crate::event::{Event, Kind};

/// A named set of events.
#[derive(Debug)]
pub struct Set {
    /// Name without the `@`.
    pub name: &'static str,
    /// Purpose in a few words.
    pub about: &'static str,
    kinds: fn(Kind) -> bool,
    holds: fn(&Event) -> bool,
}

/// All sets.
pub static SETS: &[Set] = &[
    Set { name: "calm", about: "low-noise defaults", kinds: is_calm, holds: calm },
    Set {
        name: "review",
        about: "pull requests, from opening to merge",
        kinds: is_review,
        holds: |event| is_review(event.kind),
    },
    Set {
        name: "builds",
        about: "failed, fixed and stopped builds",
        kinds: is_build,
        holds: |event| is_build(event.kind),
    },
    Set { name: "all", about: "all events", kinds: |_| true, holds: |_| true },
];

impl Set {
    /// Looks up a set by name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETS.iter().find(|set| set.name == name)
    }

    /// Returns true if the set may contain events of this kind.
    pub fn may_hold(&self, kind: Kind) -> bool {
        (self.kinds)(kind)
    }

    /// Returns true if the set contains every event of this kind. Of pushes, a set may contain some.
    pub fn holds_all(&self, kind: Kind) -> bool {
        self.may_hold(kind) && kind != Kind::Push
    }

    /// Returns true if the set contains the event.
    pub fn holds(&self, event: &Event) -> bool {
        (self.holds)(event)
    }
}

const fn is_review(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::PullRequestOpened
            | Kind::PullRequestReady
            | Kind::PullRequestReviewersChanged
            | Kind::PullRequestApproved
            | Kind::PullRequestChangesRequested
            | Kind::PullRequestMerged
            | Kind::PullRequestDeclined
            | Kind::PullRequestCommentAdded
    )
}

const fn is_build(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::BuildFailed | Kind::BuildFixed | Kind::BuildStopped | Kind::PipelineFailed | Kind::PipelineStopped
    )
}

const fn is_calm(kind: Kind) -> bool {
    match kind {
        Kind::PullRequestReviewersChanged => false,
        Kind::TagCreated | Kind::BuildFailed | Kind::BuildFixed | Kind::Push => true,
        kind => is_review(kind),
    }
}

fn calm(event: &Event) -> bool {
    let is_own = || event.push.as_ref().is_none_or(|push| push.via.is_none());
    is_calm(event.kind) && (event.kind != Kind::Push || (event.branch().is_some_and(is_shared) && is_own()))
}

/// Returns true for branches that a whole team shares.
fn is_shared(branch: &str) -> bool {
    matches!(branch, "main" | "master" | "develop") || branch.starts_with("release/")
}
