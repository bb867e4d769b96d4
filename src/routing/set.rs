//! Sets of events: `event = "@calm"`. Each is what a sort of reader wants to hear, and no more.

use crate::event::{Event, Kind};

/// A named set of events.
#[derive(Debug)]
pub struct Set {
    /// Its name, without the `@`.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    holds: fn(&Event) -> bool,
}

/// Every set.
pub static SETS: &[Set] = &[
    Set { name: "calm", about: "what most people want to hear of, and no more", holds: calm },
    Set { name: "review", about: "the life of pull requests", holds: |event| is_review(event.kind) },
    Set {
        name: "builds",
        about: "builds that failed, were fixed or were stopped",
        holds: |event| is_build(event.kind),
    },
    Set { name: "all", about: "everything", holds: |_| true },
];

impl Set {
    /// The set of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETS.iter().find(|set| set.name == name)
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

fn calm(event: &Event) -> bool {
    match event.kind {
        Kind::PullRequestReviewersChanged => false,
        Kind::TagCreated | Kind::BuildFailed | Kind::BuildFixed => true,
        Kind::Push => {
            event.branch().is_some_and(is_shared) && event.push.as_ref().is_none_or(|push| push.via.is_none())
        }
        kind => is_review(kind),
    }
}

/// The branches that a whole team works from.
fn is_shared(branch: &str) -> bool {
    matches!(branch, "main" | "master" | "develop") || branch.starts_with("release/")
}
