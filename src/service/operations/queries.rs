//! Input of the operations. Their doc comments become the OpenAPI document; the command line sends the same types.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::error::OperationError;
use crate::event::{ChannelName, DeliveryId, EventId, Kind};
use crate::source::providers;
use crate::store::{Filter, State};

/// Reason for a pause.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Reason, shown with the state of the channel.
    pub reason: Option<String>,
}

/// Selection of the events to explain.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// Id of an event, a delivery or a request; the host's id of a request (Bitbucket: `X-Request-UUID`); the URL of a
    /// pull request; or `last` for the newest request.
    pub what: String,
    /// Maximum number of events; the newest are returned. Default: 20.
    #[schemars(range(min = 1, max = 20))]
    pub limit: Option<usize>,
}

/// Selection of a chat.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfChat {
    /// Chat of the template, such as `slack`. Omit it for a portable template.
    pub chat: Option<String>,
}

/// Limit of a list.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Maximum number of requests per list; the newest are returned. Default: 100.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
}

/// Default limit of lists of events and deliveries.
const DEFAULT_LIMIT: usize = 50;

/// Maximum number of events explained by one request.
const MAX_EXPLAINED: usize = 20;

/// Maximum number of results of one request, and of deliveries processed by one replay.
pub(super) const MAX_LIMIT: usize = 1_000;

fn limit(asked: Option<usize>, default: usize, most: usize) -> Result<usize, OperationError> {
    let limit = asked.unwrap_or(default);
    if (1..=most).contains(&limit) { Ok(limit) } else { Err(OperationError::InvalidLimit(most)) }
}

/// The year 2100, in milliseconds since 1970. A later time is an error.
const MAX_TIME: i64 = 4_102_444_800_000;

/// Returns the event kinds for a name: a kind, or a host's event key.
fn kinds(name: Option<String>) -> Result<Vec<String>, OperationError> {
    let Some(name) = name else { return Ok(vec![]) };
    if Kind::parse(&name).is_some() || name == "alert" {
        return Ok(vec![name]);
    }
    let keys = providers().iter().flat_map(|provider| provider.keys);
    let kinds: Vec<_> =
        keys.filter(|key| key.name == name).flat_map(|key| key.kinds).map(|kind| kind.as_str().to_owned()).collect();
    if kinds.is_empty() {
        return Err(OperationError::UnknownKind);
    }
    Ok(kinds)
}

fn timestamp(asked: Option<i64>) -> Result<Option<i64>, OperationError> {
    match asked {
        Some(at) if !(0..=MAX_TIME).contains(&at) => Err(OperationError::InvalidSince),
        at => Ok(at),
    }
}

impl ExplainQuery {
    pub(super) fn limit(&self) -> Result<usize, OperationError> {
        limit(self.limit, MAX_EXPLAINED, MAX_EXPLAINED)
    }
}

impl Limit {
    pub(super) fn limit(&self) -> Result<usize, OperationError> {
        limit(self.limit, crate::store::MAX_REJECTED, MAX_LIMIT)
    }
}

/// Schema of `kind`: all event kinds, and all event keys of hosts.
fn known_kinds(_: &mut SchemaGenerator) -> Schema {
    let ours = Kind::ALL.iter().map(|kind| kind.as_str()).chain(["alert"]);
    let hosts = providers().iter().flat_map(|provider| provider.keys).map(|key| key.name);
    let all: Vec<_> = ours.chain(hosts).collect();
    schemars::json_schema!({ "type": "string", "enum": all })
}

/// Filters for events.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// Repository, as `workspace/slug`. Case is ignored.
    pub repository: Option<String>,
    /// Event kind (`pull_request.opened`), or event key of the host (`pullrequest:created`).
    #[serde(default)]
    #[schemars(schema_with = "known_kinds")]
    pub kind: Option<String>,
    /// Only events with a delivery to this channel.
    pub channel: Option<String>,
    /// Only events with a delivery in this state.
    pub state: Option<State>,
    /// The host's id of the request (Bitbucket: `X-Request-UUID`).
    pub request_key: Option<String>,
    /// Earliest time of arrival, in milliseconds since 1970-01-01 UTC.
    #[schemars(range(min = 0, max = 4_102_444_800_000_i64))]
    pub since: Option<i64>,
    /// Maximum number of events; the newest are returned. Default: 50.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
}

impl EventsQuery {
    pub(super) fn filter(self) -> Result<Filter, OperationError> {
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
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveriesQuery {
    /// Repository of the event, as `workspace/slug`. Case is ignored.
    pub repository: Option<String>,
    /// Event kind (`pull_request.opened`), or event key of the host (`pullrequest:created`).
    #[serde(default)]
    #[schemars(schema_with = "known_kinds")]
    pub kind: Option<String>,
    /// Id of the event.
    pub event: Option<String>,
    /// Name of the channel.
    pub channel: Option<String>,
    /// State of the delivery.
    pub state: Option<State>,
    /// Earliest creation time, in milliseconds since 1970-01-01 UTC.
    #[schemars(range(min = 0, max = 4_102_444_800_000_i64))]
    pub since: Option<i64>,
    /// Only deliveries older than the one with this id. Use the first id of a page to get the page before it.
    #[schemars(regex(pattern = "^dlv_"))]
    pub before: Option<String>,
    /// Maximum number of deliveries; the newest are returned. Default: 50.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
}

impl DeliveriesQuery {
    pub(super) fn filter(self) -> Result<Filter, OperationError> {
        if self.before.as_ref().is_some_and(|before| !before.starts_with("dlv_")) {
            return Err(OperationError::InvalidBefore);
        }
        Ok(Filter {
            repository: self.repository,
            kinds: kinds(self.kind)?,
            event: self.event.map(EventId::from),
            channel: self.channel.map(ChannelName::from),
            state: self.state,
            since: timestamp(self.since)?,
            before: self.before.map(DeliveryId::from),
            limit: limit(self.limit, DEFAULT_LIMIT, MAX_LIMIT)?,
            ..Filter::default()
        })
    }
}

/// Selection of deliveries: by id, or by state and other filters. `ids` or `state` is required.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["ids"] }, { "required": ["state"] }]))]
pub struct Selection {
    /// Ids of deliveries, events or requests; URLs of pull requests; or `last` for the newest request. An id that is
    /// not a delivery's selects the deliveries of its events. For a reroute, it selects the events themselves.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>", length(min = 1, max = 1000))]
    pub ids: Option<Vec<String>>,
    /// Only deliveries to this channel.
    pub channel: Option<String>,
    /// Only deliveries in this state.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "State")]
    pub state: Option<State>,
    /// Only deliveries of this repository, as `workspace/slug`. Case is ignored.
    pub repository: Option<String>,
    /// Earliest creation time, in milliseconds since 1970-01-01 UTC.
    #[serde(default, deserialize_with = "whole")]
    #[schemars(range(min = 0, max = 4_102_444_800_000_i64))]
    pub since: Option<i64>,
    /// Maximum number of deliveries; the oldest are selected. Default: 1000.
    #[serde(default, deserialize_with = "whole")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<i64>,
    /// Return what would be done, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
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
    pub(super) fn filter(&self) -> Result<Filter, OperationError> {
        let ids = self.ids.clone().unwrap_or_default();
        if ids.is_empty() && (self.ids.is_some() || self.state.is_none()) {
            return Err(OperationError::NothingSelected);
        }
        if ids.len() > MAX_LIMIT {
            return Err(OperationError::TooManyIds);
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
