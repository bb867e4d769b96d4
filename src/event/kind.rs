//! Kinds of events: the names that `event = "…"` in rules and template file names use.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($variant:ident = $name:literal, $meaning:literal;)*) => {
        /// Kind of an event, in host-neutral terms. Rules and template names use its text form.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum Kind {
            $(#[doc = $meaning] #[serde(rename = $name)] $variant,)*
        }

        impl Kind {
            /// All kinds, in the order in which documents list them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the text form: `pull_request.opened`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Returns a short description.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

kinds! {
    Push = "push", "Commits were pushed to an existing branch.";
    BranchCreated = "branch.created", "A branch was created, with or without new commits.";
    BranchDeleted = "branch.deleted", "A branch was deleted.";
    TagCreated = "tag.created", "A tag was created, or moved to another commit (then `forced` is `true`).";
    TagDeleted = "tag.deleted", "A tag was deleted.";
    PullRequestOpened = "pull_request.opened", "A pull request was opened.";
    PullRequestReady = "pull_request.ready", "A draft pull request was marked as ready for review.";
    PullRequestUpdated = "pull_request.updated", "Something else about a pull request changed.";
    PullRequestCommitsAdded = "pull_request.commits_added", "Commits were added to a pull request.";
    PullRequestRetargeted = "pull_request.retargeted", "The target branch of a pull request changed.";
    PullRequestEdited = "pull_request.edited", "The title or description of a pull request changed.";
    PullRequestReviewersChanged = "pull_request.reviewers_changed", "The reviewers of a pull request changed.";
    PullRequestApproved = "pull_request.approved", "A pull request was approved.";
    PullRequestApprovalWithdrawn = "pull_request.approval_withdrawn", "An approval was withdrawn.";
    PullRequestChangesRequested = "pull_request.changes_requested", "Changes were requested on a pull request.";
    PullRequestChangesWithdrawn = "pull_request.changes_withdrawn", "A request for changes was withdrawn.";
    PullRequestMerged = "pull_request.merged", "A pull request was merged.";
    PullRequestDeclined = "pull_request.declined", "A pull request was closed without a merge.";
    PullRequestCommentAdded = "pull_request.comment_added", "A comment was added to a pull request.";
    PullRequestCommentEdited = "pull_request.comment_edited", "A comment on a pull request was edited.";
    PullRequestCommentDeleted = "pull_request.comment_deleted", "A comment on a pull request was deleted.";
    PullRequestCommentResolved = "pull_request.comment_resolved", "A comment thread on a pull request was resolved.";
    PullRequestCommentReopened = "pull_request.comment_reopened", "A resolved thread on a pull request was reopened.";
    CommitCommentAdded = "commit.comment_added", "A comment was added to a commit.";
    BuildStarted = "build.started", "A build started.";
    BuildSucceeded = "build.succeeded", "A build passed.";
    BuildFixed = "build.fixed", "A build passed after one or more failures.";
    BuildFailed = "build.failed", "A build failed.";
    BuildStopped = "build.stopped", "A build was stopped before it finished.";
    PipelineSucceeded = "pipeline.succeeded", "A pipeline run passed.";
    PipelineFailed = "pipeline.failed", "A pipeline run failed.";
    PipelineStopped = "pipeline.stopped", "A pipeline run was stopped before it finished.";
    IssueOpened = "issue.opened", "An issue was opened.";
    IssueUpdated = "issue.updated", "An issue changed.";
    IssueCommentAdded = "issue.comment_added", "A comment was added to an issue.";
    RepositoryCreated = "repository.created", "A repository was created.";
    RepositoryForked = "repository.forked", "A repository was forked.";
    RepositoryUpdated = "repository.updated", "The settings of a repository changed.";
    RepositoryTransferred = "repository.transferred", "A repository was transferred to a new owner.";
    RepositoryImported = "repository.imported", "A repository was imported.";
    RepositoryDeleted = "repository.deleted", "A repository was deleted.";
    ProjectUpdated = "project.updated", "The settings of a project changed.";
    Other = "other", "An event that Hookbell does not recognize: stored, routable, and posted in a generic form.";
}

impl Kind {
    /// Returns the kind with this text form.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }

    /// Returns the optional parts that events of this kind may have, in addition to the parts that any event may have:
    /// `actor`, `repository`, `project`, `changes`. `other` may have any part.
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

    /// Returns the part before the dot, `pull_request`, or the full name if there is no dot.
    pub fn family(self) -> &'static str {
        let name = self.as_str();
        name.split_once('.').map_or(name, |(family, _)| family)
    }
}

impl Kind {
    /// Returns `true` if the kind is about a branch or tag. One push may contain many such events.
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
    fn text_form_equals_json() {
        for &kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
