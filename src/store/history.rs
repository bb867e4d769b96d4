//! Events, deliveries, attempts and lanes, as operators see them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AttemptOutcome, Lane, LaneState, StoredDecision};
use crate::chat::MessageRef;
use crate::event::{ChannelName, DeliveryId, EventId, RequestId, SourceName, Summary};
use crate::message::Style;
use crate::time::Millis;

/// State of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The message will be sent.
    Queued,
    /// The chat shows the message.
    Delivered,
    /// The chat accepted the message, but does not report whether it shows it.
    Accepted,
    /// The template skipped the event.
    Skipped,
    /// The message will not be delivered.
    Dead,
    /// The message is marked as suspect: it failed repeatedly, and the message behind it did not.
    Suspect,
    /// The channel is not in the configuration.
    Parked,
    /// The event is not routed yet, because the routing configuration was invalid.
    PendingRouting,
}

impl State {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Delivered,
        Self::Accepted,
        Self::Skipped,
        Self::Dead,
        Self::Suspect,
        Self::Parked,
        Self::PendingRouting,
    ];

    /// Returns `true` if the delivery stays in this state unless an operator acts.
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Parked | Self::PendingRouting)
    }

    /// Returns the text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Accepted => "accepted",
            Self::Skipped => "skipped",
            Self::Dead => "dead",
            Self::Suspect => "suspect",
            Self::Parked => "parked",
            Self::PendingRouting => "pending_routing",
        }
    }

    /// Returns the state with this text form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Filter for events and deliveries. All criteria that are set must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Ids; any if empty.
    pub ids: Vec<String>,
    /// `workspace/slug`; case-insensitive.
    pub repository: Option<String>,
    /// Kinds of events; any if empty.
    pub kinds: Vec<String>,
    /// Id of the event.
    pub event: Option<EventId>,
    /// Request that contained the event.
    pub request: Option<RequestId>,
    /// Id of the request on the host: Bitbucket's `X-Request-UUID`.
    pub request_key: Option<String>,
    /// URL of the event's pull request, or of a page below it.
    pub pull_request_url: Option<String>,
    /// Channel of the delivery.
    pub channel: Option<ChannelName>,
    /// State of the delivery.
    pub state: Option<State>,
    /// Earliest time, inclusive.
    pub since: Option<Millis>,
    /// Only older deliveries than this one.
    pub before: Option<DeliveryId>,
    /// `true` to exclude deliveries that were already sent again.
    pub unrepeated: bool,
    /// Maximum number of results; the newest are returned.
    pub limit: usize,
    /// `true` for the oldest results instead of the newest; they are still sorted newest last.
    pub oldest: bool,
}

/// Summary of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventSummary {
    /// Id of the event.
    pub id: EventId,
    /// Request that contained the event.
    pub request: RequestId,
    /// Source that received the request.
    pub source: SourceName,
    /// Time of receipt, in milliseconds since 1970.
    pub at: Millis,
    /// Kind of the event.
    pub kind: String,
    /// `workspace/slug`.
    pub repository: Option<String>,
    /// Title, actor and URL of the event.
    #[serde(flatten)]
    pub summary: Summary,
    /// Routing decision.
    pub decision: StoredDecision,
}

/// Summary of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliverySummary {
    /// Id of the delivery.
    pub id: DeliveryId,
    /// Id of the event.
    pub event: EventId,
    /// Kind of the event.
    pub kind: String,
    /// Repository of the event: `workspace/slug`.
    pub repository: Option<String>,
    /// Title, actor and URL of the event.
    #[serde(flatten)]
    pub summary: Summary,
    /// Channel of the delivery; empty while the event is pending routing.
    pub channel: ChannelName,
    /// Route that created the delivery; empty while the event is pending routing.
    pub route: String,
    /// Template set by the route.
    pub template: Option<String>,
    /// Style set by the route.
    pub style: Option<Style>,
    /// Current state.
    pub state: State,
    /// Reason for the state, if no attempt contains it.
    pub reason: Option<String>,
    /// Template that failed and its error, if the next template rendered the message.
    pub template_error: Option<String>,
    /// Creation time, in milliseconds since 1970.
    pub created_at: Millis,
    /// Number of attempts.
    pub attempts: u32,
    /// Outcome of the last attempt.
    pub outcome: Option<AttemptOutcome>,
    /// Response of the chat to the last attempt.
    pub response: Option<String>,
    /// Reference to the message in the chat, if the chat gave one.
    pub message_id: Option<MessageRef>,
    /// Delivery that this one sends again.
    pub replay_of: Option<DeliveryId>,
    /// Number of further events in the message: refs of the same push.
    #[serde(default)]
    pub more: u64,
}

/// Delivery with all details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryDetail {
    /// Summary of the delivery.
    #[serde(flatten)]
    pub delivery: DeliverySummary,
    /// Further events in the message.
    #[serde(default)]
    pub also: Vec<EventId>,
    /// Attempts, in order.
    pub attempt_log: Vec<AttemptDetail>,
    /// Last sent body.
    pub sent: Option<String>,
}

/// Attempt to send a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptDetail {
    /// Number of the attempt, starting at 1.
    pub n: u32,
    /// Start time, in milliseconds since 1970.
    pub at: Millis,
    /// Duration in milliseconds.
    pub duration_ms: Millis,
    /// Outcome of the attempt.
    pub outcome: AttemptOutcome,
    /// Status of the chat's response.
    pub status: Option<u16>,
    /// Response of the chat.
    pub response: Option<String>,
    /// Process that made the attempt: the name of its machine, and an id of this run.
    pub node: Option<String>,
}

/// Number up to which [`History::count_events`](super::History::count_events) and
/// [`History::count_deliveries`](super::History::count_deliveries) count exactly.
pub const COUNTED: u64 = 10_000;

/// Numbers of queued messages, and of messages that were not delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By lane: all lanes with queued messages, and all lanes that are not open.
    pub lanes: BTreeMap<Lane, LaneCounts>,
    /// By channel and state: parked, dead, suspect and skipped messages.
    pub ended: BTreeMap<(ChannelName, State), u64>,
    /// Number of events that will be routed once the routing configuration is fixed.
    pub pending_routing: u64,
}

/// Queue and state of one lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneCounts {
    /// Number of queued messages.
    pub queued: u64,
    /// Creation time of the oldest queued message.
    pub oldest: Option<Millis>,
    /// State of the lane.
    pub state: LaneState,
    /// Time at which the lane was closed or paused.
    pub since: Option<Millis>,
    /// Time until which the lane waits.
    pub next_at: Option<Millis>,
}
