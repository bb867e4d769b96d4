//! Sample requests: bodies of Bitbucket's shape, about people and a repository of our own invention.

use crate::source::Sample;

macro_rules! samples {
    ($($name:literal $key:literal $(after $after:literal)? $about:literal)*) => {
        /// Every sample, in the order in which they are listed.
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
    "push.truncated" "repo:push" "more commits than the host sends"
    "push.several_refs" "repo:push" "a branch, a new branch and a new tag at once"
    "branch.created" "repo:push" "a new branch"
    "branch.deleted" "repo:push" "a branch that is gone"
    "tag.created" "repo:push" "a new annotated tag"
    "tag.moved" "repo:push" "a tag that points elsewhere now"
    "tag.deleted" "repo:push" "a tag that is gone"
    "pull_request.opened" "pullrequest:created" "a new pull request with two reviewers"
    "pull_request.opened.draft" "pullrequest:created" "a new draft"
    "pull_request.opened.fork" "pullrequest:created" "a pull request from a fork"
    "pull_request.ready" "pullrequest:updated" after "pull_request.opened.draft" "a draft that is ready for review"
    "pull_request.updated" "pullrequest:updated" "a pull request that changed somehow"
    "pull_request.commits_added" "pullrequest:updated" after "pull_request.opened" "new commits on its branch"
    "pull_request.retargeted" "pullrequest:updated" after "pull_request.opened" "another branch to go into"
    "pull_request.edited" "pullrequest:updated" after "pull_request.opened" "another title and more description"
    "pull_request.reviewers_changed" "pullrequest:updated" after "pull_request.opened" "one reviewer for another"
    "pull_request.approved" "pullrequest:approved" "the first of two approvals"
    "pull_request.approval_withdrawn" "pullrequest:unapproved" "an approval taken back"
    "pull_request.changes_requested" "pullrequest:changes_request_created" "a reviewer who wants changes"
    "pull_request.changes_withdrawn" "pullrequest:changes_request_removed" "a reviewer who wants them no more"
    "pull_request.merged" "pullrequest:fulfilled" "a merge"
    "pull_request.declined" "pullrequest:rejected" "a pull request declined with a reason"
    "pull_request.comment_added" "pullrequest:comment_created" "a comment on the whole"
    "pull_request.comment_added.inline" "pullrequest:comment_created" "a comment on a line of code"
    "pull_request.comment_added.removed_line" "pullrequest:comment_created" "a comment on a line that was removed"
    "pull_request.comment_added.reply" "pullrequest:comment_created" "a reply that mentions somebody"
    "pull_request.comment_edited" "pullrequest:comment_updated" "a comment put differently"
    "pull_request.comment_deleted" "pullrequest:comment_deleted" "a comment that is gone"
    "pull_request.comment_resolved" "pullrequest:comment_resolved" "a thread that is settled"
    "pull_request.comment_reopened" "pullrequest:comment_reopened" "a thread that is not, after all"
    "commit.comment_added" "repo:commit_comment_created" "a comment on a line of a commit"
    "build.started" "repo:commit_status_created" "a pipeline that began"
    "build.succeeded" "repo:commit_status_created" "a build of another system that passed"
    "build.failed" "repo:commit_status_updated" after "build.started" "a pipeline that failed"
    "build.fixed" "repo:commit_status_updated" after "build.failed" "a pipeline that passes again"
    "build.stopped" "repo:commit_status_updated" "a pipeline that somebody stopped"
    "pipeline.succeeded" "pipeline:span_created" after "push" "a pipeline's run that passed, as a trace"
    "pipeline.failed" "pipeline:span_created" after "push" "a pipeline's run that failed"
    "pipeline.stopped" "pipeline:span_created" after "push" "a pipeline's run that was stopped"
    "pipeline.step" "pipeline:span_created" "a step of a pipeline, which is not told"
    "issue.opened" "issue:created" "a new issue"
    "issue.updated" "issue:updated" "an issue that somebody takes on"
    "issue.comment_added" "issue:comment_created" "a comment on an issue"
    "repository.created" "repo:created" "a new repository"
    "repository.forked" "repo:fork" "a fork"
    "repository.updated" "repo:updated" "a repository that is called otherwise, and private now"
    "repository.transferred" "repo:transfer" "a repository with a new owner"
    "repository.imported" "repo:imported" "a repository that was imported"
    "repository.deleted" "repo:deleted" "a repository that is gone"
    "project.updated" "project:updated" "a project that is called otherwise"
    "other" "repo:starred" "a key that Hookbell does not know"
}
