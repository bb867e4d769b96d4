//! What can be asked: the list of operations, and serving one of them.

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
use super::desk::{Desk, Wrong};
use super::gate::Gate;
use super::preview::{self, Draft};
use crate::config::Role;
use crate::event::{ChannelName, EventId, Kind};
use crate::source::PROVIDERS;
use crate::store::{Filter, State};

/// The most bytes of a request's body.
const LARGEST_BODY: usize = 256 * 1024;

/// One thing that can be asked.
pub(crate) struct Operation {
    /// `GET` or `POST`.
    pub(crate) method: Method,
    /// With `:id` for what stands there.
    pub(crate) path: &'static str,
    /// What a token must be good for.
    pub(crate) role: Role,
    /// In a sentence.
    pub(crate) about: &'static str,
    /// What the query, or the body of a `POST`, looks like.
    pub(crate) input: fn(&mut SchemaGenerator) -> Schema,
    /// What the answer looks like.
    pub(crate) output: fn(&mut SchemaGenerator) -> Schema,
    run: Run,
}

type Run = for<'a> fn(&'a Desk, Call) -> Pin<Box<dyn Future<Output = Result<Value, Wrong>> + Send + 'a>>;

/// What was asked.
pub(crate) struct Call {
    /// What stands for `:id`.
    id: String,
    /// The query of a `GET`, the body of a `POST`.
    input: Input,
}

enum Input {
    Query(String),
    Body(bytes::Bytes),
}

