//! Sample requests: bodies of Bitbucket's shape, about people and a repository of our own invention.

use crate::source::Sample;

macro_rules! samples {
    ($($name:literal $key:literal $about:literal)*) => {
        /// Every sample, in the order in which they are listed.
        pub(super) const ALL: &[Sample] = &[
            $(Sample { name: $name, key: $key, about: $about, body: include_str!(concat!($name, ".json")) },)*
        ];
    };
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
    "pull_request.updated" "pullrequest:updated" "a pull request that changed somehow"
    "pull_request.approved" "pullrequest:approved" "the first of two approvals"
    "pull_request.approval_withdrawn" "pullrequest:unapproved" "an approval taken back"
    "pull_request.merged" "pullrequest:fulfilled" "a merge"
    "pull_request.declined" "pullrequest:rejected" "a pull request declined with a reason"
    "pull_request.comment_added" "pullrequest:comment_created" "a comment on the whole"
    "pull_request.comment_added.inline" "pullrequest:comment_created" "a comment on a line of code"
}
