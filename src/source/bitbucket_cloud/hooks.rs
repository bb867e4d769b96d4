//! Webhooks of Bitbucket's REST API (<https://developer.atlassian.com/cloud/bitbucket/rest/api-group-webhooks/>).

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Response;
use reqwest::Method;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use url::Url;

use crate::http_client::{Http, below, wait_of};
use crate::source::hooks::{Access, ApiError, ApiErrorKind, Hook, HookApi, HookApiKind, HookSettings, Place};
use crate::text::cut_text;

/// The API.
pub(super) static API: HookApiKind =
    HookApiKind { url: "https://api.bitbucket.org/2.0", named_by, connect: |access| Box::new(Client::new(access)) };

/// Maximum number of webhooks of a repository or a workspace.
const MAX_HOOKS: usize = 50;

/// Maximum number of pages that are read: enough for twice as many webhooks, at one per page.
const MAX_PAGES: usize = 2 * MAX_HOOKS;

/// Maximum wait for a rate limit, and how often it is waited for.
const PATIENCE: (Duration, usize) = (Duration::from_secs(60), 3);

/// Returns the keys whose events show what an event with this key means:
/// - An update of a pull request does not say what changed.
/// - Only the state of pull requests tells whether a push merges one.
/// - A build of a status names the commit, but not always its branch or its pull request, and was fixed if the one
///   before failed.
/// - A span of a pipeline identifies the repository by its id only.
fn named_by(key: &str) -> &'static [&'static str] {
    match key {
        "pullrequest:updated" => &["pullrequest:created"],
        "repo:push" => &["pullrequest:created", "pullrequest:updated", "pullrequest:fulfilled"],
        "repo:commit_status_created" | "repo:commit_status_updated" => &[
            "repo:commit_status_created",
            "repo:commit_status_updated",
            "repo:push",
            "pullrequest:created",
            "pullrequest:updated",
            "pullrequest:fulfilled",
        ],
        "pipeline:span_created" => &["repo:push"],
        _ => &[],
    }
}

struct Client {
    http: Http,
    url: Url,
    authorization: HeaderValue,
    /// `true` for an API token of an account, `false` for an access token.
    is_of_account: bool,
}

/// A webhook in a response.
#[derive(Deserialize)]
struct Answer {
    uuid: String,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    active: Option<bool>,
    #[serde(default)]
    events: BTreeSet<String>,
    #[serde(default)]
    secret_set: Option<bool>,
    #[serde(default)]
    skip_cert_verification: Option<bool>,
}

impl From<Answer> for Hook {
    fn from(hook: Answer) -> Self {
        Self {
            id: hook.uuid,
            settings: HookSettings {
                url: hook.url.unwrap_or_default(),
                title: hook.description.unwrap_or_default(),
                active: hook.active.unwrap_or(true),
                events: hook.events,
                verifies_certificate: !hook.skip_cert_verification.unwrap_or(false),
            },
            has_secret: hook.secret_set,
        }
    }
}

/// A webhook in a request. Without `secret`, a change keeps the secret.
#[derive(Serialize)]
struct Wanted<'a> {
    description: &'a str,
    url: &'a str,
    active: bool,
    events: &'a BTreeSet<String>,
    skip_cert_verification: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

/// Page of a list.
#[derive(Deserialize)]
struct Page<T> {
    #[serde(default = "Vec::new")]
    values: Vec<T>,
    #[serde(default)]
    next: Option<String>,
}

/// Event of `GET /hook_events/{subject_type}`.
#[derive(Deserialize)]
struct Offered {
    event: String,
}

/// Body of an error.
#[derive(Default, Deserialize)]
struct Failure {
    #[serde(default)]
    error: Reason,
}

#[derive(Default, Deserialize)]
struct Reason {
    #[serde(default)]
    message: String,
    /// For missing scopes an object, otherwise a text.
    #[serde(default)]
    detail: Detail,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Detail {
    Scopes {
        required: Vec<String>,
        #[serde(default)]
        granted: Vec<String>,
    },
    Text(String),
    Other(serde::de::IgnoredAny),
    #[default]
    None,
}

impl Client {
    fn new(access: Access) -> Self {
        let token = access.token.expose_secret();
        let text = match &access.email {
            Some(email) => format!("Basic {}", STANDARD.encode(format!("{email}:{token}"))),
            None => format!("Bearer {token}"),
        };
        // A token that cannot be sent is refused as an empty one.
        let mut authorization = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
        authorization.set_sensitive(true);
        Self { http: access.http, url: access.url, authorization, is_of_account: access.email.is_some() }
    }

    fn hooks(&self, place: &Place, id: Option<&str>) -> Url {
        let mut segments = match place {
            Place::Workspace(workspace) => vec!["workspaces", workspace, "hooks"],
            Place::Repository { workspace, repo } => vec!["repositories", workspace, repo, "hooks"],
        };
        segments.extend(id);
        below(&self.url, &segments)
    }

