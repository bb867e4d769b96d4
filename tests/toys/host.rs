//! A toy code host. Its event keys are words, its ids are numbers, it says `!7` for a change, and it names edits itself.

use std::sync::Arc;

use hookbell::event::{Account, Event, Kind, PullRequest, Repository, Words};
use hookbell::routing::Key;
use hookbell::source::{HostKey, Parsed, Provider, Rejection, Sample, Source, SourceSettings, Verified};
use http::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// The host, as in the list of providers.
pub(crate) static TOY: Provider = Provider {
    kind: "toy-host",
    build: |settings| Box::new(Toy(settings)),
    is_account_id: |text| text.bytes().all(|byte| byte.is_ascii_digit()),
    unsent: &[Key::Label],
    named: &[Kind::PullRequestOpened, Kind::PullRequestEdited],
    is_event_key: |text| text.starts_with("change "),
    words: Words::new("change", "Change", "!"),
    addresses: None,
    hooks: None,
    keys: &[
        HostKey { name: "change opened", kinds: &[Kind::PullRequestOpened], needs: &[] },
        HostKey { name: "change edited", kinds: &[Kind::PullRequestEdited], needs: &[] },
        HostKey { name: "change touched", kinds: &[Kind::PullRequestUpdated], needs: &[] },
    ],
    samples: &[Sample {
        name: "pull_request.opened",
        key: "change opened",
        about: "a change",
        after: None,
        body: r#"{ "number": 7, "title": "More tea", "by": { "id": 1001, "name": "Ana" } }"#,
    }],
    headers,
    sign: |secret, _body| ("toy-secret", secret.expose_secret().to_owned()),
};

struct Toy(SourceSettings);

impl Source for Toy {
    fn max_body(&self) -> usize {
        64 * 1024
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        &["toy-event"]
    }

    fn key(&self, headers: &HeaderMap) -> Option<String> {
        Some(headers.get("toy-event")?.to_str().ok()?.to_owned())
    }

    fn check_headers(&self, headers: &HeaderMap) -> Result<(), Rejection> {
        if headers.contains_key("toy-secret") { Ok(()) } else { Err(Rejection::Unsigned { header: "toy-secret" }) }
    }

    fn verify(&self, headers: &HeaderMap, _body: &[u8]) -> Result<Verified, Rejection> {
        let given = headers.get("toy-secret").map(HeaderValue::as_bytes);
        let is_given = |secret: &SecretString| given == Some(secret.expose_secret().as_bytes());
        let secret = self.0.secrets.iter().position(is_given).ok_or(Rejection::WrongSignature)?;
        Ok(Verified { secret: Some(secret) })
    }

    fn parse(&self, headers: &HeaderMap, body: &[u8]) -> Result<Parsed, Rejection> {
        let body: Value =
            serde_json::from_slice(body).map_err(|error| Rejection::Malformed(format!("not valid JSON: {error}")))?;
        let key = self.key(headers).unwrap_or_default();
        let known = TOY.keys.iter().find(|known| known.name == key);
        let kind = known.map_or(Kind::Other, |known| known.kinds[0]);
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let actor = Account {
            id: body["by"]["id"].as_u64().map(|id| id.to_string()),
            name: text(&body["by"]["name"]).unwrap_or_else(|| Account::UNKNOWN.to_owned()),
            ..Account::default()
        };
        let repository = Repository { full_name: Some("tea/pots".to_owned()), ..Repository::default() };
        let change = PullRequest { id: body["number"].as_u64(), title: text(&body["title"]), ..PullRequest::default() };
        let event = Event {
            actor: Some(Arc::new(actor)),
            repository: Some(Arc::new(repository)),
            pull_request: Some(change),
            ..Event::new(kind, key.clone())
        };
        let request_key = headers.get("toy-request").and_then(|id| id.to_str().ok()).map(ToOwned::to_owned);
        Ok(Parsed { key, hook: None, request_key, events: vec![event], note: None })
    }
}

fn headers(key: &str, request_key: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [("toy-event", key), ("toy-request", request_key)] {
        headers.extend(HeaderValue::from_str(value).ok().map(|value| (http::HeaderName::from_static(name), value)));
    }
    headers
}
