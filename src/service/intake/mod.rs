//! From a webhook request to its receipt. The stages, in order:
//!
//! 1. [`Intake::check`]: what needs no body.
//! 2. [`Intake::accept`]: verify and parse the body, reserve a place before the store, decide and store.
//!
//! Each stage either passes on what it learned or refuses the request, and records why.

mod decide;
mod misdirected;
mod places;
mod receipt;
mod rejected;
mod source_uses;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, timeout};

use super::health::Health;
use crate::config::{Live, Settings, SourceEntry};
use crate::event::{ChannelName, SourceName};
use crate::memory::{digest_of_body, subjects};
use crate::source::{Parsed, Rejection, Verified};
use crate::store::{Accepted, Filter, NewRequest, Receipt, RejectedRequest, State, Store, StoreError};
use crate::telemetry::LogLimit;
use crate::text::{cut_text, sanitized};
use crate::time::now;
use decide::Incoming;
use misdirected::MisdirectedList;
use places::{Place, Places};
use rejected::RejectedList;
pub(super) use source_uses::SourceUses;

pub(super) use decide::{Count, Origin, deliveries, route_pending};
pub use misdirected::{Cause, Misdirected};

/// Maximum time to hold a request while the store cannot accept it. Bitbucket waits 10 s for a response
/// (<https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/>).
const HOLD: Duration = Duration::from_secs(8);

/// Pause between attempts to store a request.
const STORE_PAUSE: Duration = Duration::from_millis(250);

/// Maximum length of untrusted text in logs, lists and responses, in UTF-16 units.
const MAX_SHOWN: usize = 200;

/// Minimum size of a body, in bytes, that is verified on a separate thread: it takes a while, and would delay other
/// requests.
const LARGE: usize = 64 * 1024;

/// Memory for large bodies that are queued for verification, in KB.
const UNVERIFIED_KB: usize = 32 * 1024;

/// Maximum number of large bodies parsed concurrently. Each takes a CPU, and up to 25 times its size in memory.
const PARSERS: usize = 2;

/// Takes in webhook requests.
pub struct Intake {
    live: Live,
    store: Arc<dyn Store>,
    health: Health,
    places: Places,
    /// Memory for large bodies that are queued for verification, in KB. Their senders are still untrusted.
    unverified: Arc<Semaphore>,
    /// Permits to verify and parse a large body.
    parsers: Arc<Semaphore>,
    records: Records,
    /// Log limit for requests that could not be stored.
    unavailable: LogLimit,
}

/// Records about requests, apart from their events.
#[derive(Clone, Default)]
pub(super) struct Records {
    /// The most recent rejected requests, until they are stored.
    pub(super) rejected: RejectedList,
    /// The most recent requests to no known source.
    pub(super) misdirected: MisdirectedList,
    /// Time of the last request of each source and each secret.
    pub(super) source_uses: SourceUses,
}

/// A request to a source, without its body.
#[derive(Clone)]
pub struct Head {
    /// Settings in use when the request arrived.
    settings: Arc<Settings>,
    /// Name of the source, one of the settings.
    source: SourceName,
    /// IP address of the client, if the request came over the network.
    client: Option<IpAddr>,
    /// Headers of the request.
    headers: HeaderMap,
}

impl Head {
    /// Creates the head of a request. `None` if the settings have no source with this name.
    pub fn new(
        settings: Arc<Settings>,
        source: SourceName,
        client: Option<IpAddr>,
        headers: HeaderMap,
    ) -> Option<Self> {
        settings.sources.contains_key(&source).then_some(Self { settings, source, client, headers })
    }

    /// Returns the source.
    pub fn entry(&self) -> &SourceEntry {
        &self.settings.sources[&self.source]
    }
}

/// Response to an accepted request.
pub enum Taken {
    /// The request is new.
    New(Receipt),
    /// The request was received before.
    Again(Repeated),
}

