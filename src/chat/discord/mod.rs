//! Discord webhooks (<https://discord.com/developers/docs/resources/webhook>).

mod answer;
mod draw;
mod markdown;
mod native;

use std::time::Duration;

use serde_json::{Value, json};

use super::pace::Limit;
use super::webhook::{Address, Service, URL_KEY};
use super::{
    AddressError, Body, Capabilities, ChannelKey, Chat, Finish, Keys, Kind, Members, Mentions, MessageRef, Outcome,
};
use crate::http_client::{Answer, Target};
use crate::message::Message;
use crate::message::fit::{Loss, fit, loss};

/// Name of the kind.
const NAME: &str = "discord";

/// Discord, as a kind of chat.
pub(super) struct Discord;

impl Kind for Discord {
    fn name(&self) -> &'static str {
        NAME
    }

    fn setup(&self) -> &'static str {
        "in the settings of a channel, choose Integrations, then Webhooks"
    }

    fn keys(&self) -> &'static [ChannelKey] {
        &[URL_KEY]
    }

    fn build(&self, keys: &mut dyn Keys) -> Option<Box<dyn Chat>> {
        Address::read(keys)?.channel(keys, ChannelWebhook, checked)
    }

    fn draw(&self, message: &Message) -> String {
        fit(message, draw::draw, draw::Drawn::fits).json
    }

    fn loss(&self, message: &Message) -> Option<Loss> {
        loss(message, draw::draw, draw::Drawn::fits)
    }

    fn native(&self) -> Option<Finish> {
        Some(native::finish)
    }

    fn members(&self) -> Option<Members> {
        Some(Members {
            title: "Discord",
            is_id: is_member,
            about: "user ID, `80351110224678912`, or a role ID with `&` before it",
            help: "write a user ID, `80351110224678912`, or a role ID with `&` before it",
        })
    }

    fn domains(&self) -> &'static [&'static str] {
        &["discord.com", "discordapp.com"]
    }
}

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
struct ChannelWebhook;

/// Returns the URL as it is used, or an error if it is not that of a webhook.
fn checked(target: Target) -> Result<Target, AddressError> {
    let path = target.path().trim_end_matches('/');
    if path.ends_with("/slack") || path.ends_with("/github") {
        return Err(AddressError {
            message: "this URL is for Discord's Slack or GitHub emulation",
            help: "remove `/slack` or `/github` from the end of the URL",
        });
    }
    check(&target)?;
    // Without a version, Discord uses an old one, in which waits are in milliseconds.
    let target = target.with_path_prefix("/api/webhooks/", "/api/v10/webhooks/");
    // Without `wait`, Discord does not report whether it accepted the message.
    Ok(target.with_parameter("wait", "true"))
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

impl Service for ChannelWebhook {
    fn kind(&self) -> &'static dyn Kind {
        &Discord
    }

    fn limits(&self) -> &'static [Limit] {
        &PACE
    }

    fn capabilities(&self) -> Capabilities {
        let mentions = Mentions { person: true, group: true };
        Capabilities { message_ids: true, edit: true, mentions, ..Capabilities::default() }
    }

    fn user_agent(&self) -> &'static str {
        USER_AGENT
    }

    fn outcome(&self, answer: &Answer) -> Outcome {
        answer::outcome(answer)
    }

    /// <https://discord.com/developers/docs/resources/webhook#get-webhook-with-token>
    fn is_readable(&self) -> bool {
        true
    }

    /// <https://discord.com/developers/docs/resources/webhook#edit-webhook-message>
    fn edit(&self, target: &Target, message: &MessageRef, body: &Body) -> Option<(Target, Body)> {
        Some((target.below(&["messages", message.as_str()]), whole(body)))
    }
}

/// Returns a body for an edit. What an edit leaves out stays, so everything that the new message lacks is emptied.
fn whole(body: &Body) -> Body {
    let Ok(Value::Object(mut message)) = serde_json::from_str(&body.0) else { return body.clone() };
    message.entry("content").or_insert(Value::Null);
    for list in ["embeds", "components"] {
        message.entry(list).or_insert_with(|| json!([]));
    }
    // Without it, an edit pings everyone whom the content names.
    message.entry("allowed_mentions").or_insert_with(|| json!({ "parse": [] }));
    Body(Value::Object(message).to_string())
}

#[cfg(test)]
mod tests;
