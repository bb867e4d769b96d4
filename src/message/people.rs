//! Who is who in the chats, and whom a message pings.
//!
//! A chat pings for the ids of its own users, which no host knows. They come from the config alone: nobody else can be
//! pinged, whatever a stranger writes. Who an account is, its id says for certain, a nickname or a name as far as the host
//! lets people choose theirs.

use std::collections::HashMap;

use serde_json::Value;

/// The most people whom one message pings in a chat. Discord takes a hundred
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

impl Ping {
    /// Whom one chat pings, with their ids there: each id once, so many at most.
    pub fn of_chat(pings: &[Self], id: impl Fn(&Person) -> Option<&str>) -> Vec<(&Self, &str)> {
        let mut found: Vec<(&Self, &str)> = vec![];
        for ping in pings {
            if let Some(id) = id(&ping.person).filter(|id| found.iter().all(|(_, known)| known != id)) {
                found.push((ping, id));
            }
        }
        found.truncate(MOST_PINGS);
        found
    }
}

/// People by what a host knows them by: an account's id, its nickname, or its name.
#[derive(Debug, Default)]
pub struct People(HashMap<String, Person>);

impl People {
    /// Who an account of an event is, or one that is given by its name alone. A name that looks like an id is none.
    pub fn find(&self, account: &Value) -> Option<&Person> {
        let names = [&account["nickname"], &account["name"], account].map(Value::as_str);
        let names = names.into_iter().flatten().filter(|name| !is_id(name));
        account["id"].as_str().into_iter().chain(names).find_map(|key| self.0.get(key))
    }
}

impl FromIterator<(String, Person)> for People {
    fn from_iter<T: IntoIterator<Item = (String, Person)>>(people: T) -> Self {
        // Bitbucket writes some ids in braces, of which events have none.
        let key = |name: &str| name.trim().trim_start_matches('{').trim_end_matches('}').to_owned();
        Self(people.into_iter().map(|(name, person)| (key(&name), person)).collect())
    }
}

/// Whether a text has the form of a host's id for an account: a UUID, or what Atlassian has, with a colon.
fn is_id(text: &str) -> bool {
    text.contains(':') || is_uuid(text)
}

/// Whether a text is a UUID.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_that_looks_like_an_id_is_nobodys() {
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
    fn each_id_of_a_chat_once() {
        let ping = |slack: &str, teams: &str| Ping {
            name: "x".to_owned(),
            person: Person { slack: Some(slack.to_owned()), teams: Some(teams.to_owned()), discord: None },
        };
        let pings = [ping("S1", "a@x.example"), ping("S1", "b@x.example")];
        assert_eq!(Ping::of_chat(&pings, |person| person.slack.as_deref()).len(), 1);
        assert_eq!(Ping::of_chat(&pings, |person| person.teams.as_deref()).len(), 2);
        assert_eq!(Ping::of_chat(&pings, |person| person.discord.as_deref()).len(), 0);
        let many: Vec<_> = (0..60).map(|n| ping(&format!("U{n}"), "a@x.example")).collect();
        assert_eq!(Ping::of_chat(&many, |person| person.slack.as_deref()).len(), MOST_PINGS);
    }
}
