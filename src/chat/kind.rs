//! Kinds of chats: what a chat needs in the configuration, and how it renders messages.

use std::sync::OnceLock;

use secrecy::SecretString;
use serde_json::Value;

use super::{AddressError, BodyError, Chat, Pace, console, discord, program, slack, teams};
use crate::http_client::{Http, Target};
use crate::message::Message;
use crate::message::fit::Loss;

/// The built-in kinds.
static KINDS: &[&dyn Kind] = &[&slack::Slack, &teams::Teams, &discord::Discord, &program::Program, &console::Terminal];

/// All kinds, once they are in use.
static ALL: OnceLock<Vec<&'static dyn Kind>> = OnceLock::new();

/// Returns all kinds of chats.
pub fn kinds() -> &'static [&'static dyn Kind] {
    ALL.get_or_init(|| KINDS.to_vec())
}

/// Adds kinds to the built-in ones, for programs that embed Hookbell. Returns `false`, and adds nothing, if kinds are in
/// use already: call it before the configuration is read.
pub fn add_kinds(kinds: &[&'static dyn Kind]) -> bool {
    ALL.set(KINDS.iter().chain(kinds).copied().collect()).is_ok()
}

/// Returns the kind with this name.
pub fn kind(name: &str) -> Option<&'static dyn Kind> {
    kinds().iter().copied().find(|kind| kind.name() == name)
}

/// Returns the kind to whose chat a URL belongs.
pub fn kind_at(url: &SecretString) -> Option<&'static dyn Kind> {
    let target = Target::parse(url).ok()?;
    kinds().iter().copied().find(|kind| kind.domains().iter().any(|domain| target.is_within(domain)))
}

/// A kind of chat: a valid value of `kind` in `[channels.NAME]`.
pub trait Kind: Send + Sync {
    /// Returns the value of `kind`, such as `slack`.
    fn name(&self) -> &'static str;

    /// Returns where an operator gets the webhook URL, as an instruction; empty if the kind has none.
    fn setup(&self) -> &'static str {
        ""
    }

    /// Returns the keys of a channel that only some kinds have, for the documentation.
    fn keys(&self) -> &'static [ChannelKey] {
        &[]
    }

    /// Creates a channel from its keys. Read all keys before returning `None` for a missing one: a key that is not read
    /// is unknown. The problem is recorded when a key is read, or by [`Keys::reject`].
    fn build(&self, keys: &mut dyn Keys) -> Option<Box<dyn Chat>>;

    /// Renders a message as it would be sent.
    fn draw(&self, message: &Message) -> String;

    /// Renders an event, for kinds that send events instead of messages: programs. Such a kind does so for every event.
    fn draw_event(&self, _event: &Value) -> Option<String> {
        None
    }

    /// Returns `true` if the kind sends events instead of messages.
    fn takes_events(&self) -> bool {
        false
    }

    /// Returns what is cut from a message to make it fit, if anything.
    fn loss(&self, _message: &Message) -> Option<Loss> {
        None
    }

    /// Returns the function that completes bodies of chat-native templates, for kinds that have such templates.
    fn native(&self) -> Option<Finish> {
        None
    }

    /// Returns the forms of the ids of the chat's members, for kinds that can ping them.
    fn members(&self) -> Option<Members> {
        None
    }

    /// Returns the domains of the chat's URLs, which include their subdomains; empty if they are not known.
    fn domains(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns `true` if a channel may have the URL of another chat.
    fn accepts_any_url(&self) -> bool {
        false
    }
}

/// A key of `[channels.NAME]` that only some kinds have.
#[derive(Clone, Copy, Debug)]
pub struct ChannelKey {
    /// Name of the key.
    pub key: &'static str,
    /// Type of its value.
    pub value: KeyType,
    /// Default value as text; empty if the key is required.
    pub default: &'static str,
    /// Meaning of the key.
    pub about: &'static str,
}

/// Type of the value of a [`ChannelKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// A string.
    Text,
    /// `true` or `false`.
    Flag,
    /// A secret: a string, or a table with its location.
    Secret,
}

/// Keys of a channel in the configuration. Each problem is recorded with its position when the key is read.
pub trait Keys {
    /// Returns true if the configuration sets this key.
    fn is_set(&self, key: &'static str) -> bool;

    /// Returns a required secret, such as a token. `None` if it is missing.
    fn secret(&mut self, key: &'static str) -> Option<SecretString>;

    /// Returns a required secret URL. `None` if it is missing, or of another chat. A URL without encryption is reported,
    /// unless the channel sets `insecure`.
    fn url(&mut self, key: &'static str) -> Option<SecretString>;

    /// Returns an optional string.
    fn text(&mut self, key: &'static str) -> Option<String>;

    /// Returns an optional flag; `false` if it is missing.
    fn flag(&mut self, key: &'static str) -> bool;

    /// Returns the rate limit that the configuration sets.
    fn pace(&mut self) -> Option<Pace>;

    /// Returns the HTTP client that all channels share. `None` if its settings are invalid, which is reported elsewhere.
    fn http(&self) -> Option<Http>;

    /// Records that the value of a key is not valid.
    fn reject(&mut self, key: &'static str, error: AddressError);
}

/// Ids of a chat's members, as in `[people.NAME]`. The key is the name of the kind.
#[derive(Clone, Copy)]
pub struct Members {
    /// Name of the chat, for people: `Slack`.
    pub title: &'static str,
    /// Returns true if a text has the form of an id.
    pub is_id: fn(&str) -> bool,
    /// Forms of an id, with examples, for the documentation.
    pub about: &'static str,
    /// Forms of an id, with examples, as an instruction.
    pub help: &'static str,
}

/// Completes a body that a chat-native template rendered: escapes each shielded value as its slot requires, and checks
/// the chat's limits. The error describes the violation.
pub type Finish = fn(Value) -> Result<String, BodyError>;
