//! `POST /hooks/{source}`: reads a webhook request, and responds with its receipt.

use std::net::IpAddr;

use poem::http::{Method, StatusCode};
use poem::{Request, Response};
use serde::Serialize;

use super::answer::{answer, error, method_not_allowed, unavailable};
use super::body::{self, BodyError};
use super::{App, client};
use crate::config::Settings;
use crate::event::SourceName;
use crate::service::intake::{Cause, Head, Refusal, Taken, shown};
use crate::source::Rejection;

/// Handles a request. Everything that can be checked without the body is checked before a byte of it is read.
pub(super) async fn receive(app: &App, wanted: &str, mut request: Request) -> Response {
    let settings = app.intake.settings();
    let client = client_of(&request, &settings);
    let source = source(&settings, wanted).cloned();
    let head = source.and_then(|source| Head::new(settings.clone(), source, client, request.headers().clone()));
    let Some(head) = head else {
        let hint = only_path(&settings).unwrap_or_else(|| "; check the webhook URL".to_owned());
        let reason = format!("unknown source `{}`{hint}", shown(wanted));
        misdirected(app, Cause::Source, &request, client, &reason);
        body::reject(&mut request).await;
        return error(StatusCode::NOT_FOUND, &reason);
    };
    if *request.method() != Method::POST {
        misdirected(app, Cause::Method, &request, client, "method not allowed: use POST");
        return method_not_allowed("POST");
    }
    if let Err(refusal) = app.intake.check(&head) {
        body::reject(&mut request).await;
        return refused(&refusal);
    }
    let max = head.entry().source.max_body();
    let body = match app.bodies.read(&mut request, client.unwrap_or(IpAddr::from([0; 4])), max).await {
        Ok(body) => body,
        Err(BodyError::NoRoom) => return refused(&app.intake.no_body_memory(&head)),
        Err(error) => {
            if error == BodyError::TooLarge {
                let reason = format!("the body is larger than {} KB", max / 1024);
                misdirected(app, Cause::TooLarge, &request, client, &reason);
            }
            return error.answer(max);
        }
    };
    match app.intake.accept(&head, body).await {
        Ok(Taken::New(receipt)) => answer(StatusCode::ACCEPTED, json(&receipt)),
        Ok(Taken::Again(repeated)) => answer(StatusCode::OK, json(&repeated)),
        Err(refusal) => refused(&refusal),
    }
}

/// Rejects a request to an unknown path.
pub(super) async fn unknown_path(app: &App, mut request: Request) -> Response {
    let settings = app.intake.settings();
    let client = client_of(&request, &settings);
    let hint = only_path(&settings).unwrap_or_else(|| "; webhooks are at `/hooks/SOURCE`".to_owned());
    let reason = format!("`{}` not found{hint}", shown(request.uri().path()));
    misdirected(app, Cause::Path, &request, client, &reason);
    body::reject(&mut request).await;
    error(StatusCode::NOT_FOUND, &reason)
}

fn misdirected(app: &App, cause: Cause, request: &Request, client: Option<IpAddr>, reason: &str) {
    app.intake.misdirected(cause, (request.method().as_str(), request.uri().path()), client, reason);
}

/// Finds a source by name. Case may differ if that is unambiguous, because people type URLs by hand.
fn source<'a>(settings: &'a Settings, name: &str) -> Option<&'a SourceName> {
    let exact = settings.sources.get_key_value(&SourceName::from(name)).map(|(name, _)| name);
    exact.or_else(|| {
        let mut alike = settings.sources.keys().filter(|known| known.as_str().eq_ignore_ascii_case(name));
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

fn json(receipt: &impl Serialize) -> String {
    serde_json::to_string(receipt).unwrap_or_default()
}

/// Responds to a request that is not accepted.
fn refused(refusal: &Refusal) -> Response {
    match refusal {
        Refusal::Rejected(rejection) => error(status(rejection), &shown(&rejection.to_string())),
        Refusal::NotStored => unavailable(),
    }
}

const fn status(rejection: &Rejection) -> StatusCode {
    match rejection {
        Rejection::Unsigned { .. } | Rejection::WrongSignature => StatusCode::UNAUTHORIZED,
        Rejection::ForeignAddress { .. } | Rejection::ForeignRepository { .. } => StatusCode::FORBIDDEN,
        Rejection::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Rejection::OtherHost(_) | Rejection::Malformed(_) => StatusCode::BAD_REQUEST,
    }
}
