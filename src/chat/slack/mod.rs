//! Slack: incoming webhooks (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>), and bot tokens
//! (`bot/`).

mod answer;
mod block_kit;
mod bot;
mod draw;
mod fallback;
mod native;
mod payload;

use std::time::Duration;

use super::pace::Limit;
use super::webhook::{Address, Service, URL, URL_KEY};
use super::{
    AddressError, Body, Capabilities, ChannelKey, Chat, Finish, KeyType, Keys, Kind, Members, Mentions, Outcome,
};
use crate::http_client::{Answer, Target};
use crate::message::Message;
use crate::message::fit::{Loss, fit, loss};

/// Name of the kind.
const NAME: &str = "slack";

/// Slack, as a kind of chat.
pub(super) struct Slack;

impl Kind for Slack {
    fn name(&self) -> &'static str {
        NAME
    }

    fn setup(&self) -> &'static str {
        "create an app at https://api.slack.com/apps, turn on Incoming Webhooks, and add it to a channel"
    }

    fn keys(&self) -> &'static [ChannelKey] {
        &[
            URL_KEY,
            bot::KEYS[0],
            bot::KEYS[1],
            bot::KEYS[2],
            ChannelKey {
                key: INTERACTIVITY,
                value: KeyType::Flag,
                default: "false",
                about: "only for `slack`: links are buttons; set it if the app has an interactivity request URL",
            },
        ]
    }

    fn build(&self, keys: &mut dyn Keys) -> Option<Box<dyn Chat>> {
        let interactivity = keys.flag(INTERACTIVITY);
        let (channel, api_url) = (keys.text(bot::CHANNEL), keys.text(bot::API_URL));
        if keys.is_set(bot::TOKEN) {
            if keys.is_set(URL) {
                keys.secret(URL);
                keys.reject(URL, BOTH);
            }
            return bot::build(keys, (channel, api_url), interactivity);
        }
        if channel.is_some() {
            keys.reject(bot::CHANNEL, CHANNEL_WITHOUT_TOKEN);
        }
        Address::read(keys)?.channel(keys, IncomingWebhook { interactivity }, checked)
    }

    fn draw(&self, message: &Message) -> String {
        fitted(message, false)
    }

    fn loss(&self, message: &Message) -> Option<Loss> {
        loss(message, |message| draw::draw(message, false), draw::Drawn::fits)
    }

    fn native(&self) -> Option<Finish> {
        Some(native::finish)
    }

    fn members(&self) -> Option<Members> {
        Some(Members {
            title: "Slack",
            is_id: is_member,
            about: "member ID, `U024BE7LH`, or user group ID, `S0614TZR7`",
            help: "write a member ID, `U024BE7LH`, or a user group ID, `S0614TZR7`",
        })
    }

    fn domains(&self) -> &'static [&'static str] {
        &["slack.com", "slack-gov.com"]
    }
}

const BOTH: AddressError = AddressError {
    message: "`token` and `webhook_url` cannot be combined",
    help: "remove `webhook_url`: with the token, the bot posts to `channel`",
};

const CHANNEL_WITHOUT_TOKEN: AddressError = AddressError {
    message: "`channel` requires `token`",
    help: "a webhook URL posts to the channel that it was made for: remove `channel`, or use a bot token",
};

/// Key that makes links buttons.
const INTERACTIVITY: &str = "interactivity";

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
struct IncomingWebhook {
    /// True if links are buttons, because the app handles interactions.
    interactivity: bool,
}

/// Checks the format of a URL on Slack's domains. A URL on another domain may belong to a proxy.
fn checked(target: Target) -> Result<Target, AddressError> {
    const COPY: &str =
        "copy the complete URL from the app's page (Incoming Webhooks): `https://hooks.slack.com/services/T…/B…/…`";
    let wrong = |message: &'static str| Err(AddressError { message, help: COPY });
    let parts: Vec<_> = target.path().split('/').filter(|part| !part.is_empty()).collect();
    if target.is_within("hooks.slack.com") {
        return match parts.as_slice() {
            ["services", _, _, _] => Ok(target),
            ["services", ..] => wrong("the webhook URL is incomplete or has extra text at the end"),
            ["workflows" | "triggers", ..] => wrong("this is the URL of a workflow, which does not accept messages"),
            _ => wrong("this is not the URL of an incoming webhook"),
        };
    }
    if target.is_within("slack.com") {
        return wrong("this is the URL of a Slack page, not of an incoming webhook");
    }
    Ok(target)
}

/// Renders a message within Slack's limits, with buttons if the app handles interactions.
fn fitted(message: &Message, interactivity: bool) -> String {
    fit(message, |message| draw::draw(message, interactivity), draw::Drawn::fits).json
}

impl Service for IncomingWebhook {
    fn kind(&self) -> &'static dyn Kind {
        &Slack
    }

    fn limits(&self) -> &'static [Limit] {
        &PACE
    }

    fn encode(&self, message: &Message) -> String {
        fitted(message, self.interactivity)
    }

    /// An incoming webhook answers `ok`, without an id of the message.
    fn capabilities(&self) -> Capabilities {
        Capabilities { mentions: Mentions { person: true, group: true }, ..Capabilities::default() }
    }

    fn outcome(&self, answer: &Answer) -> Outcome {
        answer::outcome(answer)
    }

    fn poorer(&self, body: &Body) -> Vec<(Body, &'static str)> {
        fallback::poorer(body)
    }
}

#[cfg(test)]
mod tests;
