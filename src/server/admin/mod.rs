//! The admin listener: a JSON API, metrics and a readiness check.
//!
//! All operations are in one list (`operation.rs`). The OpenAPI document is generated from that list.

mod authorizer;
mod error;
mod metrics;
mod openapi;
mod operation;
mod page;

use std::sync::Arc;

use poem::endpoint::BoxEndpoint;
use poem::http::{Method, StatusCode};
use poem::{EndpointExt, Request, Response, Route};

use super::answer::{self, answer};
use super::body::Bodies;
use crate::service::operations::Operations;

pub use authorizer::{Authorizer, TokenError, generate_token, token_path};
pub use metrics::Metrics;
pub(crate) use operation::OPERATIONS;
pub use page::is_built;

/// Builds the endpoint of the admin listener.
pub fn endpoint(
    service: Arc<Operations>,
    authorizer: Arc<Authorizer>,
    metrics: Option<Metrics>,
) -> BoxEndpoint<'static, Response> {
    let (mut routes, bodies) = (Route::new(), Bodies::default());
    for path in operation::paths() {
        let (service, authorizer, bodies) = (service.clone(), authorizer.clone(), bodies.clone());
        let serve = poem::endpoint::make(move |request: Request| {
            let (service, authorizer, bodies) = (service.clone(), authorizer.clone(), bodies.clone());
            async move { operation::serve(path, &service, &authorizer, &bodies, request).await }
        });
        routes = routes.at(path, serve);
    }
    let document = poem::endpoint::make({
        let authorizer = authorizer.clone();
        move |request: Request| {
            let authorizer = authorizer.clone();
            async move {
                match authorizer.rejection_slowly(&request, crate::config::Role::Read).await {
                    None if *request.method() == Method::GET => answer(StatusCode::OK, openapi::document()),
                    None => answer::method_not_allowed("GET"),
                    Some(rejection) => rejection,
                }
            }
        }
    });
    let ready = poem::endpoint::make({
        let (service, authorizer) = (service.clone(), authorizer.clone());
        move |request: Request| {
            let (service, rejection) = (service.clone(), looking(&authorizer, &request));
            async move {
                match rejection {
                    Some(rejection) => rejection,
                    None => ready(&service).await,
                }
            }
        }
    });
    let shown = poem::endpoint::make({
        let authorizer = authorizer.clone();
        move |request: Request| {
            let (service, metrics, rejection) = (service.clone(), metrics.clone(), looking(&authorizer, &request));
            async move {
                match (rejection, metrics) {
                    (Some(rejection), _) => rejection,
                    (None, Some(metrics)) => metrics.show(&service).await,
                    (None, None) => answer::error(StatusCode::NOT_FOUND, "metrics are not available"),
                }
            }
        }
    });
    let page = poem::endpoint::make_sync({
        let authorizer = authorizer.clone();
        move |request: Request| authorizer.host_rejection(&request).unwrap_or_else(|| page::serve(&request))
    });
    let page = Arc::new(page);
    let routes = routes.at("/preview", page.clone()).at("/preview/*path", page);
    let routes = routes.at("/api/v1/openapi.json", document).at("/readyz", ready).at("/metrics", shown);
    routes
        .catch_all_error(|cause: poem::Error| async move {
            match cause.status() {
                StatusCode::NOT_FOUND => {
                    answer::error(StatusCode::NOT_FOUND, "not found: see `/api/v1/openapi.json` for all operations")
                }
                _ => answer::of_error(&cause),
            }
        })
        .map_to_response()
        .boxed()
}

/// Returns the rejection of a request that needs no token, if any.
fn looking(authorizer: &Authorizer, request: &Request) -> Option<Response> {
    match *request.method() {
        Method::GET | Method::HEAD => authorizer.host_rejection(request),
        _ => Some(answer::method_not_allowed("GET")),
    }
}

/// Readiness check for load balancers: `200` if requests can be stored, otherwise `503`.
async fn ready(service: &Operations) -> Response {
    let readiness = service.readiness().await;
    answer::readiness(readiness.is_ready, &readiness.problems)
}
