//! The answers of the admin API, as its document describes them and the command line reads them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{ChannelName, DeliveryId, EventId, SourceName};
use crate::explain::Explained;
use crate::server::misdirected::Misdirected;
use crate::store::{Millis, Refused, SeenDelivery, SeenEvent};

/// Events.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventsAnswer {
    /// The newest last.
    pub events: Vec<SeenEvent>,
    /// How many fit, listed or not, counted up to 10,001.
    pub total: u64,
}

/// One event.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventAnswer {
    /// In short.
    pub event: SeenEvent,
    /// As templates see it.
    pub json: Value,
    /// Who was to hear of it.
    pub deliveries: Vec<SeenDelivery>,
}

/// Events, explained.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ExplainAnswer {
    /// The newest last.
    pub events: Vec<Explained>,
}

/// Refused requests.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RefusalsAnswer {
    /// The newest last.
    pub refusals: Vec<Refused>,
    /// The last requests that reached no webhook: a wrong path or method, an unknown source, a body that was too large. They
    /// are kept in memory, since the service started; the newest last.
    #[serde(default)]
    pub misdirected: Vec<Misdirected>,
}

/// Deliveries.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DeliveriesAnswer {
    /// The newest last.
    pub deliveries: Vec<SeenDelivery>,
    /// How many fit, listed or not, counted up to 10,001.
    pub total: u64,
}

/// Whether messages leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Openness {
    /// They do.
    Open,
    /// The destination is gone.
    Closed,
    /// Somebody wants them to wait.
    Paused,
    /// The channel is not in the config.
    Parked,
}

/// How a lane is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LaneStatus {
    /// The destination: the chat and a hash of its address.
    pub lane: String,
    /// The channels that lead there.
    pub channels: Vec<ChannelName>,
    /// Whether messages leave.
    pub state: Openness,
    /// Why not: what the chat said, or whoever paused it.
    pub reason: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Since when it is closed or paused, in milliseconds since 1970.
    pub since: Option<Millis>,
    /// How many messages wait.
    pub waiting: u64,
    /// When the oldest of them was asked for, in milliseconds since 1970.
    pub oldest: Option<Millis>,
    /// When the next attempt is due, if the last one failed.
    pub next_at: Option<Millis>,
    /// How often its task panicked and was restarted.
    #[serde(default)]
    pub panics: u64,
}

/// Lanes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct LanesAnswer {
    /// By name.
    pub lanes: Vec<LaneStatus>,
}

/// How a channel is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChannelStatus {
    /// Its name.
    pub channel: ChannelName,
    /// `slack`, `console`, …; none where it is not in the config.
    pub kind: Option<String>,
    /// Its lane, with all that waits there, also of channels that share it.
    #[serde(flatten)]
    pub lane: LaneStatus,
    /// How many messages are parked: the channel was not in the config.
    pub parked: u64,
    /// How many messages are dead or suspect, of those that are kept.
    pub dead: u64,
    /// How many were skipped by their templates.
    pub skipped: u64,
}

/// Channels.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChannelsAnswer {
    /// By name.
    pub channels: Vec<ChannelStatus>,
    /// Events that came while the rules had mistakes; they are routed when these are mended.
    pub undecided: u64,
    /// What an operator has to know of the service, as sentences.
    #[serde(default)]
    pub problems: Vec<String>,
    /// What an operator may want to know, and is not a problem.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A source.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SourceStatus {
    /// Its name in the config.
    pub source: SourceName,
    /// The code host: `bitbucket-cloud`.
    pub kind: String,
    /// For each of its secrets, in the order of the config: when it last verified a request, in milliseconds since 1970.
    /// `null` where it did not since the service started. Empty where the source takes unsigned requests.
    pub secrets: Vec<Option<Millis>>,
}

/// Sources.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SourcesAnswer {
    /// By name.
    pub sources: Vec<SourceStatus>,
    /// When the service started, in milliseconds since 1970; `null` where none runs.
    pub started: Option<Millis>,
}

/// A delivery or an event that was left alone.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Left {
    /// Its id.
    pub id: String,
    /// Why.
    pub why: String,
}

/// A delivery that is sent again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Replayed {
    /// The one that it repeats; none where an event was routed anew.
    pub id: Option<DeliveryId>,
    /// The new one; none where nothing was done.
    pub delivery: Option<DeliveryId>,
    /// The event.
    pub event: EventId,
    /// The channel.
    pub channel: ChannelName,
}

/// What is sent again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReplayAnswer {
    /// In the order in which they go.
    pub replayed: Vec<Replayed>,
    /// What is not.
    pub left: Vec<Left>,
    /// There may be more that fit; these were the oldest.
    pub more: bool,
    /// Nothing was done.
    pub dry_run: bool,
}

/// What is given up.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DropAnswer {
    /// These.
    pub dropped: Vec<DeliveryId>,
    /// What is not.
    pub left: Vec<Left>,
    /// There may be more that fit; these were the oldest.
    pub more: bool,
    /// Nothing was done.
    pub dry_run: bool,
}
