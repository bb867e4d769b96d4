//! Validates the config file and compiles it into [`Settings`]. Every problem has a position.
//!
//! Layers: `files` reads the config file and the files it includes, `document` stores the position of each value,
//! `section` takes values out of tables and records errors and unknown keys, `build` builds the settings. No module
//! outside this folder uses figment.

mod build;
mod document;
mod files;
mod kept;
mod live;
mod outline;
mod problems;
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
use url::Url;

use crate::chat::{Chat, Kind};
use crate::event::{ChannelName, Event, SourceName};
use crate::http_client::Http;
use crate::message::{Message, Style};
use crate::pattern::Patterns;
use crate::problem::{Describe, Place, Problem, Severity};
use crate::routing::Router;
use crate::source::addresses::{Allowed, List};
use crate::source::hooks::Place as HookPlace;
use crate::source::{Provider, Source};
use crate::store::{Generation, Lane, Retention, StoreUrl};
use crate::template::Library;
use crate::tls::Identity;

pub(crate) use build::service_url;
pub use files::Watched;
pub use kept::Kept;
pub use live::Live;
pub use outline::Outline;

/// The compiled configuration. It is immutable: a changed config file results in a new value.
pub struct Settings {
    /// Listener for webhooks and health checks.
    pub listen: Listen,
    /// Certificate of that listener; plain HTTP without one.
    pub tls: Option<Arc<Identity>>,
    /// Certificate of that listener, if Hookbell requests it.
    pub acme: Option<AcmeSettings>,
    /// The admin listener.
    pub admin: Admin,
    /// Networks of proxies whose `X-Forwarded-For` header is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Number of the configuration.
    pub generation: Generation,
    /// Location of the store.
    pub store: StoreUrl,
    /// Retention periods of the store.
    pub keep: Retention,
    /// Retries and alerts.
    pub delivery: DeliverySettings,
    /// `[sources.NAME]`.
    pub sources: BTreeMap<SourceName, SourceEntry>,
    /// `[hooks]`.
    pub hooks: Option<ManagedHooks>,
    /// `[channels.NAME]`.
    pub channels: BTreeMap<ChannelName, Channel>,
    /// The lane of each channel.
    pub lanes: BTreeMap<ChannelName, Lane>,
    /// `[[routes]]`, `[[mutes]]` and the channels' `accept` guards.
    pub router: Router,
    /// True if the routing configuration is invalid. Then `router` is empty, and events are pending routing until the
    /// configuration is fixed.
    pub is_routing_invalid: bool,
    /// The templates.
    pub templates: Library,
    /// Directory of the user's templates, if configured.
    pub templates_directory: Option<PathBuf>,
    /// The shared client for all outgoing requests; `None` if its settings are invalid.
    pub http: Option<Http>,
    /// Published lists of IP addresses that sources use.
    pub address_lists: Vec<Arc<List>>,
    /// The rules in the form kept in the store.
    pub kept: Kept,
    /// Parts of the configuration with their fingerprints.
    pub outline: Outline,
}

impl Settings {
    /// Returns true if the listener for webhooks speaks TLS.
    pub const fn has_tls(&self) -> bool {
        self.tls.is_some() || self.acme.is_some()
    }
}

/// `acme` in `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeSettings {
    /// Names in the certificate.
    pub domains: Vec<String>,
    /// Contact for the authority.
    pub email: Option<String>,
    /// Directory URL of the authority.
    pub directory: String,
}

/// Listener address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A socket that Hookbell binds to this address.
    Address(SocketAddr),
    /// The socket that systemd passes in, which stays open across restarts.
    Systemd,
}

impl Listen {
    /// The address; for a socket from systemd, the default address.
    pub fn address(self) -> SocketAddr {
        match self {
            Self::Address(address) => address,
            Self::Systemd => build::LISTEN,
        }
    }
}

/// The admin listener: `[admin]` and `admin_listen`.
pub struct Admin {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Certificate of the listener; plain HTTP without one.
    pub tls: Option<Arc<Identity>>,
    /// Names allowed in the `Host` header, in addition to IP addresses and `localhost`.
    pub hosts: Vec<String>,
    /// `[[admin.tokens]]`. The token generated next to the store is not included.
    pub tokens: Vec<AdminToken>,
}

/// One `[[admin.tokens]]`.
pub struct AdminToken {
    /// Name of the token, usually of its owner.
    pub name: String,
    /// The secret value.
    pub token: SecretString,
    /// Permissions of the token.
    pub role: Role,
}

/// Permissions of an admin token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read access.
    Read,
    /// Read and write access.
    Operate,
}

/// `[delivery]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliverySettings {
    /// Maximum time to retry a message.
    pub max_age: Duration,
    /// Channels that get alerts.
    pub alerts: Vec<ChannelName>,
}

/// One `[channels.NAME]`.
pub struct Channel {
    /// Renders and sends messages.
    pub chat: Box<dyn Chat>,
    /// Default style; a route can override it.
    pub style: Style,
    /// True if messages show the picture of the person who caused the event.
    pub avatars: bool,
    /// Its kind.
    pub kind: &'static dyn Kind,
}

impl Channel {
    /// Returns a message as the channel shows it.
    pub fn styled(&self, message: Message, style: Style) -> Message {
        let mut message = style.of(message);
        if !self.avatars {
            message.avatar = None;
        }
        message
    }
}

