//! Sets of events: `event = "@calm"`. Each is what a sort of reader wants to hear, and no more.

use crate::event::{Event, Kind};

/// A named set of events.
#[derive(Debug)]
pub struct Set {
    /// Its name, without the `@`.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    kinds: fn(Kind) -> bool,
    holds: fn(&Event) -> bool,
}

/// Every set.
pub static SETS: &[Set] = &[
    Set { name: "calm", about: "what most people want to hear of, and no more", kinds: is_calm, holds: calm },
    Set { name: "review", about: "the life of pull requests", kinds: is_review, holds: |event| is_review(event.kind) },
    Set {
        name: "builds",
        about: "builds that failed, were fixed or were stopped",
        kinds: is_build,
        holds: |event| is_build(event.kind),
    },
    Set { name: "all", about: "everything", kinds: |_| true, holds: |_| true },
];

impl Set {
    /// The set of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETS.iter().find(|set| set.name == name)
    }

    /// Whether it holds any events of a kind.
    pub fn may_hold(&self, kind: Kind) -> bool {
        (self.kinds)(kind)
    }

    /// Whether it holds an event.
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

/// The branches that a whole team works from.
fn is_shared(branch: &str) -> bool {
    matches!(branch, "main" | "master" | "develop") || branch.starts_with("release/")
}
