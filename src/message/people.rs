//! People mapping: accounts of the host and their chat ids, and the people a message pings.
//!
//! A chat pings by the ids of its own users, which hosts do not know. The ids come only from the configuration, so
//! untrusted text cannot ping anyone else. An account's id identifies a person reliably. Nicknames and names are only
//! as reliable as the host's rules for choosing them.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{Field, Inline, Message};

/// Maximum number of people that one message pings in a chat. No message needs that many, and no chat allows fewer.
pub const MAX_PINGS: usize = 50;

/// Ids of a person in the chats, by the name of the chat's kind: `slack`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person(BTreeMap<String, String>);

impl Person {
    /// Returns the id in a chat.
    pub fn id(&self, chat: &str) -> Option<&str> {
        self.0.get(chat).map(String::as_str)
    }

    /// Returns the ids with the names of their chats.
    pub(super) fn ids(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(chat, id)| (chat.as_str(), id.as_str()))
    }
}

impl<C: Into<String>, I: Into<String>> FromIterator<(C, I)> for Person {
    fn from_iter<T: IntoIterator<Item = (C, I)>>(ids: T) -> Self {
        Self(ids.into_iter().map(|(chat, id)| (chat.into(), id.into())).collect())
    }
}

/// Person that a message pings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Name as shown by the host, plain text.
    pub name: String,
    /// Chat ids.
    pub person: Person,
}

impl Ping {
    /// Returns the id in a chat.
    pub fn id(&self, chat: &str) -> Option<&str> {
        self.person.id(chat)
    }

    /// Returns the pings for one chat with their ids there: each id once, at most [`MAX_PINGS`].
    pub fn of_chat<'a>(pings: &'a [Self], chat: &str) -> Vec<(&'a Self, &'a str)> {
        let mut found: Vec<(&Self, &str)> = vec![];
        for ping in pings {
            if let Some(id) = ping.id(chat).filter(|id| found.iter().all(|(_, known)| known != id)) {
                found.push((ping, id));
            }
        }
        found.truncate(MAX_PINGS);
        found
    }
}

/// People that a message pings in one chat, by the place that names them.
#[derive(Debug)]
pub struct Pinged<'a> {
    /// Facts that name at least one of them. A chat shows these where a mention pings.
    pub facts: Vec<&'a Field>,
    /// Those that no fact names, with their ids.
    pub others: Vec<(&'a Ping, &'a str)>,
    all: Vec<(&'a Ping, &'a str)>,
    chat: &'static str,
}

impl<'a> Pinged<'a> {
    /// Finds the people of a chat.
    pub fn of(message: &'a Message, chat: &'static str) -> Self {
        let all = Ping::of_chat(&message.pings, chat);
        let mut pinged = Self { facts: vec![], others: vec![], all, chat };
        pinged.facts = message.fields.iter().filter(|field| !pinged.of_fact(field).is_empty()).collect();
        let in_facts: Vec<_> = pinged.facts.iter().flat_map(|field| pinged.of_fact(field)).collect();
        pinged.others = pinged.all.iter().copied().filter(|(_, id)| !in_facts.contains(id)).collect();
        pinged
    }

    /// Returns the facts that name none of them: short ones and long ones.
    pub fn other_facts(&self, message: &'a Message) -> (Vec<&'a Field>, Vec<&'a Field>) {
        let all = message.fields.iter().filter(|field| !self.facts.iter().any(|fact| std::ptr::eq(*fact, *field)));
        all.partition(|field| field.is_short())
    }

    /// Returns the id that a mention pings. Of several people with the same id, only the first has one, so that the
    /// others are shown by their names.
    pub fn id<'p>(&self, ping: &'p Ping) -> Option<&'p str> {
        let id = ping.id(self.chat)?;
        self.all.iter().any(|(first, known)| *known == id && first.name == ping.name).then_some(id)
    }

    /// Returns the ids of the people whom a fact names.
    pub fn of_fact<'f>(&self, fact: &'f Field) -> Vec<&'f str> {
        let pings = fact.value.iter().filter_map(|inline| match inline {
            Inline::Mention(ping) => self.id(ping),
            _ => None,
        });
        pings.collect()
    }
}

/// People by host account: id, nickname or name.
#[derive(Debug)]
pub struct People {
    people: HashMap<String, Person>,
    /// Returns true if a text has the form of an account id on one of the hosts.
    is_account_id: fn(&str) -> bool,
}

impl Default for People {
    fn default() -> Self {
        Self { people: HashMap::new(), is_account_id: |_| false }
    }
}

impl People {
    /// Creates a mapping. Names that have the form of an account id match only ids.
    pub fn new(people: impl IntoIterator<Item = (String, Person)>, is_account_id: fn(&str) -> bool) -> Self {
        // Some hosts show ids in braces. Ids in events have none.
        let key = |name: &str| name.trim().trim_start_matches('{').trim_end_matches('}').to_owned();
        Self { people: people.into_iter().map(|(name, person)| (key(&name), person)).collect(), is_account_id }
    }

    /// Finds the person for an account of an event, or for a plain name. Ignores names that look like ids.
    pub fn find(&self, account: &Value) -> Option<&Person> {
        let names = [&account["nickname"], &account["name"], account].map(Value::as_str);
        let names = names.into_iter().flatten().filter(|name| !(self.is_account_id)(name));
        account["id"].as_str().into_iter().chain(names).find_map(|key| self.people.get(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn name_that_looks_like_an_id_matches_nobody() {
        let person = |id: &str| Person::from_iter([("slack", id)]);
        let keys = [("{id:1}", "U1"), ("id:2", "U2"), (" bo ", "U3")];
        let people = People::new(keys.map(|(key, id)| (key.to_owned(), person(id))), |text| text.starts_with("id:"));
        let find = |account: Value| people.find(&account).and_then(|person| person.id("slack"));
        assert_eq!(find(json!({ "id": "id:1" })), Some("U1"));
        assert_eq!(find(json!({ "id": "id:2", "name": "Cy" })), Some("U2"));
        assert_eq!(find(json!({ "id": "else", "nickname": "bo" })), Some("U3"));
        assert_eq!(find(json!("bo")), Some("U3"));
        for forged in ["id:1", "id:2"] {
            assert_eq!(find(json!({ "id": "else", "nickname": forged, "name": forged })), None);
            assert_eq!(find(json!(forged)), None);
        }
    }

    #[test]
    fn each_chat_id_appears_once() {
        let ping = |slack: &str, teams: &str| Ping {
            name: "x".to_owned(),
            person: Person::from_iter([("slack", slack), ("teams", teams)]),
        };
        let pings = [ping("S1", "a@x.example"), ping("S1", "b@x.example")];
        assert_eq!(Ping::of_chat(&pings, "slack").len(), 1);
        assert_eq!(Ping::of_chat(&pings, "teams").len(), 2);
        assert_eq!(Ping::of_chat(&pings, "discord").len(), 0);
        let many: Vec<_> = (0..60).map(|n| ping(&format!("U{n}"), "a@x.example")).collect();
        assert_eq!(Ping::of_chat(&many, "slack").len(), MAX_PINGS);
    }
}
