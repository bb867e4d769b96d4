//! People and machines.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Somebody, or something, with an account on a code host.
///
/// Hosts leave out nearly anything (deleted accounts, apps without a nickname), so only `name` can be relied on:
/// the source falls back to "Someone".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    /// The host's lasting identity for the account; two accounts are the same if these are.
    pub id: Option<String>,
    /// The name to show. Not unique, and not an identity.
    pub name: String,
    /// A short name, where the host has one. Not unique either.
    pub nickname: Option<String>,
    /// What sort of account it is.
    pub kind: AccountKind,
    /// The account's page.
    pub url: Option<String>,
    /// Its picture.
    pub avatar: Option<String>,
}

impl Account {
    /// The name of somebody whom the host does not name.
    pub const UNKNOWN: &'static str = "Someone";

    /// Whether the host says who this is.
    pub fn is_known(&self) -> bool {
        self.id.is_some() || self.nickname.is_some() || self.name != Self::UNKNOWN
    }
}

/// What sort of account it is: what rules call `actor_kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccountKind {
    /// A person.
    User,
    /// An account that the source's `bots` setting names as a machine.
    Bot,
    /// An app or an access token.
    App,
    /// A team or workspace acting as a whole.
    Team,
}

impl AccountKind {
    /// The text form that rules use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Bot => "bot",
            Self::App => "app",
            Self::Team => "team",
        }
    }
}
