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
use super::answers;
use super::authorizer::Authorizer;
use super::error::AdminError;
use super::preview::{self, Draft};
use super::service::AdminService;
use crate::config::Role;
use crate::event::{ChannelName, EventId, Kind};
use crate::source::PROVIDERS;
use crate::store::{Filter, State};

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

type Run = for<'a> fn(&'a AdminService, Call) -> Pin<Box<dyn Future<Output = Result<Value, AdminError>> + Send + 'a>>;

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
        EventsQuery => answers::EventsAnswer, |service, _id, asked| service.events(asked.filter()?)),
    operation!(GET "/api/v1/events/:id" Read "Get an event with its routing decision and deliveries"
        Nothing => answers::EventAnswer, |service, id, _asked| service.event(id.into())),
    operation!(GET "/api/v1/explain" Read "Explain why events were or were not sent, rule by rule"
        ExplainQuery => answers::ExplainAnswer, |service, _id, asked| service.explain(&asked.what, limit(asked.limit, MAX_EXPLAINED, MAX_EXPLAINED)?)),
    operation!(GET "/api/v1/preview" Read "List templates and samples for the preview"
        Nothing => preview::PreviewAnswer, |service, _id, _asked| service.preview()),
    operation!(GET "/api/v1/preview/templates/:id" Read "Get the current text of a template"
        OfChat => preview::TemplateAnswer, |service, id, asked| service.template(id, asked.chat)),
    operation!(POST "/api/v1/preview/draw" Read "Render a template draft and list its problems"
        Draft => preview::DrawingAnswer, |service, _id, asked| service.draw(asked)),
    operation!(POST "/api/v1/preview/save" Operate
        "Save a template in the template directory; a valid one is used immediately"
        Draft => preview::SavedAnswer, |service, _id, asked| service.save(asked)),
    operation!(GET "/api/v1/rejected" Read "List recent rejected requests, newest last"
        Limit => answers::RejectedAnswer, |service, _id, asked| service.rejected(asked.limit()?)),
    operation!(GET "/api/v1/deliveries" Read "List deliveries, newest last"
        DeliveriesQuery => answers::DeliveriesAnswer, |service, _id, asked| service.deliveries(asked.filter()?)),
    operation!(GET "/api/v1/deliveries/:id" Read "Get a delivery with its attempts and the message sent"
        Nothing => crate::store::DeliveryDetail, |service, id, _asked| service.delivery(id.into())),
    operation!(GET "/api/v1/channels" Read "List channels with their state and queued messages"
        Nothing => answers::ChannelsAnswer, |service, _id, _asked| service.channels()),
    operation!(GET "/api/v1/sources" Read "List sources with the last use of their secrets"
        Nothing => answers::SourcesAnswer, |service, _id, _asked| service.sources()),
    operation!(GET "/api/v1/lanes" Read "List lanes: one per destination, which channels may share"
        Nothing => answers::LanesAnswer, |service, _id, _asked| service.lanes()),
    operation!(POST "/api/v1/channels/:id/pause" Operate "Pause a channel and all channels with the same destination"
        Reason => answers::ChannelsAnswer, |service, id, asked| service.pause(id.into(), asked.reason)),
    operation!(POST "/api/v1/channels/:id/reopen" Operate
        "Reopen a closed or paused channel; retry queued messages immediately"
        Nothing => answers::ChannelsAnswer, |service, id, _asked| service.reopen(id.into())),
    operation!(POST "/api/v1/deliveries/replay" Operate
        "Send messages again, as new deliveries at the end of their lanes"
        Selection => answers::ReplayAnswer, |service, _id, asked| service.replay(asked.filter()?, asked.dry_run)),
    operation!(POST "/api/v1/deliveries/reroute" Operate
        "Route events again with the current routes, and send them to new channels"
        Selection => answers::ReplayAnswer, |service, _id, asked| service.reroute(asked.filter()?, asked.dry_run)),
    operation!(POST "/-/reload" Operate "Reload the configuration atomically; 400 lists its errors"
        Nothing => crate::server::ReloadAnswer, |service, _id, _asked| service.reload()),
    operation!(POST "/api/v1/deliveries/drop" Operate
        "Drop queued, parked or pending messages; their state becomes `dead`"
        Selection => answers::DropAnswer, |service, _id, asked| service.drop(asked.filter()?, asked.dry_run)),
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
    service: &AdminService,
    authorizer: &Authorizer,
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
        match service.bodies.read(&mut request, peer, MAX_BODY).await {
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

/// Reason for a pause.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reason {
    /// Reason, shown with the state of the channel.
    reason: Option<String>,
}

