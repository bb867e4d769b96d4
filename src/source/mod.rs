//! Where requests come from: verifying them, and saying what happened in our words.
//!
//! Each provider is a folder of its own, all of one shape: `mod.rs` (its [`Source`]), a file for each family of
//! events, `samples/`. Nothing outside a provider's folder knows it, but for the list [`PROVIDERS`].

pub mod bitbucket_cloud;
mod signature;

use http::HeaderMap;
use secrecy::SecretString;
use thiserror::Error;

use crate::event::Event;
use crate::routing::pattern::Patterns;

/// A code host's side of webhooks.
pub trait Source: Send + Sync {
    /// The largest body, in bytes, that the host sends.
    fn largest_body(&self) -> usize;

    /// The headers that are kept with a request: what the host says of it, and no secret.
    fn telling_headers(&self) -> &'static [&'static str];

    /// Whether the request comes from whom it says, judged by the raw bytes, in constant time.
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal>;

    /// What happened. Call it after [`verify`](Self::verify).
    ///
    /// Fields may be missing, null, retyped or new: that makes a poorer event, not an error. An error is a body
    /// that is no JSON, or of another sort than its headers say.
    fn parse(&self, headers: &HeaderMap, body: &[u8]) -> Result<Parsed, Refusal>;
}

/// A request, understood.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The host's word for what happened: `repo:push`.
    pub key: String,
    /// The webhook that sent it, by the host's id.
    pub hook: Option<String>,
    /// What the host calls this request; it stays the same when it sends the request again.
    pub request_key: Option<String>,
    /// What happened. May be empty: a push that moved nothing.
    pub events: Vec<Event>,
}

/// Why a request is refused. The text goes to whoever sent it, so it holds nothing of ours.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// There is no signature.
    #[error("no {header} header: set the webhook's secret")]
    Unsigned {
        /// The header that should hold it.
        header: &'static str,
    },
    /// There is a signature, and it is not ours.
    #[error("signature does not match")]
    WrongSignature,
    /// The source's settings do not let it speak for this repository.
    #[error("this source may not speak for {repository}")]
    ForeignRepository {
        /// `workspace/slug`.
        repository: String,
    },
    /// The body is no JSON, or not what the headers say it is.
    #[error("{0}")]
    Malformed(String),
}

/// What a source needs to know of its settings.
pub struct SourceSettings {
    /// The secrets that a request may be signed with; during a rotation, the old one too.
    pub secrets: Vec<SecretString>,
    /// Names of accounts that are machines.
    pub bots: Patterns,
}

/// A code host that Hookbell knows.
pub struct Provider {
    /// What `kind = "…"` in `[sources.NAME]` says.
    pub kind: &'static str,
    /// Makes its source.
    pub build: fn(SourceSettings) -> Box<dyn Source>,
    /// Its built-in sample requests.
    pub samples: &'static [Sample],
    /// The headers that its host sends beside a body, but for the signature.
    pub headers: fn(key: &str, request_key: &str) -> HeaderMap,
    /// The header and value that sign a body.
    pub sign: fn(secret: &SecretString, body: &[u8]) -> (&'static str, String),
}

/// A realistic request of our own making.
pub struct Sample {
    /// Its name: a kind of event, with a variant where there are several (`push.forced`).
    pub name: &'static str,
    /// The host's word for it.
    pub key: &'static str,
    /// What it shows, in a few words.
    pub about: &'static str,
    /// The body, JSON.
    pub body: &'static str,
}

/// Every code host that Hookbell knows; the first is what commands assume.
pub static PROVIDERS: &[Provider] = &[bitbucket_cloud::PROVIDER];

/// The provider of this kind.
pub fn provider(kind: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.kind == kind)
}

impl Provider {
    /// The sample of this name.
    pub fn sample(&self, name: &str) -> Option<&'static Sample> {
        self.samples.iter().find(|sample| sample.name == name)
    }

    /// What happened in a sample, for looking at it without a request.
    pub fn parse(&self, key: &str, body: &[u8]) -> Result<Parsed, Refusal> {
        let settings = SourceSettings { secrets: vec![], bots: Patterns::default() };
        (self.build)(settings).parse(&(self.headers)(key, "sample"), body)
    }
}