impl Call {
    fn input<T: DeserializeOwned>(&self) -> Result<T, Wrong> {
        match &self.input {
            Input::Query(query) => {
                serde_urlencoded::from_str(query).map_err(|error| Wrong::Input(format!("the query: {error}")))
            }
            // serde also reads an object from the array of its values, which nobody means.
            Input::Body(body) if !body.trim_ascii_start().starts_with(b"{") => {
                Err(Wrong::Input("the body: it is no JSON object".to_owned()))
            }
            Input::Body(body) => {
                serde_json::from_slice(body).map_err(|error| Wrong::Input(format!("the body: {error}")))
            }
        }
    }
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

fn told(value: impl Serialize) -> Result<Value, Wrong> {
    serde_json::to_value(value).map_err(|error| Wrong::Store(error.to_string()))
}

macro_rules! operation {
    ($method:ident $path:literal $role:ident $about:literal $input:ty => $output:ty, |$desk:ident, $id:ident, $asked:ident| $run:expr) => {
        Operation {
            method: Method::$method,
            path: $path,
            role: Role::$role,
            about: $about,
            input: schema::<$input>,
            output: schema::<$output>,
            run: |$desk, call| {
                Box::pin(async move {
                    let $asked: $input = call.input()?;
                    let $id = call.id;
                    told($run.await?)
                })
            },
        }
    };
}

/// All that can be asked.
pub(crate) static OPERATIONS: &[Operation] = &[
    operation!(GET "/api/v1/events" Read "Events that came in, the newest last."
        EventsQuery => answers::EventsAnswer, |desk, _id, asked| desk.events(asked.filter()?)),
    operation!(GET "/api/v1/events/:id" Read "One event: what it says, how it was routed, its deliveries."
        Nothing => answers::EventAnswer, |desk, id, _asked| desk.event(id.into())),
    operation!(GET "/api/v1/explain" Read "Why events went where they went, or nowhere: each rule's word, by the config of that time."
        ExplainQuery => answers::ExplainAnswer, |desk, _id, asked| desk.explain(&asked.what, limit(asked.limit, FEW, FEW)?)),
    operation!(GET "/api/v1/preview" Read "What there is to preview: templates and samples."
        Nothing => preview::PreviewAnswer, |desk, _id, _asked| desk.preview()),
    operation!(GET "/api/v1/preview/templates/:id" Read "A template's text, as it is on the disk now."
        OfChat => preview::TemplateAnswer, |desk, id, asked| desk.template(id, asked.chat)),
    operation!(POST "/api/v1/preview/draw" Read "Draws a template that is being written, and says what is wrong with it."
        Draft => preview::DrawingAnswer, |desk, _id, asked| desk.draw(asked)),
    operation!(POST "/api/v1/preview/save" Operate "Saves a template into the directory of templates; it is used at once, if it is fine."
        Draft => preview::SavedAnswer, |desk, _id, asked| desk.save(asked)),
    operation!(GET "/api/v1/refusals" Read "The last requests that were refused, and why; the newest last."
        Limit => answers::RefusalsAnswer, |desk, _id, asked| desk.refusals(asked.limit()?)),
    operation!(GET "/api/v1/deliveries" Read "Deliveries, the newest last."
        DeliveriesQuery => answers::DeliveriesAnswer, |desk, _id, asked| desk.deliveries(asked.filter()?)),
    operation!(GET "/api/v1/deliveries/:id" Read "One delivery, with its attempts and what was sent."
        Nothing => crate::store::WholeDelivery, |desk, id, _asked| desk.delivery(id.into())),
    operation!(GET "/api/v1/channels" Read "The channels: what waits, since when, and whether they are open."
        Nothing => answers::ChannelsAnswer, |desk, _id, _asked| desk.channels()),
    operation!(GET "/api/v1/sources" Read "The sources: when each of their secrets last verified a request."
        Nothing => answers::SourcesAnswer, |desk, _id, _asked| desk.sources()),
    operation!(GET "/api/v1/lanes" Read "The lanes: one a destination, which channels may share."
        Nothing => answers::LanesAnswer, |desk, _id, _asked| desk.lanes()),
    operation!(POST "/api/v1/channels/:id/pause" Operate "Lets a channel's messages wait, and those of channels that share its destination."
        Reason => answers::ChannelsAnswer, |desk, id, asked| desk.pause(id.into(), asked.reason)),
    operation!(POST "/api/v1/channels/:id/reopen" Operate "Opens a channel that is closed or paused; one that waits tries again at once."
        Nothing => answers::ChannelsAnswer, |desk, id, _asked| desk.reopen(id.into())),
    operation!(POST "/api/v1/deliveries/replay" Operate "Sends again: new deliveries at the ends of their lanes."
        Selection => answers::ReplayAnswer, |desk, _id, asked| desk.replay(asked.filter()?, asked.dry_run)),
    operation!(POST "/api/v1/deliveries/reroute" Operate "Sends again, by the routes of now in place of where it went then."
        Selection => answers::ReplayAnswer, |desk, _id, asked| desk.reroute(asked.filter()?, asked.dry_run)),
    operation!(POST "/-/reload" Operate "Reads the config again and goes over to it, whole or not at all; 400 says what is wrong with it."
        Nothing => crate::server::ReloadAnswer, |desk, _id, _asked| desk.reload()),
    operation!(POST "/api/v1/deliveries/drop" Operate "Gives up what waits; it is dead then."
        Selection => answers::DropAnswer, |desk, _id, asked| desk.drop(asked.filter()?, asked.dry_run)),
];

/// The paths of all operations, each once.
pub(super) fn paths() -> Vec<&'static str> {
    let mut paths: Vec<_> = OPERATIONS.iter().map(|operation| operation.path).collect();
    paths.dedup();
    paths
}

/// Serves whatever operation a path has.
pub(super) async fn serve(path: &'static str, desk: &Desk, gate: &Gate, mut request: Request) -> Response {
    let here = || OPERATIONS.iter().filter(|operation| operation.path == path);
    let Some(operation) = here().find(|operation| operation.method == *request.method()) else {
        return answer::method_not_allowed(here().next().map_or("GET", |operation| match operation.method {
            Method::POST => "POST",
            _ => "GET",
        }));
    };
    if let Some(refusal) = gate.refusal_slowly(&request, operation.role).await {
        return refusal;
    }
    let id = if path.contains(":id") { request.path_params::<String>().unwrap_or_default() } else { String::new() };
    let input = if operation.method == Method::POST {
        // A form or a plain text can be posted by any web page; JSON cannot.
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_json = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        let peer = request.remote_addr().as_socket_addr().map_or(IpAddr::from([0; 4]), std::net::SocketAddr::ip);
        match desk.bodies.read(&mut request, peer, LARGEST_BODY).await {
            // Whoever has nothing to say need not say so in JSON.
            Ok(body) if body.is_empty() => Input::Body(bytes::Bytes::from_static(b"{}")),
            Ok(body) if is_json => Input::Body(body),
            Ok(_) => return answer::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send `Content-Type: application/json`"),
            Err(error) => return error.answer(LARGEST_BODY),
        }
    } else {
        Input::Query(request.uri().query().unwrap_or_default().to_owned())
    };
    match (operation.run)(desk, Call { id, input }).await {
        Ok(value) => answer(StatusCode::OK, value),
        Err(Wrong::Input(why)) => answer::error(StatusCode::BAD_REQUEST, &why),
        Err(Wrong::Unknown(what)) => answer::error(StatusCode::NOT_FOUND, &what),
        Err(Wrong::Store(why)) => {
            tracing::error!(why, path, "the admin API could not answer");
            answer::error(StatusCode::SERVICE_UNAVAILABLE, &why)
        }
    }
}