/// Selection of the events to explain.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExplainQuery {
    /// Id of an event, a delivery or a request; the host's id of a request (Bitbucket: `X-Request-UUID`); the URL of a
    /// pull request; or `last` for the newest request.
    what: String,
    /// Maximum number of events; the newest are returned. Default: 20.
    #[schemars(range(min = 1, max = 20))]
    limit: Option<usize>,
}

/// Selection of a chat.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfChat {
    /// Chat of the template, such as `slack`. Omit it for a portable template.
    chat: Option<String>,
}

/// Limit of a list.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Limit {
    /// Maximum number of requests per list; the newest are returned. Default: 100.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

/// Default limit of lists of events and deliveries.
const DEFAULT_LIMIT: usize = 50;

/// Maximum number of events explained by one request.
const MAX_EXPLAINED: usize = 20;

/// Maximum number of results of one request, and of deliveries processed by one replay.
pub(super) const MAX_LIMIT: usize = 1_000;

fn limit(asked: Option<usize>, default: usize, most: usize) -> Result<usize, AdminError> {
    let limit = asked.unwrap_or(default);
    if (1..=most).contains(&limit) { Ok(limit) } else { Err(AdminError::InvalidLimit(most)) }
}

/// The year 2100, in milliseconds since 1970. A later time is an error.
const MAX_TIME: i64 = 4_102_444_800_000;

/// Maximum integer that JSON numbers represent exactly.
const MAX_SEQ: i64 = (1 << 53) - 1;

/// Returns the event kinds for a name: a kind, or a host's event key.
fn kinds(name: Option<String>) -> Result<Vec<String>, AdminError> {
    let Some(name) = name else { return Ok(vec![]) };
    if Kind::parse(&name).is_some() || name == "alert" {
        return Ok(vec![name]);
    }
    let keys = PROVIDERS.iter().flat_map(|provider| provider.keys);
    let kinds: Vec<_> =
        keys.filter(|key| key.name == name).flat_map(|key| key.kinds).map(|kind| kind.as_str().to_owned()).collect();
    if kinds.is_empty() {
        return Err(AdminError::UnknownKind);
    }
    Ok(kinds)
}

fn timestamp(asked: Option<i64>) -> Result<Option<i64>, AdminError> {
    match asked {
        Some(at) if !(0..=MAX_TIME).contains(&at) => Err(AdminError::InvalidSince),
        at => Ok(at),
    }
}

impl Limit {
    fn limit(&self) -> Result<usize, AdminError> {
        limit(self.limit, crate::store::MAX_REJECTED, MAX_LIMIT)
    }
}

/// Schema of `kind`: all event kinds, and all event keys of hosts.
fn known_kinds(_: &mut SchemaGenerator) -> Schema {
    let ours = Kind::ALL.iter().map(|kind| kind.as_str()).chain(["alert"]);
    let hosts = PROVIDERS.iter().flat_map(|provider| provider.keys).map(|key| key.name);
    let all: Vec<_> = ours.chain(hosts).collect();
    schemars::json_schema!({ "type": "string", "enum": all })
}

/// Filters for events.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    /// Repository, as `workspace/slug`. Case is ignored.
    repository: Option<String>,
    /// Event kind (`pull_request.opened`), or event key of the host (`pullrequest:created`).
    #[serde(default)]
    #[schemars(schema_with = "known_kinds")]
    kind: Option<String>,
    /// Only events with a delivery to this channel.
    channel: Option<String>,
    /// Only events with a delivery in this state.
    state: Option<State>,
    /// The host's id of the request (Bitbucket: `X-Request-UUID`).
    request_key: Option<String>,
    /// Earliest time of arrival, in milliseconds since 1970-01-01 UTC.
    #[schemars(range(min = 0, max = 4_102_444_800_000_i64))]
    since: Option<i64>,
    /// Maximum number of events; the newest are returned. Default: 50.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

