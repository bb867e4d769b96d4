//! Slack by a bot token: the Web API (<https://docs.slack.dev/apis/web-api>), which can also edit messages, reply in
//! threads and add reactions.

mod answer;

use async_trait::async_trait;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{NAME, PACE, fallback, fitted};
use crate::chat::{
    Action, AddressError, Body, Capabilities, ChannelKey, Chat, Failure, KeyType, Keys, Mentions, MessageRef, Outcome,
    Pace, Probed, Reason, Sent,
};
use crate::event::DeliveryId;
use crate::http_client::{Http, Target, USER_AGENT};
use crate::message::Message;

/// Key of the token.
pub(super) const TOKEN: &str = "token";

/// Key of the channel.
pub(super) const CHANNEL: &str = "channel";

/// Key of the API's URL.
pub(super) const API_URL: &str = "api_url";

/// The keys of a channel with a bot token, for the documentation.
pub(super) const KEYS: [ChannelKey; 3] = [
    ChannelKey {
        key: TOKEN,
        value: KeyType::Secret,
        default: "none",
        about: "only for `slack`, instead of `webhook_url`: the bot token of an app, `xoxb-…`",
    },
    ChannelKey {
        key: CHANNEL,
        value: KeyType::Text,
        default: "none",
        about: "required with `token`: ID of the channel, `C024BE91L`",
    },
    ChannelKey {
        key: API_URL,
        value: KeyType::Text,
        default: "https://slack.com/api",
        about: "with `token`: URL of the API, for GovSlack (`https://slack-gov.com/api`) or a proxy",
    },
];

/// Default URL of the API.
const API: &str = "https://slack.com/api";

/// Scope without which nothing can be posted (<https://docs.slack.dev/reference/scopes/chat.write>).
const SCOPE: &str = "chat:write";

/// Header that lists the scopes of the token.
const SCOPES_HEADER: &str = "x-oauth-scopes";

/// A channel to which a bot posts.
pub(super) struct Bot {
    token: SecretString,
    authorization: HeaderValue,
    channel: String,
    api: Target,
    http: Http,
    /// Rate limit from the configuration, if it sets one.
    pace: Option<Pace>,
    /// True if links are buttons, because the app handles interactions.
    interactivity: bool,
}

/// Reads the channel of a bot. `channel` and `api_url` are the values of these keys.
pub(super) fn build(
    keys: &mut dyn Keys,
    (channel, api_url): (Option<String>, Option<String>),
    interactivity: bool,
) -> Option<Box<dyn Chat>> {
    let (pace, token) = (keys.pace(), keys.secret(TOKEN));
    let channel = match channel {
        Some(channel) if is_channel(&channel) => Some(channel),
        given => {
            keys.reject(if given.is_some() { CHANNEL } else { TOKEN }, no_channel(given.as_deref()));
            None
        }
    };
    let api = Target::parse(&api_url.unwrap_or_else(|| API.to_owned()).into());
    let api = api.and_then(|api| if api.is_exposed() { Err(EXPOSED) } else { Ok(api) });
    let api = api.map_err(|error| keys.reject(API_URL, error)).ok();
    let (token, channel, api, http) = (token?, channel?, api?, keys.http()?);
    match authorization(&token) {
        Ok(authorization) => Some(Box::new(Bot { token, authorization, channel, api, http, pace, interactivity })),
        Err(error) => {
            keys.reject(TOKEN, error);
            None
        }
    }
}

/// Returns true for the ID of a channel, or of a conversation of the bot.
fn is_channel(text: &str) -> bool {
    text.starts_with(['C', 'G', 'D'])
        && text.len() > 6
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

const EXPOSED: AddressError = AddressError {
    message: "the token would be sent without encryption (`http://`)",
    help: "use `https://`; `http://` is for this machine only",
};

/// The error of a missing or invalid channel ID. Names can change, and an answer names only the ID.
const fn no_channel(given: Option<&str>) -> AddressError {
    let help =
        "open the channel's details in Slack, and copy the channel ID at the end of *About*: `channel = \"C024BE91L\"`";
    let message = if given.is_some() { "this is not the ID of a channel" } else { "`token` requires `channel`" };
    AddressError { message, help }
}

fn authorization(token: &SecretString) -> Result<HeaderValue, AddressError> {
    const COPY: &str = "copy the *Bot User OAuth Token* from the app's page (OAuth & Permissions): `xoxb-…`";
    let text = token.expose_secret();
    let wrong = |message| Err(AddressError { message, help: COPY });
    if text.starts_with("https://") {
        return wrong("this is a webhook URL, which belongs in `webhook_url`, not a bot token");
    }
    if ["xoxp-", "xapp-", "xoxe", "xoxa-", "xoxs-"].iter().any(|prefix| text.starts_with(prefix)) {
        return wrong("this is another kind of token, not a bot token");
    }
    match HeaderValue::from_str(&format!("Bearer {text}")) {
        Ok(mut value) => {
            value.set_sensitive(true);
            Ok(value)
        }
        Err(_) => wrong("the token contains characters that a token cannot have"),
    }
}

impl Bot {
    /// Calls a method of the API.
    async fn call(&self, method: &str, arguments: &Value) -> Result<answer::Called, Outcome> {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, self.authorization.clone())]);
        let target = self.api.below(&[method]);
        let sent = self.http.send(Method::POST, &target, USER_AGENT, headers, arguments.to_string()).await;
        sent.map(|answer| answer::Called::new(answer, &self.token)).map_err(Outcome::from)
    }

    /// Calls a method and returns the outcome.
    async fn outcome(&self, method: &str, arguments: &Value) -> Sent {
        match self.call(method, arguments).await {
            Ok(called) => Sent { outcome: called.outcome(), status: Some(called.status()) },
            Err(outcome) => outcome.into(),
        }
    }

    /// Posts a message. If Slack rejects its form, tries the replacements.
    async fn post(&self, body: &Body, more: &Value) -> Sent {
        let arguments = |body: &Body| {
            let mut arguments = json!({ "channel": self.channel });
            add(&mut arguments, parsed(body));
            add(&mut arguments, more.as_object().cloned().unwrap_or_default());
            arguments
        };
        let sent = self.outcome("chat.postMessage", &arguments(body)).await;
        let Some(rejected) = sent.rejected_form() else { return sent };
        for (body, what) in fallback::poorer(body) {
            let again = self.outcome("chat.postMessage", &arguments(&body)).await;
            if let Some(again) = again.of_replacement(body, what, rejected) {
                return again;
            }
        }
        // The first rejection explains more than the rejections of the replacements.
        sent
    }

    /// Calls a method about a message, with arguments made from its channel and timestamp.
    async fn about(
        &self,
        message: &MessageRef,
        method: &str,
        arguments: impl FnOnce(&str, &str) -> Value + Send,
    ) -> Sent {
        match parts(message) {
            Some((channel, ts)) => self.outcome(method, &arguments(channel, ts)).await,
            None => unknown_message(),
        }
    }
}

