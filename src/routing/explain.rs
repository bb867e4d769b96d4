//! Why an event went where it went, or nowhere: every rule, with what was said of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::Subject;
use super::{Decision, Mute, Reading, Router, Verdict};
use crate::event::ChannelName;

/// What each rule says of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// Every mute, in order.
    pub mutes: Vec<MuteVerdict>,
    /// Every route, in the order in which they are read.
    pub routes: Vec<RouteVerdict>,
}

/// What a mute says of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MuteVerdict {
    /// Its name.
    pub name: String,
    /// Whether it silences the event.
    pub silences: bool,
    /// The channels in which it does; in all of them where it names none.
    pub channels: Vec<ChannelName>,
    /// Why it does not.
    pub why: Option<String>,
}

/// What a route says of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteVerdict {
    /// Its name.
    pub name: String,
    /// Whether it matched.
    pub matched: bool,
    /// Why it did not.
    pub why: Option<String>,
    /// The channels that it sends to.
    pub channels: Vec<Way>,
}

/// What came of a channel that a route names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Way {
    /// The channel.
    pub channel: ChannelName,
    /// Whether the event goes there by this route.
    pub sent: bool,
    /// Why it does not.
    pub why: Option<String>,
}

impl Router {
    /// Reads all rules over one event, one by one. The decision is that of [`decide`](Self::decide), but for what nearly
    /// matched, which is said here in full. Where a mute silences the event everywhere, the routes are judged all the
    /// same: somebody may ask what would have been.
    pub fn explain(&self, subject: Subject<'_>) -> (Decision, Explanation) {
        let mutes = self.mutes.iter().map(|mute| self.explain_mute(mute, subject)).collect();
        let mut reading = Reading::new(self, subject);
        let mut routes = vec![];
        for n in 0..self.routes.len() {
            let verdict = self.judge(n, &reading, subject);
            let matched = verdict == Verdict::Matched;
            let channels = if matched { self.explain_channels(n, &mut reading) } else { vec![] };
            let (name, why) = (self.routes[n].name.clone(), self.reason(verdict));
            routes.push(RouteVerdict { name, matched, why, channels });
        }
        let mut decision = reading.decision;
        if decision.muted.is_some() {
            decision = Decision { muted: decision.muted, ..Decision::default() };
        }
        (decision, Explanation { mutes, routes })
    }

    fn explain_mute(&self, mute: &Mute, subject: Subject<'_>) -> MuteVerdict {
        let why = match mute.until {
            _ if !mute.enabled => Some("it is switched off: `enabled = false`".to_owned()),
            Some(until) if mute.is_over(subject.at) => Some(format!("it was only until {until}")),
            _ => mute.conditions.mismatch(subject).map(|mismatch| mismatch.to_string()),
        };
        MuteVerdict { name: mute.name.clone(), silences: why.is_none(), channels: mute.channels.clone(), why }
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
            Verdict::Disabled => Some("it is switched off: `enabled = false`".to_owned()),
            Verdict::Failed(mismatch) => Some(mismatch.to_string()),
            Verdict::SentBefore(n) => Some(format!("it is for what no route above sent, and `{}` did", name(n))),
            Verdict::Stopped(n) => Some(format!("not read: `{}` above matched, and is final", name(n))),
        }
    }

    fn explain_channels<'a>(&'a self, n: usize, reading: &mut Reading<'a>) -> Vec<Way> {
        let before = reading.named.clone();
        reading.take(n);
        let (route, decision) = (&self.routes[n], &reading.decision);
        let way = |channel: &ChannelName| {
            let why = match (before.get(channel), decision.held.iter().find(|held| held.channel == *channel)) {
                (Some(first), _) => {
                    let unused = route.template.as_ref().map(|name| format!("; template `{name}` goes unused"));
                    let first = &self.routes[*first].name;
                    Some(format!("`{first}` above named it first{}", unused.unwrap_or_default()))
                }
                (None, held) => held.map(|held| held.why.clone()),
            };
            Way { channel: channel.clone(), sent: why.is_none() && decision.muted.is_none(), why }
        };
        route.to.iter().map(way).collect()
    }
}
