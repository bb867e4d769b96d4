//! The kinds of events: the words that `event = "…"` in a rule and a template's file name speak.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($variant:ident = $name:literal, $meaning:literal;)*) => {
        /// What happened, in host-neutral words; the text form is what rules and template names use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum Kind {
            $(#[doc = $meaning] #[serde(rename = $name)] $variant,)*
        }

        impl Kind {
            /// Every kind, in the order in which documents list them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The text form: `pull_request.opened`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

kinds! {
    Push = "push", "Commits arrived on a branch that was there before.";
    BranchCreated = "branch.created", "A new branch, with or without commits.";
    BranchDeleted = "branch.deleted", "A branch is gone.";
    TagCreated = "tag.created", "A new tag, or one that was moved (then `forced`).";
    TagDeleted = "tag.deleted", "A tag is gone.";
    PullRequestOpened = "pull_request.opened", "A pull request was opened.";
    PullRequestReady = "pull_request.ready", "A draft became ready for review.";
    PullRequestUpdated = "pull_request.updated", "Something about a pull request changed, and the host does not say what.";
    PullRequestCommitsAdded = "pull_request.commits_added", "New commits on the source branch.";
    PullRequestRetargeted = "pull_request.retargeted", "It now wants to go into another branch.";
    PullRequestEdited = "pull_request.edited", "Title or description changed.";
    PullRequestReviewersChanged = "pull_request.reviewers_changed", "Somebody was asked for a review, or no longer is.";
    PullRequestApproved = "pull_request.approved", "Somebody approved.";
    PullRequestApprovalWithdrawn = "pull_request.approval_withdrawn", "Somebody took an approval back.";
    PullRequestChangesRequested = "pull_request.changes_requested", "Somebody asked for changes.";
    PullRequestChangesWithdrawn = "pull_request.changes_withdrawn", "Somebody took a request for changes back.";
    PullRequestMerged = "pull_request.merged", "Merged.";
    PullRequestDeclined = "pull_request.declined", "Closed without a merge.";
    PullRequestCommentAdded = "pull_request.comment_added", "A new comment.";
    PullRequestCommentEdited = "pull_request.comment_edited", "A comment was edited.";
    PullRequestCommentDeleted = "pull_request.comment_deleted", "A comment was deleted.";
    PullRequestCommentResolved = "pull_request.comment_resolved", "A thread was resolved.";
    PullRequestCommentReopened = "pull_request.comment_reopened", "A resolved thread was opened again.";
    CommitCommentAdded = "commit.comment_added", "A comment on a commit.";
    BuildStarted = "build.started", "A build began.";
    BuildSucceeded = "build.succeeded", "A build passed.";
    BuildFixed = "build.fixed", "A build passed after one or more that failed.";
    BuildFailed = "build.failed", "A build failed.";
    BuildStopped = "build.stopped", "A build was stopped by somebody.";
    PipelineSucceeded = "pipeline.succeeded", "A pipeline run passed.";
    PipelineFailed = "pipeline.failed", "A pipeline run failed.";
    PipelineStopped = "pipeline.stopped", "A pipeline run was stopped.";
    IssueOpened = "issue.opened", "A new issue.";
    IssueUpdated = "issue.updated", "An issue changed.";
    IssueCommentAdded = "issue.comment_added", "A comment on an issue.";
    RepositoryCreated = "repository.created", "A new repository.";
    RepositoryForked = "repository.forked", "A repository was forked.";
    RepositoryUpdated = "repository.updated", "A repository's settings changed.";
    RepositoryTransferred = "repository.transferred", "A repository has a new owner.";
    RepositoryImported = "repository.imported", "A repository was imported.";
    RepositoryDeleted = "repository.deleted", "A repository is gone.";
    ProjectUpdated = "project.updated", "A project's settings changed.";
    Other = "other", "A host's event that Hookbell has no word for: stored, routable, told plainly.";
}

impl Kind {
    /// The kind of this text form, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }

    /// The parts that events of this kind may hold beside those that all do: `actor`, `repository`, `project`, `changes`.
    /// Of `other`, nothing is known: it may hold any.
    pub fn parts(self) -> &'static [&'static str] {
        match (self, self.family()) {
            (Self::CommitCommentAdded, _) => &["commit", "comment"],
            (Self::RepositoryForked, _) => &["forked_to"],
            (Self::RepositoryTransferred, _) => &["previous_owner"],
            (_, "push" | "branch" | "tag") => &["push"],
            (_, "build") => &["build"],
            (_, "pipeline") => &["pipeline"],
            (Self::IssueCommentAdded | Self::IssueUpdated, _) => &["issue", "comment"],
            (_, "issue") => &["issue"],
            (_, "pull_request") if self.as_str().contains("comment") => &["pull_request", "comment"],
            (_, "pull_request") => &["pull_request"],
            (Self::Other, _) => &[
                "push",
                "commit",
                "pull_request",
                "comment",
                "build",
                "pipeline",
                "issue",
                "forked_to",
                "previous_owner",
            ],
            _ => &[],
        }
    }

    /// The part before the dot: `pull_request`, or the whole where there is no dot.
    pub fn family(self) -> &'static str {
        let name = self.as_str();
        name.split_once('.').map_or(name, |(family, _)| family)
    }
}

impl Kind {
    /// Whether it is about a ref: one push may bring many of these.
    pub fn is_of_ref(self) -> bool {
        matches!(self.family(), "push" | "branch" | "tag")
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn text_form_and_json_are_one() {
        for &kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