/// One `[sources.NAME]`.
pub struct SourceEntry {
    /// The code host.
    pub provider: &'static Provider,
    /// Verifies and parses its requests.
    pub source: Box<dyn Source>,
    /// Repositories that the source may send events for.
    pub repo: Patterns,
    /// Secrets, used to sign samples.
    pub secrets: Vec<SecretString>,
    /// Location of each secret as text: `in bitbucket.secret`.
    pub secret_origins: Vec<String>,
    /// True if requests need no signature.
    pub unsigned: bool,
    /// IP addresses that requests may come from; `None` allows all.
    pub allow_from: Option<Allowed>,
    /// Time after which a source that sends nothing is reported.
    pub expect_every: Option<Duration>,
}

impl SourceEntry {
    /// Returns the place of an event that the source may not send: `workspace/slug`, or a workspace. `None` if the source
    /// may send the event, or if the event names no place.
    pub fn foreign_place(&self, event: &Event) -> Option<String> {
        let place = event.place().filter(|place| !self.repo.matches(place))?;
        Some(place.trim_end_matches('/').to_owned())
    }

    /// Returns true if the source may send events for every repository, including one without a name.
    pub fn speaks_for_all(&self) -> bool {
        self.repo.matches("")
    }
}

/// `[hooks]`: webhooks that Hookbell manages on a code host.
pub struct ManagedHooks {
    /// Source that the webhooks post to.
    pub source: SourceName,
    /// The workspace, or its repositories.
    pub places: Vec<HookPlace>,
    /// Account of the token; `None` for a token without an account.
    pub email: Option<String>,
    /// The token.
    pub token: HookToken,
    /// URL at which the host reaches Hookbell.
    pub public_url: Url,
    /// URL of the host's API.
    pub api_url: Url,
}

impl ManagedHooks {
    /// Returns the URL that the webhooks post to.
    pub fn url(&self) -> String {
        format!("{}/hooks/{}", self.public_url.as_str().trim_end_matches('/'), self.source)
    }
}

/// Token of a code host's API.
pub struct HookToken {
    /// The token; `None` if it does not exist here.
    pub token: Option<SecretString>,
    /// Its location as text: `in the environment variable BITBUCKET_TOKEN`.
    pub origin: String,
}

/// Result of reading a configuration.
pub struct Loaded {
    /// The settings; `None` if an error prevents the service from starting. If only the routing configuration is
    /// invalid, [`Settings::is_routing_invalid`] is true.
    pub settings: Option<Settings>,
    /// Errors and warnings.
    pub problems: Vec<Problem>,
    /// Files and directories to watch for changes.
    pub files: Watched,
}

impl Loaded {
    /// Returns the settings if there is no error, otherwise the problems.
    pub fn sound(self) -> Result<Settings, Vec<Problem>> {
        let is_sound = self.is_sound();
        let Self { settings, problems, .. } = self;
        settings.filter(|_| is_sound).ok_or(problems)
    }

    /// Returns true if there is no error.
    pub fn is_sound(&self) -> bool {
        self.settings.is_some() && self.problems.iter().all(|problem| problem.severity == Severity::Warning)
    }
}

/// Handling of secrets that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// Generates a secret that has `generate = true`.
    Generate,
    /// Leaves out a secret with `generate = true` that does not exist yet.
    Leave,
    /// Leaves out any missing secret, for commands that receive and send nothing.
    Optional,
}

/// Reads the config file and the files it refers to: templates, secrets, included files.
pub fn load(path: &Path, secrets: Secrets) -> Loaded {
    read(path, secrets, None)
}

/// Reads the configuration again while `before` is in use. The published address lists of `before` are reused. A
/// generated secret whose file no longer exists is an error, because webhooks are signed with it.
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

/// Reads only the part of the configuration that templates need. Errors elsewhere are ignored.
pub fn templates(path: &Path) -> (Library, Vec<Problem>) {
    match files::read(path) {
        Ok(files) => build::templates(&files),
        Err(problems) => (Library::built_in(), problems),
    }
}

/// Reads only the directory of the user's templates; `None` if not configured. Errors elsewhere are ignored.
pub fn templates_directory(path: &Path) -> Result<Option<PathBuf>, Vec<Problem>> {
    build::templates_directory(&files::read(path)?)
}

/// Reads only the location of the store. Errors elsewhere are ignored.
pub fn store(path: &Path) -> Result<StoreUrl, Vec<Problem>> {
    build::store(&files::read(path)?)
}

/// Reads only what a command needs to reach the running service: the location of the store, and the certificate of the
/// admin listener. Errors elsewhere are ignored.
pub fn service(path: &Path) -> Result<(StoreUrl, Option<Arc<Identity>>), Vec<Problem>> {
    build::service(&files::read(path)?)
}

/// The problem of a changed configuration that has no sources any more.
pub fn sources_removed(place: Place) -> Problem {
    problems::ConfigProblem::SourcesRemoved.at(place)
}

/// Compiles the rules in [`Kept::text`]; `None` if this version cannot read them.
pub fn kept_router(text: &str) -> Option<Router> {
    build::kept_router(&serde_json::from_str(text).ok()?)
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Writes a file that only its owner can read, because it may contain secrets.
    pub(crate) fn write(path: &Path, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Loads a configuration that must have no error.
    pub(crate) fn settings(directory: &Path, text: &str) -> Settings {
        let path = directory.join("config.toml");
        write(&path, text);
        load(&path, Secrets::Leave).sound().unwrap_or_else(|problems| panic!("{problems:?}"))
    }
}

#[cfg(test)]
mod tests;
