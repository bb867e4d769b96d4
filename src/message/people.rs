//! People mapping: accounts of the host and their chat ids, and the people a message pings.
//!
//! A chat pings by the ids of its own users, which hosts do not know. The ids come only from the configuration, so
//! untrusted text cannot ping anyone else. An account's id identifies a person reliably. Nicknames and names are only
//! as reliable as the host's rules for choosing them.

use std::collections::HashMap;

use serde_json::Value;

use super::{Field, Inline, Message};

/// Maximum number of people that one message pings in a chat. Discord's limit is 100
/// (<https://discord.com/developers/docs/resources/message#allowed-mentions-object>); no message needs that many.
pub const MAX_PINGS: usize = 50;

/// Ids of a person in the chats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Slack member id, `U024BE7LH`, or user group id, `S0614TZR7`.
    pub slack: Option<String>,
    /// Teams user principal name, or Entra object id.
    pub teams: Option<String>,
    /// Discord user id, `80351110224678912`, or a role id prefixed with `&`.
    pub discord: Option<String>,
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
    /// Returns the pings for one chat with their ids there: each id once, at most [`MAX_PINGS`].
    pub fn of_chat(pings: &[Self], id: impl Fn(&Person) -> Option<&str>) -> Vec<(&Self, &str)> {
        let mut found: Vec<(&Self, &str)> = vec![];
        for ping in pings {
            if let Some(id) = id(&ping.person).filter(|id| found.iter().all(|(_, known)| known != id)) {
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
    chat_id: fn(&Person) -> Option<&str>,
}

impl<'a> Pinged<'a> {
    /// Finds the people of a chat, in which `id` returns a person's id.
    pub fn of(message: &'a Message, id: fn(&Person) -> Option<&str>) -> Self {
        let all = Ping::of_chat(&message.pings, id);
        let mut pinged = Self { facts: vec![], others: vec![], all, chat_id: id };
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
        let id = (self.chat_id)(&ping.person)?;
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
#[derive(Debug, Default)]
pub struct People(HashMap<String, Person>);

impl People {
    /// Finds the person for an account of an event, or for a plain name. Ignores names that look like ids.
    pub fn find(&self, account: &Value) -> Option<&Person> {
        let names = [&account["nickname"], &account["name"], account].map(Value::as_str);
        let names = names.into_iter().flatten().filter(|name| !is_id(name));
        account["id"].as_str().into_iter().chain(names).find_map(|key| self.0.get(key))
    }
}

impl FromIterator<(String, Person)> for People {
    fn from_iter<T: IntoIterator<Item = (String, Person)>>(people: T) -> Self {
        // Bitbucket shows some ids in braces. Ids in events have none.
        let key = |name: &str| name.trim().trim_start_matches('{').trim_end_matches('}').to_owned();
        Self(people.into_iter().map(|(name, person)| (key(&name), person)).collect())
    }
}

/// Returns true if a text has the form of an account id: a UUID, or an Atlassian id with a colon.
fn is_id(text: &str) -> bool {
    text.contains(':') || is_uuid(text)
}

/// Returns true if a text is a UUID.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn name_that_looks_like_an_id_matches_nobody() {
        let person = |id: &str| Person { slack: Some(id.to_owned()), ..Person::default() };
        let uuid = "e7db8f27-e836-4c3b-a575-bcfe9daca9ae";
        let atlassian = "712020:9c4a01f3-0d5f-430b-a04d-05b47182cd19";
        let keys = [(format!("{{{uuid}}}"), "U1"), (atlassian.to_owned(), "U2"), (" bo ".to_owned(), "U3")];
        let people: People = keys.into_iter().map(|(key, id)| (key, person(id))).collect();
        let find = |account: Value| people.find(&account).and_then(|person| person.slack.clone());
        assert_eq!(find(json!({ "id": uuid })).as_deref(), Some("U1"));
        assert_eq!(find(json!({ "id": atlassian, "name": "Cy" })).as_deref(), Some("U2"));
        assert_eq!(find(json!({ "id": "else", "nickname": "bo" })).as_deref(), Some("U3"));
        assert_eq!(find(json!("bo")).as_deref(), Some("U3"));
        for forged in [uuid, atlassian] {
            assert_eq!(find(json!({ "id": "else", "nickname": forged, "name": forged })), None);
            assert_eq!(find(json!(forged)), None);
        }
    }

    #[test]
    fn each_chat_id_appears_once() {
        let ping = |slack: &str, teams: &str| Ping {
            name: "x".to_owned(),
            person: Person { slack: Some(slack.to_owned()), teams: Some(teams.to_owned()), discord: None },
        };
        let pings = [ping("S1", "a@x.example"), ping("S1", "b@x.example")];
        assert_eq!(Ping::of_chat(&pings, |person| person.slack.as_deref()).len(), 1);
        assert_eq!(Ping::of_chat(&pings, |person| person.teams.as_deref()).len(), 2);
        assert_eq!(Ping::of_chat(&pings, |person| person.discord.as_deref()).len(), 0);
        let many: Vec<_> = (0..60).map(|n| ping(&format!("U{n}"), "a@x.example")).collect();
        assert_eq!(Ping::of_chat(&many, |person| person.slack.as_deref()).len(), MAX_PINGS);
    }
}
