//! Microsoft Teams, through Workflows: a flow whose trigger is "When a Teams webhook request is received"
//! (<https://support.microsoft.com/office/create-incoming-webhooks-with-workflows-for-microsoft-teams-8ae491c7-0394-4861-ba59-055e33f75498>).

mod answer;
mod draw;
mod native;
mod payload;

use std::time::Duration;

use async_trait::async_trait;

use super::pace::Limit;
use super::webhook::Webhook;
use super::{Address, AddressError, Body, Chat, Kind, Members, Pace, Sent};
use crate::event::DeliveryId;
use crate::http_client::Target;
use crate::message::Message;
use crate::message::fit::{fit, loss};
use crate::text::is_uuid;

/// Entry of Teams in the list of chats.
pub const KIND: Kind = Kind {
    name: "teams",
    domains: &["logic.azure.com", "api.powerplatform.com", RETIRED[0], RETIRED[1]],
    build: Some(|address| Ok(Box::new(Teams::new(address)?))),
    signs: false,
    asks_for_interactivity: false,
    members: Some(Members {
        title: "Teams",
        is_id: is_member,
        help: "write a user principal name, `ana@acme.example`, or an Entra object ID",
    }),
    draw: Some(encode),
    loss: Some(|message| loss(message, draw::draw, draw::fits)),
    native: Some(native::finish),
};

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
struct Teams(Webhook);

impl Teams {
    fn new(address: Address) -> Result<Self, AddressError> {
        let target = Target::parse(&address.url)?;
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
        Ok(Self(Webhook::new(target, address.http, address.pace, &PACE)))
    }
}

fn encode(message: &Message) -> String {
    fit(message, draw::draw, draw::fits)
}

#[async_trait]
impl Chat for Teams {
    fn destination(&self) -> String {
        self.0.destination(KIND.name)
    }

    fn pace(&self) -> Pace {
        self.0.pace()
    }

    fn encode(&self, message: &Message) -> Body {
        Body(encode(message))
    }

    async fn send(&self, _: &DeliveryId, body: &Body) -> Sent {
        self.0.post(crate::http_client::USER_AGENT, body, answer::outcome).await
    }
}

#[cfg(test)]
mod tests;
