//! Requests that come to a source of Bitbucket Cloud and are another program's: people paste an address into the wrong
//! form, and a reason that names the program tells them which.

use http::HeaderMap;

use super::{EVENT_KEY, SIGNATURE, header};
use crate::source::Refusal;

/// Headers that name the code host that sends them.
const HOSTS: &[(&str, &str)] = &[
    ("x-forgejo-event", "Forgejo"),
    ("x-gitea-event", "Gitea"),
    ("x-gogs-event", "Gogs"),
    ("x-github-event", "GitHub"),
    ("x-gitlab-event", "GitLab"),
    ("x-gitlab-token", "GitLab"),
    ("x-vss-activityid", "Azure DevOps"),
];

/// Event keys of Bitbucket Data Center, and how they begin
/// (<https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html>).
const DATA_CENTER: &[&str] = &[
    "pr:",
    "mirror:",
    "diagnostics:",
    "repo:refs_changed",
    "repo:modified",
    "repo:forked",
    "repo:comment:",
    "repo:secret_detected",
    "project:modified",
];

/// The reason for requests of apps (<https://developer.atlassian.com/cloud/bitbucket/modules/webhook/>).
pub(super) const CONNECT: &str = "this request is from a Connect or Forge app, which wraps and signs events in its own way: add a \
                                  webhook under Repository settings > Webhooks, with the source's secret";

/// Rejects a request whose headers say that it is of another program.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    let other = |text: String| Err(Refusal::OtherHost(text));
    if let Some((_, host)) = HOSTS.iter().find(|(name, _)| headers.contains_key(*name)) {
        return other(format!(
            "this request is from {host}, and the source is of `kind = \"bitbucket-cloud\"`: use the URL of a source for {host}"
        ));
    }
    let key = header(headers, EVENT_KEY).unwrap_or_default();
    if DATA_CENTER.iter().any(|known| key.starts_with(known)) {
        return other(format!(
            "`{key}` is an event of Bitbucket Data Center, and the source is of `kind = \"bitbucket-cloud\"`: use the URL of a \
             source for Data Center"
        ));
    }
    let is_signed = headers.contains_key(SIGNATURE);
    if !is_signed && header(headers, "authorization").is_some_and(|value| value.starts_with("JWT ")) {
        return other(CONNECT.to_owned());
    }
    Ok(())
}
