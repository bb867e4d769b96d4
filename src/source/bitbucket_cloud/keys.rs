//! Event keys of Bitbucket: the `hook_event.event` values of its API
//! (<https://developer.atlassian.com/cloud/bitbucket/rest/api-group-webhooks/>), and `pipeline:span_created`
//! (<https://www.atlassian.com/blog/bitbucket/bitbucket-pipelines-opentelemetry-traces-via-webhooks>).

use crate::source::json::Json;

use crate::event::Kind;
use crate::source::{HostKey, Rejection};

macro_rules! keys {
    ($($name:literal ($($needs:literal)*) => $($kind:ident)*;)*) => {
        /// All keys that Bitbucket is known to send.
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

/// Objects that distinguish bodies. `approval` is not one of them: some bodies of declined pull requests have it.
const TELLING: &[&str] = &["push", "pullrequest", "issue", "commit_status", "comment", "fork", "project"];

/// The same objects and `changes`, which only bodies of updates have.
const TELLING_AND_CHANGES: &[&str] =
    &["push", "pullrequest", "issue", "commit_status", "comment", "fork", "project", "changes"];

/// Returns the objects that a body with this key never has. Most keys require an object that no other body has. A host
/// may add objects to such a body in the future, so they are not a reason to reject it.
fn never_has(key: &HostKey) -> &'static [&'static str] {
    match key.needs {
        // All bodies have a repository.
        ["repository"] if key.name == "repo:updated" => TELLING,
        ["repository"] => TELLING_AND_CHANGES,
        ["comment"] => &["pullrequest", "issue"],
        // A pull request that was just opened has no votes.
        ["pullrequest"] if key.name == "pullrequest:created" => &["comment", "approval", "changes_request"],
        // The body of a comment also contains the object that was commented on.
        ["pullrequest" | "issue"] | ["pullrequest", "approval" | "changes_request"] if key.name != "issue:updated" => {
            &["comment"]
        }
        _ => &[],
    }
}

/// Returns the key with this name.
pub(super) fn named(name: &str) -> Option<&'static HostKey> {
    ALL.iter().find(|key| key.name == name)
}

/// Checks that a body matches its key, as far as possible: the body is signed, the key is not.
pub(super) fn fits(key: &HostKey, body: &Json<'_>) -> Result<(), Rejection> {
    for object in key.needs {
        if !body[*object].is_object() {
            return Err(Rejection::Malformed(format!("invalid `{}` body: missing object `{object}`", key.name)));
        }
    }
    for object in never_has(key) {
        if body[*object].is_object() {
            return Err(Rejection::Malformed(format!("invalid `{}` body: unexpected object `{object}`", key.name)));
        }
    }
    Ok(())
}