/// Nothing is asked beside what the path says.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Why a channel is paused.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reason {
    /// For whoever asks why nothing comes.
    reason: Option<String>,
}

/// Which events to explain.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExplainQuery {
    /// The id of an event, a delivery or a request; the host's name for a request (Bitbucket's `X-Request-UUID`); a pull
    /// request's page; `last` for the newest request.
    what: String,
    /// At most so many, the newest.
    #[schemars(range(min = 1, max = 20))]
    limit: Option<usize>,
}

/// Of which chat.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfChat {
    /// The chat that the template is for alone; none for a portable one.
    chat: Option<String>,
}

/// How many.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Limit {
    /// At most so many, the newest.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

/// Many are enough for a look.
const SOME: usize = 50;

/// The most that are explained at once.
const FEW: usize = 20;

/// The most that are listed, or looked through for a replay, at once.
const MOST: usize = 1_000;

fn limit(asked: Option<usize>, default: usize, most: usize) -> Result<usize, Wrong> {
    let limit = asked.unwrap_or(default);
    if (1..=most).contains(&limit) { Ok(limit) } else { Err(Wrong::Input(format!("`limit` is from 1 to {most}"))) }
}

/// 2100 in milliseconds; what is beyond is no time that anybody means.
const LATEST: i64 = 4_102_444_800_000;

/// What JSON's numbers hold exactly; nobody has more deliveries.
const LARGEST_SEQ: i64 = (1 << 53) - 1;

/// The kinds that a name means: a kind, or what a host calls its own.
fn kinds(name: Option<String>) -> Result<Vec<String>, Wrong> {
    let Some(name) = name else { return Ok(vec![]) };
    if Kind::parse(&name).is_some() || name == "alert" {
        return Ok(vec![name]);
    }
    let keys = PROVIDERS.iter().flat_map(|provider| provider.keys);
    let kinds: Vec<_> =
        keys.filter(|key| key.name == name).flat_map(|key| key.kinds).map(|kind| kind.as_str().to_owned()).collect();
    if kinds.is_empty() {
        return Err(Wrong::Input("`kind` is one of ours, `pull_request.opened`, or one of the host's".to_owned()));
    }
    Ok(kinds)
}

fn moment(asked: Option<i64>) -> Result<Option<i64>, Wrong> {
    match asked {
        Some(at) if !(0..=LATEST).contains(&at) => {
            Err(Wrong::Input("`since` is in milliseconds since 1970".to_owned()))
        }
        at => Ok(at),
    }
}

impl Limit {
    fn limit(&self) -> Result<usize, Wrong> {
        limit(self.limit, crate::store::REFUSALS, MOST)
    }
}

/// All that `kind` may say.
fn known_kinds(_: &mut SchemaGenerator) -> Schema {
    let ours = Kind::ALL.iter().map(|kind| kind.as_str()).chain(["alert"]);
    let hosts = PROVIDERS.iter().flat_map(|provider| provider.keys).map(|key| key.name);
    let all: Vec<_> = ours.chain(hosts).collect();
    schemars::json_schema!({ "type": "string", "enum": all })
}

/// Which events.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    /// `workspace/slug`, in any case.
    repository: Option<String>,
    /// What happened, in our word or the host's: `pull_request.opened`, `pullrequest:created`.
    #[serde(default)]
    #[schemars(schema_with = "known_kinds")]
    kind: Option<String>,
    /// With a delivery to this channel.
    channel: Option<String>,
    /// With a delivery in this state.
    state: Option<State>,
    /// The host's name for the request: Bitbucket's `X-Request-UUID`.
    request_key: Option<String>,
    /// Not before this, in milliseconds since 1970.
    #[schemars(range(min = 0, max = 4_102_444_800_000_i64))]
    since: Option<i64>,
    /// At most so many, the newest.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

