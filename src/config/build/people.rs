//! `[people.NAME]`: who is who in the chats.

use super::super::section::Section;
use crate::message::people::is_uuid;
use crate::message::{People, Person};
use crate::problem::Problem;

/// Reads who is who, and says what is wrong with it.
pub(super) fn people(root: &mut Section<'_>) -> People {
    let people = root.named("people").into_iter().map(|(name, mut section)| {
        if ["slack", "teams", "discord"].iter().all(|chat| section.peek(chat).is_none()) {
            let problem = Problem::warning(format!("nobody is pinged for `{name}`"), section.place());
            section.note(problem.help("say who that is in a chat: `slack`, `teams` or `discord`"));
        }
        let mut id = |key: &'static str, chat: &str, is_id: fn(&str) -> bool, help: &str| {
            let taken = section.string(key)?;
            if is_id(&taken.value) {
                return Some(taken.value);
            }
            section.note(Problem::error(format!("`{}` is no ID of {chat}", taken.value), taken.place).help(help));
            None
        };
        let person = Person {
            slack: id("slack", "Slack", is_of_slack, "a member's is `U024BE7LH`, a user group's `S0614TZR7`"),
            teams: id("teams", "Teams", is_of_teams, "say `ana@acme.example`, or the object's ID in Entra"),
            discord: id(
                "discord",
                "Discord",
                is_of_discord,
                "a user's is `80351110224678912`; a role's stands behind `&`",
            ),
        };
        section.finish();
        (name, person)
    });
    people.collect()
}

/// A member or a group of them (<https://docs.slack.dev/reference/block-kit/block-elements/user-element>).
fn is_of_slack(id: &str) -> bool {
    id.starts_with(['U', 'W', 'S']) && id.len() > 2 && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// A user's principal name, or the object's ID in Entra.
fn is_of_teams(id: &str) -> bool {
    let of_name = |b: u8| b.is_ascii_alphanumeric() || b".@_'+!#^~-".contains(&b);
    let is_domain = |domain: &str| domain.split('.').count() > 1 && domain.split('.').all(|part| !part.is_empty());
    let is_name = id.split_once('@').is_some_and(|(user, domain)| !user.is_empty() && is_domain(domain));
    is_uuid(id) || is_name && id.bytes().all(of_name)
}

/// A user's or, behind `&`, a role's (<https://discord.com/developers/docs/reference#message-formatting>).
fn is_of_discord(id: &str) -> bool {
    let number = id.strip_prefix('&').unwrap_or(id);
    (15..=20).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())
}
