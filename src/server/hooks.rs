//! `POST /hooks/{source}`: a webhook's request, verified, parsed, routed, stored, and only then answered.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use poem::http::{Method, StatusCode, header};
use poem::{Request, Response};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::answer::{answer, error, method_not_allowed, unavailable};
use super::body::{self, BodyError};
use super::decide::Incoming;
use super::misdirected::Cause;
use super::places::Place;
use super::{App, client};
use crate::config::{Settings, SourceEntry};
use crate::event::{Event, RequestId, SourceName};
use crate::memory::subject_of_body;
use crate::message::fit::cut_text;
use crate::message::shield::harmless;
use crate::source::{Parsed, Refusal, Verified};
use crate::store::{Accepted, Filter, NewRequest, Refused, StoreError, now};

/// Time for which a request is held while the store cannot take it. Bitbucket waits 10 s for an answer
/// (<https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/>).
const HOLD: Duration = Duration::from_secs(8);

/// Maximum length of untrusted text in logs, lists and answers, in UTF-16 units.
const MAX_SHOWN: usize = 200;

/// Pause before the store is tried again.
const STORE_PAUSE: Duration = Duration::from_millis(250);

/// Receives a request. All that can be checked without the body is checked before a byte of it is read.
pub(super) async fn receive(app: Arc<App>, wanted: &str, mut request: Request) -> Response {
    let settings = app.live.now();
    let client = client_of(&request, &settings);
    let Some((name, entry)) = source(&settings, wanted) else {
        let hint = only_path(&settings).unwrap_or_else(|| ": look at the webhook's URL".to_owned());
        let reason = format!("there is no source `{}`{hint}", shown(wanted));
        app.misdirected.add(Cause::Source, &request, client, &reason);
        body::reject(&mut request).await;
        return error(StatusCode::NOT_FOUND, &reason);
    };
    let name = name.clone();
    if *request.method() != Method::POST {
        app.misdirected.add(Cause::Method, &request, client, "only POST is allowed");
        return method_not_allowed("POST");
    }
    if let Err(refusal) = check(entry, client, request.headers()) {
        body::reject(&mut request).await;
        return refused(&app, name, entry, client, request.headers(), &refusal);
    }
    let max = entry.source.largest_body();
    let body = match app.bodies.read(&mut request, client.unwrap_or(IpAddr::from([0; 4])), max).await {
        Ok(body) => body,
        Err(BodyError::NoRoom) => return not_stored(&app, &name, "no memory for arriving bodies is left"),
        Err(error) => {
            if error == BodyError::TooLarge {
                let reason = format!("the body is larger than {} KB", max / 1024);
                app.misdirected.add(Cause::TooLarge, &request, client, &reason);
            }
            return error.answer(max);
        }
    };
    let headers = request.headers().clone();
    let understood = if body.len() > body::SMALL {
        // A large body takes a while, in which other requests would wait. Nobody knows yet who sent it.
        let kb = u32::try_from(body.len() / 1024 + 1).unwrap_or(u32::MAX);
        let Ok(_memory) = app.unverified.clone().try_acquire_many_owned(kb) else {
            return not_stored(&app, &name, "too many large bodies are waiting to be verified");
        };
        let Ok(turn) = app.parsers.clone().acquire_owned().await else { return unavailable() };
        let (settings, name, headers, body) = (settings.clone(), name.clone(), headers.clone(), body.clone());
        let work = move || {
            let entry = settings.sources.get(&name)?;
            let understood = understand(entry, &headers, &body);
            drop(turn);
            Some(understood)
        };
        tokio::task::spawn_blocking(work).await.ok().flatten()
    } else {
        Some(understand(entry, &headers, &body))
    };
    match understood {
        Some(Ok((verified, parsed))) => {
            if let Some(secret) = verified.secret.and_then(|n| entry.secrets.get(n)) {
                app.secret_uses.add(&name, secret, now());
            }
            let kept = kept(&headers, entry.source.telling_headers());
            let place = app.places.take(&name, settings.sources.len(), body.len(), parsed.events.len());
            let Some(place) = place else {
                return not_stored(&app, &name, "too many requests of this source are waiting for the store");
            };
            store(app.clone(), name, verified, parsed, kept, body, place).await
        }
        Some(Err(refusal)) => refused(&app, name, entry, client, &headers, &refusal),
        None => not_stored(&app, &name, "the body could not be read"),
    }
}

/// The source of this name; a URL that was typed may differ in case.
fn source<'a>(settings: &'a Settings, name: &str) -> Option<(&'a SourceName, &'a SourceEntry)> {
    let exact = settings.sources.get_key_value(&SourceName::from(name));
    exact.or_else(|| {
        let mut alike = settings.sources.iter().filter(|(known, _)| known.as_str().eq_ignore_ascii_case(name));
        alike.next().filter(|_| alike.next().is_none())
    })
}

