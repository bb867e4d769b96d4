//! Explains a routing decision: the result of every rule for an event.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::Subject;
use super::{Decision, Mute, Reading, Router, Verdict};
use crate::event::ChannelName;

/// Result of each rule for an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// All mutes, in order.
    pub mutes: Vec<MuteVerdict>,
    /// All routes, in reading order.
    pub routes: Vec<RouteVerdict>,
}

/// Result of a mute for an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MuteVerdict {
    /// Name of the mute.
    pub name: String,
    /// True if the mute suppresses the event.
    pub silences: bool,
    /// The channels that the mute applies to; empty for all channels.
    pub channels: Vec<ChannelName>,
    /// Reason why the mute does not apply; `null` if it suppresses the event.
    pub reason: Option<String>,
}

/// Result of a route for an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteVerdict {
    /// Name of the route.
    pub name: String,
    /// True if the route matched.
    pub matched: bool,
    /// Reason for not matching; `null` if the route matched.
    pub reason: Option<String>,
    /// The channels of the route; empty if it did not match.
    pub channels: Vec<Way>,
}

/// Result for a channel of a matching route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Way {
    /// Name of the channel.
    pub channel: ChannelName,
    /// True if this route sends the event to the channel.
    pub sent: bool,
    /// Reason why this route does not send the event to the channel; `null` if it does, or if a mute suppresses the
    /// event everywhere.
    pub reason: Option<String>,
}

impl Router {
    /// Evaluates every rule for an event. The decision equals that of [`decide`](Self::decide), except that it lists no
    /// near misses, because the explanation has every mismatch. Routes are evaluated even if a mute suppresses the
    /// event everywhere, to show where it would have been sent.
    pub fn explain(&self, subject: Subject<'_>) -> (Decision, Explanation) {
        let mutes = self.mutes.iter().map(|mute| self.explain_mute(mute, subject)).collect();
        let mut reading = Reading::new(self, subject);
        let mut routes = vec![];
        for n in 0..self.routes.len() {
            let verdict = self.judge(n, &reading, subject);
            let matched = verdict == Verdict::Matched;
            let channels = if matched { self.explain_channels(n, &mut reading) } else { vec![] };
            let (name, why) = (self.routes[n].name.clone(), self.reason(verdict));
            routes.push(RouteVerdict { name, matched, reason: why, channels });
        }
        let mut decision = reading.decision;
        if decision.muted.is_some() {
            decision = Decision { muted: decision.muted, ..Decision::default() };
        }
        (decision, Explanation { mutes, routes })
    }

    fn explain_mute(&self, mute: &Mute, subject: Subject<'_>) -> MuteVerdict {
        let why = match mute.until {
            _ if !mute.enabled => Some("disabled: `enabled = false`".to_owned()),
            Some(until) if mute.is_over(subject.at) => Some(format!("expired at {until}")),
            _ => mute.conditions.mismatch(subject).map(|mismatch| mismatch.to_string()),
        };
        MuteVerdict { name: mute.name.clone(), silences: why.is_none(), channels: mute.channels.clone(), reason: why }
    }

    fn judge(&self, n: usize, reading: &Reading<'_>, subject: Subject<'_>) -> Verdict {
        let route = &self.routes[n];
        if !route.enabled {
            return Verdict::Disabled;
        }
        match (reading.stopped_by, route.conditions.mismatch(subject)) {
            (Some(stopper), _) => Verdict::Stopped(stopper),
            (None, Some(mismatch)) => Verdict::Failed(mismatch),
            (None, None) => reading.verdict_on_match(n),
        }
    }

    fn reason(&self, verdict: Verdict) -> Option<String> {
        let name = |n: usize| &self.routes[n].name;
        match verdict {
            Verdict::Matched => None,
            Verdict::Disabled => Some("disabled: `enabled = false`".to_owned()),
            Verdict::Failed(mismatch) => Some(mismatch.to_string()),
            Verdict::SentBefore(n) => Some(format!("`otherwise`: `{}` above already sends the event", name(n))),
            Verdict::Stopped(n) => Some(format!("not read: `{}` above matched and is final", name(n))),
        }
    }

    fn explain_channels<'a>(&'a self, n: usize, reading: &mut Reading<'a>) -> Vec<Way> {
        let before = reading.named.clone();
        reading.take(n);
        let (route, decision) = (&self.routes[n], &reading.decision);
        let way = |channel: &ChannelName| {
            let why = match (before.get(channel), decision.held.iter().find(|held| held.channel == *channel)) {
                (Some(first), _) => {
                    let unused = route.template.as_ref().map(|name| format!("; template `{name}` is not used"));
                    let first = &self.routes[*first].name;
                    Some(format!("already handled by `{first}` above{}", unused.unwrap_or_default()))
                }
                (None, held) => held.map(|held| held.reason.clone()),
            };
            Way { channel: channel.clone(), sent: why.is_none() && decision.muted.is_none(), reason: why }
        };
        route.to.iter().map(way).collect()
    }
}
