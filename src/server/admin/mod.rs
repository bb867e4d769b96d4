//! The listener for those who look after the service: an API in JSON, metrics, and whether it is ready.
//!
//! What it can do is one list (`operation.rs`); the OpenAPI document is made from the same list. The command line asks
//! the same API, over HTTP where the service runs, and within its own process where it does not.

mod answers;
mod desk;
mod explain;
mod gate;
mod metrics;
mod openapi;
mod operation;
mod page;
mod preview;

use std::sync::Arc;

use poem::endpoint::BoxEndpoint;
use poem::http::{Method, StatusCode};
use poem::{EndpointExt, Request, Response, Route};
use serde_json::json;

use super::answer::{self, answer};

pub use answers::{
    ChannelStatus, ChannelsAnswer, DeliveriesAnswer, DropAnswer, EventAnswer, EventsAnswer, ExplainAnswer, LaneStatus,
    LanesAnswer, Left, Openness, RefusalsAnswer, ReplayAnswer, SourceStatus, SourcesAnswer,
};
pub use desk::Desk;
pub use gate::{Gate, generate_token, token_path};
pub use metrics::Metrics;
pub(crate) use operation::OPERATIONS;
pub use page::is_built;

/// All that the admin listener serves.
pub fn endpoint(desk: Arc<Desk>, gate: Arc<Gate>, metrics: Option<Metrics>) -> BoxEndpoint<'static, Response> {
    let mut routes = Route::new();
    for path in operation::paths() {
        let (desk, gate) = (desk.clone(), gate.clone());
        let serve = poem::endpoint::make(move |request: Request| {
            let (desk, gate) = (desk.clone(), gate.clone());
            async move { operation::serve(path, &desk, &gate, request).await }
        });
        routes = routes.at(path, serve);
    }
    let document = poem::endpoint::make({
        let gate = gate.clone();
        move |request: Request| {
            let gate = gate.clone();
            async move {
                match gate.refusal_slowly(&request, crate::config::Role::Read).await {
                    None if *request.method() == Method::GET => answer(StatusCode::OK, openapi::document()),
                    None => answer::method_not_allowed("GET"),
                    Some(refusal) => refusal,
                }
            }
        }
    });
    let ready = poem::endpoint::make({
        let (desk, gate) = (desk.clone(), gate.clone());
        move |request: Request| {
            let (desk, refusal) = (desk.clone(), looking(&gate, &request));
            async move {
                match refusal {
                    Some(refusal) => refusal,
                    None => ready(&desk).await,
                }
            }
        }
    });
    let shown = poem::endpoint::make({
        let gate = gate.clone();
        move |request: Request| {
            let (desk, metrics, refusal) = (desk.clone(), metrics.clone(), looking(&gate, &request));
            async move {
                match (refusal, metrics) {
                    (Some(refusal), _) => refusal,
                    (None, Some(metrics)) => metrics.show(&desk).await,
                    (None, None) => answer::error(StatusCode::NOT_FOUND, "nothing is measured here"),
                }
            }
        }
    });
    let page = poem::endpoint::make_sync({
        let gate = gate.clone();
        move |request: Request| gate.stranger(&request).unwrap_or_else(|| page::serve(&request))
    });
    let page = Arc::new(page);
    let routes = routes.at("/preview", page.clone()).at("/preview/*path", page);
    let routes = routes.at("/api/v1/openapi.json", document).at("/readyz", ready).at("/metrics", shown);
    routes
        .catch_all_error(|cause: poem::Error| async move {
            match cause.status() {
                StatusCode::NOT_FOUND => {
                    answer::error(StatusCode::NOT_FOUND, "nothing is here: /api/v1/openapi.json says what there is")
                }
                _ => answer::of_error(&cause),
            }
        })
        .map_to_response()
        .boxed()
}

/// Why nobody may look at what needs no token.
fn looking(gate: &Gate, request: &Request) -> Option<Response> {
    match *request.method() {
        Method::GET | Method::HEAD => gate.stranger(request),
        _ => Some(answer::method_not_allowed("GET")),
    }
}

/// Whether the store takes requests: what a load balancer asks.
async fn ready(desk: &Desk) -> Response {
    let readiness = desk.readiness().await;
    let (code, status) =
        if readiness.is_ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    if readiness.problems.is_empty() {
        answer(code, json!({ "status": status }))
    } else {
        answer(code, json!({ "status": status, "problems": readiness.problems }))
    }
}