/// The address that a request comes from, if it came over the network.
fn client_of(request: &Request, settings: &Settings) -> Option<IpAddr> {
    let peer = request.remote_addr().as_socket_addr()?.ip();
    Some(client::address(peer, request.headers(), &settings.trusted_proxies))
}

/// For an error: how a webhook's URL ends, where only one source is configured.
fn only_path(settings: &Settings) -> Option<String> {
    let mut names = settings.sources.keys();
    let only = names.next().filter(|_| names.next().is_none())?;
    Some(format!(": the webhook's URL ends in `/hooks/{only}`"))
}

/// Answers a request for which there is nothing.
pub(super) async fn misdirected(app: &App, mut request: Request) -> Response {
    let settings = app.live.now();
    let client = client_of(&request, &settings);
    let hint = only_path(&settings).unwrap_or_else(|| ": webhooks go to `/hooks/SOURCE`".to_owned());
    let reason = format!("nothing is at `{}`{hint}", shown(request.uri().path()));
    app.misdirected.add(Cause::Path, &request, client, &reason);
    body::reject(&mut request).await;
    error(StatusCode::NOT_FOUND, &reason)
}

/// Checks what can be known of a request without its body.
fn check(entry: &SourceEntry, client: Option<IpAddr>, headers: &HeaderMap) -> Result<(), Refusal> {
    if let Some(allowed) = &entry.allow_from
        && !client.is_some_and(|client| allowed.contains(client))
    {
        let client = client.map_or_else(|| "an unknown address".to_owned(), |client| client.to_string());
        return Err(Refusal::ForeignAddress { client });
    }
    entry.source.check_headers(headers)?;
    match headers.get(header::CONTENT_TYPE) {
        Some(kind) if !is_json(kind.as_bytes()) => Err(Refusal::NotJson),
        _ => Ok(()),
    }
}

/// Whether a `Content-Type` header names JSON.
fn is_json(kind: &[u8]) -> bool {
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    kind == b"application/json" || kind.ends_with(b"+json")
}

/// Answers a rejected request, and keeps it in the log, in metrics and in the list of rejected requests.
fn refused(
    app: &App,
    name: SourceName,
    entry: &SourceEntry,
    client: Option<IpAddr>,
    headers: &HeaderMap,
    refusal: &Refusal,
) -> Response {
    count(&name, "refused");
    let word = word(refusal);
    metrics::counter!("hookbell_requests_refused_total", "source" => name.to_string(), "reason" => word).increment(1);
    let (key, reason) = (entry.source.key(headers).map(|key| shown(&key)), shown(&refusal.to_string()));
    app.refusals.log(|skipped| {
        let client = client.map(tracing::field::display);
        tracing::warn!(source = %name, key, client, reason, skipped, "request rejected");
    });
    let client = client.map(|client| client.to_string());
    app.refusals.add(Refused { at: now(), source: name, client, key, reason: reason.clone() });
    error(status(refusal), &reason)
}

/// The reason in a word, for metrics.
fn word(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Unsigned { .. } => "unsigned",
        Refusal::WrongSignature => "wrong_signature",
        Refusal::ForeignAddress { .. } => "foreign_address",
        Refusal::ForeignRepository { .. } => "foreign_repository",
        Refusal::OtherHost(_) => "other_host",
        Refusal::NotJson => "not_json",
        Refusal::Malformed(_) => "malformed",
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Unsigned { .. } | Refusal::WrongSignature => StatusCode::UNAUTHORIZED,
        Refusal::ForeignAddress { .. } | Refusal::ForeignRepository { .. } => StatusCode::FORBIDDEN,
        Refusal::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Refusal::OtherHost(_) | Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
    }
}

/// Verifies and parses a body, and checks that its source may speak for its repositories.
fn understand(entry: &SourceEntry, headers: &HeaderMap, body: &[u8]) -> Result<(Verified, Parsed), Refusal> {
    let verified = entry.source.verify(headers, body)?;
    let parsed = entry.source.parse(headers, body)?;
    for place in parsed.events.iter().filter_map(Event::place) {
        if !entry.repo.matches(&place) {
            return Err(Refusal::ForeignRepository { repository: shown(place.trim_end_matches('/')) });
        }
    }
    Ok((verified, parsed))
}

/// Untrusted text for a log, a list or an answer: in one line, and short.
pub(super) fn shown(text: &str) -> String {
    cut_text(&harmless(text), MAX_SHOWN)
}