impl EventsQuery {
    fn filter(self) -> Result<Filter, AdminError> {
        Ok(Filter {
            repository: self.repository,
            kinds: kinds(self.kind)?,
            channel: self.channel.map(ChannelName::from),
            state: self.state,
            request_key: self.request_key,
            since: timestamp(self.since)?,
            limit: limit(self.limit, DEFAULT_LIMIT, MAX_LIMIT)?,
            ..Filter::default()
        })
    }
}

/// Filters for deliveries.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeliveriesQuery {
    /// Repository of the event, as `workspace/slug`. Case is ignored.
    repository: Option<String>,
    /// Event kind (`pull_request.opened`), or event key of the host (`pullrequest:created`).
    #[serde(default)]
    #[schemars(schema_with = "known_kinds")]
    kind: Option<String>,
    /// Id of the event.
    event: Option<String>,
    /// Name of the channel.
    channel: Option<String>,
    /// State of the delivery.
    state: Option<State>,
    /// Earliest creation time, in milliseconds since 1970-01-01 UTC.
    #[schemars(range(min = 0, max = 4_102_444_800_000_i64))]
    since: Option<i64>,
    /// Only deliveries older than the one with this `seq`. Use the first `seq` of a page to get the page before it.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    before: Option<i64>,
    /// Maximum number of deliveries; the newest are returned. Default: 50.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

impl DeliveriesQuery {
    fn filter(self) -> Result<Filter, AdminError> {
        if self.before.is_some_and(|before| !(0..=MAX_SEQ).contains(&before)) {
            return Err(AdminError::InvalidBefore);
        }
        Ok(Filter {
            repository: self.repository,
            kinds: kinds(self.kind)?,
            event: self.event.map(EventId::from),
            channel: self.channel.map(ChannelName::from),
            state: self.state,
            since: timestamp(self.since)?,
            before: self.before,
            limit: limit(self.limit, DEFAULT_LIMIT, MAX_LIMIT)?,
            ..Filter::default()
        })
    }
}

/// Selection of deliveries: by id, or by state and other filters. `ids` or `state` is required.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["ids"] }, { "required": ["state"] }]))]
struct Selection {
    /// Ids of deliveries, events or requests; URLs of pull requests; or `last` for the newest request. An id that is
    /// not a delivery's selects the deliveries of its events. For a reroute, it selects the events themselves.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Vec<String>", length(min = 1, max = 1000))]
    ids: Option<Vec<String>>,
    /// Only deliveries to this channel.
    channel: Option<String>,
    /// Only deliveries in this state.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "State")]
    state: Option<State>,
    /// Only deliveries of this repository, as `workspace/slug`. Case is ignored.
    repository: Option<String>,
    /// Earliest creation time, in milliseconds since 1970-01-01 UTC.
    #[serde(default, deserialize_with = "whole")]
    #[schemars(range(min = 0, max = 4_102_444_800_000_i64))]
    since: Option<i64>,
    /// Maximum number of deliveries; the oldest are selected. Default: 1000.
    #[serde(default, deserialize_with = "whole")]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<i64>,
    /// Return what would be done, and change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Rejects `null` for a property that is present.
fn present<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads an integer, also if it is written as `280.0`: JSON has only one type of number.
fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    let written =
        || number.as_f64().filter(|float| float.fract() == 0.0).and_then(|float| format!("{float}").parse().ok());
    let whole = number.as_i64().or_else(written);
    whole.map(Some).ok_or_else(|| serde::de::Error::custom(format!("`{number}` is not an integer")))
}

impl Selection {
    fn filter(&self) -> Result<Filter, AdminError> {
        let ids = self.ids.clone().unwrap_or_default();
        if ids.is_empty() && (self.ids.is_some() || self.state.is_none()) {
            return Err(AdminError::NothingSelected);
        }
        if ids.len() > MAX_LIMIT {
            return Err(AdminError::TooManyIds);
        }
        // A negative number is as invalid as 0.
        let most = self.limit.map(|limit| usize::try_from(limit).unwrap_or_default());
        Ok(Filter {
            ids,
            channel: self.channel.as_deref().map(ChannelName::from),
            state: self.state,
            repository: self.repository.clone(),
            since: timestamp(self.since)?,
            limit: limit(most, MAX_LIMIT, MAX_LIMIT)?,
            ..Filter::default()
        })
    }
}
