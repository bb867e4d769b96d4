//! The keys by which Bitbucket calls what happened: the `hook_event.event` values of its API
//! (<https://developer.atlassian.com/cloud/bitbucket/rest/api-group-webhooks/>), and `pipeline:span_created`
//! (<https://www.atlassian.com/blog/bitbucket/bitbucket-pipelines-opentelemetry-traces-via-webhooks>).

use serde_json::Value;

use crate::event::Kind;
use crate::source::{HostKey, Refusal};

macro_rules! keys {
    ($($name:literal ($($needs:literal)*) => $($kind:ident)*;)*) => {
        /// Every key that Bitbucket is known to send.
        pub(super) const ALL: &[HostKey] =
            &[$(HostKey { name: $name, kinds: &[$(Kind::$kind,)*], needs: &[$($needs,)*] },)*];
    };
}

keys! {
    "repo:push" ("push") => Push BranchCreated BranchDeleted TagCreated TagDeleted;
    "repo:fork" ("repository" "fork") => RepositoryForked;
    "repo:updated" ("repository") => RepositoryUpdated;
    "repo:transfer" ("repository") => RepositoryTransferred;
    "repo:created" ("repository") => RepositoryCreated;
    "repo:deleted" ("repository") => RepositoryDeleted;
    "repo:imported" ("repository") => RepositoryImported;
    "repo:commit_comment_created" ("comment") => CommitCommentAdded;
    "repo:commit_status_created" ("commit_status") => BuildStarted BuildSucceeded BuildFixed BuildFailed BuildStopped;
    "repo:commit_status_updated" ("commit_status") => BuildStarted BuildSucceeded BuildFixed BuildFailed BuildStopped;
    "issue:created" ("issue") => IssueOpened;
    "issue:updated" ("issue") => IssueUpdated;
    "issue:comment_created" ("issue" "comment") => IssueCommentAdded;
    "project:updated" ("project") => ProjectUpdated;
    "pullrequest:created" ("pullrequest") => PullRequestOpened;
    "pullrequest:updated" ("pullrequest") => PullRequestReady PullRequestCommitsAdded PullRequestRetargeted
        PullRequestEdited PullRequestReviewersChanged PullRequestUpdated;
    "pullrequest:push" ("pullrequest") => PullRequestCommitsAdded;
    "pullrequest:approved" ("pullrequest" "approval") => PullRequestApproved;
    "pullrequest:unapproved" ("pullrequest" "approval") => PullRequestApprovalWithdrawn;
    "pullrequest:changes_request_created" ("pullrequest" "changes_request") => PullRequestChangesRequested;
    "pullrequest:changes_request_removed" ("pullrequest" "changes_request") => PullRequestChangesWithdrawn;
    "pullrequest:fulfilled" ("pullrequest") => PullRequestMerged;
    "pullrequest:rejected" ("pullrequest") => PullRequestDeclined;
    "pullrequest:comment_created" ("pullrequest" "comment") => PullRequestCommentAdded;
    "pullrequest:comment_updated" ("pullrequest" "comment") => PullRequestCommentEdited;
    "pullrequest:comment_deleted" ("pullrequest" "comment") => PullRequestCommentDeleted;
    "pullrequest:comment_resolved" ("pullrequest" "comment") => PullRequestCommentResolved;
    "pullrequest:comment_reopened" ("pullrequest" "comment") => PullRequestCommentReopened;
    "pipeline:span_created" () => PipelineSucceeded PipelineFailed PipelineStopped;
}

/// The objects that tell bodies apart. `approval` is none of them: declined pull requests have been seen with one.
const TELLING: &[&str] = &["push", "pullrequest", "issue", "commit_status", "comment", "fork", "project"];

/// The same, and what only updates have.
const TELLING_AND_CHANGES: &[&str] =
    &["push", "pullrequest", "issue", "commit_status", "comment", "fork", "project", "changes"];

/// The objects that a body of this key never has. Most keys need an object that no other body has; hosts may send more
/// with it one day, and that is no reason to refuse it.
fn never_has(key: &HostKey) -> &'static [&'static str] {
    match key.needs {
        // All bodies have a repository.
        ["repository"] if key.name == "repo:updated" => TELLING,
        ["repository"] => TELLING_AND_CHANGES,
        ["comment"] => &["pullrequest", "issue"],
        // A pull request that was just opened has no votes.
        ["pullrequest"] if key.name == "pullrequest:created" => &["comment", "approval", "changes_request"],
        // What is commented on is in the body of a comment too.
        ["pullrequest" | "issue"] | ["pullrequest", "approval" | "changes_request"] if key.name != "issue:updated" => {
            &["comment"]
        }
        _ => &[],
    }
}

/// The key of this name.
pub(super) fn named(name: &str) -> Option<&'static HostKey> {
    ALL.iter().find(|key| key.name == name)
}

/// Whether a body is one of this key, as far as can be told: the key is not signed, the body is.
pub(super) fn fits(key: &HostKey, body: &Value) -> Result<(), Refusal> {
    for object in key.needs {
        if !body[object].is_object() {
            return Err(Refusal::Malformed(format!("this is no {} body: it has no `{object}` object", key.name)));
        }
    }
    for object in never_has(key) {
        if body[object].is_object() {
            return Err(Refusal::Malformed(format!("this is no {} body: it has a `{object}`", key.name)));
        }
    }
    Ok(())
}
