//! `POST /hooks/{source}`: a webhook's request, verified, parsed, routed, stored, and only then answered.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use poem::http::{Method, StatusCode};
use poem::{Request, Response};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::answer::{answer, error, method_not_allowed, unavailable};
use super::body;
use super::decide::Incoming;
use super::{App, client};
use crate::config::SourceEntry;
use crate::event::{Event, RequestId, SourceName};
use crate::memory::subject_of_body;
use crate::message::fit::cut_text;
use crate::message::shield::harmless;
use crate::source::{Parsed, Refusal, Verified};
use crate::store::{Accepted, NewRequest, Refused, StoreError, now};

/// How long a request is held while the store cannot take it. Bitbucket waits 10 s for an answer
/// (<https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/>).
const HELD: Duration = Duration::from_secs(8);

/// How much of what a stranger wrote is told, in UTF-16 units.
const LONGEST_TOLD: usize = 200;

/// How long to wait before the store is asked again.
const STORE_PAUSE: Duration = Duration::from_millis(250);

/// Takes a request in.
pub(super) async fn receive(app: Arc<App>, mut request: Request) -> Response {
    if *request.method() != Method::POST {
        return method_not_allowed("POST");
    }
    let name = SourceName::from(request.path_params::<String>().unwrap_or_default());
    let settings = app.live.now();
    let Some(entry) = settings.sources.get(&name) else {
        return error(StatusCode::NOT_FOUND, "there is no such source: look at the webhook's URL");
    };
    let largest = entry.source.largest_body();
    let body = match body::read(request.take_body(), largest).await {
        Ok(body) => body,
        Err(error) => return error.answer(largest),
    };
    let headers = request.headers();
    let peer = request.remote_addr().as_socket_addr().map(std::net::SocketAddr::ip);
    let client = peer.map(|peer| client::address(peer, headers, &settings.trusted_proxies));
    match understand(entry, client, headers, &body) {
        Ok((verified, parsed)) => {
            let kept = kept(headers, entry.source.telling_headers());
            store(app.clone(), name, verified, parsed, kept, body).await
        }
        Err(refusal) => {
            count(&name, "refused");
            let word = word(&refusal);
            metrics::counter!("hookbell_requests_refused_total", "source" => name.to_string(), "reason" => word)
                .increment(1);
            let (key, reason) = (entry.source.key(headers).map(|key| told(&key)), told(&refusal.to_string()));
            if app.refusals.may_log() {
                let client = client.map(tracing::field::display);
                tracing::warn!(source = %name, key, client, reason, "refused a request");
            }
            let client = client.map(|client| client.to_string());
            app.refusals.add(Refused { at: now(), source: name, client, key, reason: reason.clone() });
            error(status(&refusal), &reason)
        }
    }
}

/// The reason in a word, for metrics.
fn word(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Unsigned { .. } => "unsigned",
        Refusal::WrongSignature => "wrong_signature",
        Refusal::ForeignAddress { .. } => "foreign_address",
        Refusal::ForeignRepository { .. } => "foreign_repository",
        Refusal::Malformed(_) => "malformed",
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Unsigned { .. } | Refusal::WrongSignature => StatusCode::UNAUTHORIZED,
        Refusal::ForeignAddress { .. } | Refusal::ForeignRepository { .. } => StatusCode::FORBIDDEN,
        Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
    }
}

/// Who it is from, what it says, and whether they may say it.
fn understand(
    entry: &SourceEntry,
    client: Option<IpAddr>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Verified, Parsed), Refusal> {
    if let Some(allowed) = &entry.allow_from
        && !client.is_some_and(|client| allowed.contains(client))
    {
        let client = client.map_or_else(|| "an unknown address".to_owned(), |client| client.to_string());
        return Err(Refusal::ForeignAddress { client });
    }
    let verified = entry.source.verify(headers, body)?;
    let parsed = entry.source.parse(headers, body)?;
    for place in parsed.events.iter().filter_map(Event::place) {
        if !entry.repo.matches(&place) {
            return Err(Refusal::ForeignRepository { repository: told(place.trim_end_matches('/')) });
        }
    }
    Ok((verified, parsed))
}

