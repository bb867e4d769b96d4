//! `[people.NAME]`: the mapping from accounts on the code host to chat accounts.

use crate::config::problems::ConfigProblem;
use crate::config::section::Section;
use crate::message::people::is_uuid;
use crate::message::{People, Person};

/// Reads the mapping and records problems.
pub(super) fn people(root: &mut Section<'_>) -> People {
    let people = root.named("people").into_iter().map(|(name, mut section)| {
        if ["slack", "teams", "discord"].iter().all(|chat| section.peek(chat).is_none()) {
            section.note(&ConfigProblem::NoChatId(name.clone()), section.place());
        }
        let mut id = |key: &'static str, chat: &'static str, is_id: fn(&str) -> bool, help: &'static str| {
            let taken = section.string(key)?;
            if is_id(&taken.value) {
                return Some(taken.value);
            }
            section.note(&ConfigProblem::InvalidChatId { value: taken.value, chat, help }, taken.place);
            None
        };
        let person = Person {
            slack: id("slack", "Slack", is_of_slack, "write a member ID, `U024BE7LH`, or a user group ID, `S0614TZR7`"),
            teams: id(
                "teams",
                "Teams",
                is_of_teams,
                "write a user principal name, `ana@acme.example`, or an Entra object ID",
            ),
            discord: id(
                "discord",
                "Discord",
                is_of_discord,
                "write a user ID, `80351110224678912`, or a role ID with `&` before it",
            ),
        };
        section.finish();
        (name, person)
    });
    people.collect()
}

/// Checks a member or user group ID (<https://docs.slack.dev/reference/block-kit/block-elements/user-element>).
fn is_of_slack(id: &str) -> bool {
    id.starts_with(['U', 'W', 'S']) && id.len() > 2 && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Checks a user principal name or an Entra object ID.
fn is_of_teams(id: &str) -> bool {
    let of_name = |b: u8| b.is_ascii_alphanumeric() || b".@_'+!#^~-".contains(&b);
    let is_domain = |domain: &str| domain.split('.').count() > 1 && domain.split('.').all(|part| !part.is_empty());
    let is_name = id.split_once('@').is_some_and(|(user, domain)| !user.is_empty() && is_domain(domain));
    is_uuid(id) || is_name && id.bytes().all(of_name)
}

/// Checks a user ID, or a role ID after `&` (<https://discord.com/developers/docs/reference#message-formatting>).
fn is_of_discord(id: &str) -> bool {
    let number = id.strip_prefix('&').unwrap_or(id);
    (15..=20).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())
}
