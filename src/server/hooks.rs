//! `POST /hooks/{source}`: a webhook's request, verified, parsed, routed, stored, and only then answered.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use poem::http::{Method, StatusCode, header};
use poem::{Request, Response};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

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

/// Takes a request in.
pub(super) async fn receive(app: &App, mut request: Request) -> Response {
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
        Err(BodyError::TooSlow) => return error(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
        Err(BodyError::Broken) => return error(StatusCode::BAD_REQUEST, "the body broke off"),
    };
    let headers = request.headers();
    match understand(entry, headers, &body) {
        Ok(parsed) => store(app, name, parsed, headers, body).await,
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

async fn store(app: &App, source: SourceName, parsed: Parsed, headers: &HeaderMap, body: Bytes) -> Response {
    let id = RequestId::fresh();
    let received_at = now();
    let request = NewRequest {
        id: id.clone(),
        source: source.clone(),
        hook: parsed.hook,
        key: parsed.request_key,
        received_at,
        headers: kept(headers),
        body,
        subjects: vec![],
    };
    let summary = (parsed.key, parsed.events.len());
    let decide = decide(app, source.clone(), id.clone(), parsed.events, received_at);
    match timeout(HELD, app.store.accept(request, decide)).await {
        Ok(Ok(Accepted::Stored { receipt, lanes })) => {
            tracing::info!(request = %id, %source, key = summary.0, events = summary.1, "accepted");
            lanes.iter().for_each(|lane| app.dispatcher.wake(lane));
            answer(StatusCode::ACCEPTED, &receipt)
        }
        Ok(Ok(Accepted::Duplicate { receipt })) => {
            let mut receipt = parse(&receipt);
            receipt["duplicate"] = true.into();
            tracing::info!(request = %receipt["request"], %source, key = summary.0, "seen before");
            answer(StatusCode::OK, &receipt)
        }
        Ok(Err(cause)) => unavailable(&cause.to_string()),
        Err(_) => unavailable(&StoreError::Busy.to_string()),
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

/// The headers that are worth keeping: what the host says of its request, nothing that proves who sent it.
fn kept(headers: &HeaderMap) -> Value {
    const SECRET: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-hub-signature"];
    let pairs = headers.iter().filter(|(name, _)| !SECRET.contains(&name.as_str()));
    let pairs = pairs.filter_map(|(name, value)| Some((name.to_string(), Value::from(value.to_str().ok()?))));
    Value::Object(pairs.collect::<Map<_, _>>())
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
