//! Bitbucket Cloud.
//!
//! Formats: <https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/>. The signature is
//! `X-Hub-Signature: sha256=<hex>`, sent only if the webhook has a secret
//! (<https://bitbucket.org/blog/enhanced-webhook-security>).

mod addresses;
mod build;
mod changes;
mod comment;
mod hooks;
mod issue;
mod json;
mod keys;
mod naming;
mod objects;
mod others;
mod pipeline;
mod pull_request;
mod push;
mod repository;
mod samples;

use std::cell::OnceCell;
use std::sync::Arc;

use crate::source::json::Json;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Parsed, Provider, Rejection, Source, SourceSettings, Verified, json_object, signature};
use crate::event::{Account, Event, Kind, Repository, Words};
use crate::routing::Key;
use crate::text::is_uuid;

/// Provider entry of Bitbucket Cloud.
pub(super) static PROVIDER: Provider = Provider {
    kind: "bitbucket-cloud",
    is_account_id,
    // Pull requests have no labels, and pushes list no files.
    unsent: &[Key::Label, Key::Path],
    // An update does not say what changed.
    named: &[],
    is_event_key: |text| text.contains(':'),
    words: Words::PULL_REQUEST,
    build: |settings| Box::new(BitbucketCloud { settings }),
    addresses: Some(&addresses::ATLASSIAN),
    hooks: Some(&hooks::API),
    keys: keys::ALL,
    samples: samples::ALL,
    headers,
    sign: |secret, body| (SIGNATURE, signature::hmac_sha256(secret, body)),
};

const SIGNATURE: &str = "X-Hub-Signature";
const EVENT_KEY: &str = "X-Event-Key";
const REQUEST: &str = "X-Request-UUID";
const HOOK: &str = "X-Hook-UUID";

/// Maximum size of a body in bytes. Bitbucket sends no body over 256 KB
/// (<https://confluence.atlassian.com/bbkb/troubleshoot-webhooks-1167729092.html>); this limit leaves room for growth.
const MAX_BODY: usize = 1024 * 1024;

struct BitbucketCloud {
    settings: SourceSettings,
}

impl Source for BitbucketCloud {
    fn max_body(&self) -> usize {
        MAX_BODY
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        &["user-agent", "x-attempt-number", "x-event-key", "x-event-time", "x-hook-uuid", "x-request-uuid"]
    }

    fn key(&self, headers: &HeaderMap) -> Option<String> {
        header(headers, EVENT_KEY)
    }

