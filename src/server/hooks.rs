//! `POST /hooks/{source}`: verifies, parses, routes and stores a webhook request, and only then responds.

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
use crate::source::{Parsed, Rejection, Verified};
use crate::store::{Accepted, Filter, NewRequest, RejectedRequest, StoreError};
use crate::text::cut_text;
use crate::text::sanitized;
use crate::time::now;

/// Maximum time to hold a request while the store cannot accept it. Bitbucket waits 10 s for a response
/// (<https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/>).
const HOLD: Duration = Duration::from_secs(8);

/// Maximum length of untrusted text in logs, lists and responses, in UTF-16 units.
const MAX_SHOWN: usize = 200;

/// Pause between attempts to store a request.
const STORE_PAUSE: Duration = Duration::from_millis(250);

/// Handles a request. Everything that can be checked without the body is checked before a byte of it is read.
pub(super) async fn receive(app: Arc<App>, wanted: &str, mut request: Request) -> Response {
    let settings = app.live.now();
    let client = client_of(&request, &settings);
    let Some((name, entry)) = source(&settings, wanted) else {
        let hint = only_path(&settings).unwrap_or_else(|| "; check the webhook URL".to_owned());
        let reason = format!("unknown source `{}`{hint}", shown(wanted));
        app.misdirected.add(Cause::Source, &request, client, &reason);
        body::reject(&mut request).await;
        return error(StatusCode::NOT_FOUND, &reason);
    };
    let name = name.clone();
    if *request.method() != Method::POST {
        app.misdirected.add(Cause::Method, &request, client, "method not allowed: use POST");
        return method_not_allowed("POST");
    }
    if let Err(rejection) = check(entry, client, request.headers()) {
        body::reject(&mut request).await;
        return refused(&app, name, entry, client, request.headers(), &rejection);
    }
    let max = entry.source.max_body();
    let body = match app.bodies.read(&mut request, client.unwrap_or(IpAddr::from([0; 4])), max).await {
        Ok(body) => body,
        Err(BodyError::NoRoom) => return not_stored(&app, &name, "no memory left for arriving bodies"),
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
        // Verifying a large body takes a while and would delay other requests. Its sender is still untrusted.
        let kb = u32::try_from(body.len() / 1024 + 1).unwrap_or(u32::MAX);
        let Ok(_memory) = app.unverified.clone().try_acquire_many_owned(kb) else {
            return not_stored(&app, &name, "too many large bodies are queued for verification");
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
            let kept = kept(&headers, entry.source.kept_headers());
            let place = app.places.take(&name, settings.sources.len(), body.len(), parsed.events.len());
            let Some(place) = place else {
                return not_stored(&app, &name, "too many requests from this source are queued for the store");
            };
            store(app.clone(), name, verified, parsed, kept, body, place).await
        }
        Some(Err(rejection)) => refused(&app, name, entry, client, &headers, &rejection),
        None => not_stored(&app, &name, "the body could not be read"),
    }
}

/// Finds a source by name. Case may differ if that is unambiguous, because people type URLs by hand.
fn source<'a>(settings: &'a Settings, name: &str) -> Option<(&'a SourceName, &'a SourceEntry)> {
    let exact = settings.sources.get_key_value(&SourceName::from(name));
    exact.or_else(|| {
        let mut alike = settings.sources.iter().filter(|(known, _)| known.as_str().eq_ignore_ascii_case(name));
        alike.next().filter(|_| alike.next().is_none())
    })
}

/// Returns the client address of a request, if it came over the network.
fn client_of(request: &Request, settings: &Settings) -> Option<IpAddr> {
    let peer = request.remote_addr().as_socket_addr()?.ip();
    Some(client::address(peer, request.headers(), &settings.trusted_proxies))
}

/// Returns the help for a wrong URL, if only one source is configured.
fn only_path(settings: &Settings) -> Option<String> {
    let mut names = settings.sources.keys();
    let only = names.next().filter(|_| names.next().is_none())?;
    Some(format!("; the webhook URL must end in `/hooks/{only}`"))
}