/// Response to a duplicate: the original receipt, the current deliveries of its events, and how to route them again. A
/// user may have sent the request again in the host's UI after changing a route.
#[derive(Serialize)]
pub struct Repeated {
    #[serde(flatten)]
    receipt: Receipt,
    duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<Vec<Sent>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

/// Delivery of an event of a duplicate.
#[derive(Serialize)]
struct Sent {
    channel: ChannelName,
    state: State,
    kind: String,
}

/// Reason why a request is not accepted. It is recorded already.
pub enum Refusal {
    /// The request is not acceptable.
    Rejected(Rejection),
    /// The request could not be stored: the sender must send it again.
    NotStored,
}

/// Reason why a request could not be stored.
#[derive(Debug, Error)]
enum NotStored {
    #[error("no memory left for arriving bodies")]
    NoBodyMemory,
    #[error("too many large bodies are queued for verification")]
    NoVerifyMemory,
    #[error("too many requests from this source are queued for the store")]
    NoPlace,
    #[error("reading or storing the request panicked: {0}")]
    Panicked(#[from] JoinError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Intake {
    pub(super) fn new(live: Live, store: Arc<dyn Store>, health: Health, records: Records) -> Self {
        Self {
            live,
            store,
            health,
            places: Places::new(),
            unverified: Arc::new(Semaphore::new(UNVERIFIED_KB)),
            parsers: Arc::new(Semaphore::new(PARSERS)),
            records,
            unavailable: LogLimit::default(),
        }
    }

    /// Returns the settings in use.
    pub fn settings(&self) -> Arc<Settings> {
        self.live.now()
    }

    /// Records a request to no known source. `line` is its method and path.
    pub fn misdirected(&self, cause: Cause, line: (&str, &str), client: Option<IpAddr>, reason: &str) {
        self.records.misdirected.add(cause, line, client, reason);
    }

    /// Checks a request without its body.
    pub fn check(&self, head: &Head) -> Result<(), Refusal> {
        let (entry, headers) = (head.entry(), &head.headers);
        let check = || {
            if let Some(allowed) = &entry.allow_from
                && !head.client.is_some_and(|client| allowed.contains(client))
            {
                let client = head.client.map_or_else(|| "an unknown address".to_owned(), |client| client.to_string());
                return Err(Rejection::ForeignAddress { client });
            }
            entry.source.check_headers(headers)?;
            match headers.get(header::CONTENT_TYPE) {
                Some(kind) if !is_json(kind.as_bytes()) => Err(Rejection::NotJson),
                _ => Ok(()),
            }
        };
        check().map_err(|rejection| self.reject(head, rejection))
    }

    /// Records that a request is not stored, because the memory for bodies is in use.
    pub fn no_body_memory(&self, head: &Head) -> Refusal {
        self.not_stored(head, &NotStored::NoBodyMemory)
    }

    /// Accepts a request whose head was checked: returns only after its events are stored.
    pub async fn accept(self: &Arc<Self>, head: &Head, body: Bytes) -> Result<Taken, Refusal> {
        let verified = self.verify(head, &body).await.map_err(|cause| self.not_stored(head, &cause))?;
        let (verified, parsed) = verified.map_err(|rejection| self.reject(head, rejection))?;
        let secret = verified.secret.and_then(|n| head.entry().secrets.get(n));
        self.records.source_uses.add(&head.source, secret, now());
        let (key, events) = (parsed.key.clone(), parsed.events.len());
        let accepted = self.store(head, parsed, body).await.map_err(|cause| self.not_stored(head, &cause))?;
        let source = &head.source;
        Ok(match accepted {
            Accepted::Stored { receipt, .. } => {
                // After a rotation, operators see by this number whether a sender still uses the old secret.
                let secret = verified.secret.map(|n| n + 1);
                metrics::counter!(
                    "hookbell_requests_verified_total",
                    "source" => source.to_string(),
                    "secret" => secret.map_or_else(|| "none".to_owned(), |n| n.to_string()),
                )
                .increment(1);
                count(source, "accepted");
                tracing::info!(request = %receipt.request, %source, key, events, secret, "request accepted");
                Taken::New(receipt)
            }
            Accepted::Duplicate { receipt } => {
                count(source, "duplicate");
                tracing::info!(request = %receipt.request, %source, key, "duplicate request");
                Taken::Again(self.repeated(receipt).await)
            }
        })
    }

    /// Verifies and parses a body, on a separate thread if it is large.
    async fn verify(&self, head: &Head, body: &Bytes) -> Result<Result<(Verified, Parsed), Rejection>, NotStored> {
        if body.len() <= LARGE {
            return Ok(verified(head, body));
        }
        let kb = u32::try_from(body.len() / 1024 + 1).unwrap_or(u32::MAX);
        let memory = self.unverified.clone().try_acquire_many_owned(kb).map_err(|_| NotStored::NoVerifyMemory)?;
        let turn = self.parsers.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (head, body) = (head.clone(), body.clone());
        let work = move || {
            let verified = verified(&head, &body);
            drop((turn, memory));
            verified
        };
        Ok(tokio::task::spawn_blocking(work).await?)
    }

    /// Decides on the events and stores the request, within [`HOLD`].
    async fn store(self: &Arc<Self>, head: &Head, parsed: Parsed, body: Bytes) -> Result<Accepted, NotStored> {
        let (source, sources) = (head.source.clone(), head.settings.sources.len());
        let place = self.places.take(&source, sources, body.len(), parsed.events.len()).ok_or(NotStored::NoPlace)?;
        let subjects = subjects(&source, &parsed.events);
        let digest = Some(digest_of_body(&source, &parsed.events, &body));
        let request = Arc::new(NewRequest {
            source,
            hook: parsed.hook,
            key: parsed.request_key,
            received_at: now(),
            headers: kept(&head.headers, head.entry().source.kept_headers()),
            body,
            digest,
            subjects,
        });
        let incoming = Arc::new(Incoming { request, events: parsed.events, note: parsed.note });
        let settings = head.settings.clone();
        // A separate task: a stored request must be delivered even if the sender hangs up or the time ends.
        let intake = self.clone();
        let stored = tokio::spawn(async move { intake.store_in_turn(incoming, settings, place).await });
        Ok(timeout(HOLD, stored).await.map_err(|_| StoreError::Busy)???)
    }

    /// Stores a request once its source has a turn, retrying while the sender waits for the response. It is decided by
    /// the settings that are in use at the time of storing.
    async fn store_in_turn(
        &self,
        incoming: Arc<Incoming>,
        mut settings: Arc<Settings>,
        place: Place,
    ) -> Result<Accepted, StoreError> {
        let (began, request) = (Instant::now(), &incoming.request);
        let (events, subjects) = (incoming.events.len(), request.subjects.len());
        // After that time the sender has its `503`, so nothing needs to be stored.
        let Some(_turn) = place.turn(events, subjects, HOLD).await else { return Err(StoreError::Busy) };
        loop {
            let decide = incoming.clone().decide(settings.clone());
            match self.store.accept(request.clone(), settings.generation, decide).await {
                Ok(accepted) => {
                    self.health.store_works();
                    return Ok(accepted);
                }
                Err(StoreError::Outdated) => {
                    let left = HOLD.saturating_sub(began.elapsed());
                    settings = timeout(left, self.live.after(&settings)).await.map_err(|_| StoreError::Busy)?;
                }
                Err(error) => {
                    self.health.store_failed(&error, request.body.len());
                    if began.elapsed() + STORE_PAUSE >= HOLD {
                        return Err(error);
                    }
                    sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    /// Builds the response to a duplicate.
    async fn repeated(&self, receipt: Receipt) -> Repeated {
        let of = |limit| Filter { request: Some(receipt.request.clone()), limit, ..Filter::default() };
        let found = async {
            Ok::<_, StoreError>((
                self.store.events(of(MAX_NAMED + 1)).await?,
                self.store.deliveries(of(MAX_LISTED)).await?,
            ))
        };
        let (events, deliveries) = match found.await {
            Ok(found) => found,
            // The receipt is useful without the deliveries.
            Err(error) => {
                tracing::warn!(%error, request = %receipt.request, "cannot read the deliveries of a duplicate request");
                return Repeated { receipt, duplicate: true, deliveries: None, help: None };
            }
        };
        let sent = deliveries.into_iter().filter(|delivery| !delivery.channel.as_str().is_empty());
        let sent = sent.map(|sent| Sent { channel: sent.channel, state: sent.state, kind: sent.kind });
        let named: Vec<_> = events.iter().take(MAX_NAMED).map(|event| event.id.as_str()).collect();
        let more = if events.len() > MAX_NAMED { " …" } else { "" };
        let help = format!(
            "this request was received before and is not routed again; to route it now: hookbell replay --reroute \
             {}{more}",
            named.join(" ")
        );
        Repeated { receipt, duplicate: true, deliveries: Some(sent.collect()), help: Some(help) }
    }

    /// Records a rejected request in the log, the metrics and the list of rejected requests.
    fn reject(&self, head: &Head, rejection: Rejection) -> Refusal {
        let (source, word) = (&head.source, word(&rejection));
        count(source, "rejected");
        metrics::counter!("hookbell_requests_rejected_total", "source" => source.to_string(), "reason" => word)
            .increment(1);
        let key = head.entry().source.key(&head.headers).map(|key| shown(&key));
        let reason = shown(&rejection.to_string());
        self.records.rejected.log(|skipped| {
            let client = head.client.map(tracing::field::display);
            tracing::warn!(%source, key, client, reason, skipped, "request rejected");
        });
        let client = head.client.map(|client| client.to_string());
        self.records.rejected.add(RejectedRequest { at: now(), source: source.clone(), client, key, reason });
        Refusal::Rejected(rejection)
    }

    /// Records a request that could not be stored in the log and the metrics.
    fn not_stored(&self, head: &Head, cause: &NotStored) -> Refusal {
        let source = &head.source;
        count(source, "unavailable");
        self.unavailable.log(|skipped| tracing::error!(%source, %cause, skipped, "request not stored"));
        Refusal::NotStored
    }
}

/// Maximum number of deliveries in the response to a duplicate.
const MAX_LISTED: usize = 20;

/// Maximum number of event ids in the response to a duplicate.
const MAX_NAMED: usize = 3;

/// Verifies and parses a body, and checks that the source may send events for its repositories.
fn verified(head: &Head, body: &[u8]) -> Result<(Verified, Parsed), Rejection> {
    let entry = head.entry();
    let verified = entry.source.verify(&head.headers, body)?;
    let parsed = entry.source.parse(&head.headers, body)?;
    match parsed.events.iter().find_map(|event| entry.foreign_place(event)) {
        Some(place) => Err(Rejection::ForeignRepository { repository: shown(&place) }),
        None => Ok((verified, parsed)),
    }
}

/// Returns `true` if the value of a `Content-Type` header is JSON.
fn is_json(kind: &[u8]) -> bool {
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    kind == b"application/json" || kind.ends_with(b"+json")
}

/// Selects the headers to store. Any other header may contain a secret.
fn kept(headers: &HeaderMap, telling: &[&str]) -> Value {
    let kept = telling.iter().filter_map(|name| Some(((*name).to_owned(), headers.get(*name)?.to_str().ok()?.into())));
    Value::Object(kept.collect::<Map<_, _>>())
}

/// Returns the `reason` label for metrics.
const fn word(rejection: &Rejection) -> &'static str {
    match rejection {
        Rejection::Unsigned { .. } => "unsigned",
        Rejection::WrongSignature => "wrong_signature",
        Rejection::ForeignAddress { .. } => "foreign_address",
        Rejection::ForeignRepository { .. } => "foreign_repository",
        Rejection::OtherHost(_) => "other_host",
        Rejection::NotJson => "not_json",
        Rejection::Malformed(_) => "malformed",
    }
}

fn count(source: &SourceName, result: &'static str) {
    metrics::counter!("hookbell_requests_total", "source" => source.to_string(), "result" => result).increment(1);
}

/// Sanitizes untrusted text for a log, a list or a response: one line of at most [`MAX_SHOWN`] units.
pub(crate) fn shown(text: &str) -> String {
    cut_text(&sanitized(text), MAX_SHOWN)
}
