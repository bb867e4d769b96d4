//! Routing of events to channels: the rules, compiled into a [`Router`], and its [`Decision`] for an event.
//!
//! Two functions evaluate the rules with the same result. [`Router::decide`] handles incoming requests and checks only
//! routes that may match. [`Router::explain`] evaluates all rules and gives the reason for each.

mod explain;
mod index;
mod key;
mod kinds;
mod rule;
mod set;

use std::collections::HashMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{ChannelName, Kind};
use crate::message::Style;
use index::Index;

pub use explain::{Explanation, MuteVerdict, RouteVerdict, Way};
pub use key::{Key, Subject};
pub use kinds::{Kinds, KindsError};
pub use rule::{Condition, Conditions, Mismatch};
pub use set::{SETS, Set};

/// Maximum number of near misses in a decision.
const NEAR: usize = 10;

/// All rules, compiled. Immutable: a changed configuration results in a new router.
#[derive(Clone, Debug, Default)]
pub struct Router {
    routes: Vec<Route>,
    mutes: Vec<Mute>,
    guards: HashMap<ChannelName, Conditions>,
    index: Index,
}

/// One `[[routes]]`.
#[derive(Clone, Debug)]
pub struct Route {
    /// Name of the route; unique.
    pub name: String,
    /// Conditions that an event must fit.
    pub conditions: Conditions,
    /// Channels that get the matching events.
    pub to: Vec<ChannelName>,
    /// Template to try first.
    pub template: Option<String>,
    /// Style of the messages; `None` for the channel's style.
    pub style: Option<Style>,
    /// True if no later route is read after this one matched.
    pub is_final: bool,
    /// True if the route matches only events that no route above sent anywhere.
    pub otherwise: bool,
    /// False if the route is ignored.
    pub enabled: bool,
}

/// One `[[mutes]]`.
#[derive(Clone, Debug)]
pub struct Mute {
    /// Name of the mute; unique.
    pub name: String,
    /// Conditions of the events to suppress.
    pub conditions: Conditions,
    /// Channels that the mute applies to; empty for all channels.
    pub channels: Vec<ChannelName>,
    /// End of the mute; `None` for no end.
    pub until: Option<Timestamp>,
    /// False if the mute is ignored.
    pub enabled: bool,
}

/// Result of the rules for one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Names of the routes that matched, in order.
    pub matched: Vec<String>,
    /// Channels that get the event, each once, through the first route that names it.
    pub sends: Vec<RouteTarget>,
    /// Name of the mute that suppressed the event everywhere.
    pub muted: Option<String>,
    /// Reason why the event is suppressed regardless of the rules, for example because it is a duplicate.
    pub suppressed: Option<String>,
    /// Channels of matching routes that do not get the event, because of a guard or a mute.
    pub held: Vec<Held>,
    /// The first routes whose place conditions matched but another condition did not; at most 10.
    pub near_misses: Vec<NearMiss>,
}

/// A channel that gets the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTarget {
    /// Name of the channel.
    pub channel: ChannelName,
    /// Name of the first route that names the channel.
    pub route: String,
    /// The route's template.
    pub template: Option<String>,
    /// The route's style.
    pub style: Option<Style>,
}

/// A channel of a matching route that does not get the event, because its `accept` guard or a mute blocks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Held {
    /// Name of the channel.
    pub channel: ChannelName,
    /// Reason, naming the guard's mismatch or the mute.
    pub reason: String,
}

/// A near miss: a route that matches the place of the event but not another condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearMiss {
    /// Name of the route.
    pub route: String,
    /// The condition that failed.
    pub reason: String,
}

impl Decision {
    /// The decision for an event that is suppressed regardless of the rules.
    pub fn suppressed(why: impl Into<String>) -> Self {
        Self { suppressed: Some(why.into()), ..Self::default() }
    }
}

impl Router {
    /// Compiles rules, which must be in reading order, and the `accept` guards of channels.
    pub fn new(routes: Vec<Route>, mutes: Vec<Mute>, guards: HashMap<ChannelName, Conditions>) -> Self {
        let index = Index::new(&routes);
        Self { routes, mutes, guards, index }
    }

    /// The routes, in reading order.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The mutes.
    pub fn mutes(&self) -> &[Mute] {
        &self.mutes
    }