/// Rejects a request to an unknown path.
pub(super) async fn misdirected(app: &App, mut request: Request) -> Response {
    let settings = app.live.now();
    let client = client_of(&request, &settings);
    let hint = only_path(&settings).unwrap_or_else(|| "; webhooks are at `/hooks/SOURCE`".to_owned());
    let reason = format!("`{}` not found{hint}", shown(request.uri().path()));
    app.misdirected.add(Cause::Path, &request, client, &reason);
    body::reject(&mut request).await;
    error(StatusCode::NOT_FOUND, &reason)
}

/// Checks a request without its body.
fn check(entry: &SourceEntry, client: Option<IpAddr>, headers: &HeaderMap) -> Result<(), Rejection> {
    if let Some(allowed) = &entry.allow_from
        && !client.is_some_and(|client| allowed.contains(client))
    {
        let client = client.map_or_else(|| "an unknown address".to_owned(), |client| client.to_string());
        return Err(Rejection::ForeignAddress { client });
    }
    entry.source.check_headers(headers)?;
    match headers.get(header::CONTENT_TYPE) {
        Some(kind) if !is_json(kind.as_bytes()) => Err(Rejection::NotJson),
        _ => Ok(()),
    }
}

/// Returns `true` if the value of a `Content-Type` header is JSON.
fn is_json(kind: &[u8]) -> bool {
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    kind == b"application/json" || kind.ends_with(b"+json")
}

/// Responds to a rejected request, and records it in the log, the metrics and the list of rejected requests.
fn refused(
    app: &App,
    name: SourceName,
    entry: &SourceEntry,
    client: Option<IpAddr>,
    headers: &HeaderMap,
    rejection: &Rejection,
) -> Response {
    count(&name, "rejected");
    let word = word(rejection);
    metrics::counter!("hookbell_requests_rejected_total", "source" => name.to_string(), "reason" => word).increment(1);
    let (key, reason) = (entry.source.key(headers).map(|key| shown(&key)), shown(&rejection.to_string()));
    app.rejected.log(|skipped| {
        let client = client.map(tracing::field::display);
        tracing::warn!(source = %name, key, client, reason, skipped, "request rejected");
    });
    let client = client.map(|client| client.to_string());
    app.rejected.add(RejectedRequest { at: now(), source: name, client, key, reason: reason.clone() });
    error(status(rejection), &reason)
}

/// Returns the `reason` label for metrics.
fn word(rejection: &Rejection) -> &'static str {
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

fn status(rejection: &Rejection) -> StatusCode {
    match rejection {
        Rejection::Unsigned { .. } | Rejection::WrongSignature => StatusCode::UNAUTHORIZED,
        Rejection::ForeignAddress { .. } | Rejection::ForeignRepository { .. } => StatusCode::FORBIDDEN,
        Rejection::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Rejection::OtherHost(_) | Rejection::Malformed(_) => StatusCode::BAD_REQUEST,
    }
}

/// Verifies and parses a body, and checks that the source may send events for its repositories.
fn understand(entry: &SourceEntry, headers: &HeaderMap, body: &[u8]) -> Result<(Verified, Parsed), Rejection> {
    let verified = entry.source.verify(headers, body)?;
    let parsed = entry.source.parse(headers, body)?;
    for place in parsed.events.iter().filter_map(Event::place) {
        if !entry.repo.matches(&place) {
            return Err(Rejection::ForeignRepository { repository: shown(place.trim_end_matches('/')) });
        }
    }
    Ok((verified, parsed))
}

