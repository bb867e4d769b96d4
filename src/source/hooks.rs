//! Webhooks as a code host's API manages them: listed, created, changed and removed.

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;
use secrecy::SecretString;
use thiserror::Error;
use url::Url;

use crate::http_client::Http;

/// API of a code host that manages webhooks.
pub struct HookApiKind {
    /// Default URL of the API.
    pub url: &'static str,
    /// Returns the event keys that name and complete events with the given key. For example, only the state of a pull
    /// request when it was created shows what an update has changed.
    pub named_by: fn(key: &str) -> &'static [&'static str],
    /// Creates a client.
    pub connect: fn(Access) -> Box<dyn HookApi>,
}

/// Access to an API.
pub struct Access {
    /// Sends the requests.
    pub http: Http,
    /// URL of the API, without a slash at its end.
    pub url: Url,
    /// Account of the token; `None` if the token alone identifies it.
    pub email: Option<String>,
    /// The token.
    pub token: SecretString,
}

/// What a webhook belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A workspace: the webhook gets the events of all its repositories.
    Workspace(String),
    /// A repository.
    Repository {
        /// Its workspace.
        workspace: String,
        /// Its short name, as in its URL.
        repo: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workspace(workspace) => f.write_str(workspace),
            Self::Repository { workspace, repo } => write!(f, "{workspace}/{repo}"),
        }
    }
}

impl Place {
    /// Parses `workspace` or `workspace/repo`.
    pub fn parse(text: &str) -> Self {
        match text.split_once('/') {
            None => Self::Workspace(text.to_owned()),
            Some((workspace, repo)) => Self::Repository { workspace: workspace.to_owned(), repo: repo.to_owned() },
        }
    }
}

/// Settings of a webhook, except its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookSettings {
    /// Address of the requests.
    pub url: String,
    /// Title in the host's settings.
    pub title: String,
    /// `false` if the host sends nothing.
    pub active: bool,
    /// Event keys that the host sends.
    pub events: BTreeSet<String>,
    /// `false` if the host accepts any certificate.
    pub verifies_certificate: bool,
}

/// A webhook, as the host describes it. The host never returns the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Id on the host.
    pub id: String,
    /// Its settings.
    pub settings: HookSettings,
    /// `true` if the host signs the requests; `None` if the host does not say.
    pub has_secret: Option<bool>,
}

/// Client of an API that manages webhooks.
#[async_trait]
pub trait HookApi: Send + Sync {
    /// Returns all webhooks of a place.
    async fn list(&self, place: &Place) -> Result<Vec<Hook>, ApiError>;

    /// Returns the event keys that a webhook of this place can have.
    async fn events(&self, place: &Place) -> Result<BTreeSet<String>, ApiError>;

    /// Returns how many webhooks a place can have.
    fn max_hooks(&self) -> usize;

    /// Creates a webhook.
    async fn create(&self, place: &Place, wanted: &HookSettings, secret: &SecretString) -> Result<Hook, ApiError>;

    /// Changes the settings of a webhook, and its secret if one is given.
    async fn change(
        &self,
        place: &Place,
        id: &str,
        wanted: &HookSettings,
        secret: Option<&SecretString>,
    ) -> Result<Hook, ApiError>;

    /// Removes a webhook.
    async fn remove(&self, place: &Place, id: &str) -> Result<(), ApiError>;
}

/// Error of an API, in the words of the host's settings. The text contains no secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ApiError {
    /// What happened.
    pub message: String,
    /// Instructions that fix it.
    pub help: Option<String>,
    /// Kind of the error.
    pub kind: ApiErrorKind,
}

/// Kind of an API error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiErrorKind {
    /// Only this place, or only this request, fails.
    Local,
    /// Every other request would fail too.
    General,
    /// The place or the webhook does not exist, or is hidden from the token.
    NotFound,
}
