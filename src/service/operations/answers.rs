//! Response bodies of the admin API. Their doc comments become the OpenAPI document; the command line reads the same
//! types.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::Unchanged;
use crate::event::{ChannelName, DeliveryId, EventId, SourceName};
use crate::service::explain::Explained;
use crate::service::intake::Misdirected;
use crate::store::{DeliverySummary, EventSummary, RejectedRequest};
use crate::time::Millis;

/// List of events.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventsAnswer {
    /// Matching events, newest last, up to the limit.
    pub events: Vec<EventSummary>,
    /// Number of matching events, including those above the limit. Counting stops at 10,001.
    pub total: u64,
}

/// One event with its deliveries.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventAnswer {
    /// Summary of the event.
    pub event: EventSummary,
    /// The event as templates see it. Its schema is printed by `hookbell schema event`.
    pub json: Value,
    /// Deliveries of the event, newest last, at most 1,000.
    pub deliveries: Vec<DeliverySummary>,
}

/// Routing explanations of events.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ExplainAnswer {
    /// Explained events, newest last.
    pub events: Vec<Explained>,
}

/// Rejected requests.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RejectedAnswer {
    /// Most recent rejected requests, newest last. The last 100 are stored.
    pub rejected: Vec<RejectedRequest>,
    /// Most recent requests to no known source, newest last: wrong path or method, unknown source, or body too
    /// large. The last 100 are kept in memory until the service stops.
    #[serde(default)]
    pub misdirected: Vec<Misdirected>,
}

/// List of deliveries.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DeliveriesAnswer {
    /// Matching deliveries, newest last, up to the limit.
    pub deliveries: Vec<DeliverySummary>,
    /// Number of matching deliveries, including those above the limit. Counting stops at 10,001.
    pub total: u64,
}

/// State of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChannelState {
    /// Messages are sent.
    Open,
    /// The destination no longer accepts messages. They stay queued until an operator reopens the channel.
    Closed,
    /// An operator paused the channel. Messages stay queued until it is reopened.
    Paused,
    /// The channel is not in the configuration. Its messages are kept and not sent.
    Parked,
}

/// Status of a lane: the queue of one destination, which several channels may share.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LaneStatus {
    /// Name of the lane: the chat and a hash of the destination's address. Empty if the channel is parked.
    pub lane: String,
    /// Channels that send to this destination.
    pub channels: Vec<ChannelName>,
    /// State of the lane.
    pub state: ChannelState,
    /// Reason for the state: the chat's response, or the reason given by the operator. `null` if the lane is open, or
    /// if the operator gave no reason.
    pub reason: Option<String>,
    /// Action that fixes the cause. `null` if none is known.
    pub help: Option<String>,
    /// Time at which the lane was closed or paused, in milliseconds since 1970-01-01 UTC. `null` if it is open.
    pub since: Option<Millis>,
    /// Number of queued messages.
    pub queued: u64,
    /// Creation time of the oldest queued message, in milliseconds since 1970-01-01 UTC. `null` if none is queued.
    pub oldest: Option<Millis>,
    /// Time of the next attempt, in milliseconds since 1970-01-01 UTC. `null` unless the last attempt failed.
    pub next_at: Option<Millis>,
    /// Number of panics of the lane's task since the service started. Each is a bug in Hookbell; the task is restarted.
    #[serde(default)]
    pub panics: u64,
}

/// List of lanes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct LanesAnswer {
    /// Lanes in the order of their names.
    pub lanes: Vec<LaneStatus>,
}

/// Status of a channel.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChannelStatus {
    /// Name of the channel.
    pub channel: ChannelName,
    /// Kind of the channel, such as `slack` or `console`. `null` if the channel is not in the configuration.
    pub kind: Option<String>,
    /// Lane of the channel. Its numbers include the messages of other channels with the same destination.
    #[serde(flatten)]
    pub lane: LaneStatus,
    /// Number of parked messages. A message is parked while its channel is not in the configuration.
    pub parked: u64,
    /// Number of stored messages that are dead or suspect.
    pub dead: u64,
    /// Number of stored messages that were skipped by their template.
    pub skipped: u64,
}

/// List of channels.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChannelsAnswer {
    /// Channels in the order of their names.
    pub channels: Vec<ChannelStatus>,
    /// Number of events that arrived while the routing configuration was invalid. They are routed once it is fixed.
    pub pending_routing: u64,
    /// Problems of the service that need an operator, one sentence each.
    #[serde(default)]
    pub problems: Vec<String>,
    /// Other information for operators that is not a problem, one sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Status of a source.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SourceStatus {
    /// Name of the source in the configuration.
    pub source: SourceName,
    /// Kind of the source, such as `bitbucket-cloud`.
    pub kind: String,
    /// Time at which each secret last verified a request, in milliseconds since 1970-01-01 UTC, in the order of the
    /// configuration. `null` if it has verified none since the service started. Empty if the source accepts unsigned
    /// requests.
    pub secrets: Vec<Option<Millis>>,
}

/// List of sources.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SourcesAnswer {
    /// Sources in the order of their names.
    pub sources: Vec<SourceStatus>,
    /// Time at which the service started, in milliseconds since 1970-01-01 UTC. `null` if the service is not running.
    pub started: Option<Millis>,
}

/// A selected delivery or event that is left unchanged.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Id of the delivery or event.
    pub id: String,
    /// Reason why it is left unchanged.
    pub reason: String,
}

impl LeftOut {
    /// Creates the entry of a delivery or event.
    pub(super) fn new(id: impl ToString, reason: &Unchanged) -> Self {
        Self { id: id.to_string(), reason: reason.to_string() }
    }
}

/// A message that is sent again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Replayed {
    /// Delivery that is repeated. `null` if an event was selected and routed again.
    pub id: Option<DeliveryId>,
    /// New delivery. `null` in a dry run.
    pub delivery: Option<DeliveryId>,
    /// Event that the message is about.
    pub event: EventId,
    /// Channel that the message is sent to.
    pub channel: ChannelName,
}

/// Result of a replay or reroute.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReplayAnswer {
    /// Messages that are sent again, in the order of sending.
    pub replayed: Vec<Replayed>,
    /// Selected deliveries and events that are not sent again.
    pub left_out: Vec<LeftOut>,
    /// `true` if the limit was reached: more deliveries may match. The oldest ones come first.
    pub more: bool,
    /// `true` if this was a dry run and nothing was changed.
    pub dry_run: bool,
}

/// Result of dropping deliveries.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DropAnswer {
    /// Deliveries that are dropped. Their state is now `dead`; in a dry run it is unchanged.
    pub dropped: Vec<DeliveryId>,
    /// Selected deliveries and events that are not dropped.
    pub left_out: Vec<LeftOut>,
    /// `true` if the limit was reached: more deliveries may match. The oldest ones come first.
    pub more: bool,
    /// `true` if this was a dry run and nothing was changed.
    pub dry_run: bool,
}
