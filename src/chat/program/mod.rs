//! Programs: `kind = "webhook"`. They get the event itself, as JSON, signed as the Standard Webhooks specification says
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>), so that a push can
//! start a build.
//!
//! `webhook-id` is the delivery's id, the same for each attempt: by it a program knows what it has seen. The timestamp is
//! the attempt's, because receivers refuse old ones; it is signed with the id and the body.

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
use crate::store::now;

/// Programs, for the list of chats.
pub const KIND: Kind = Kind {
    name: "webhook",
    domains: &[],
    build: Some(|address| Ok(Box::new(Program::new(address)?))),
    signs: true,
    draw: None,
    loss: None,
    native: None,
};

/// What stands before a secret that is written in base64, as the specification has it.
const PREFIX: &str = "whsec_";

/// A program's address, and the key that requests are signed with.
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
                    message: "a `webhook` channel needs a `secret`: its requests are signed with it".to_owned(),
                    help: "add `secret = { file = \"program.secret\" }`; the program verifies with the same",
                });
            }
        };
        let target = Target::parse(&address.url)?;
        Ok(Self { webhook: Webhook::new(target, address.http, address.pace, &[]), key })
    }

    /// The headers that sign a body at a moment, in seconds since 1970.
    fn signed(&self, id: &str, seconds: i64, body: &str) -> HeaderMap {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length; the Result is of the trait's")]
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

/// What a program gets of an event.
pub fn body(event: &Value) -> String {
    json!({ "type": event["kind"], "timestamp": event["time"], "data": event }).to_string()
}

/// What is signed with: the bytes behind `whsec_`, or a secret of another form as it is.
fn key(secret: &SecretString) -> Result<SecretSlice<u8>, AddressError> {
    let text = secret.expose_secret();
    let Some(encoded) = text.strip_prefix(PREFIX) else { return Ok(text.as_bytes().to_vec().into()) };
    let key = STANDARD.decode(encoded).ok().filter(|key| !key.is_empty());
    key.map(Into::into).ok_or_else(|| AddressError {
        message: "the `secret` begins with `whsec_`, and what follows is no base64".to_owned(),
        help: "copy it whole, or use a secret of another form: it is taken as it is",
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

    /// What is not about an event (a test) is told by its line.
    fn encode(&self, message: &Message) -> Body {
        let text = plain_text(&message.line);
        Body(json!({ "type": "hookbell.message", "timestamp": message.time, "data": { "text": text } }).to_string())
    }

    fn encode_event(&self, event: &Value) -> Option<Body> {
        Some(Body(body(event)))
    }

    async fn send(&self, delivery: &DeliveryId, body: &Body) -> Sent {
        let headers = self.signed(delivery.as_str(), now() / 1000, &body.0);
        self.webhook.post_with(headers, super::USER_AGENT, body, answer::outcome).await
    }
}

#[cfg(test)]
mod tests;
