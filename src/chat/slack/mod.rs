//! Slack incoming webhooks (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>).

mod answer;
mod block_kit;
mod draw;
mod fallback;
mod native;
mod payload;

use std::time::Duration;

use async_trait::async_trait;

use super::pace::Limit;
use super::webhook::Webhook;
use super::{Address, AddressError, Body, Chat, Kind, Members, Outcome, Pace, Reason, Sent};
use crate::event::DeliveryId;
use crate::http_client::Target;
use crate::message::Message;
use crate::message::fit::{fit, loss};

/// Entry of Slack in the list of chats.
pub const KIND: Kind = Kind {
    name: "slack",
    domains: &["slack.com", "slack-gov.com"],
    build: Some(|address| Ok(Box::new(Slack::new(address)?))),
    signs: false,
    asks_for_interactivity: true,
    members: Some(Members {
        title: "Slack",
        is_id: is_member,
        help: "write a member ID, `U024BE7LH`, or a user group ID, `S0614TZR7`",
    }),
    draw: Some(encode),
    loss: Some(|message| loss(message, |message| draw::draw(message, false), draw::Drawn::fits)),
    native: Some(native::finish),
};

/// Checks a member or user group ID (<https://docs.slack.dev/reference/block-kit/block-elements/user-element>).
fn is_member(id: &str) -> bool {
    id.starts_with(['U', 'W', 'S']) && id.len() > 2 && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Limits of Slack. Lengths are in UTF-16 units.
mod limits {
    /// Blocks in a message (<https://docs.slack.dev/reference/block-kit/blocks>).
    pub(super) const BLOCKS: usize = 50;
    /// Length of one text object (<https://docs.slack.dev/reference/block-kit/composition-objects/text-object>).
    pub(super) const TEXT: usize = 3_000;
    /// Length of all texts of all blocks. Not documented; Slack rejects some 11,000 and more with `msg_blocks_too_long`
    /// (<https://github.com/slackapi/bolt-js/issues/2509>, <https://github.com/slackapi/bolt-js/issues/2867>).
    pub(super) const ALL_TEXTS: usize = 9_000;
    /// Size of a message as JSON, in bytes (from the same reports).
    pub(super) const BYTES: usize = 15_000;
    /// Length of `text`, which Hookbell uses for notifications; Slack cuts it at 40,000.
    pub(super) const NOTIFICATION: usize = 3_000;
    /// Length of a button's label, of which Slack shows about 30
    /// (<https://docs.slack.dev/reference/block-kit/block-elements/button-element>).
    pub(super) const LABEL: usize = 75;
    /// Length of a picture's alternative text (<https://docs.slack.dev/reference/block-kit/blocks/image-block>).
    pub(super) const ALT: usize = 2_000;
    /// Length of a header (<https://docs.slack.dev/reference/block-kit/blocks/header-block>).
    pub(super) const HEADER: usize = 150;
    /// Elements in a context block (<https://docs.slack.dev/reference/block-kit/blocks/context-block>).
    pub(super) const CONTEXT: usize = 10;
    /// Fields in a section (<https://docs.slack.dev/reference/block-kit/blocks/section-block>).
    pub(super) const FIELDS: usize = 10;
    /// Length of a field in a section (<https://docs.slack.dev/reference/block-kit/blocks/section-block>).
    pub(super) const FIELD: usize = 2_000;
    /// Length of `block_id` and `action_id` (<https://docs.slack.dev/reference/block-kit/blocks>).
    pub(super) const ID: usize = 255;
    /// Length of a markdown block (<https://docs.slack.dev/reference/block-kit/blocks/markdown-block>).
    pub(super) const MARKDOWN: usize = 12_000;
    /// Buttons in one row (<https://docs.slack.dev/reference/block-kit/blocks/actions-block>).
    pub(super) const BUTTONS: usize = 25;
}

/// Rate limit: one message a second, with short bursts (<https://docs.slack.dev/apis/web-api/rate-limits>).
const PACE: [Limit; 1] = [Limit { messages: 3, within: Duration::from_secs(3) }];

/// Incoming webhook of a Slack channel.
struct Slack {
    webhook: Webhook,
    /// True if links are buttons.
    interactivity: bool,
}

impl Slack {
    fn new(address: Address) -> Result<Self, AddressError> {
        let target = Target::parse(&address.url)?;
        check(&target)?;
        let webhook = Webhook::new(target, address.http, address.pace, &PACE);
        Ok(Self { webhook, interactivity: address.interactivity })
    }

    async fn post(&self, body: &Body) -> Sent {
        self.webhook.post(crate::http_client::USER_AGENT, body, answer::outcome).await
    }
}

/// Checks the format of a URL on Slack's domains. A URL on another domain may belong to a proxy.
fn check(target: &Target) -> Result<(), AddressError> {
    const COPY: &str =
        "copy the complete URL from the app's page (Incoming Webhooks): `https://hooks.slack.com/services/T…/B…/…`";
    let wrong = |message: &'static str| Err(AddressError { message, help: COPY });
    let parts: Vec<_> = target.path().split('/').filter(|part| !part.is_empty()).collect();
    if target.is_within("hooks.slack.com") {
        return match parts.as_slice() {
            ["services", _, _, _] => Ok(()),
            ["services", ..] => wrong("the webhook URL is incomplete or has extra text at the end"),
            ["workflows" | "triggers", ..] => wrong("this is the URL of a workflow, which does not accept messages"),
            _ => wrong("this is not the URL of an incoming webhook"),
        };
    }
    if target.is_within("slack.com") {
        return wrong("this is the URL of a Slack page, not of an incoming webhook");
    }
    Ok(())
}

fn encode(message: &Message) -> String {
    fitted(message, false)
}

/// Renders a message within Slack's limits, with buttons if the app handles interactions.
fn fitted(message: &Message, interactivity: bool) -> String {
    fit(message, |message| draw::draw(message, interactivity), draw::Drawn::fits).json
}

#[async_trait]
impl Chat for Slack {
    fn destination(&self) -> String {
        self.webhook.destination(KIND.name)
    }

    fn pace(&self) -> Pace {
        self.webhook.pace()
    }

    fn encode(&self, message: &Message) -> Body {
        Body(fitted(message, self.interactivity))
    }

    /// If Slack rejects the blocks, sends the message without its pictures, and if Slack rejects that too, as plain
    /// text with its links.
    async fn send(&self, _: &DeliveryId, body: &Body) -> Sent {
        let sent = self.post(body).await;
        let Outcome::Rejected(refused) = &sent.outcome else { return sent };
        if refused.reason != Reason::InvalidMessage {
            return sent;
        }
        let poorer = [
            (fallback::without_pictures(&body.0), "sent without pictures"),
            (fallback::plain(&body.0), "sent as plain text"),
        ];
        for (body, what) in poorer.into_iter().filter_map(|(body, what)| Some((Body(body?), what))) {
            let again = self.post(&body).await;
            match again.outcome {
                Outcome::Delivered(receipt) => {
                    let why = format!("{what} because Slack rejected the blocks ({})", refused.response);
                    let instead = Some(super::Instead { body, why });
                    return Sent { outcome: Outcome::Delivered(super::Receipt { instead, ..receipt }), ..again };
                }
                Outcome::Rejected(_) => {}
                outcome => return Sent { outcome, ..again },
            }
        }
        // The first rejection explains more than the rejections of the replacements.
        sent
    }
}

#[cfg(test)]
mod tests;