async fn store(
    app: Arc<App>,
    source: SourceName,
    verified: Verified,
    parsed: Parsed,
    headers: Value,
    body: Bytes,
    place: Place,
) -> Response {
    let (id, received_at) = (RequestId::fresh(), now());
    let summary = (parsed.key, parsed.events.len());
    let subject = subject_of_body(&source, &parsed.events, &body);
    let incoming = Incoming {
        live: app.live.clone(),
        id: id.clone(),
        source: source.clone(),
        hook: parsed.hook.clone(),
        events: parsed.events,
        note: parsed.note,
        received_at,
        body: subject,
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
    // A task of its own: the sender may hang up, or not be held any longer, and what is stored must be delivered all the
    // same.
    let task = app.clone();
    let accepted = tokio::spawn(async move {
        let accepted = accept(task, request, incoming, &place).await;
        drop(place);
        accepted
    });
    match timeout(HOLD, accepted).await {
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
            let receipt = duplicate(&app, parse(&receipt)).await;
            count(&source, "duplicate");
            tracing::info!(request = %receipt["request"], %source, key = summary.0, "duplicate");
            answer(StatusCode::OK, &receipt)
        }
        Ok(Ok(Err(cause))) => not_stored(&app, &source, &cause.to_string()),
        Ok(Err(stopped)) => not_stored(&app, &source, &stopped.to_string()),
        Err(_) => not_stored(&app, &source, &StoreError::Busy.to_string()),
    }
}

/// Deliveries that the answer to a duplicate lists.
const MAX_LISTED: usize = 20;

/// Events whose ids the answer to a duplicate names.
const MAX_NAMED: usize = 3;

/// The answer to a request that was received before: that of then, where its events went since, and how to route them again.
/// Somebody may have sent it again in the host's UI after a route was changed.
async fn duplicate(app: &App, mut receipt: Value) -> Value {
    receipt["duplicate"] = true.into();
    let Some(request) = receipt["request"].as_str().map(RequestId::from) else { return receipt };
    let of = |limit| Filter { request: Some(request.clone()), limit, ..Filter::default() };
    let found = async { Ok((app.store.events(of(MAX_NAMED + 1)).await?, app.store.deliveries(of(MAX_LISTED)).await?)) };
    let (events, deliveries) = match found.await {
        Ok(found) => found,
        // The answer is of use without it.
        Err(error) => {
            let error: StoreError = error;
            tracing::warn!(%error, request = %request, "cannot read where a duplicate went");
            return receipt;
        }
    };
    let went = deliveries.iter().filter(|delivery| !delivery.channel.as_str().is_empty());
    let went: Vec<_> =
        went.map(|sent| json!({ "channel": sent.channel, "state": sent.state, "kind": sent.kind })).collect();
    receipt["deliveries"] = went.into();
    let named: Vec<_> = events.iter().take(MAX_NAMED).map(|event| event.id.as_str()).collect();
    let more = if events.len() > MAX_NAMED { " …" } else { "" };
    receipt["help"] = format!(
        "this request was received before, so it is not routed again; to route it by the current rules: hookbell replay --reroute {}{more}",
        named.join(" ")
    )
    .into();
    receipt
}

/// `503`, for a request that the sender is to send again.
fn not_stored(app: &App, source: &SourceName, cause: &str) -> Response {
    count(source, "unavailable");
    app.unavailable.log(|skipped| tracing::error!(%source, cause, skipped, "request not stored"));
    unavailable()
}

fn count(source: &SourceName, result: &'static str) {
    metrics::counter!("hookbell_requests_total", "source" => source.to_string(), "result" => result).increment(1);
}

/// Stores a request, trying as often as it takes while the sender waits for the answer, and wakes the lanes.
async fn accept(app: Arc<App>, request: NewRequest, incoming: Incoming, place: &Place) -> Result<Accepted, StoreError> {
    let (events, subjects) = (incoming.events.len(), request.subjects.len());
    let (began, request, incoming) = (Instant::now(), Arc::new(request), Arc::new(incoming));
    // Once the sender is answered that nothing was stored, nothing need be.
    let Some(_turn) = place.turn(events, subjects, HOLD).await else { return Err(StoreError::Busy) };
    loop {
        match app.store.accept(request.clone(), incoming.clone().decide()).await {
            Ok(accepted) => {
                app.health.store_works();
                match &accepted {
                    Accepted::Stored { lanes, .. } => lanes.iter().for_each(|lane| app.bells.arrival(lane)),
                    // The task that stored it the first time may have ended before it woke them.
                    Accepted::Duplicate { .. } => {
                        app.live.now().lanes.values().for_each(|lane| app.bells.arrival(lane));
                    }
                }
                return Ok(accepted);
            }
            Err(error) => {
                app.health.store_failed(&error, request.body.len());
                if began.elapsed() + STORE_PAUSE >= HOLD {
                    return Err(error);
                }
                sleep(STORE_PAUSE).await;
            }
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
