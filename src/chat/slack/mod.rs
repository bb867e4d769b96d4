//! Slack, by incoming webhooks (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>).

mod answer;
mod block_kit;
mod draw;
mod fallback;
mod native;

use std::time::Duration;

use async_trait::async_trait;

use super::pace::Limit;
use super::webhook::Webhook;
use super::{Address, AddressError, Body, Chat, Kind, Outcome, Pace, Reason, Sent};
use crate::event::DeliveryId;
use crate::http_client::Target;
use crate::message::Message;
use crate::message::fit::{fit, loss};

/// Slack, for the list of chats.
pub const KIND: Kind = Kind {
    name: "slack",
    domains: &["slack.com", "slack-gov.com"],
    build: Some(|address| Ok(Box::new(Slack::new(address)?))),
    signs: false,
    draw: Some(encode),
    loss: Some(|message| loss(message, draw::draw, draw::Drawn::fits)),
    native: Some(native::finish),
};

/// What Slack takes. Lengths are UTF-16 units.
mod limits {
    /// Blocks of a message (<https://docs.slack.dev/reference/block-kit/blocks>).
    pub(super) const BLOCKS: usize = 50;
    /// One text object (<https://docs.slack.dev/reference/block-kit/composition-objects/text-object>).
    pub(super) const TEXT: usize = 3_000;
    /// All texts of all blocks: not documented, refused with `msg_blocks_too_long` from some 11,000 on
    /// (<https://github.com/slackapi/bolt-js/issues/2509>, <https://github.com/slackapi/bolt-js/issues/2867>).
    pub(super) const ALL_TEXTS: usize = 9_000;
    /// All of a message as JSON, in bytes: the same reports.
    pub(super) const BYTES: usize = 15_000;
    /// `text`, which is for notifications here; Slack cuts it at 40,000.
    pub(super) const NOTIFICATION: usize = 3_000;
    /// A button's label; about 30 of it are shown (<https://docs.slack.dev/reference/block-kit/block-elements/button-element>).
    pub(super) const LABEL: usize = 75;
    /// What stands for a picture (<https://docs.slack.dev/reference/block-kit/blocks/image-block>).
    pub(super) const ALT: usize = 2_000;
    /// A header's text (<https://docs.slack.dev/reference/block-kit/blocks/header-block>).
    pub(super) const HEADER: usize = 150;
    /// Elements of a context (<https://docs.slack.dev/reference/block-kit/blocks/context-block>).
    pub(super) const CONTEXT: usize = 10;
    /// Fields of a section, and the text of one (<https://docs.slack.dev/reference/block-kit/blocks/section-block>).
    pub(super) const FIELDS: usize = 10;
    pub(super) const FIELD: usize = 2_000;
    /// `block_id` and `action_id` (<https://docs.slack.dev/reference/block-kit/blocks>).
    pub(super) const ID: usize = 255;
    /// A markdown block (<https://docs.slack.dev/reference/block-kit/blocks/markdown-block>).
    pub(super) const MARKDOWN: usize = 12_000;
    /// Buttons in one row (<https://docs.slack.dev/reference/block-kit/blocks/actions-block>).
    pub(super) const BUTTONS: usize = 25;
}

/// One a second, and short bursts (<https://docs.slack.dev/apis/web-api/rate-limits>).
const PACE: [Limit; 1] = [Limit { messages: 3, within: Duration::from_secs(3) }];

/// A channel's incoming webhook.
struct Slack(Webhook);

impl Slack {
    fn new(address: Address) -> Result<Self, AddressError> {
        let target = Target::parse(&address.url)?;
        check(&target)?;
        Ok(Self(Webhook::new(target, address.http, address.pace, &PACE)))
    }

    async fn post(&self, body: &Body) -> Sent {
        self.0.post(super::USER_AGENT, body, answer::outcome).await
    }
}

/// Checks the shape of an address of Slack's; one elsewhere may be a proxy's.
fn check(target: &Target) -> Result<(), AddressError> {
    const COPY: &str =
        "copy it whole from the app's page (Incoming Webhooks): `https://hooks.slack.com/services/T…/B…/…`";
    let wrong = |message: &str| Err(AddressError { message: message.to_owned(), help: COPY });
    let parts: Vec<_> = target.path().split('/').filter(|part| !part.is_empty()).collect();
    if target.is_within("hooks.slack.com") {
        return match parts.as_slice() {
            ["services", _, _, _] => Ok(()),
            ["services", ..] => wrong("the webhook's address was cut, or has something behind it"),
            ["workflows" | "triggers", ..] => wrong("this is the address of a workflow, which takes no messages"),
            _ => wrong("this is not the address of an incoming webhook"),
        };
    }
    if target.is_within("slack.com") {
        return wrong("this is the address of a page of Slack's, not of an incoming webhook");
    }
    Ok(())
}

fn encode(message: &Message) -> String {
    fit(message, draw::draw, draw::Drawn::fits).json
}

#[async_trait]
impl Chat for Slack {
    fn destination(&self) -> String {
        self.0.destination(KIND.name)
    }

    fn pace(&self) -> Pace {
        self.0.pace()
    }

    fn encode(&self, message: &Message) -> Body {
        Body(encode(message))
    }

    /// Where Slack refuses the blocks, the message is sent without its pictures, and if need be as plain text with its links:
    /// better that than not at all.
    async fn send(&self, _: &DeliveryId, body: &Body) -> Sent {
        let sent = self.post(body).await;
        let Outcome::Rejected(refused) = &sent.outcome else { return sent };
        if refused.reason != Reason::InvalidMessage {
            return sent;
        }
        let poorer = [
            (fallback::without_pictures(&body.0), "sent without its pictures"),
            (fallback::plain(&body.0), "sent as plain text"),
        ];
        for (body, what) in poorer.into_iter().filter_map(|(body, what)| Some((Body(body?), what))) {
            let again = self.post(&body).await;
            match again.outcome {
                Outcome::Delivered(receipt) => {
                    let why = format!("{what}, because Slack refused the blocks ({})", refused.said);
                    let instead = Some(super::Instead { body, why });
                    return Sent { outcome: Outcome::Delivered(super::Receipt { instead, ..receipt }), ..again };
                }
                Outcome::Rejected(_) => {}
                outcome => return Sent { outcome, ..again },
            }
        }
        // The first refusal says more than those of what is poorer.
        sent
    }
}

#[cfg(test)]
mod tests;