    /// Sends a request and returns a successful response. Waits for a rate limit if the API says how long.
    async fn call(
        &self,
        method: Method,
        url: Url,
        body: Option<String>,
        place: &Place,
    ) -> Result<Response<Bytes>, ApiError> {
        let mut waits = 0;
        loop {
            let called = self.http.call(method.clone(), url.clone(), &self.authorization, body.clone()).await;
            let called = called.map_err(|none| ApiError {
                message: format!("no response from {}: {none}", self.server()),
                help: Some("check the network, `[http] proxy`, and `api_url` in `[hooks]`".to_owned()),
                kind: ApiErrorKind::General,
            })?;
            match wait_of(called.headers()) {
                Some(wait) if called.status() == 429 && wait <= PATIENCE.0 && waits < PATIENCE.1 => {
                    waits += 1;
                    sleep(wait).await;
                }
                _ if called.status().is_success() => return Ok(called),
                _ => return Err(self.error(&called, place)),
            }
        }
    }

    fn server(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    fn parsed<T: DeserializeOwned>(&self, called: &Response<Bytes>) -> Result<T, ApiError> {
        serde_json::from_slice(called.body()).map_err(|error| ApiError {
            message: format!("unexpected response from {}: {error}", self.server()),
            help: Some("check `api_url` in `[hooks]`".to_owned()),
            kind: ApiErrorKind::General,
        })
    }

    /// Reads all pages of a list.
    async fn all<T: DeserializeOwned>(&self, first: Url, place: &Place) -> Result<Vec<T>, ApiError> {
        let (mut values, mut url) = (vec![], first);
        url.query_pairs_mut().append_pair("pagelen", "100");
        for _ in 0..MAX_PAGES {
            let page: Page<T> = self.parsed(&self.call(Method::GET, url.clone(), None, place).await?)?;
            values.extend(page.values);
            let Some(next) = page.next.and_then(|next| Url::parse(&next).ok()) else { return Ok(values) };
            if next.origin() == url.origin() {
                url = next;
            } else {
                // A proxy passes on the API's own links. No other server gets the token.
                url.set_query(next.query());
            }
        }
        Err(ApiError {
            message: format!("{} returned more than {MAX_PAGES} pages", self.server()),
            help: Some("check `api_url` in `[hooks]`".to_owned()),
            kind: ApiErrorKind::General,
        })
    }

    async fn write(&self, method: Method, url: Url, wanted: &Wanted<'_>, place: &Place) -> Result<Hook, ApiError> {
        // Serializing texts and lists cannot fail.
        let body = serde_json::to_string(wanted).unwrap_or_default();
        let called = self.call(method, url, Some(body), place).await?;
        self.parsed::<Answer>(&called).map(Hook::from)
    }

    /// Describes an error response.
    fn error(&self, called: &Response<Bytes>, place: &Place) -> ApiError {
        let Failure { error } = serde_json::from_slice(called.body()).unwrap_or_default();
        let said = said(called.status().as_u16(), &error);
        let failed = |message: String, help: Option<String>, kind| ApiError { message, help, kind };
        match (called.status().as_u16(), error.detail) {
            (401, _) => failed(
                format!("Bitbucket does not accept the token: {said}"),
                Some(self.new_token()),
                ApiErrorKind::General,
            ),
            (403, Detail::Scopes { required, granted }) => {
                let missing: Vec<_> =
                    required.iter().filter(|scope| !granted.contains(scope)).map(|scope| ticked(scope)).collect();
                let s = if missing.len() == 1 { "" } else { "s" };
                failed(
                    format!("the token lacks the scope{s} {}", missing.join(", ")),
                    Some(format!("create a token with {}", self.scopes())),
                    ApiErrorKind::General,
                )
            }
            (403, _) => {
                failed(format!("Bitbucket refuses access: {said}"), Some(self.rights(place)), ApiErrorKind::Local)
            }
            (404, _) => {
                let help = match place {
                    Place::Workspace(_) => format!("{}; if `api_url` is set, check it too", self.rights(place)),
                    Place::Repository { .. } => format!(
                        "check `workspace` and `repos` in `[hooks]`: a repository is named as in its URL; {}",
                        self.rights(place)
                    ),
                };
                failed(format!("Bitbucket does not find it: {said}"), Some(help), ApiErrorKind::NotFound)
            }
            (429, _) => {
                let wait = wait_of(called.headers());
                let when = wait.map(|wait| format!(" in {} min", wait.as_secs().div_ceil(60)));
                failed(
                    "Bitbucket's rate limit is reached".to_owned(),
                    Some(format!(
                        "run the command again{}; what is done stays done",
                        when.unwrap_or_else(|| " in an hour".to_owned())
                    )),
                    ApiErrorKind::General,
                )
            }
            (500.., _) => failed(
                format!("Bitbucket failed: {said}"),
                Some("run the command again later; see https://bitbucket.status.atlassian.com".to_owned()),
                ApiErrorKind::Local,
            ),
            (300..=399, _) => failed(
                format!("{} redirects: {said}", self.server()),
                Some("check `api_url` in `[hooks]`".to_owned()),
                ApiErrorKind::General,
            ),
            _ => failed(format!("Bitbucket refuses the request: {said}"), None, ApiErrorKind::Local),
        }
    }

    fn new_token(&self) -> String {
        let advice = if self.is_of_account {
            "create a new API token if this one has expired, and check that `email` is the address of its Atlassian account"
        } else {
            "create a new access token if this one has expired; an API token of an account needs `email` in `[hooks]`"
        };
        format!("{advice}; it needs {}", self.scopes())
    }

    /// The scopes in the vocabulary of the token. A granular scope does not imply another.
    const fn scopes(&self) -> &'static str {
        if self.is_of_account {
            "the scopes `read:webhook:bitbucket`, `write:webhook:bitbucket` and `delete:webhook:bitbucket`, and for the events \
             `read:repository:bitbucket`, `read:pullrequest:bitbucket`, and, if routes use them, `read:issue:bitbucket`, \
             `read:pipeline:bitbucket` and `read:project:bitbucket`"
        } else {
            "the scopes `webhook`, `repository` and `pullrequest`, and, if routes use their events, `issue`, `pipeline` and \
             `project`"
        }
    }