/// Sanitizes untrusted text for a log, a list or a response: one line of at most [`MAX_SHOWN`] units.
pub(super) fn shown(text: &str) -> String {
    cut_text(&sanitized(text), MAX_SHOWN)
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
    // A separate task: a stored request must be delivered even if the sender hangs up or the hold time ends.
    let task = app.clone();
    let accepted = tokio::spawn(async move {
        let accepted = accept(task, request, incoming, &place).await;
        drop(place);
        accepted
    });
    match timeout(HOLD, accepted).await {
        Ok(Ok(Ok(Accepted::Stored { receipt, .. }))) => {
            // The number of the secret shows when the old one of a rotation is no longer needed.
            let secret = verified.secret.map(|n| n + 1);
            metrics::counter!(
                "hookbell_requests_verified_total",
                "source" => source.to_string(),
                "secret" => secret.map_or_else(|| "none".to_owned(), |n| n.to_string()),
            )
            .increment(1);
            count(&source, "accepted");
            tracing::info!(request = %id, %source, key = summary.0, events = summary.1, secret, "request accepted");
            answer(StatusCode::ACCEPTED, &receipt)
        }
        Ok(Ok(Ok(Accepted::Duplicate { receipt }))) => {
            let receipt = duplicate(&app, parse(&receipt)).await;
            count(&source, "duplicate");
            tracing::info!(request = %receipt["request"], %source, key = summary.0, "duplicate request");
            answer(StatusCode::OK, &receipt)
        }
        Ok(Ok(Err(cause))) => not_stored(&app, &source, &cause.to_string()),
        Ok(Err(stopped)) => not_stored(&app, &source, &stopped.to_string()),
        Err(_) => not_stored(&app, &source, &StoreError::Busy.to_string()),
    }
}

/// Maximum number of deliveries in the response to a duplicate.
const MAX_LISTED: usize = 20;

/// Maximum number of event ids in the response to a duplicate.
const MAX_NAMED: usize = 3;

/// Builds the response to a duplicate: the original receipt, the current deliveries of its events, and how to route
/// them again. A user may have resent the request in the host's UI after changing a route.
async fn duplicate(app: &App, mut receipt: Value) -> Value {
    receipt["duplicate"] = true.into();
    let Some(request) = receipt["request"].as_str().map(RequestId::from) else { return receipt };
    let of = |limit| Filter { request: Some(request.clone()), limit, ..Filter::default() };
    let found = async { Ok((app.store.events(of(MAX_NAMED + 1)).await?, app.store.deliveries(of(MAX_LISTED)).await?)) };
    let (events, deliveries) = match found.await {
        Ok(found) => found,
        // The receipt is useful without the deliveries.
        Err(error) => {
            let error: StoreError = error;
            tracing::warn!(%error, request = %request, "cannot read the deliveries of a duplicate request");
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
        "this request was received before and is not routed again; to route it now: hookbell replay --reroute {}{more}",
        named.join(" ")
    )
    .into();
    receipt
}

/// Responds with `503`: the sender must send the request again.
fn not_stored(app: &App, source: &SourceName, cause: &str) -> Response {
    count(source, "unavailable");
    app.unavailable.log(|skipped| tracing::error!(%source, cause, skipped, "request not stored"));
    unavailable()
}

fn count(source: &SourceName, result: &'static str) {
    metrics::counter!("hookbell_requests_total", "source" => source.to_string(), "result" => result).increment(1);
}

/// Stores a request, retrying while the sender waits for the response, and wakes the lanes.
async fn accept(app: Arc<App>, request: NewRequest, incoming: Incoming, place: &Place) -> Result<Accepted, StoreError> {
    let (events, subjects) = (incoming.events.len(), request.subjects.len());
    let (began, request, incoming) = (Instant::now(), Arc::new(request), Arc::new(incoming));
    // After that time the sender has its `503`, so nothing needs to be stored.
    let Some(_turn) = place.turn(events, subjects, HOLD).await else { return Err(StoreError::Busy) };
    loop {
        match app.store.accept(request.clone(), incoming.clone().decide()).await {
            Ok(accepted) => {
                app.health.store_works();
                match &accepted {
                    Accepted::Stored { lanes, .. } => lanes.iter().for_each(|lane| app.wakers.wake(lane)),
                    // The task that stored it the first time may have ended before waking them.
                    Accepted::Duplicate { .. } => {
                        app.live.now().lanes.values().for_each(|lane| app.wakers.wake(lane));
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

/// Selects the headers to store. Any other header may contain a secret.
fn kept(headers: &HeaderMap, telling: &[&str]) -> Value {
    let kept = telling.iter().filter_map(|name| Some(((*name).to_owned(), headers.get(*name)?.to_str().ok()?.into())));
    Value::Object(kept.collect::<Map<_, _>>())
}
