//! Who hears of an event: rules, compiled into a [`Router`], and the [`Decision`] that it makes.
//!
//! There are two ways through the rules, and they agree: [`Router::decide`] looks only at routes that may match, for the
//! requests that come in; [`Router::explain`] reads all of them and says of each why, for whoever asks.

mod explain;
mod index;
mod key;
mod kinds;
pub mod pattern;
mod rule;
mod set;

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::chat::Style;
use crate::event::ChannelName;
use index::Index;

pub use explain::{Explanation, MuteVerdict, RouteVerdict, Way};
pub use key::{Key, Subject};
pub use kinds::Kinds;
pub use rule::{Condition, Conditions, Mismatch};
pub use set::{SETS, Set};

/// How many routes that nearly matched a decision names.
const NEAR: usize = 10;

/// All rules, compiled. Immutable: a changed config makes a new one.
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
    /// It is read at all.
    pub enabled: bool,
}

/// One `[[mutes]]`.
#[derive(Clone, Debug)]
pub struct Mute {
    /// Its name.
    pub name: String,
    /// What it silences.
    pub conditions: Conditions,
    /// The channels in which it does; in all of them where it names none.
    pub channels: Vec<ChannelName>,
    /// The moment from which it silences nothing any more.
    pub until: Option<Timestamp>,
    /// It is read at all.
    pub enabled: bool,
}

/// What the rules say of one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The names of the routes that matched, in order.
    pub matched: Vec<String>,
    /// Where the event goes; each channel once, by the first route that named it.
    pub sends: Vec<Send>,
    /// The mute that silenced it everywhere.
    pub muted: Option<String>,
    /// Why nobody is to hear of it, whatever the rules say: it was told before, say.
    pub silent: Option<String>,
    /// Channels that routes named and that it does not go to all the same.
    pub held: Vec<Held>,
    /// The first routes for where it happened that did not match, and why.
    pub near: Vec<Near>,
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

/// A channel that does not get an event that a route sends there: its `accept` or a mute holds it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The channel.
    pub channel: ChannelName,
    /// Why.
    pub why: String,
}

/// A route that nearly matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Near {
    /// Its name.
    pub route: String,
    /// Why it did not.
    pub why: String,
}

impl Decision {
    /// The decision on an event of which nobody is to hear.
    pub fn silent(why: impl Into<String>) -> Self {
        Self { silent: Some(why.into()), ..Self::default() }
    }
}

impl Router {
    /// Compiles rules, in the order in which they are read; and what each channel accepts, whatever the routes say.
    pub fn new(routes: Vec<Route>, mutes: Vec<Mute>, guards: HashMap<ChannelName, Conditions>) -> Self {
        let index = Index::new(&routes);
        Self { routes, mutes, guards, index }
    }

    /// The routes, in the order in which they are read.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The mutes.
    pub fn mutes(&self) -> &[Mute] {
        &self.mutes
    }

    /// Decides who hears of an event.
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
            if reading.stopped_by.is_some_and(|stopper| n > stopper) || reading.decision.near.len() == NEAR {
                break;
            }
            let route = &self.routes[n];
            let near = route.conditions.mismatch(subject).filter(Mismatch::is_near);
            let near = near.map(|why| Near { route: route.name.clone(), why: why.to_string() });
            reading.decision.near.extend(near);
        }
        reading.decision
    }
}

/// How one route is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// It matched.
    Matched,
    /// It is switched off.
    Disabled,
    /// A condition failed.
    Failed(Mismatch),
    /// It is for what no route above sent anywhere, and this one sent it.
    SentBefore(usize),
    /// This one was final.
    Stopped(usize),
}

/// The rules, read down to some route.
struct Reading<'a> {
    router: &'a Router,
    /// The mutes that silence the event in some channels.
    partial: Vec<&'a Mute>,
    /// The routes that named channels first.
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

    /// The verdict on a route whose conditions fit.
    fn verdict_on_match(&self, n: usize) -> Verdict {
        match self.sent_by {
            Some(sender) if self.router.routes[n].otherwise => Verdict::SentBefore(sender),
            _ => Verdict::Matched,
        }
    }

    /// A route matched: its channels, each by the first route that names it.
    fn take(&mut self, n: usize) {
        let route = &self.router.routes[n];
        self.decision.matched.push(route.name.clone());
        for channel in &route.to {
            if self.named.contains_key(channel) {
                continue;
            }
            self.named.insert(channel, n);
            match self.hindrance(channel) {
                Some(why) => self.decision.held.push(Held { channel: channel.clone(), why }),
                None => self.decision.sends.push(Send {
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

    /// Why a channel does not get the event, whatever the routes say.
    fn hindrance(&self, channel: &ChannelName) -> Option<String> {
        let guard = self.router.guards.get(channel).and_then(|accepts| accepts.mismatch(self.subject));
        let guard = guard.map(|mismatch| format!("the channel does not accept it: {mismatch}"));
        guard.or_else(|| {
            let mute = self.partial.iter().find(|mute| mute.channels.contains(channel))?;
            Some(format!("mute `{}` silences it there", mute.name))
        })
    }
}

impl Mute {
    fn silences(&self, subject: Subject<'_>) -> bool {
        self.enabled && !self.is_over(subject.at) && self.conditions.fits(subject)
    }

    /// Whether it silences nothing any more.
    pub fn is_over(&self, at: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= at)
    }
}

#[cfg(test)]
mod tests;
