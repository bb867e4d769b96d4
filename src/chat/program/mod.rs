//! Programs: `kind = "webhook"`. A program receives the event itself as JSON, for example to start a build after a
//! push. Requests are signed according to the Standard Webhooks specification
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
//!
//! `webhook-id` is the id of the delivery, the same for each attempt, so that a program can detect repeated requests.
//! `webhook-timestamp` is the time of the attempt, because receivers reject old timestamps. The signature covers the
//! id, the timestamp and the body.

mod answer;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde_json::{Value, json};

use super::pace::Limit;
use super::webhook::{Address, Service, URL_KEY};
use super::{AddressError, Body, Capabilities, ChannelKey, Chat, KeyType, Keys, Kind, Outcome};
use crate::event::DeliveryId;
use crate::http_client::Answer;
use crate::mac::hmac_sha256;
use crate::message::{Message, plain_text};
use crate::time::now;

/// Programs, as a kind of chat.
pub(super) struct Program;

impl Kind for Program {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn keys(&self) -> &'static [ChannelKey] {
        &[
            URL_KEY,
            ChannelKey {
                key: SECRET,
                value: KeyType::Secret,
                default: "",
                about: "required for `webhook`: signs the requests, as defined by Standard Webhooks",
            },
        ]
    }

    fn build(&self, keys: &mut dyn Keys) -> Option<Box<dyn Chat>> {
        let (address, secret) = (Address::read(keys), keys.secret(SECRET));
        let (address, secret) = (address?, secret?);
        match key(&secret) {
            Ok(key) => address.channel(keys, Endpoint { key }, Ok),
            Err(error) => {
                keys.reject(SECRET, error);
                None
            }
        }
    }

    /// A message that is not about an event (a test) is sent as its line.
    fn draw(&self, message: &Message) -> String {
        let text = plain_text(&message.line);
        json!({ "type": "hookbell.message", "timestamp": message.time, "data": { "text": text } }).to_string()
    }

    fn draw_event(&self, event: &Value) -> Option<String> {
        Some(json!({ "type": event["kind"], "timestamp": event["time"], "data": event }).to_string())
    }

    fn takes_events(&self) -> bool {
        true
    }

    /// A program can have any URL, even one of a Teams flow, and accepts what it likes.
    fn accepts_any_url(&self) -> bool {
        true
    }
}

/// Key of the secret that signs requests.
const SECRET: &str = "secret";

/// Prefix of a base64 secret in the specification's format.
const PREFIX: &str = "whsec_";

/// Endpoint of a program, with the key that signs its requests.
struct Endpoint {
    key: SecretSlice<u8>,
}

impl Endpoint {
    /// Returns the headers that sign a body. `seconds` is the timestamp, in seconds since 1970.
    fn signed(&self, id: &str, seconds: i64, body: &str) -> HeaderMap {
        let mac = hmac_sha256(self.key.expose_secret(), format!("{id}.{seconds}.{body}").as_bytes());
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

impl Service for Endpoint {
    fn kind(&self) -> &'static dyn Kind {
        &Program
    }

    fn limits(&self) -> &'static [Limit] {
        &[]
    }

    /// The id of the delivery is in the headers, so a program can ignore a repeated request.
    fn capabilities(&self) -> Capabilities {
        Capabilities { repeat_safe_post: true, ..Capabilities::default() }
    }

    fn headers(&self, delivery: &DeliveryId, body: &Body) -> HeaderMap {
        self.signed(delivery.as_str(), now() / 1000, &body.0)
    }

    fn outcome(&self, answer: &Answer) -> Outcome {
        answer::outcome(answer)
    }
}

#[cfg(test)]
mod tests;