    /// Returns true if some route may send events of a kind with this event key of the host, from this source.
    pub fn may_send(&self, kind: Kind, key: &str, source: &str) -> bool {
        let may = |conditions: &Conditions| conditions.may_hold_key(kind, key, source);
        let reaches = |channel| self.guards.get(channel).is_none_or(may);
        self.routes.iter().any(|route| route.enabled && may(&route.conditions) && route.to.iter().any(reaches))
    }

    /// Decides which channels get an event.
    pub fn decide(&self, subject: Subject<'_>) -> Decision {
        let mut reading = Reading::new(self, subject);
        if reading.decision.muted.is_some() {
            return reading.decision;
        }
        for n in self.index.candidates(subject) {
            if self.routes[n].conditions.fits(subject) && reading.verdict_on_match(n) == Verdict::Matched {
                reading.take(n);
            }
            if reading.stopped_by.is_some() {
                break;
            }
        }
        for n in self.index.near(subject) {
            if reading.stopped_by.is_some_and(|stopper| n > stopper) || reading.decision.near_misses.len() == NEAR {
                break;
            }
            let route = &self.routes[n];
            let near = route.conditions.mismatch(subject).filter(Mismatch::is_near);
            let near = near.map(|why| NearMiss { route: route.name.clone(), reason: why.to_string() });
            reading.decision.near_misses.extend(near);
        }
        reading.decision
    }
}

/// Result of evaluating one route.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// The route matched.
    Matched,
    /// The route has `enabled = false`.
    Disabled,
    /// A condition failed.
    Failed(Mismatch),
    /// The route has `otherwise`, and the route with this index already sends the event.
    SentBefore(usize),
    /// The route with this index matched before and is final.
    Stopped(usize),
}

/// State while the rules are read in order.
struct Reading<'a> {
    router: &'a Router,
    /// Mutes that suppress the event in some channels.
    partial: Vec<&'a Mute>,
    /// For each channel, the index of the first matching route that names it.
    named: HashMap<&'a ChannelName, usize>,
    sent_by: Option<usize>,
    stopped_by: Option<usize>,
    subject: Subject<'a>,
    decision: Decision,
}

impl<'a> Reading<'a> {
    fn new(router: &'a Router, subject: Subject<'a>) -> Self {
        let silencing = || router.mutes.iter().filter(|mute| mute.silences(subject));
        let muted = silencing().find(|mute| mute.channels.is_empty()).map(|mute| mute.name.clone());
        let decision = Decision { muted, ..Decision::default() };
        let partial = silencing().filter(|mute| !mute.channels.is_empty()).collect();
        Self { router, partial, named: HashMap::new(), sent_by: None, stopped_by: None, subject, decision }
    }

    /// The verdict for a route whose conditions fit.
    fn verdict_on_match(&self, n: usize) -> Verdict {
        match self.sent_by {
            Some(sender) if self.router.routes[n].otherwise => Verdict::SentBefore(sender),
            _ => Verdict::Matched,
        }
    }

    /// Applies a matching route: adds its channels, unless an earlier route named them.
    fn take(&mut self, n: usize) {
        let route = &self.router.routes[n];
        self.decision.matched.push(route.name.clone());
        for channel in &route.to {
            if self.named.contains_key(channel) {
                continue;
            }
            self.named.insert(channel, n);
            match self.hindrance(channel) {
                Some(why) => self.decision.held.push(Held { channel: channel.clone(), reason: why }),
                None => self.decision.sends.push(RouteTarget {
                    channel: channel.clone(),
                    route: route.name.clone(),
                    template: route.template.clone(),
                    style: route.style,
                }),
            }
        }
        self.sent_by = self.sent_by.or((!self.decision.sends.is_empty()).then_some(n));
        self.stopped_by = route.is_final.then_some(n);
    }

    /// Reason why a guard or a mute blocks the event for a channel.
    fn hindrance(&self, channel: &ChannelName) -> Option<String> {
        let guard = self.router.guards.get(channel).and_then(|accepts| accepts.mismatch(self.subject));
        let guard = guard.map(|mismatch| format!("blocked by the channel's `accept` guard: {mismatch}"));
        guard.or_else(|| {
            let mute = self.partial.iter().find(|mute| mute.channels.contains(channel))?;
            Some(format!("muted by `{}`", mute.name))
        })
    }
}

impl Mute {
    fn silences(&self, subject: Subject<'_>) -> bool {
        self.enabled && !self.is_over(subject.at) && self.conditions.fits(subject)
    }

    /// Returns true if the mute has expired.
    pub fn is_over(&self, at: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= at)
    }
}

#[cfg(test)]
mod tests;
