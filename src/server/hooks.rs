//! `POST /hooks/{source}`: a webhook's request, verified, parsed, routed, stored, and only then answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use poem::http::{Method, StatusCode, header};
use poem::{Request, Response};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::answer::{answer, error, method_not_allowed};
use super::body::{self, BodyError};
use super::{App, receipt};
use crate::chat::Style;
use crate::config::{Settings, SourceEntry};
use crate::event::{DeliveryId, Event, EventId, RequestId, SourceName};
use crate::routing::{Decision, Subject};
use crate::source::{Parsed, Refusal};
use crate::store::{Accepted, Decide, Decided, NewDelivery, NewEvent, NewRequest, StoreError, now};

/// How long a request is held while the store cannot take it. Bitbucket waits 10 s for an answer
/// (<https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/>).
const HELD: Duration = Duration::from_secs(8);

/// How long to wait before the store is asked again.
const STORE_PAUSE: Duration = Duration::from_millis(250);

/// Takes a request in.
pub(super) async fn receive(app: Arc<App>, mut request: Request) -> Response {
    if *request.method() != Method::POST {
        return method_not_allowed("POST");
    }
    let name = SourceName::from(request.path_params::<String>().unwrap_or_default());
    let Some(entry) = app.settings.sources.get(&name) else {
        return error(StatusCode::NOT_FOUND, "there is no such source: look at the webhook's URL");
    };
    let largest = entry.source.largest_body();
    let body = match body::read(request.take_body(), largest).await {
        Ok(body) => body,
        Err(BodyError::TooLarge) => {
            let message = format!("the body is larger than {} KB", largest / 1024);
            return error(StatusCode::PAYLOAD_TOO_LARGE, &message);
        }
        Err(BodyError::NoRoom) => return unavailable("too many bodies are arriving at once"),
        Err(BodyError::TooSlow) => return error(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
        Err(BodyError::Broken) => return error(StatusCode::BAD_REQUEST, "the body broke off"),
    };
    let headers = request.headers();
    match understand(entry, headers, &body) {
        Ok(parsed) => {
            let kept = kept(headers, entry.source.telling_headers());
            store(app.clone(), name, parsed, kept, body).await
        }
        Err(refusal) => {
            tracing::warn!(source = %name, %refusal, "refused a request");
            error(status(&refusal), &refusal.to_string())
        }
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Unsigned { .. } | Refusal::WrongSignature => StatusCode::UNAUTHORIZED,
        Refusal::ForeignRepository { .. } => StatusCode::FORBIDDEN,
        Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
    }
}

/// Who it is from, what it says, and whether they may say it.
fn understand(entry: &SourceEntry, headers: &HeaderMap, body: &[u8]) -> Result<Parsed, Refusal> {
    entry.source.verify(headers, body)?;
    let parsed = entry.source.parse(headers, body)?;
    for event in &parsed.events {
        let repository = event.repository.as_ref().and_then(|repository| repository.full_name.as_deref());
        let name = repository.unwrap_or_default();
        if !entry.repo.matches(name) {
            let shown = if name.is_empty() { "what it does not name" } else { name };
            return Err(Refusal::ForeignRepository { repository: shown.to_owned() });
        }
    }
    Ok(parsed)
}

async fn store(app: Arc<App>, source: SourceName, parsed: Parsed, headers: Value, body: Bytes) -> Response {
    let id = RequestId::fresh();
    let request = NewRequest {
        id: id.clone(),
        source: source.clone(),
        hook: parsed.hook,
        key: parsed.request_key,
        received_at: now(),
        headers,
        body,
        subjects: vec![],
    };
    let summary = (parsed.key, parsed.events.len());
    // A task of its own: whoever asked may hang up, or not be held any longer, and what is stored must be delivered all
    // the same.
    let accepted = tokio::spawn(accept(app, request, parsed.events));
    match timeout(HELD, accepted).await {
        Ok(Ok(Ok(Accepted::Stored { receipt, .. }))) => {
            tracing::info!(request = %id, %source, key = summary.0, events = summary.1, "accepted");
            answer(StatusCode::ACCEPTED, &receipt)
        }
        Ok(Ok(Ok(Accepted::Duplicate { receipt }))) => {
            let mut receipt = parse(&receipt);
            receipt["duplicate"] = true.into();
            tracing::info!(request = %receipt["request"], %source, key = summary.0, "seen before");
            answer(StatusCode::OK, &receipt)
        }
        Ok(Ok(Err(cause))) => unavailable(&cause.to_string()),
        Ok(Err(stopped)) => unavailable(&stopped.to_string()),
        Err(_) => unavailable(&StoreError::Busy.to_string()),
    }
}

/// Has the store take a request in, as often as it takes while somebody waits for the answer, and wakes the lanes.
async fn accept(app: Arc<App>, request: NewRequest, events: Vec<Event>) -> Result<Accepted, StoreError> {
    let began = Instant::now();
    loop {
        let decide = decide(&app, request.source.clone(), request.id.clone(), events.clone(), request.received_at);
        match app.store.accept(request.clone(), decide).await {
            Ok(accepted) => {
                match &accepted {
                    Accepted::Stored { lanes, .. } => lanes.iter().for_each(|lane| app.dispatcher.wake(lane)),
                    // Whoever stored it the first time may not have come to wake them.
                    Accepted::Duplicate { .. } => app.lanes.values().for_each(|lane| app.dispatcher.wake(lane)),
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

/// The host is to send it again; nothing was acknowledged.
fn unavailable(cause: &str) -> Response {
    tracing::error!(cause, "could not store a request");
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, "the request could not be stored: send it again");
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("10"));
    response
}

fn parse(receipt: &str) -> Value {
    serde_json::from_str(receipt).unwrap_or_else(|_| json!({}))
}

/// The headers that are worth keeping; any other may be somebody's secret.
fn kept(headers: &HeaderMap, telling: &[&str]) -> Value {
    let kept = telling.iter().filter_map(|name| Some(((*name).to_owned(), headers.get(*name)?.to_str().ok()?.into())));
    Value::Object(kept.collect::<Map<_, _>>())
}

/// What follows from a request: its events, routed, and who is to hear of them.
fn decide(app: &App, source: SourceName, id: RequestId, events: Vec<Event>, received_at: i64) -> Decide {
    let (settings, lanes) = (app.settings.clone(), app.lanes.clone());
    Box::new(move |_memory| {
        let (mut decided, mut receipts) = (Decided::default(), vec![]);
        for mut event in events {
            event.time = event.time.or_else(|| jiff::Timestamp::from_millisecond(received_at).ok());
            let decision = settings.router.decide(Subject { source: &source, event: &event });
            receipts.push(receipt::of_event(&event, &decision, &settings.router));
            let stored = NewEvent {
                id: EventId::fresh(),
                kind: event.kind.as_str(),
                repository: event.repository.as_ref().and_then(|repository| repository.full_name.clone()),
                subject: event.subject(),
                json: serde_json::to_string(&event).unwrap_or_default(),
                decision: explained(&decision, &settings).to_string(),
            };
            for send in decision.sends {
                let Some(lane) = lanes.get(&send.channel) else { continue };
                decided.deliveries.push(NewDelivery {
                    id: DeliveryId::fresh(),
                    event: stored.id.clone(),
                    lane: lane.clone(),
                    channel: send.channel,
                    route: send.route,
                    template: send.template,
                    style: send.style.map(Style::as_str),
                });
            }
            decided.events.push(stored);
        }
        decided.receipt = receipt::of_request(&id, receipts);
        decided
    })
}

/// How an event was routed, in short; with the config of that hash the rest can be told again.
fn explained(decision: &Decision, settings: &Settings) -> Value {
    let sends = decision.sends.iter().map(|send| json!({ "route": send.route, "channel": send.channel }));
    json!({
        "config": settings.hash,
        "sends": sends.collect::<Vec<_>>(),
        "muted": decision.muted,
        "held": decision.held,
    })
}
