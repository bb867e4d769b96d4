//! Discord webhooks (<https://discord.com/developers/docs/resources/webhook>).

mod answer;
mod draw;
mod markdown;
mod native;

use std::time::Duration;

use async_trait::async_trait;

use super::pace::Limit;
use super::webhook::Webhook;
use super::{Address, AddressError, Body, Chat, Kind, Members, Pace, Sent};
use crate::event::DeliveryId;
use crate::http_client::Target;
use crate::message::Message;
use crate::message::fit::{fit, loss};

/// Entry of Discord in the list of chats.
pub const KIND: Kind = Kind {
    name: "discord",
    domains: &["discord.com", "discordapp.com"],
    build: Some(|address| Ok(Box::new(Discord::new(address)?))),
    signs: false,
    asks_for_interactivity: false,
    members: Some(Members {
        title: "Discord",
        is_id: is_member,
        help: "write a user ID, `80351110224678912`, or a role ID with `&` before it",
    }),
    draw: Some(encode),
    loss: Some(|message| loss(message, draw::draw, draw::Drawn::fits)),
    native: Some(native::finish),
};

/// Checks a user ID, or a role ID after `&` (<https://discord.com/developers/docs/reference#message-formatting>).
fn is_member(id: &str) -> bool {
    let number = id.strip_prefix('&').unwrap_or(id);
    (15..=20).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())
}

/// Limits of Discord; lengths are in UTF-16 units
/// (<https://discord.com/developers/docs/resources/message#embed-object-embed-limits>).
mod limits {
    /// Embeds in a message.
    pub(super) const EMBEDS: usize = 10;
    /// Length of `content`: a message without an embed.
    pub(super) const CONTENT: usize = 2_000;
    /// Length of an embed's title.
    pub(super) const TITLE: usize = 256;
    /// Length of an embed's text.
    pub(super) const DESCRIPTION: usize = 4_096;
    /// Fields in an embed.
    pub(super) const FIELDS: usize = 25;
    /// Length of a field's name.
    pub(super) const FIELD_NAME: usize = 256;
    /// Length of a field's value.
    pub(super) const FIELD_VALUE: usize = 1_024;
    /// Length of the footer.
    pub(super) const FOOTER: usize = 2_048;
    /// Length of the author's name.
    pub(super) const AUTHOR: usize = 256;
    /// Length of all texts of all embeds together.
    pub(super) const ALL: usize = 6_000;
}

/// Rate limits: five messages in two seconds for a webhook (from the response headers), and thirty a minute for a
/// channel (undocumented: <https://github.com/discord/discord-api-docs/issues/367>).
const PACE: [Limit; 2] =
    [Limit { messages: 5, within: Duration::from_secs(2) }, Limit { messages: 30, within: Duration::from_secs(60) }];

/// Discord blocks clients whose `User-Agent` does not have this format
/// (<https://discord.com/developers/docs/reference#user-agent>).
const USER_AGENT: &str = concat!("DiscordBot (https://crates.io/crates/hookbell, ", env!("CARGO_PKG_VERSION"), ")");

/// Webhook of a Discord channel.
struct Discord(Webhook);

impl Discord {
    fn new(address: Address) -> Result<Self, AddressError> {
        let target = Target::parse(&address.url)?;
        if target.path().trim_end_matches('/').ends_with("/slack")
            || target.path().trim_end_matches('/').ends_with("/github")
        {
            return Err(AddressError {
                message: "this URL is for Discord's Slack or GitHub emulation",
                help: "remove `/slack` or `/github` from the end of the URL",
            });
        }
        check(&target)?;
        // Without a version, Discord uses an old one, in which waits are in milliseconds.
        let target = target.with_path_prefix("/api/webhooks/", "/api/v10/webhooks/");
        // Without `wait`, Discord does not report whether it accepted the message.
        let target = target.with_parameter("wait", "true");
        Ok(Self(Webhook::new(target, address.http, address.pace, &PACE)))
    }
}

/// Checks the format of a URL on Discord's domains. A URL on another domain may belong to a proxy.
fn check(target: &Target) -> Result<(), AddressError> {
    if !target.is_within("discord.com") && !target.is_within("discordapp.com") {
        return Ok(());
    }
    let parts: Vec<_> = target.path().split('/').filter(|part| !part.is_empty()).collect();
    let message = match parts.as_slice() {
        ["api", "webhooks", id, token] | ["api", _, "webhooks", id, token]
            if id.bytes().all(|byte| byte.is_ascii_digit()) && !token.is_empty() =>
        {
            return Ok(());
        }
        ["api", ..] => "the webhook URL is incomplete or has extra text at the end",
        ["channels", ..] => "this is the URL of a channel page, not of a webhook",
        _ => "this is not a webhook URL",
    };
    let help = "copy the complete URL from the channel's settings (Integrations > Webhooks): \
                `https://discord.com/api/webhooks/…/…`";
    Err(AddressError { message, help })
}

fn encode(message: &Message) -> String {
    fit(message, draw::draw, draw::Drawn::fits).json
}

#[async_trait]
impl Chat for Discord {
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
        self.0.post(USER_AGENT, body, answer::outcome).await
    }
}

#[cfg(test)]
mod tests;
