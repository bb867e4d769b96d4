//! What those who look after the service see of the store: events, deliveries, attempts, lanes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Lane, LaneState, Millis};
use crate::event::{ChannelName, DeliveryId, EventId, RequestId, SourceName, Summary};

/// What became of a delivery so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is to be sent.
    Waiting,
    /// The chat shows it.
    Delivered,
    /// The chat took it, and does not say whether it shows it.
    Accepted,
    /// Its template said that there is nothing to tell.
    Skipped,
    /// It will not be delivered.
    Dead,
    /// It failed again and again where the message behind it did not.
    Suspect,
    /// Its channel is not in the config.
    Parked,
    /// It is not routed yet, because the routes were broken.
    Undecided,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Delivered,
        Self::Accepted,
        Self::Skipped,
        Self::Dead,
        Self::Suspect,
        Self::Parked,
        Self::Undecided,
    ];

    /// Whether nothing becomes of it by itself any more.
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Parked | Self::Undecided)
    }

    /// The text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Accepted => "accepted",
            Self::Skipped => "skipped",
            Self::Dead => "dead",
            Self::Suspect => "suspect",
            Self::Parked => "parked",
            Self::Undecided => "undecided",
        }
    }

    /// The state of this text form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What to look for. All that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// These alone; all others where it is empty.
    pub ids: Vec<String>,
    /// `workspace/slug`, in any case.
    pub repository: Option<String>,
    /// The event's kind is one of these; any where it is empty.
    pub kinds: Vec<String>,
    /// The event.
    pub event: Option<EventId>,
    /// The request that brought the event.
    pub request: Option<RequestId>,
    /// The host's name for the request: Bitbucket's `X-Request-UUID`.
    pub request_key: Option<String>,
    /// The page of the pull request that the event is about, or a page below it.
    pub pull_request_url: Option<String>,
    /// The channel that it went to.
    pub channel: Option<ChannelName>,
    /// What became of it.
    pub state: Option<State>,
    /// Not before this.
    pub since: Option<Millis>,
    /// Older than this one, by its `seq`.
    pub before: Option<i64>,
    /// Without those that were sent again already.
    pub unrepeated: bool,
    /// At most so many, the newest of them.
    pub limit: usize,
    /// The oldest of them in place of the newest, and the newest last all the same.
    pub oldest: bool,
}

/// An event, in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeenEvent {
    /// Its id.
    pub id: EventId,
    /// The request that brought it.
    pub request: RequestId,
    /// The source that it came through.
    pub source: SourceName,
    /// When it came, in milliseconds since 1970.
    pub at: Millis,
    /// Its kind.
    pub kind: String,
    /// `workspace/slug`.
    pub repository: Option<String>,
    /// What it is about, who did it, its page.
    #[serde(flatten)]
    pub summary: Summary,
    /// How it was routed.
    pub decision: Value,
}

/// A delivery, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeenDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// Its place in the order of all.
    pub seq: i64,
    /// The event that it delivers.
    pub event: EventId,
    /// That event's kind.
    pub kind: String,
    /// That event's repository.
    pub repository: Option<String>,
    /// What that event is about, who did it, its page.
    #[serde(flatten)]
    pub summary: Summary,
    /// The channel that it goes to; empty while it is undecided.
    pub channel: ChannelName,
    /// The route that sends it; empty while it is undecided.
    pub route: String,
    /// The template that the route asks for.
    pub template: Option<String>,
    /// The style that the route asks for.
    pub style: Option<String>,
    /// What became of it so far.
    pub state: State,
    /// Why, where no attempt says so.
    pub why: Option<String>,
    /// Which template failed, and how, if the message was made by the next one.
    pub template_error: Option<String>,
    /// When it was asked for, in milliseconds since 1970.
    pub created_at: Millis,
    /// How often it was tried.
    pub attempts: u32,
    /// What the last attempt ended with, in a word.
    pub outcome: Option<String>,
    /// What the chat said then.
    pub said: Option<String>,
    /// The chat's name for the message.
    pub message_id: Option<String>,
    /// The delivery that it repeats.
    pub replay_of: Option<DeliveryId>,
    /// How many further events its message is about: refs of the same push.
    #[serde(default)]
    pub more: u64,
}

/// A delivery with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WholeDelivery {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: SeenDelivery,
    /// The further events that its message is about.
    #[serde(default)]
    pub also: Vec<EventId>,
    /// Its attempts, in order.
    pub tries: Vec<SeenAttempt>,
    /// What was sent last.
    pub sent: Option<String>,
}

/// An attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeenAttempt {
    /// The first is 1.
    pub n: u32,
    /// When it began, in milliseconds since 1970.
    pub at: Millis,
    /// How long it took, in milliseconds.
    pub took: Millis,
    /// How it ended, in a word.
    pub outcome: String,
    /// The status of the chat's answer.
    pub status: Option<u16>,
    /// What the chat said.
    pub said: Option<String>,
    /// The program that tried: its host, and an id of this run.
    pub node: Option<String>,
}

/// The most that [`Store::count`](super::Store::count) counts to.
pub const COUNTED: u64 = 10_000;

/// What waits, and what ended badly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By lane: all lanes in which something waits, or that are not open.
    pub lanes: BTreeMap<Lane, LaneCounts>,
    /// By channel and state: what is parked, and what ended as dead, suspect or skipped.
    pub ended: BTreeMap<(ChannelName, State), u64>,
    /// Events that are to be routed when the rules are mended.
    pub undecided: u64,
}

/// One lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneCounts {
    /// How many messages wait.
    pub waiting: u64,
    /// When the oldest of them was asked for.
    pub oldest: Option<Millis>,
    /// Whether it may be worked on.
    pub state: LaneState,
    /// Since when it is closed or paused.
    pub since: Option<Millis>,
    /// Until when it waits.
    pub next_at: Option<Millis>,
}
