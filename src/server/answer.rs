//! Answers: one line of JSON each.

use std::fmt::Display;

use poem::Response;
use poem::http::{StatusCode, header};
use serde_json::json;

/// An answer of this status.
pub(super) fn answer(status: StatusCode, body: impl Display) -> Response {
    Response::builder().status(status).content_type("application/json").body(format!("{body}\n"))
}

/// An answer that says what is wrong.
pub(super) fn error(status: StatusCode, message: &str) -> Response {
    answer(status, json!({ "error": message }))
}

/// `405`, with the method that is allowed.
pub(super) fn method_not_allowed(allowed: &'static str) -> Response {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, &format!("only {allowed} is understood here"));
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allowed));
    response
}

/// `503`: nothing was acknowledged, and the sender is to send the request again.
pub(super) fn unavailable() -> Response {
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, "the request could not be stored: send it again");
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("10"));
    response
}

/// The answer to what never reached an endpoint of ours.
pub(super) fn of_error(cause: &poem::Error) -> Response {
    match cause.status() {
        StatusCode::NOT_FOUND => error(StatusCode::NOT_FOUND, "nothing is here: webhooks go to /hooks/SOURCE"),
        status => error(status, status.canonical_reason().unwrap_or("this request cannot be served")),
    }
}
