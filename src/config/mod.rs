//! What the config file says, checked and compiled into [`Settings`]; every problem with its position.
//!
//! Parse low, build high: `document` knows where each value stands, `section` takes values out of tables and
//! notes what is wrong or unknown, `build` makes of them what runs. Nothing outside this folder knows figment.

mod build;
mod document;
pub(crate) mod secret;
mod section;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;

use crate::chat::{Chat, Style};
use crate::event::{ChannelName, SourceName};
use crate::http_client::Http;
use crate::problem::{Place, Problem, Severity};
use crate::routing::Router;
use crate::routing::pattern::Patterns;
use crate::source::addresses::{Allowed, List};
use crate::source::{Provider, Source};
use crate::store::Keep;
use crate::template::Library;

/// All that runs, compiled. Immutable: a changed config makes a new one.
pub struct Settings {
    /// Where webhooks and health checks come in.
    pub listen: Listen,
    /// Where those who look after the service come in.
    pub admin: Admin,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The SQLite file.
    pub store: PathBuf,
    /// How long what is in it is kept.
    pub keep: Keep,
    /// What becomes of messages that do not arrive.
    pub delivery: DeliverySettings,
    /// `[sources.NAME]`.
    pub sources: BTreeMap<SourceName, SourceEntry>,
    /// `[channels.NAME]`.
    pub channels: BTreeMap<ChannelName, Channel>,
    /// `[[routes]]`, `[[mutes]]` and the channels' guards.
    pub router: Router,
    /// The templates.
    pub templates: Library,
    /// The one client for all outgoing requests.
    pub http: Http,
    /// Published lists of addresses that sources rely on.
    pub address_lists: Vec<Arc<List>>,
    /// Names this config: decisions are stored with it.
    pub hash: String,
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On an address of our own.
    Address(SocketAddr),
    /// On the socket that systemd passes in, which outlives restarts.
    Systemd,
}

impl Listen {
    /// The address; of a socket that is passed in, the usual one.
    pub fn address(self) -> SocketAddr {
        match self {
            Self::Address(address) => address,
            Self::Systemd => build::LISTEN,
        }
    }
}

/// The listener for those who look after the service.
pub struct Admin {
    /// Where.
    pub listen: SocketAddr,
    /// Names that it may be called by, beside addresses and `localhost`.
    pub hosts: Vec<String>,
    /// `[[admin.tokens]]`, beside the one that is made next to the store.
    pub tokens: Vec<AdminToken>,
}

/// One `[[admin.tokens]]`.
pub struct AdminToken {
    /// Whose it is.
    pub name: String,
    /// The token.
    pub token: SecretString,
    /// What it is good for.
    pub role: Role,
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looking.
    Read,
    /// Looking and changing.
    Operate,
}

/// `[delivery]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliverySettings {
    /// For how long a message is tried again.
    pub max_age: Duration,
    /// The channels that are told of what needs somebody.
    pub alerts: Vec<ChannelName>,
}

/// One `[channels.NAME]`.
pub struct Channel {
    /// Draws and sends.
    pub chat: Box<dyn Chat>,
    /// How much of a message it wants, where a route says nothing.
    pub style: Style,
    /// Its kind, for listings.
    pub kind: &'static str,
}

/// One `[sources.NAME]`.
pub struct SourceEntry {
    /// The code host.
    pub provider: &'static Provider,
    /// Verifies and parses its requests.
    pub source: Box<dyn Source>,
    /// The repositories that it may speak for.
    pub repo: Patterns,
    /// Its secrets, for signing samples.
    pub secrets: Vec<SecretString>,
    /// It takes requests without a signature.
    pub unsigned: bool,
    /// The addresses that its requests may come from, if not from any.
    pub allow_from: Option<Allowed>,
}

impl SourceEntry {
    /// Whether it may speak for every repository, also for one without a name.
    pub fn speaks_for_all(&self) -> bool {
        self.repo.matches("")
    }
}

/// What reading a config gave: settings, unless one of the problems is an error.
pub struct Loaded {
    /// What runs.
    pub settings: Option<Settings>,
    /// What is wrong; warnings too.
    pub problems: Vec<Problem>,
}

/// What to do where a secret is to be generated and is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// Generate it.
    Generate,
    /// Leave it: somebody is only looking.
    Leave,
}

/// Reads the config file and what it names: templates, secrets.
pub fn load(path: &Path, secrets: Secrets) -> Loaded {
    let (settings, problems) = match read(path) {
        Ok((document, directory)) => build::settings(&document, &directory, secrets),
        Err(problems) => (None, problems),
    };
    let fatal = problems.iter().any(|problem| problem.severity == Severity::Error);
    Loaded { settings: settings.filter(|_| !fatal), problems }
}

/// Reads of the config what templates need, whatever is wrong with the rest.
pub fn templates(path: &Path) -> (Library, Vec<Problem>) {
    match read(path) {
        Ok((document, directory)) => build::templates(&document, &directory),
        Err(problems) => (Library::built_in(), problems),
    }
}

/// Reads of the config where the store is, whatever is wrong with the rest.
pub fn store(path: &Path) -> Result<PathBuf, Vec<Problem>> {
    let (document, directory) = read(path)?;
    build::store(&document, &directory)
}

fn read(path: &Path) -> Result<(document::Document, PathBuf), Vec<Problem>> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot read the config file: {error}");
        let help = "name another with `--config FILE`, or start from the `config.toml` that comes with Hookbell";
        vec![Problem::error(message, Place::Named(shown.clone())).help(help)]
    })?;
    let document = document::Document::parse(shown, text).map_err(|problem| vec![problem])?;
    Ok((document, path.parent().unwrap_or(Path::new("")).to_owned()))
}

#[cfg(test)]
mod tests;
