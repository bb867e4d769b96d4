//! The receipt of a request: what was decided about its events. Hosts show it to the people who manage the webhook.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::event::{ChannelName, RequestId};
use crate::routing::{Held, NearMiss};

/// Receipt of one request. It never contains a destination address or a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Id of the request.
    pub request: RequestId,
    /// Events of the request. Consecutive events that differ only in their refs are merged.
    #[serde(default)]
    pub events: Vec<EventReceipt>,
    /// Reason why there are no events, or a remark about them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Number of events that did not fit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_events: usize,
}

impl Receipt {
    /// Creates the receipt of a request without events.
    pub const fn empty(request: RequestId) -> Self {
        Self { request, events: vec![], note: None, more_events: 0 }
    }
}

/// Receipt of one event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventReceipt {
    /// Kind of the event: `push`.
    pub kind: Cow<'static, str>,
    /// Event key of the host: `repo:push`.
    pub key: String,
    /// Branches or tags of the event. Events that differ only in these are merged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<String>,
    /// Number of refs that did not fit.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_refs: usize,
    /// Routes that matched.
    pub routes: Vec<RouteReceipt>,
    /// Name of the mute that suppressed the event in all channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted: Option<String>,
    /// Reason why the event is suppressed regardless of the rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
    /// Channels of matching routes that did not get the event.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
    /// Routes that nearly matched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near_misses: Vec<NearMiss>,
    /// Explanation, if routing is pending because the routing configuration is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_routing: Option<Cow<'static, str>>,
}

/// A route that matched an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteReceipt {
    /// Name of the route.
    pub route: String,
    /// Channels that the route sends the event to.
    pub channels: Vec<ChannelName>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(n: &usize) -> bool {
    *n == 0
}
