//! Rejects requests from other programs. People paste a URL into the wrong form; a rejection that names the program
//! helps them to find it.

use http::HeaderMap;

use super::{EVENT_KEY, SIGNATURE, header};
use crate::source::Rejection;

/// Headers that identify the code host that sends them.
const HOSTS: &[(&str, &str)] = &[
    ("x-forgejo-event", "Forgejo"),
    ("x-gitea-event", "Gitea"),
    ("x-gogs-event", "Gogs"),
    ("x-github-event", "GitHub"),
    ("x-gitlab-event", "GitLab"),
    ("x-gitlab-token", "GitLab"),
    ("x-vss-activityid", "Azure DevOps"),
];

/// Event keys of Bitbucket Data Center, or their prefixes
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

/// Rejection of requests from apps (<https://developer.atlassian.com/cloud/bitbucket/modules/webhook/>).
pub(super) const CONNECT: &str = "the request is from a Connect or Forge app, whose events have another format; add a \
                                  webhook under Repository settings > Webhooks, with the source's secret";

/// Rejects a request whose headers identify another program.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Rejection> {
    let other = |text: String| Err(Rejection::OtherHost(text));
    if let Some((_, host)) = HOSTS.iter().find(|(name, _)| headers.contains_key(*name)) {
        return other(format!(
            "the request is from {host}, but the source has `kind = \"bitbucket-cloud\"`; remove this URL from {host}"
        ));
    }
    let key = header(headers, EVENT_KEY).unwrap_or_default();
    if DATA_CENTER.iter().any(|known| key.starts_with(known)) {
        return other(format!(
            "`{key}` is an event of Bitbucket Data Center, but the source has `kind = \"bitbucket-cloud\"`; remove \
             this URL from Data Center"
        ));
    }
    let is_signed = headers.contains_key(SIGNATURE);
    if !is_signed && header(headers, "authorization").is_some_and(|value| value.starts_with("JWT ")) {
        return other(CONNECT.to_owned());
    }
    Ok(())
}