    fn check_headers(&self, headers: &HeaderMap) -> Result<(), Rejection> {
        others::check(headers)?;
        if !self.settings.unsigned {
            let signature = headers.get(SIGNATURE).ok_or(Rejection::Unsigned { header: SIGNATURE })?;
            if !signature::is_hmac_sha256(signature.as_bytes()) {
                return Err(Rejection::WrongSignature);
            }
        }
        self.known_key(headers).map(|_| ())
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<Verified, Rejection> {
        if self.settings.unsigned {
            return Ok(Verified { secret: None });
        }
        let signature = headers.get(SIGNATURE).ok_or(Rejection::Unsigned { header: SIGNATURE })?;
        let secret = signature::verify_hmac_sha256(&self.settings.secrets, body, signature.as_bytes());
        secret.map(|n| Verified { secret: Some(n) }).ok_or(Rejection::WrongSignature)
    }

    fn parse(&self, headers: &HeaderMap, body: &[u8]) -> Result<Parsed, Rejection> {
        let key = self.known_key(headers)?;
        others::check(headers)?;
        let mut room = String::new();
        let payload = json_object(body, &mut room)?;
        if payload["data"].is_object() && payload["product"].is_string() {
            return Err(Rejection::OtherHost(others::CONNECT.to_owned()));
        }
        let reader = Reader::new(&key, &payload, &self.settings);
        let events = reader.events()?;
        let (events, note) = match events {
            Ok(events) => (events, reader.note.into_inner()),
            Err(note) => (vec![], Some(note.to_owned())),
        };
        let uuid = |name| header(headers, name).map(|uuid| json::without_braces(&uuid));
        Ok(Parsed { hook: uuid(HOOK), request_key: uuid(REQUEST), events, note, key })
    }
}

impl BitbucketCloud {
    fn known_key(&self, headers: &HeaderMap) -> Result<String, Rejection> {
        let missing =
            || Rejection::Malformed(format!("missing `{EVENT_KEY}` header; use this URL only for Bitbucket webhooks"));
        self.key(headers).ok_or_else(missing)
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

/// Converts one payload into events.
struct Reader<'a> {
    key: &'a str,
    payload: &'a Json<'a>,
    settings: &'a SourceSettings,
    /// Account that all events of the payload share.
    actor: OnceCell<Arc<Account>>,
    repository: OnceCell<Option<Arc<Repository>>>,
    /// Remark about the payload for the operator and the host.
    note: OnceCell<String>,
}

/// Events of a payload, or the reason why it has none.
type Read = Result<Vec<Event>, &'static str>;

impl<'a> Reader<'a> {
    fn new(key: &'a str, payload: &'a Json<'a>, settings: &'a SourceSettings) -> Self {
        let (actor, repository, note) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { key, payload, settings, actor, repository, note }
    }
}

impl Reader<'_> {
    /// Returns the events, or the reason why a valid payload has none.
    fn events(&self) -> Result<Read, Rejection> {
        let Some(key) = keys::named(self.key) else { return Ok(Ok(vec![self.other()])) };
        if self.key == "pullrequest:push" && !self.payload["pullrequest"].is_object() {
            // The format of this body is neither documented nor observed.
            return Ok(Ok(vec![self.other()]));
        }
        keys::fits(key, self.payload)?;
        let kind = self.kind(key.kinds[0]);
        let one = |event: Event| Ok(vec![event]);
        let some = |events: Vec<Event>, none| if events.is_empty() { Err(none) } else { Ok(events) };
        Ok(match kind {
            Kind::Push => some(self.push_events(), "no branch or tag moved"),
            Kind::RepositoryForked => one(self.fork_event()),
            Kind::RepositoryUpdated => self.repository_updated().map(|event| vec![event]),
            Kind::RepositoryTransferred => one(self.transfer_event()),
            Kind::CommitCommentAdded => one(self.commit_comment_event()),
            Kind::BuildStarted => one(self.build_event()),
            Kind::ProjectUpdated => self.project_updated().map(|event| vec![event]),
            Kind::PipelineSucceeded => {
                some(self.pipeline_events(), "only the spans of whole runs are posted, not those of steps and commands")
            }
            Kind::IssueOpened | Kind::IssueUpdated | Kind::IssueCommentAdded => {
                self.issue_event(kind).map(|event| vec![event])
            }
            // The memory determines what changed.
            Kind::PullRequestReady => one(self.pull_request_event(Kind::PullRequestUpdated)),
            kind if kind.family() == "pull_request" => one(self.pull_request_event(kind)),
            kind => one(self.event(kind)),
        })
    }

    /// Creates an event for an unknown key, with the parts that can be read.
    fn other(&self) -> Event {
        if self.payload["pullrequest"].is_object() {
            self.pull_request_event(Kind::Other)
        } else {
            self.event(Kind::Other)
        }
    }

    /// Creates an event with the parts that all events of the payload share.
    fn event(&self, kind: Kind) -> Event {
        Event {
            actor: Some(self.actor.get_or_init(|| Arc::new(self.account(&self.payload["actor"]))).clone()),
            repository: self
                .repository
                .get_or_init(|| self.repository(&self.payload["repository"]).map(Arc::new))
                .clone(),
            ..Event::new(kind, self.key)
        }
    }
}

/// Returns true if a text has the form of an account id: a UUID, or an Atlassian id, which contains a colon.
fn is_account_id(text: &str) -> bool {
    text.contains(':') || is_uuid(text)
}

#[cfg(test)]
mod tests;
