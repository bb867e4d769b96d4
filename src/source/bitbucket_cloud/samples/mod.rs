//! Sample requests: bodies in Bitbucket's format, with invented people and an invented repository.

use crate::source::Sample;

macro_rules! samples {
    ($($name:literal $key:literal $(after $after:literal)? $about:literal)*) => {
        /// All samples, in the order in which they are listed.
        pub(super) const ALL: &[Sample] = &[$(Sample {
            name: $name,
            key: $key,
            about: $about,
            after: samples!(@after $($after)?),
            body: include_str!(concat!($name, ".json")),
        },)*];
    };
    (@after $after:literal) => { Some($after) };
    (@after) => { None };
}

samples! {
    "push" "repo:push" "three commits on main"
    "push.forced" "repo:push" "a branch whose history was rewritten"
    "push.truncated" "repo:push" "a push with more commits than the host sends"
    "push.several_refs" "repo:push" "a push to a branch, a new branch and a new tag"
    "branch.created" "repo:push" "a new branch"
    "branch.deleted" "repo:push" "a deleted branch"
    "tag.created" "repo:push" "a new annotated tag"
    "tag.moved" "repo:push" "a tag that was moved to another commit"
    "tag.deleted" "repo:push" "a deleted tag"
    "pull_request.opened" "pullrequest:created" "a new pull request with two reviewers"
    "pull_request.opened.draft" "pullrequest:created" "a new draft pull request"
    "pull_request.opened.fork" "pullrequest:created" "a new pull request from a fork"
    "pull_request.ready" "pullrequest:updated" after "pull_request.opened.draft" "a draft marked as ready for review"
    "pull_request.updated" "pullrequest:updated" "a pull request with an unspecified change"
    "pull_request.commits_added" "pullrequest:updated" after "pull_request.opened" "new commits on the source branch"
    "pull_request.retargeted" "pullrequest:updated" after "pull_request.opened" "a new target branch"
    "pull_request.edited" "pullrequest:updated" after "pull_request.opened" "a new title and description"
    "pull_request.reviewers_changed" "pullrequest:updated" after "pull_request.opened" "one reviewer replaced"
    "pull_request.approved" "pullrequest:approved" "the first of two approvals"
    "pull_request.approval_withdrawn" "pullrequest:unapproved" "a withdrawn approval"
    "pull_request.changes_requested" "pullrequest:changes_request_created" "a request for changes"
    "pull_request.changes_withdrawn" "pullrequest:changes_request_removed" "a withdrawn request for changes"
    "pull_request.merged" "pullrequest:fulfilled" "a merged pull request"
    "pull_request.declined" "pullrequest:rejected" "a pull request declined with a reason"
    "pull_request.comment_added" "pullrequest:comment_created" "a general comment"
    "pull_request.comment_added.inline" "pullrequest:comment_created" "a comment on a line of code"
    "pull_request.comment_added.removed_line" "pullrequest:comment_created" "a comment on a removed line"
    "pull_request.comment_added.reply" "pullrequest:comment_created" after "pull_request.comment_added.inline" "a reply with a mention"
    "pull_request.comment_edited" "pullrequest:comment_updated" "an edited comment"
    "pull_request.comment_deleted" "pullrequest:comment_deleted" "a deleted comment"
    "pull_request.comment_resolved" "pullrequest:comment_resolved" "a resolved thread"
    "pull_request.comment_reopened" "pullrequest:comment_reopened" "a reopened thread"
    "commit.comment_added" "repo:commit_comment_created" "a comment on a line of a commit"
    "build.started" "repo:commit_status_created" "a pipeline that started"
    "build.succeeded" "repo:commit_status_created" "a passed build of another system"
    "build.failed" "repo:commit_status_updated" after "build.started" "a failed pipeline"
    "build.fixed" "repo:commit_status_updated" after "build.failed" "a pipeline that passed after a failure"
    "build.stopped" "repo:commit_status_updated" "a stopped pipeline"
    "pipeline.succeeded" "pipeline:span_created" after "push" "a passed pipeline run, as a trace"
    "pipeline.failed" "pipeline:span_created" after "push" "a failed pipeline run, as a trace"
    "pipeline.stopped" "pipeline:span_created" after "push" "a stopped pipeline run, as a trace"
    "pipeline.step" "pipeline:span_created" "a pipeline step, which is not posted"
    "issue.opened" "issue:created" "a new issue"
    "issue.updated" "issue:updated" "an issue with a new state and assignee"
    "issue.comment_added" "issue:comment_created" "a comment on an issue"
    "repository.created" "repo:created" "a new repository"
    "repository.forked" "repo:fork" "a forked repository"
    "repository.updated" "repo:updated" "a repository that was renamed and made private"
    "repository.transferred" "repo:transfer" "a repository with a new owner"
    "repository.imported" "repo:imported" "an imported repository"
    "repository.deleted" "repo:deleted" "a deleted repository"
    "project.updated" "project:updated" "a renamed project"
    "other" "repo:starred" "an event key that Hookbell does not know"
}
