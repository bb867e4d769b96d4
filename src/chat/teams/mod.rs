//! Microsoft Teams, through Workflows: a flow whose trigger is "When a Teams webhook request is received"
//! (<https://support.microsoft.com/office/create-incoming-webhooks-with-workflows-for-microsoft-teams-8ae491c7-0394-4861-ba59-055e33f75498>).

mod answer;
mod draw;
mod native;
mod payload;

use std::time::Duration;

use super::pace::Limit;
use super::webhook::{Address, Service, URL_KEY};
use super::{AddressError, Capabilities, ChannelKey, Chat, Finish, Keys, Kind, Members, Mentions, Outcome};
use crate::http_client::{Answer, Target};
use crate::message::Message;
use crate::message::fit::{Loss, fit, loss};
use crate::text::is_uuid;

/// Name of the kind.
const NAME: &str = "teams";

/// Teams, as a kind of chat.
pub(super) struct Teams;

impl Kind for Teams {
    fn name(&self) -> &'static str {
        NAME
    }

    fn setup(&self) -> &'static str {
        "in the menu of a channel, choose Workflows, then Send webhook alerts to a channel; let Anyone trigger it"
    }

    fn keys(&self) -> &'static [ChannelKey] {
        &[URL_KEY]
    }

    fn build(&self, keys: &mut dyn Keys) -> Option<Box<dyn Chat>> {
        Address::read(keys)?.channel(keys, Flow, checked)
    }

    fn draw(&self, message: &Message) -> String {
        fit(message, draw::draw, draw::fits)
    }

    fn loss(&self, message: &Message) -> Option<Loss> {
        loss(message, draw::draw, draw::fits)
    }

    fn native(&self) -> Option<Finish> {
        Some(native::finish)
    }

    fn members(&self) -> Option<Members> {
        Some(Members {
            title: "Teams",
            is_id: is_member,
            about: "user principal name, or Entra object ID; if the user does not exist, the flow posts nothing",
            help: "write a user principal name, `ana@acme.example`, or an Entra object ID",
        })
    }

    fn domains(&self) -> &'static [&'static str] {
        &["logic.azure.com", "api.powerplatform.com", RETIRED[0], RETIRED[1]]
    }
}

/// Checks a user principal name or an Entra object ID.
fn is_member(id: &str) -> bool {
    let of_name = |b: u8| b.is_ascii_alphanumeric() || b".@_'+!#^~-".contains(&b);
    let is_domain = |domain: &str| domain.split('.').count() > 1 && domain.split('.').all(|part| !part.is_empty());
    let is_name = id.split_once('@').is_some_and(|(user, domain)| !user.is_empty() && is_domain(domain));
    is_uuid(id) || is_name && id.bytes().all(of_name)
}

/// Limits of Teams.
mod limits {
    /// Size of a message as JSON, in bytes. Teams accepts 28 KB after it re-encodes the message, which adds some 18 %,
    /// and more for text that is not ASCII (<https://github.com/MicrosoftDocs/msteams-docs/issues/11274>). A larger
    /// message is lost without an error.
    pub(super) const BYTES: usize = 20_000;
    /// Buttons in a card: `maxActions` in Microsoft's host config for Teams.
    pub(super) const BUTTONS: usize = 6;
}

/// Rate limits. A flow's connection accepts some 100 calls a minute, and a channel fewer. The limit of a channel is not
/// documented, so these are well below.
const PACE: [Limit; 2] =
    [Limit { messages: 2, within: Duration::from_secs(2) }, Limit { messages: 30, within: Duration::from_secs(60) }];

/// Domains of the connectors' webhooks, which Microsoft retired in 2026.
const RETIRED: [&str; 2] = ["webhook.office.com", "outlook.office.com"];

/// Domains of flow URLs.
const FLOWS: [&str; 2] = ["logic.azure.com", "api.powerplatform.com"];

/// Flow of a Teams channel.
struct Flow;

/// Checks the format of a URL.
fn checked(target: Target) -> Result<Target, AddressError> {
    if RETIRED.iter().any(|domain| target.is_within(domain)) {
        return Err(AddressError {
            message: "this is the URL of an Office 365 connector, which Microsoft has retired",
            help: "in Teams, open the channel's menu, choose Workflows, then \"Send webhook alerts to a channel\", \
                       and set the URL that it shows",
        });
    }
    let is_flow = FLOWS.iter().any(|domain| target.is_within(domain));
    if is_flow && target.parameter("sig").is_none() {
        return Err(AddressError {
            message: "the flow URL is incomplete: it has no `sig` parameter",
            help: "copy the complete URL again; quote it in a shell or environment file, because it contains `&`",
        });
    }
    if target.is_within("teams.microsoft.com") {
        return Err(AddressError {
            message: "this is the URL of a Teams page, not of a flow",
            help: "in Teams, open the channel's menu, choose Workflows, then \"Send webhook alerts to a channel\", \
                       and set the URL that it shows",
        });
    }
    Ok(target)
}

impl Service for Flow {
    fn kind(&self) -> &'static dyn Kind {
        &Teams
    }

    fn limits(&self) -> &'static [Limit] {
        &PACE
    }

    /// A flow accepts messages before it posts them, so it knows no id.
    fn capabilities(&self) -> Capabilities {
        Capabilities { mentions: Mentions { person: true, group: false }, ..Capabilities::default() }
    }

    fn outcome(&self, answer: &Answer) -> Outcome {
        answer::outcome(answer)
    }
}

#[cfg(test)]
mod tests;
