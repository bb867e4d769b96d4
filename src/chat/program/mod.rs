//! Programs: `kind = "webhook"`. A program receives the event itself as JSON, for example to start a build after a
//! push. Requests are signed according to the Standard Webhooks specification
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
//!
//! `webhook-id` is the id of the delivery, the same for each attempt, so that a program can detect repeated requests.
//! `webhook-timestamp` is the time of the attempt, because receivers reject old timestamps. The signature covers the
//! id, the timestamp and the body.

mod answer;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde_json::{Value, json};
use sha2::Sha256;

use super::webhook::Webhook;
use super::{Address, AddressError, Body, Chat, Kind, Pace, Sent};
use crate::event::DeliveryId;
use crate::http_client::Target;
use crate::message::{Message, plain_text};
use crate::time::now;

/// Entry of programs in the list of chats.
pub const KIND: Kind = Kind {
    name: "webhook",
    domains: &[],
    build: Some(|address| Ok(Box::new(Program::new(address)?))),
    signs: true,
    asks_for_interactivity: false,
    members: None,
    draw: None,
    loss: None,
    native: None,
};

/// Prefix of a base64 secret in the specification's format.
const PREFIX: &str = "whsec_";

/// Webhook of a program, and the key that signs its requests.
struct Program {
    webhook: Webhook,
    key: SecretSlice<u8>,
}

impl Program {
    fn new(address: Address) -> Result<Self, AddressError> {
        let key = match &address.secret {
            Some(secret) => key(secret)?,
            None => {
                return Err(AddressError {
                    message: "a `webhook` channel needs a `secret` to sign its requests",
                    help: "add `secret = { file = \"program.secret\" }`; the program verifies with the same secret",
                });
            }
        };
        let target = Target::parse(&address.url)?;
        Ok(Self { webhook: Webhook::new(target, address.http, address.pace, &[]), key })
    }

    /// Returns the headers that sign a body. `seconds` is the timestamp, in seconds since 1970.
    fn signed(&self, id: &str, seconds: i64, body: &str) -> HeaderMap {
        #[expect(clippy::expect_used, reason = "HMAC accepts keys of any length; the trait returns a Result")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret()).expect("any key length");
        mac.update(format!("{id}.{seconds}.{body}").as_bytes());
        let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        let headers = [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signature),
        ];
        let value = |text: String| HeaderValue::from_str(&text).ok();
        headers.into_iter().filter_map(|(name, text)| Some((name.parse().ok()?, value(text)?))).collect()
    }
}

/// Returns the body that a program receives for an event.
pub fn body(event: &Value) -> String {
    json!({ "type": event["kind"], "timestamp": event["time"], "data": event }).to_string()
}

/// Returns the signing key: the decoded base64 after `whsec_`, or the bytes of a secret without this prefix.
fn key(secret: &SecretString) -> Result<SecretSlice<u8>, AddressError> {
    let text = secret.expose_secret();
    let Some(encoded) = text.strip_prefix(PREFIX) else { return Ok(text.as_bytes().to_vec().into()) };
    let key = STANDARD.decode(encoded).ok().filter(|key| !key.is_empty());
    key.map(Into::into).ok_or(AddressError {
        message: "the `secret` starts with `whsec_`, but the rest is not valid base64",
        help: "copy the whole secret, or use one without the prefix `whsec_`, which is used as is",
    })
}

#[async_trait]
impl Chat for Program {
    fn destination(&self) -> String {
        self.webhook.destination(KIND.name)
    }

    fn pace(&self) -> Pace {
        self.webhook.pace()
    }

    /// A message that is not about an event (a test) is sent as its line.
    fn encode(&self, message: &Message) -> Body {
        let text = plain_text(&message.line);
        Body(json!({ "type": "hookbell.message", "timestamp": message.time, "data": { "text": text } }).to_string())
    }

    fn encode_event(&self, event: &Value) -> Option<Body> {
        Some(Body(body(event)))
    }

    async fn send(&self, delivery: &DeliveryId, body: &Body) -> Sent {
        let headers = self.signed(delivery.as_str(), now() / 1000, &body.0);
        self.webhook.post_with(headers, crate::http_client::USER_AGENT, body, answer::outcome).await
    }
}

#[cfg(test)]
mod tests;
