//! Who is who in the chats, and whom a message pings.
//!
//! A chat pings for the ids of its own users, which no host knows. They come from the config alone, so nothing that a
//! stranger writes pings anybody.

use std::collections::HashMap;

use serde_json::Value;

/// The most people whom one message pings. Discord takes a hundred
/// (<https://discord.com/developers/docs/resources/message#allowed-mentions-object>); nobody means so many.
pub const MOST_PINGS: usize = 50;

/// Somebody's ids in the chats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// In Slack: a member, `U024BE7LH`, or a group of them, `S0614TZR7`.
    pub slack: Option<String>,
    /// In Teams: the user's principal name, or the object's id in Entra.
    pub teams: Option<String>,
    /// In Discord: a user, `80351110224678912`, or behind `&` a role.
    pub discord: Option<String>,
}

/// Somebody whom a message pings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// The name that the host shows, plain text.
    pub name: String,
    /// Who that is in the chats.
    pub person: Person,
}

/// People by what a host knows them by: an account's id, its nickname, or its name.
#[derive(Debug, Default)]
pub struct People(HashMap<String, Person>);

impl People {
    /// Who an account of an event is, or one that is given by its name alone.
    pub fn find(&self, account: &Value) -> Option<&Person> {
        let keys = ["id", "nickname", "name"].map(|key| account[key].as_str());
        keys.into_iter().chain([account.as_str()]).flatten().find_map(|key| self.0.get(key))
    }
}

impl FromIterator<(String, Person)> for People {
    fn from_iter<T: IntoIterator<Item = (String, Person)>>(people: T) -> Self {
        Self(people.into_iter().collect())
    }
}