    /// Says who may manage webhooks.
    fn rights(&self, place: &Place) -> String {
        match place {
            Place::Workspace(_) if self.is_of_account => {
                "the token's account must be an administrator of the workspace; check `workspace` in `[hooks]`".to_owned()
            }
            Place::Workspace(_) => "a webhook of a workspace needs a workspace access token, which only the Premium plan has; \
                                    instead, use an API token of an administrator with `email`, or list `repos`"
                .to_owned(),
            Place::Repository { .. } if self.is_of_account => {
                "the token's account must be an administrator of the repository".to_owned()
            }
            Place::Repository { .. } => {
                "the access token must belong to this repository, its project or its workspace, with the `webhook` scope"
                    .to_owned()
            }
        }
    }
}

fn ticked(text: &str) -> String {
    format!("`{text}`")
}

/// Maximum length of the API's words in an error.
const MAX_SAID: usize = 300;

/// Returns what the API said.
fn said(status: u16, reason: &Reason) -> String {
    let detail = match &reason.detail {
        Detail::Text(detail) if !detail.is_empty() => format!(" ({detail})"),
        _ => String::new(),
    };
    let text: String = format!("{}{detail}", reason.message).chars().filter(|c| !c.is_control()).collect();
    let text = cut_text(text.trim(), MAX_SAID);
    if text.is_empty() { format!("status {status}") } else { format!("status {status}: {text}") }
}

#[async_trait]
impl HookApi for Client {
    async fn list(&self, place: &Place) -> Result<Vec<Hook>, ApiError> {
        let hooks: Vec<Answer> = self.all(self.hooks(place, None), place).await?;
        Ok(hooks.into_iter().map(Hook::from).collect())
    }

    async fn events(&self, place: &Place) -> Result<BTreeSet<String>, ApiError> {
        let subject = match place {
            Place::Workspace(_) => "workspace",
            Place::Repository { .. } => "repository",
        };
        let offered: Vec<Offered> = self.all(below(&self.url, &["hook_events", subject]), place).await?;
        Ok(offered.into_iter().map(|offered| offered.event).collect())
    }

    fn max_hooks(&self) -> usize {
        MAX_HOOKS
    }

    async fn create(&self, place: &Place, wanted: &HookSettings, secret: &SecretString) -> Result<Hook, ApiError> {
        let body = body(wanted, Some(secret));
        self.write(Method::POST, self.hooks(place, None), &body, place).await
    }

    async fn change(
        &self,
        place: &Place,
        id: &str,
        wanted: &HookSettings,
        secret: Option<&SecretString>,
    ) -> Result<Hook, ApiError> {
        let body = body(wanted, secret);
        self.write(Method::PUT, self.hooks(place, Some(id)), &body, place).await
    }

    async fn remove(&self, place: &Place, id: &str) -> Result<(), ApiError> {
        self.call(Method::DELETE, self.hooks(place, Some(id)), None, place).await.map(|_| ())
    }
}

fn body<'a>(wanted: &'a HookSettings, secret: Option<&'a SecretString>) -> Wanted<'a> {
    Wanted {
        description: &wanted.title,
        url: &wanted.url,
        active: wanted.active,
        events: &wanted.events,
        skip_cert_verification: !wanted.verifies_certificate,
        secret: secret.map(ExposeSecret::expose_secret),
    }
}