impl EventsQuery {
    fn filter(self) -> Result<Filter, Wrong> {
        Ok(Filter {
            repository: self.repository,
            kinds: kinds(self.kind)?,
            channel: self.channel.map(ChannelName::from),
            state: self.state,
            request_key: self.request_key,
            since: moment(self.since)?,
            limit: limit(self.limit, SOME, MOST)?,
            ..Filter::default()
        })
    }
}

/// Which deliveries.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeliveriesQuery {
    /// Of this repository: `workspace/slug`, in any case.
    repository: Option<String>,
    /// Of events of this kind, in our word or the host's.
    #[serde(default)]
    #[schemars(schema_with = "known_kinds")]
    kind: Option<String>,
    /// Of this event.
    event: Option<String>,
    /// To this channel.
    channel: Option<String>,
    /// In this state.
    state: Option<State>,
    /// Not before this, in milliseconds since 1970.
    #[schemars(range(min = 0, max = 4_102_444_800_000_i64))]
    since: Option<i64>,
    /// Older than the delivery with this `seq`: for the page before.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    before: Option<i64>,
    /// At most so many, the newest.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

impl DeliveriesQuery {
    fn filter(self) -> Result<Filter, Wrong> {
        if self.before.is_some_and(|before| !(0..=LARGEST_SEQ).contains(&before)) {
            return Err(Wrong::Input("`before` is the `seq` of a delivery".to_owned()));
        }
        Ok(Filter {
            repository: self.repository,
            kinds: kinds(self.kind)?,
            event: self.event.map(EventId::from),
            channel: self.channel.map(ChannelName::from),
            state: self.state,
            since: moment(self.since)?,
            before: self.before,
            limit: limit(self.limit, SOME, MOST)?,
            ..Filter::default()
        })
    }
}

/// Which deliveries: these, or all that fit.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["ids"] }, { "required": ["state"] }]))]
struct Selection {
    /// These: ids of deliveries, events or requests, a pull request's page, or `last` for the newest request. What names
    /// events means their deliveries; to be routed anew, the events themselves.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Vec<String>", length(min = 1, max = 1000))]
    ids: Option<Vec<String>>,
    /// Those to this channel.
    channel: Option<String>,
    /// Those in this state.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "State")]
    state: Option<State>,
    /// Those of this repository.
    repository: Option<String>,
    /// Those that were asked for then or later, in milliseconds since 1970.
    #[serde(default, deserialize_with = "whole")]
    #[schemars(range(min = 0, max = 4_102_444_800_000_i64))]
    since: Option<i64>,
    /// At most so many, the oldest.
    #[serde(default, deserialize_with = "whole")]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<i64>,
    /// Only say what would be done.
    #[serde(default)]
    dry_run: bool,
}

/// What is named is not `null`.
fn present<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A whole number, also where it is written `280.0`: JSON has but one sort of numbers.
fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    let written =
        || number.as_f64().filter(|float| float.fract() == 0.0).and_then(|float| format!("{float}").parse().ok());
    let whole = number.as_i64().or_else(written);
    whole.map(Some).ok_or_else(|| serde::de::Error::custom(format!("`{number}` is no whole number")))
}

impl Selection {
    fn filter(&self) -> Result<Filter, Wrong> {
        let ids = self.ids.clone().unwrap_or_default();
        if ids.is_empty() && (self.ids.is_some() || self.state.is_none()) {
            return Err(Wrong::Input("say which: `ids`, or a `state`".to_owned()));
        }
        if ids.len() > MOST {
            return Err(Wrong::Input(format!("at most {MOST} ids at once")));
        }
        // What is negative is no number of deliveries either.
        let most = self.limit.map(|limit| usize::try_from(limit).unwrap_or_default());
        Ok(Filter {
            ids,
            channel: self.channel.as_deref().map(ChannelName::from),
            state: self.state,
            repository: self.repository.clone(),
            since: moment(self.since)?,
            limit: limit(most, MOST, MOST)?,
            ..Filter::default()
        })
    }
}
