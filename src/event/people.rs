//! Accounts of people and machines.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Account on a code host: a person, a bot, an app or a team.
///
/// Hosts may omit nearly every field (deleted accounts, apps without a nickname). Only `name` is always set: the source
/// falls back to "Someone".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    /// Permanent id of the account on the host. Two accounts with the same id are the same account.
    pub id: Option<String>,
    /// Display name. Not unique: use `id` to identify an account.
    pub name: String,
    /// Short name, if the host has one. Not unique.
    pub nickname: Option<String>,
    /// Kind of the account: `user`, `bot`, `app` or `team`.
    pub kind: AccountKind,
    /// URL of the account's page.
    pub url: Option<String>,
    /// URL of the account's avatar image.
    pub avatar: Option<String>,
}

impl Default for Account {
    /// An account that the host does not name.
    fn default() -> Self {
        let (id, nickname, url, avatar) = (None, None, None, None);
        Self { id, name: Self::UNKNOWN.to_owned(), nickname, kind: AccountKind::User, url, avatar }
    }
}

impl Account {
    /// Display name of an account that the host does not name.
    pub const UNKNOWN: &'static str = "Someone";

    /// Returns `true` if the host identifies the account.
    pub fn is_known(&self) -> bool {
        self.id.is_some() || self.nickname.is_some() || self.name != Self::UNKNOWN
    }
}

/// Kind of an account, matched by `actor_kind` in rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccountKind {
    /// A person.
    User,
    /// A machine account, listed in the source's `bots` setting.
    Bot,
    /// An app or an access token.
    App,
    /// A team or a workspace.
    Team,
}

impl AccountKind {
    /// Returns the text form that rules use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Bot => "bot",
            Self::App => "app",
            Self::Team => "team",
        }
    }
}
