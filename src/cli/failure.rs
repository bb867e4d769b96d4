//! All errors of commands.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::init::AnswerError;
use super::{plural, tally};
use crate::event::ChannelName;
use crate::problem::{Problem, did_you_mean, or_near};
use crate::server::admin::TokenError;
use crate::service::expectations::ExpectationsError;
use crate::service::hooks::HooksError;
use crate::service::payload::PayloadError;
use crate::store::{StoreError, StoreUrl};

/// Failure of a command.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// Errors with positions, which are printed instead of this text.
    #[error("the configuration has {}", tally(.0))]
    Problems(Vec<Problem>),
    #[error("cannot {doing} `{}`: {error}", path.display())]
    File { doing: Doing, path: PathBuf, error: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),

    // The input of a command.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    #[error(
        "`{0}` is not a valid time; use an age or a time, as in `2h`, `22:00`, `yesterday`, `2026-11-24`, `2026-11-24 08:00`, `2026-11-24T08:00:00Z`"
    )]
    InvalidTime(String),
    #[error("unknown channel `{name}`; {}", near.as_deref().map_or_else(|| format!("channels: {}", known.join(", ")), did_you_mean))]
    UnknownChannel { name: String, near: Option<String>, known: Vec<String> },
    #[error("missing channel name: run `hookbell channels test NAME`")]
    NoChannelName,
    #[error("unknown template `{name}`{}", or_near(near.as_deref()))]
    UnknownTemplate { name: String, near: Option<String> },
    #[error("unknown built-in template `{name}`{}", or_near(near.as_deref()))]
    UnknownBuiltIn { name: String, near: Option<String> },
    #[error("there is no user template `{0}`; `hookbell templates list` lists all")]
    NoUserTemplate(String),
    #[error("`{}` sets no templates directory: add `templates = \"templates\"`", .0.display())]
    NoTemplatesDirectory(PathBuf),
    #[error("`{}` already exists; compare it with `hookbell templates diff {name}`", path.display())]
    TemplateExists { path: PathBuf, name: String },
    #[error("the templates have errors: fix them")]
    InvalidTemplates,
    #[error("the templates or the people mapping have errors")]
    InvalidTemplatesOrPeople,
    #[error("`--refused` is now `--rejected`")]
    RenamedFlag,
    #[error("missing ids or `--state`; pass ids, or for example `{0}`")]
    NothingSelected(&'static str),
    #[error("samples and files are explained with the local configuration: remove `--server`")]
    LocalOnly,
    #[error("`{}` already exists: edit it, or name another file with `--config`", .0.display())]
    ConfigExists(PathBuf),
    #[error("`{}` already exists: remove it, or leave out the URL to keep it", .0.display())]
    SecretExists(PathBuf),
    #[error("`{}` already exists: remove it to create another", .0.display())]
    CertificateExists(PathBuf),
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error("cannot create a certificate for {}: {error}", names.join(", "))]
    NoCertificate { names: Vec<String>, error: rcgen::Error },
    #[error("cannot ask: {0}")]
    Asking(io::Error),
    #[error("no source of kind `{0}` is configured")]
    NoSource(&'static str),
    #[error("source `{0}` has no secret yet: start Hookbell once to generate it")]
    NoSecretYet(String),
    #[error("`{0}` is not a loopback address; use 127.0.0.1 and a tunnel")]
    NotLoopback(SocketAddr),
    #[error(transparent)]
    Expectations(ExpectationsError),

    // The running service, and its store.
    #[error("missing API token: pass `--token-file FILE` or set {0}")]
    NoToken(&'static str),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the store `{0}` does not exist: start Hookbell once to create it")]
    NoStore(StoreUrl),
    #[error("another Hookbell is starting or stopping: try again in a few seconds")]
    Restarting,
    #[error("cannot create the HTTP client: {0}")]
    NoClient(String),
    #[error("cannot reach {url}: {reason}")]
    Unreachable { url: String, reason: String },
    /// The API's answer to a request that it cannot fulfil.
    #[error("{0}")]
    Api(String),
    /// The API does not know what the command names.
    #[error("{0}")]
    NotFound(String),
    /// [`Self::NotFound`] for an id, with the command that lists the known ones.
    #[error("{failure}\n  `hookbell {list}` lists {list}")]
    UnknownId { failure: Box<Failure>, list: &'static str },
    /// [`Self::Api`] or [`Self::NotFound`], with a hint for `explain`.
    #[error("{failure}{}{}", sample_hint(near.as_deref()), if matches!(**failure, Self::NotFound(_)) { LISTS } else { "" })]
    NotExplained { failure: Box<Failure>, near: Option<String> },
    #[error("unexpected response, probably from another version: {0}")]
    UnexpectedResponse(serde_json::Error),
    #[error("nothing was sent for delivery `{0}` yet")]
    NothingSent(String),
    #[error("cannot send to {url}: {reason}{}", help.map(|help| format!("\n  {help}")).unwrap_or_default())]
    NotSent { url: String, reason: String, help: Option<&'static str> },
    #[error("{url} answered {status}: {message}")]
    SampleRejected { url: String, status: u16, message: String },

    // Starting and running.
    #[error("cannot start: {0}")]
    NoRuntime(io::Error),
    #[error("cannot start threads: {0}")]
    NoThreads(io::Error),
    #[error("cannot handle signals: {0}")]
    NoSignals(io::Error),
    #[error("cannot listen on {address}: {error}{}", key.map(|key| format!("\n  change `{key}` in `[server]`, or stop the process that uses it")).unwrap_or_default())]
    Listen { address: SocketAddr, key: Option<&'static str>, error: io::Error },
    #[error("`listen` is `systemd`, but no socket was passed\n  use a systemd socket unit, or set an address")]
    NoSocket,
    #[error("cannot use the passed socket: {0}")]
    UnusableSocket(io::Error),
    #[error("cannot watch files: {0}")]
    Watch(notify::Error),
    #[error(
        "this build does not contain the preview page; with Node 20 or newer, run:\n  cd preview && npm ci && npm run build && cd .. && cargo build"
    )]
    NoPreviewPage,

    // Webhooks on the code host.
    #[error(transparent)]
    Hooks(#[from] HooksError),
    #[error("failed for {}", plural(*.0, "place"))]
    HooksFailed(usize),

    // A check that failed.
    #[error("{} found", plural(*.0, "problem"))]
    Findings(usize),
    #[error("{}: {found}", config.display())]
    Check { config: PathBuf, found: String },
    #[error("{}", .0.join("\n"))]
    RenderFailures(Vec<String>),
    #[error("{}: {passed} passed, {failed} failed", plural(passed + failed, "test"))]
    Tests { passed: usize, failed: usize },
    #[error("nothing to do for:\n{}", .0.iter().map(|(id, reason)| format!("  {id}: {reason}")).collect::<Vec<_>>().join("\n"))]
    LeftOut(Vec<(String, String)>),
    #[error("{channel}: {result}\n  response: {response}{}", help.map(|help| format!("\n  help: {help}")).unwrap_or_default())]
    ChannelTest { channel: ChannelName, result: TestResult, response: String, help: Option<&'static str> },
}

/// Outcome of a test message that may not have arrived.
#[derive(Clone, Copy, Debug, Error)]
pub(super) enum TestResult {
    #[error("temporary failure: the service would retry")]
    Retry,
    #[error("the chat rejected the message")]
    Rejected,
    #[error("the destination no longer accepts messages")]
    Closed,
    #[error("outcome unknown: the message may have been posted")]
    Unknown,
}

/// Operation on a file.
#[derive(Clone, Copy, Debug, Error)]
pub(super) enum Doing {
    #[error("read the token file")]
    ReadTokenFile,
    #[error("read")]
    Read,
    #[error("create")]
    Create,
    #[error("write to")]
    Write,
}

/// Commands that list what `explain` can show.
const LISTS: &str = "\n  `hookbell events` lists events, `hookbell events --rejected` lists rejected requests,\n  \
                     `hookbell sample list` lists samples; a payload file needs `--event KEY`";

fn sample_hint(near: Option<&str>) -> String {
    near.map(|near| format!("\n  did you mean the sample `{near}`?")).unwrap_or_default()
}

impl From<ExpectationsError> for Failure {
    fn from(error: ExpectationsError) -> Self {
        match error {
            ExpectationsError::Problems(problems) => Self::Problems(problems),
            error => Self::Expectations(error),
        }
    }
}

impl Failure {
    /// Creates the failure of an operation on a file.
    pub(super) fn file(doing: Doing, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { doing, path, error }
    }

    /// Adds the command that lists known ids, if an id was not found.
    pub(super) fn with_list(self, list: &'static str) -> Self {
        match self {
            Self::NotFound(_) => Self::UnknownId { failure: Box::new(self), list },
            other => other,
        }
    }

    /// Returns true for errors in the arguments or the configuration, which have exit code 2.
    pub(super) const fn is_usage(&self) -> bool {
        match self {
            Self::Payload(error) => return error.is_usage(),
            Self::Expectations(error) => return error.is_usage(),
            Self::Hooks(error) => return error.is_usage(),
            _ => {}
        }
        matches!(
            self,
            Self::Problems(_)
                | Self::InvalidTime(_)
                | Self::UnknownChannel { .. }
                | Self::NoChannelName
                | Self::UnknownTemplate { .. }
                | Self::UnknownBuiltIn { .. }
                | Self::NoUserTemplate(_)
                | Self::NoTemplatesDirectory(_)
                | Self::RenamedFlag
                | Self::NothingSelected(_)
                | Self::LocalOnly
                | Self::ConfigExists(_)
                | Self::SecretExists(_)
                | Self::CertificateExists(_)
                | Self::Answer(_)
                | Self::NoCertificate { .. }
                | Self::NoSource(_)
                | Self::NotLoopback(_)
                | Self::NoToken(_)
        )
    }
}
