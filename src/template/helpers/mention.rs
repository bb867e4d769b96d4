//! `{{mention …}}`: renders the names of accounts and pings those that the configuration maps to chat users.

use serde_json::Value;

use super::{Arguments, Markup, text};
use crate::message::shield::shield;
use crate::message::splice::Splice;
use crate::message::{People, Person};

/// Separator between names.
const BETWEEN: &str = ", ";

/// Renders an account, a list of accounts, or a name.
pub(super) fn mention(people: &People, arguments: &Arguments<'_, '_>) -> Markup {
    let (names, shielded): (Vec<_>, Vec<_>) = mentioned(people, arguments)
        .into_iter()
        .map(|(name, person)| {
            let shielded = person.map_or_else(|| shield(&name), |person| Splice::Mention(&name, person).shielded());
            (name, shielded)
        })
        .unzip();
    // An empty value keeps its marks, so that the syntax around it is not empty.
    let shielded = if names.is_empty() { shield("") } else { shielded.join(&shield(BETWEEN)) };
    Markup { text: names.join(BETWEEN), shielded }
}

/// Returns the names, each with the person to ping. The actor caused the event and is never pinged.
fn mentioned<'a>(people: &'a People, arguments: &Arguments<'_, '_>) -> Vec<(String, Option<&'a Person>)> {
    let value = arguments.value(0);
    let actor = &arguments.1.data()["actor"];
    let of_actor = people.find(actor);
    let is_actor = |account: &Value| account["id"].is_string() && account["id"] == actor["id"];
    let accounts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter();
    let named = accounts.map(|account| (account, name(account))).filter(|(_, name)| !name.is_empty());
    let pinged = |account: &Value| people.find(account).filter(|person| Some(*person) != of_actor);
    named.map(|(account, name)| (name, pinged(account).filter(|_| !is_actor(account)))).collect()
}

fn name(account: &Value) -> String {
    text(account.get("name").unwrap_or(account))
}
