//! Routing decisions, as they are stored with events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::ChannelName;
use crate::routing::{Decision, Held};

/// Routing decision of an event. The stored rules with the hash `config` reproduce what is not stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StoredDecision {
    /// Hash of the rules that routed the event; `null` if no rules did, as for alerts.
    pub config: Option<String>,
    /// Names of the routes that matched, in order.
    pub matched: Vec<String>,
    /// Channels that got the event.
    pub targets: Vec<Target>,
    /// Name of the mute that suppressed the event everywhere.
    pub muted: Option<String>,
    /// Reason why the event is suppressed regardless of the rules, for example because it is a duplicate.
    pub suppressed: Option<String>,
    /// Channels of matching routes that did not get the event, because of a guard or a mute.
    pub held: Vec<Held>,
    /// Reason why the event is never routed: it was dropped while its routing was pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<String>,
    /// `true` until the event is routed, if it arrived while the routing configuration was invalid.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pending_routing: bool,
}

/// A channel that got an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// Name of the first route that names the channel.
    pub route: String,
    /// Name of the channel.
    pub channel: ChannelName,
}

impl StoredDecision {
    /// Summarizes the decision of the rules with this hash.
    pub fn new(decision: &Decision, config: &str) -> Self {
        let targets =
            decision.sends.iter().map(|send| Target { route: send.route.clone(), channel: send.channel.clone() });
        Self {
            config: Some(config.to_owned()),
            matched: decision.matched.clone(),
            targets: targets.collect(),
            muted: decision.muted.clone(),
            suppressed: decision.suppressed.clone(),
            held: decision.held.clone(),
            ..Self::default()
        }
    }

    /// The decision on an event that is routed once the configuration is valid.
    pub fn pending_routing() -> Self {
        Self { pending_routing: true, ..Self::default() }
    }
}