/// Returns the arguments of an edit. What an edit leaves out may stay, so everything that the new message lacks is
/// emptied.
fn edited(channel: &str, ts: &str, body: &Body) -> Value {
    let mut arguments =
        json!({ "channel": channel, "ts": ts, "text": "", "blocks": [], "attachments": [], "parse": "none" });
    add(&mut arguments, parsed(body));
    arguments
}

/// Adds fields to an object.
fn add(object: &mut Value, fields: Map<String, Value>) {
    if let Value::Object(object) = object {
        object.extend(fields);
    }
}

/// Returns the fields of a rendered body.
fn parsed(body: &Body) -> Map<String, Value> {
    match serde_json::from_str(&body.0) {
        Ok(Value::Object(fields)) => fields,
        // A template rendered something else: Slack names what is wrong.
        _ => Map::from_iter([("text".to_owned(), Value::String(body.0.clone()))]),
    }
}

/// Separates the channel and the timestamp of a message. The answer to a post names both; the channel may be another than
/// the configured one, if that is a person.
fn parts(message: &MessageRef) -> Option<(&str, &str)> {
    message.as_str().split_once(':')
}

/// Outcome for a reference that another version stored.
fn unknown_message() -> Sent {
    Outcome::Rejected(Failure::new(Reason::Gone, "the message is unknown")).into()
}

#[async_trait]
impl Chat for Bot {
    /// The ID of a channel is unique among all workspaces, so another token is the same destination.
    fn destination(&self) -> String {
        let hash = Sha256::new().chain_update(self.api.destination(NAME)).chain_update([0]).chain_update(&self.channel);
        format!("{NAME}:{}", hex::encode(&hash.finalize()[..8]))
    }

    fn pace(&self) -> Pace {
        self.pace.clone().unwrap_or_else(|| Pace(PACE.to_vec()))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            message_ids: true,
            edit: true,
            thread: true,
            reaction: true,
            delete: true,
            mentions: Mentions { person: true, group: true },
            ..Capabilities::default()
        }
    }

    fn encode(&self, message: &Message) -> Body {
        Body(fitted(message, self.interactivity))
    }

    async fn perform(&self, _: &DeliveryId, action: Action<'_>) -> Sent {
        match action {
            Action::Post(body) => self.post(body, &json!({})).await,
            Action::Edit { message, body } => self.about(message, "chat.update", |at, ts| edited(at, ts, body)).await,
            Action::Reply { to, body, also_in_channel } => match parts(to) {
                Some((channel, ts)) => {
                    let more = json!({ "channel": channel, "thread_ts": ts, "reply_broadcast": also_in_channel });
                    self.post(body, &more).await
                }
                None => unknown_message(),
            },
            Action::React { to, reaction } => {
                let arguments = |at: &str, ts: &str| json!({ "channel": at, "timestamp": ts, "name": reaction });
                self.about(to, "reactions.add", arguments).await
            }
            Action::Delete(message) => {
                self.about(message, "chat.delete", |at, ts| json!({ "channel": at, "ts": ts })).await
            }
        }
    }

    /// Checks the token and its scopes (<https://docs.slack.dev/reference/methods/auth.test>).
    async fn probe(&self) -> Option<Result<Probed, Failure>> {
        let called = match self.call("auth.test", &json!({})).await {
            Ok(called) => called,
            Err(outcome) => return Some(outcome.into_failure().map_or(Ok(Probed::Chat), Err)),
        };
        if let Some(failure) = called.outcome().into_failure() {
            return Some(Err(failure));
        }
        let scopes = called.header(SCOPES_HEADER);
        let has_scope = scopes.is_none_or(|scopes| scopes.split(',').any(|scope| scope.trim() == SCOPE));
        Some(if has_scope { Ok(Probed::Chat) } else { Err(answer::missing_scope(SCOPE)) })
    }
}

#[cfg(test)]
mod tests;
