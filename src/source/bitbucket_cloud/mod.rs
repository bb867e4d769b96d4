//! Bitbucket Cloud.
//!
//! Formats: <https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/>. The signature is
//! `X-Hub-Signature: sha256=<hex>`, sent only where the webhook has a secret
//! (<https://bitbucket.org/blog/enhanced-webhook-security>).

mod json;
mod objects;
mod pull_request;
mod push;
mod samples;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::{Parsed, Provider, Refusal, Source, SourceSettings, signature};
use crate::event::{Event, Kind};

/// Bitbucket Cloud, for the list of providers.
pub const PROVIDER: Provider = Provider {
    kind: "bitbucket-cloud",
    build: |settings| Box::new(BitbucketCloud { settings }),
    samples: samples::ALL,
    headers,
    sign: |secret, body| (SIGNATURE, signature::hmac_sha256(secret, body)),
};

const SIGNATURE: &str = "X-Hub-Signature";
const EVENT_KEY: &str = "X-Event-Key";
const REQUEST: &str = "X-Request-UUID";
const HOOK: &str = "X-Hook-UUID";

/// Bitbucket does not send a body over 256 KB
/// (<https://confluence.atlassian.com/bbkb/troubleshoot-webhooks-1167729092.html>); this leaves it room to grow.
const LARGEST_BODY: usize = 1024 * 1024;

struct BitbucketCloud {
    settings: SourceSettings,
}

impl Source for BitbucketCloud {
    fn largest_body(&self) -> usize {
        LARGEST_BODY
    }

    fn telling_headers(&self) -> &'static [&'static str] {
        &["user-agent", "x-attempt-number", "x-event-key", "x-event-time", "x-hook-uuid", "x-request-uuid"]
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let signature = headers.get(SIGNATURE).ok_or(Refusal::Unsigned { header: SIGNATURE })?;
        let verified = signature::verify_hmac_sha256(&self.settings.secrets, body, signature.as_bytes());
        if verified { Ok(()) } else { Err(Refusal::WrongSignature) }
    }

    fn parse(&self, headers: &HeaderMap, body: &[u8]) -> Result<Parsed, Refusal> {
        let key = header(headers, EVENT_KEY)
            .ok_or_else(|| Refusal::Malformed(format!("no {EVENT_KEY} header: is this a Bitbucket webhook?")))?;
        let payload: Value = serde_json::from_slice(body)
            .map_err(|error| Refusal::Malformed(format!("the body is not valid JSON: {error}")))?;
        if !payload.is_object() {
            return Err(Refusal::Malformed("the body is not a JSON object".to_owned()));
        }
        Ok(Parsed {
            hook: header(headers, HOOK).map(|uuid| json::without_braces(&uuid)),
            request_key: header(headers, REQUEST).map(|uuid| json::without_braces(&uuid)),
            events: Reader { key: &key, payload: &payload, settings: &self.settings }.events()?,
            key,
        })
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

fn headers(key: &str, request_key: &str) -> HeaderMap {
    let fixed = [
        ("content-type", "application/json"),
        ("user-agent", "Bitbucket-Webhooks/2.0"),
        ("x-attempt-number", "1"),
        ("x-hook-uuid", "5f1b6b0e-7c1d-4a63-9a52-1d0f3b9a7c44"),
        ("x-event-key", key),
        ("x-request-uuid", request_key),
    ];
    let pairs = fixed
        .into_iter()
        .filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?)));
    pairs.collect()
}

/// One payload on its way to become events.
struct Reader<'a> {
    key: &'a str,
    payload: &'a Value,
    settings: &'a SourceSettings,
}

impl Reader<'_> {
    fn events(&self) -> Result<Vec<Event>, Refusal> {
        if let Some(kind) = pull_request::kind(self.key) {
            return Ok(vec![self.pull_request_event(kind)?]);
        }
        match self.key {
            "repo:push" => self.push_events(),
            _ => Ok(vec![self.event(Kind::Other)]),
        }
    }

    /// What all events of the payload have in common.
    fn event(&self, kind: Kind) -> Event {
        Event {
            actor: Some(self.account(&self.payload["actor"])),
            repository: self.repository(&self.payload["repository"]),
            ..Event::new(kind, self.key)
        }
    }

    /// An object that a payload of this key must have at its top.
    fn required(&self, name: &str) -> Result<&Value, Refusal> {
        match &self.payload[name] {
            object @ Value::Object(_) => Ok(object),
            _ => Err(Refusal::Malformed(format!("not a {} body: it has no `{name}` object", self.key))),
        }
    }

    /// An object that a payload of this key never has: the key is not signed, the body is.
    fn forbidden(&self, name: &str) -> Result<(), Refusal> {
        match &self.payload[name] {
            Value::Object(_) => Err(Refusal::Malformed(format!("not a {} body: it has a `{name}`", self.key))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
