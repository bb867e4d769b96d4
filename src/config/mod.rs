//! What the config file says, checked and compiled into [`Settings`]; every problem with its position.
//!
//! Parse low, build high: `files` reads the config and what it includes, `document` knows where each value stands,
//! `section` takes values out of tables and notes what is wrong or unknown, `build` makes of them what runs. Nothing
//! outside this folder knows figment.

mod build;
mod document;
mod files;
mod kept;
mod live;
mod outline;
pub mod reference;
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
use crate::problem::{Problem, Severity};
use crate::routing::Router;
use crate::routing::pattern::Patterns;
use crate::source::addresses::{Allowed, List};
use crate::source::{Provider, Source};
use crate::store::{Keep, Lane};
use crate::template::Library;

pub use files::Watched;
pub use kept::Kept;
pub use live::Live;
pub use outline::Outline;

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
    /// The lane of each channel.
    pub lanes: BTreeMap<ChannelName, Lane>,
    /// `[[routes]]`, `[[mutes]]` and what channels accept.
    pub router: Router,
    /// What says where events go has mistakes: nothing of it is used, and events wait until it is mended.
    pub is_undecided: bool,
    /// The templates.
    pub templates: Library,
    /// Where users' own are, if the config says so.
    pub templates_directory: Option<PathBuf>,
    /// The one client for all outgoing requests; none where its settings have mistakes.
    pub http: Option<Http>,
    /// Published lists of addresses that sources rely on.
    pub address_lists: Vec<Arc<List>>,
    /// The rules as they are kept in the store.
    pub kept: Kept,
    /// What it consists of.
    pub outline: Outline,
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Where each is, for people: `in bitbucket.secret`.
    pub secret_origins: Vec<String>,
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

/// What reading a config gave.
pub struct Loaded {
    /// What runs; none where a mistake makes the service as a whole useless. Where one makes useless what says where events
    /// go, they are undecided.
    pub settings: Option<Settings>,
    /// What is wrong; warnings too.
    pub problems: Vec<Problem>,
    /// What it was read from.
    pub files: Watched,
}

impl Loaded {
    /// The settings, if nothing is wrong with them; else what is.
    pub fn sound(self) -> Result<Settings, Vec<Problem>> {
        let Self { settings, problems, .. } = self;
        settings.filter(|_| problems.iter().all(|problem| problem.severity == Severity::Warning)).ok_or(problems)
    }
}

/// What to do where a secret is to be generated and is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// Generate it.
    Generate,
    /// Leave it: somebody is only looking.
    Leave,
    /// Do without any that is missing: nothing is received or sent.
    Optional,
}

/// Reads the config file and what it names: templates, secrets, included files.
pub fn load(path: &Path, secrets: Secrets) -> Loaded {
    read(path, secrets, None)
}

/// The same, while `before` is in use: its published lists of addresses are known already, and a secret that was there
/// and is not any more is a mistake, for the webhooks have it.
pub fn reload(path: &Path, before: &Settings) -> Loaded {
    read(path, Secrets::Generate, Some(before))
}

fn read(path: &Path, secrets: Secrets, before: Option<&Settings>) -> Loaded {
    match files::read(path) {
        Ok(files) => {
            let (settings, problems) = build::settings(&files, secrets, before);
            Loaded { settings, problems, files: files.watched.into_inner() }
        }
        Err(problems) => {
            let mut files = Watched::default();
            files.add(path.to_owned());
            Loaded { settings: None, problems, files }
        }
    }
}

/// Reads of the config what templates need, whatever is wrong with the rest.
pub fn templates(path: &Path) -> (Library, Vec<Problem>) {
    match files::read(path) {
        Ok(files) => build::templates(&files),
        Err(problems) => (Library::built_in(), problems),
    }
}

/// Reads of the config where users' templates are, whatever is wrong with the rest; none where it names no directory.
pub fn templates_directory(path: &Path) -> Result<Option<PathBuf>, Vec<Problem>> {
    build::templates_directory(&files::read(path)?)
}

/// Reads of the config where the store is, whatever is wrong with the rest.
pub fn store(path: &Path) -> Result<PathBuf, Vec<Problem>> {
    build::store(&files::read(path)?)
}

/// The rules that [`Kept`] holds; none where they cannot be read any more.
pub fn kept_router(text: &str) -> Option<Router> {
    build::kept_router(&serde_json::from_str(text).ok()?)
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A file that only its owner may read: secrets may stand in it.
    pub(crate) fn write(path: &Path, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The settings that a config without mistakes gives.
    pub(crate) fn settings(directory: &Path, text: &str) -> Settings {
        let path = directory.join("config.toml");
        write(&path, text);
        load(&path, Secrets::Leave).sound().unwrap_or_else(|problems| panic!("{problems:?}"))
    }
}

#[cfg(test)]
mod tests;