/// What a stranger wrote, for a log, a list and an answer: in one line, and short.
fn told(text: &str) -> String {
    cut_text(&harmless(text), LONGEST_TOLD)
}

async fn store(
    app: Arc<App>,
    source: SourceName,
    verified: Verified,
    parsed: Parsed,
    headers: Value,
    body: Bytes,
) -> Response {
    let (id, received_at) = (RequestId::fresh(), now());
    let summary = (parsed.key, parsed.events.len());
    let incoming = Incoming {
        live: app.live.clone(),
        id: id.clone(),
        source: source.clone(),
        hook: parsed.hook.clone(),
        events: parsed.events,
        note: parsed.note,
        received_at,
        body: subject_of_body(&source, &body),
    };
    let request = NewRequest {
        id: id.clone(),
        source: source.clone(),
        hook: parsed.hook,
        key: parsed.request_key,
        received_at,
        headers,
        body,
        subjects: incoming.subjects(),
    };
    // A task of its own: whoever asked may hang up, or not be held any longer, and what is stored must be delivered all
    // the same.
    let Ok(place) = app.places.clone().try_acquire_owned() else {
        return held_back(&source, "too many requests wait for the store");
    };
    let accepted = tokio::spawn(async move {
        let accepted = accept(app, request, incoming).await;
        drop(place);
        accepted
    });
    match timeout(HELD, accepted).await {
        Ok(Ok(Ok(Accepted::Stored { receipt, .. }))) => {
            // Which secret verified it says when the old one of a rotation is needed no more.
            let secret = verified.secret.map(|n| n + 1);
            metrics::counter!(
                "hookbell_requests_verified_total",
                "source" => source.to_string(),
                "secret" => secret.map_or_else(|| "none".to_owned(), |n| n.to_string()),
            )
            .increment(1);
            count(&source, "accepted");
            tracing::info!(request = %id, %source, key = summary.0, events = summary.1, secret, "accepted");
            answer(StatusCode::ACCEPTED, &receipt)
        }
        Ok(Ok(Ok(Accepted::Duplicate { receipt }))) => {
            let mut receipt = parse(&receipt);
            receipt["duplicate"] = true.into();
            count(&source, "duplicate");
            tracing::info!(request = %receipt["request"], %source, key = summary.0, "seen before");
            answer(StatusCode::OK, &receipt)
        }
        Ok(Ok(Err(cause))) => held_back(&source, &cause.to_string()),
        Ok(Err(stopped)) => held_back(&source, &stopped.to_string()),
        Err(_) => held_back(&source, &StoreError::Busy.to_string()),
    }
}

fn held_back(source: &SourceName, cause: &str) -> Response {
    count(source, "unavailable");
    unavailable(cause)
}

fn count(source: &SourceName, result: &'static str) {
    metrics::counter!("hookbell_requests_total", "source" => source.to_string(), "result" => result).increment(1);
}

/// Has the store take a request in, as often as it takes while somebody waits for the answer, and wakes the lanes.
async fn accept(app: Arc<App>, request: NewRequest, incoming: Incoming) -> Result<Accepted, StoreError> {
    let began = Instant::now();
    loop {
        match app.store.accept(request.clone(), incoming.clone().decide()).await {
            Ok(accepted) => {
                match &accepted {
                    Accepted::Stored { lanes, .. } => lanes.iter().for_each(|lane| app.bells.arrival(lane)),
                    // Whoever stored it the first time may not have come to wake them.
                    Accepted::Duplicate { .. } => {
                        app.live.now().lanes.values().for_each(|lane| app.bells.arrival(lane));
                    }
                }
                return Ok(accepted);
            }
            Err(error) if began.elapsed() + STORE_PAUSE < HELD => {
                tracing::warn!(%error, "trying again to store a request");
                sleep(STORE_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn parse(receipt: &str) -> Value {
    serde_json::from_str(receipt).unwrap_or_else(|_| json!({}))
}

/// The headers that are worth keeping; any other may be somebody's secret.
fn kept(headers: &HeaderMap, telling: &[&str]) -> Value {
    let kept = telling.iter().filter_map(|name| Some(((*name).to_owned(), headers.get(*name)?.to_str().ok()?.into())));
    Value::Object(kept.collect::<Map<_, _>>())
}
