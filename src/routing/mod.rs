//! Who hears of an event: rules, compiled into a [`Router`], and the [`Decision`] that it makes.

pub mod pattern;
mod rule;
mod set;

use serde::Serialize;

use crate::chat::Style;
use crate::event::ChannelName;

pub use rule::{Condition, Conditions, Key, Mismatch, Subject, event_condition};
pub use set::{SETS, Set};

/// All rules, compiled. Immutable: a changed config makes a new one.
#[derive(Clone, Debug, Default)]
pub struct Router {
    /// `[[routes]]`, in the order in which they are read.
    pub routes: Vec<Route>,
    /// `[[mutes]]`: looked at before all routes.
    pub mutes: Vec<Mute>,
    /// What each channel accepts, whatever the routes say.
    pub guards: Vec<(ChannelName, Conditions)>,
}

/// One `[[routes]]`.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// What it matches.
    pub conditions: Conditions,
    /// The channels that hear of what it matches.
    pub to: Vec<ChannelName>,
    /// The template that it asks for.
    pub template: Option<String>,
    /// How much of the message it asks for; where it says nothing, the channel does.
    pub style: Option<Style>,
    /// Nothing below is read once it matched.
    pub is_final: bool,
    /// It matches only what no route above sent anywhere.
    pub otherwise: bool,
}

/// One `[[mutes]]`.
#[derive(Clone, Debug)]
pub struct Mute {
    /// Its name.
    pub name: String,
    /// What it silences.
    pub conditions: Conditions,
}

/// What the rules say of one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// How each route was judged, in order.
    pub verdicts: Vec<Verdict>,
    /// Where the event goes; each channel once, by the first route that named it.
    pub sends: Vec<Send>,
    /// The mute that silenced it.
    pub muted: Option<String>,
    /// Why nobody is to hear of it, whatever the rules say: it was told before, say.
    pub silent: Option<String>,
    /// Channels that routes named and that do not accept it.
    pub held: Vec<Held>,
}

/// How one route was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It matched.
    Matched,
    /// A condition failed.
    Failed(Mismatch),
    /// It is for what no route above sent anywhere, and this one sent it.
    SentBefore(usize),
    /// This one was final.
    Stopped(usize),
}

/// One event on its way to one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// The channel.
    pub channel: ChannelName,
    /// The route that named it first.
    pub route: String,
    /// The template that the route asks for.
    pub template: Option<String>,
    /// How much of the message the route asks for.
    pub style: Option<Style>,
}

/// A channel that does not accept an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The channel.
    pub channel: ChannelName,
    /// Why.
    pub why: String,
}

impl Decision {
    /// The decision on an event of which nobody is to hear.
    pub fn silent(why: impl Into<String>) -> Self {
        Self { silent: Some(why.into()), ..Self::default() }
    }
}

impl Router {
    /// Reads the rules over one event.
    pub fn decide(&self, subject: Subject<'_>) -> Decision {
        let mut decision = Decision::default();
        if let Some(mute) = self.mutes.iter().find(|mute| mute.conditions.mismatch(subject).is_none()) {
            decision.muted = Some(mute.name.clone());
            return decision;
        }
        let (mut sent_by, mut stopped_by) = (None, None);
        for (n, route) in self.routes.iter().enumerate() {
            let verdict = match (stopped_by, sent_by, route.conditions.mismatch(subject)) {
                (Some(stopper), ..) => Verdict::Stopped(stopper),
                (None, _, Some(mismatch)) => Verdict::Failed(mismatch),
                (None, Some(sender), None) if route.otherwise => Verdict::SentBefore(sender),
                (None, _, None) => Verdict::Matched,
            };
            if verdict == Verdict::Matched {
                self.send(route, subject, &mut decision);
                sent_by = sent_by.or((!decision.sends.is_empty()).then_some(n));
                stopped_by = route.is_final.then_some(n);
            }
            decision.verdicts.push(verdict);
        }
        decision
    }

    fn send(&self, route: &Route, subject: Subject<'_>, decision: &mut Decision) {
        for channel in &route.to {
            let known = decision.sends.iter().any(|send| send.channel == *channel)
                || decision.held.iter().any(|held| held.channel == *channel);
            if known {
                continue;
            }
            let guard = self.guards.iter().find(|(name, _)| name == channel);
            match guard.and_then(|(_, accepts)| accepts.mismatch(subject)) {
                Some(mismatch) => decision.held.push(Held { channel: channel.clone(), why: mismatch.to_string() }),
                None => decision.sends.push(Send {
                    channel: channel.clone(),
                    route: route.name.clone(),
                    template: route.template.clone(),
                    style: route.style,
                }),
            }
        }
    }
}

#[cfg(test)]
mod tests;
