//! The list of admin operations, and serving one of them.

use std::net::IpAddr;
use std::pin::Pin;

use poem::http::{Method, StatusCode, header};
use poem::{Request, Response};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{self, answer};
use super::authorizer::Authorizer;
use super::error::AdminError;
use crate::config::Role;
use crate::server::body::Bodies;
use crate::service::operations::{
    self as answers, DeliveriesQuery, Draft, EventsQuery, ExplainQuery, Limit, OfChat, Operations, Reason, Selection,
};

/// Maximum size of a request body, in bytes.
const MAX_BODY: usize = 256 * 1024;

/// One operation of the admin API.
pub(crate) struct Operation {
    /// `GET` or `POST`.
    pub(crate) method: Method,
    /// Path, with `:id` as the placeholder for an id.
    pub(crate) path: &'static str,
    /// Role that a token needs.
    pub(crate) role: Role,
    /// Summary in the OpenAPI document.
    pub(crate) about: &'static str,
    /// Schema of the query of a `GET`, or of the body of a `POST`.
    pub(crate) input: fn(&mut SchemaGenerator) -> Schema,
    /// Schema of the response.
    pub(crate) output: fn(&mut SchemaGenerator) -> Schema,
    run: Run,
}

type Run = for<'a> fn(&'a Operations, Call) -> Pin<Box<dyn Future<Output = Result<Value, AdminError>> + Send + 'a>>;

/// Input of one call.
pub(crate) struct Call {
    /// Value of `:id`. Empty if the path has none.
    id: String,
    /// Query of a `GET`, or body of a `POST`.
    input: Input,
}

enum Input {
    Query(String),
    Body(bytes::Bytes),
}

impl Call {
    fn input<T: DeserializeOwned>(&self) -> Result<T, AdminError> {
        match &self.input {
            Input::Query(query) => serde_urlencoded::from_str(query).map_err(AdminError::InvalidQuery),
            // serde also accepts an array of an object's values, which is never intended.
            Input::Body(body) if !body.trim_ascii_start().starts_with(b"{") => Err(AdminError::NotAnObject),
            Input::Body(body) => serde_json::from_slice(body).map_err(AdminError::InvalidBody),
        }
    }
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

fn to_json(value: impl Serialize) -> Result<Value, AdminError> {
    serde_json::to_value(value).map_err(AdminError::Unserializable)
}

macro_rules! operation {
    ($method:ident $path:literal $role:ident $about:literal $input:ty => $output:ty, |$service:ident, $id:ident, $asked:ident| $run:expr) => {
        Operation {
            method: Method::$method,
            path: $path,
            role: Role::$role,
            about: $about,
            input: schema::<$input>,
            output: schema::<$output>,
            run: |$service, call| {
                Box::pin(async move {
                    let $asked: $input = call.input()?;
                    let $id = call.id;
                    to_json($run.await?)
                })
            },
        }
    };
}

/// All operations. Those of one path are adjacent.
pub(crate) static OPERATIONS: &[Operation] = &[
    operation!(GET "/api/v1/events" Read "List events, newest last"
        EventsQuery => answers::EventsAnswer, |service, _id, asked| service.events(asked)),
    operation!(GET "/api/v1/events/:id" Read "Get an event with its routing decision and deliveries"
        Nothing => answers::EventAnswer, |service, id, _asked| service.event(id.into())),
    operation!(GET "/api/v1/explain" Read "Explain why events were or were not sent, rule by rule"
        ExplainQuery => answers::ExplainAnswer, |service, _id, asked| service.explain(asked)),
    operation!(GET "/api/v1/preview" Read "List templates and samples for the preview"
        Nothing => answers::PreviewAnswer, |service, _id, _asked| service.preview()),
    operation!(GET "/api/v1/preview/templates/:id" Read "Get the current text of a template"
        OfChat => answers::TemplateAnswer, |service, id, asked| service.template(id, asked)),
    operation!(POST "/api/v1/preview/draw" Read "Render a template draft and list its problems"
        Draft => answers::DrawingAnswer, |service, _id, asked| service.draw(asked)),
    operation!(POST "/api/v1/preview/save" Operate
        "Save a template in the template directory; a valid one is used immediately"
        Draft => answers::SavedAnswer, |service, _id, asked| service.save(asked)),
    operation!(GET "/api/v1/rejected" Read "List recent rejected requests, newest last"
        Limit => answers::RejectedAnswer, |service, _id, asked| service.rejected(asked)),
    operation!(GET "/api/v1/deliveries" Read "List deliveries, newest last"
        DeliveriesQuery => answers::DeliveriesAnswer, |service, _id, asked| service.deliveries(asked)),
    operation!(GET "/api/v1/deliveries/:id" Read "Get a delivery with its attempts and the message sent"
        Nothing => crate::store::DeliveryDetail, |service, id, _asked| service.delivery(id.into())),
    operation!(GET "/api/v1/channels" Read "List channels with their state and queued messages"
        Nothing => answers::ChannelsAnswer, |service, _id, _asked| service.channels()),
    operation!(GET "/api/v1/sources" Read "List sources with the last use of their secrets"
        Nothing => answers::SourcesAnswer, |service, _id, _asked| service.sources()),
    operation!(GET "/api/v1/lanes" Read "List lanes: one per destination, which channels may share"
        Nothing => answers::LanesAnswer, |service, _id, _asked| service.lanes()),
    operation!(POST "/api/v1/channels/:id/pause" Operate "Pause a channel and all channels with the same destination"
        Reason => answers::ChannelsAnswer, |service, id, asked| service.pause(id.into(), asked)),
    operation!(POST "/api/v1/channels/:id/reopen" Operate
        "Reopen a closed or paused channel; retry queued messages immediately"
        Nothing => answers::ChannelsAnswer, |service, id, _asked| service.reopen(id.into())),
    operation!(POST "/api/v1/deliveries/replay" Operate
        "Send messages again, as new deliveries at the end of their lanes"
        Selection => answers::ReplayAnswer, |service, _id, asked| service.replay(asked)),
    operation!(POST "/api/v1/deliveries/reroute" Operate
        "Route events again with the current routes, and send them to new channels"
        Selection => answers::ReplayAnswer, |service, _id, asked| service.reroute(asked)),
    operation!(POST "/-/reload" Operate "Reload the configuration atomically; 400 lists its errors"
        Nothing => crate::service::reload::ReloadAnswer, |service, _id, _asked| service.reload()),
    operation!(POST "/api/v1/deliveries/drop" Operate
        "Drop queued, parked or pending messages; their state becomes `dead`"
        Selection => answers::DropAnswer, |service, _id, asked| service.drop_deliveries(asked)),
];

/// Returns the paths of all operations, each once.
pub(super) fn paths() -> Vec<&'static str> {
    let mut paths: Vec<_> = OPERATIONS.iter().map(|operation| operation.path).collect();
    paths.dedup();
    paths
}

