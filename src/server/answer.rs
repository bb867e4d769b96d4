//! Responses: one line of JSON each.

use std::fmt::Display;

use poem::Response;
use poem::http::{StatusCode, header};
use serde_json::json;

/// Builds a JSON response.
pub(super) fn answer(status: StatusCode, body: impl Display) -> Response {
    Response::builder().status(status).content_type("application/json").body(format!("{body}\n"))
}

/// Builds an error response: `{"error": message}`.
pub(super) fn error(status: StatusCode, message: &str) -> Response {
    answer(status, json!({ "error": message }))
}

/// Builds the response to a readiness check: `200` if requests can be stored, otherwise `503`.
pub(super) fn readiness(is_ready: bool, problems: &[String]) -> Response {
    let (code, status) =
        if is_ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    if problems.is_empty() {
        answer(code, json!({ "status": status }))
    } else {
        answer(code, json!({ "status": status, "problems": problems }))
    }
}

/// Builds a `405` response with the allowed method in the `Allow` header.
pub(super) fn method_not_allowed(allowed: &'static str) -> Response {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, &format!("method not allowed: use {allowed}"));
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allowed));
    response
}

/// Builds a `503` response: the request was not stored, and the sender must send it again.
pub(super) fn unavailable() -> Response {
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, "the request could not be stored; send it again");
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("10"));
    response
}

/// Builds the response to a request that reached no endpoint.
pub(super) fn of_error(cause: &poem::Error) -> Response {
    match cause.status() {
        StatusCode::NOT_FOUND => error(StatusCode::NOT_FOUND, "not found: webhooks are at `/hooks/SOURCE`"),
        status => error(status, status.canonical_reason().unwrap_or("the request cannot be served")),
    }
}