/// Serves the operation with this path and the request's method.
pub(super) async fn serve(
    path: &'static str,
    service: &Operations,
    authorizer: &Authorizer,
    bodies: &Bodies,
    mut request: Request,
) -> Response {
    let here = || OPERATIONS.iter().filter(|operation| operation.path == path);
    let Some(operation) = here().find(|operation| operation.method == *request.method()) else {
        return answer::method_not_allowed(here().next().map_or("GET", |operation| match operation.method {
            Method::POST => "POST",
            _ => "GET",
        }));
    };
    if let Some(rejection) = authorizer.rejection_slowly(&request, operation.role).await {
        return rejection;
    }
    let id = if path.contains(":id") { request.path_params::<String>().unwrap_or_default() } else { String::new() };
    let input = if operation.method == Method::POST {
        // Any web page can post a form or plain text across origins, but not JSON.
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_json = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        let peer = request.remote_addr().as_socket_addr().map_or(IpAddr::from([0; 4]), std::net::SocketAddr::ip);
        match bodies.read(&mut request, peer, MAX_BODY).await {
            // An empty body is an empty object, whatever its content type.
            Ok(body) if body.is_empty() => Input::Body(bytes::Bytes::from_static(b"{}")),
            Ok(body) if is_json => Input::Body(body),
            Ok(_) => {
                return answer::error(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "send JSON with `Content-Type: application/json`",
                );
            }
            Err(error) => return error.answer(MAX_BODY),
        }
    } else {
        Input::Query(request.uri().query().unwrap_or_default().to_owned())
    };
    match (operation.run)(service, Call { id, input }).await {
        Ok(value) => answer(StatusCode::OK, value),
        Err(error) => {
            let status = error.status();
            if status.is_server_error() {
                tracing::error!(%error, path, "admin API request failed");
            }
            answer::error(status, &error.to_string())
        }
    }
}

/// No parameters except those in the path.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}
