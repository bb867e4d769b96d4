//! `[[mutes]]`, `[[routes]]`, and the channels and templates that they name.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::values::{duration, patterns, style};
use crate::config::DeliverySettings;
use crate::config::kept::unnamed;
use crate::config::problems::RuleProblem;
use crate::config::section::{Section, Taken};
use crate::event::{ChannelName, Kind};
use crate::problem::{Place, nearest};
use crate::routing::{Condition, Conditions, Key, Kinds, Mute, Route, SETS};
use crate::source::{is_event_key, providers};
use crate::template::Library;

/// Default maximum time to retry a message.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Names that rules may use. `None` accepts any name.
pub(super) struct Names<'a> {
    pub(super) channels: Option<&'a HashMap<&'a str, &'a Place>>,
    pub(super) templates: Option<&'a Library>,
}

/// Positions of a route and its keys.
pub(super) struct RoutePlace {
    pub(super) whole: Place,
    pub(super) template: Option<Place>,
    pub(super) keys: Vec<(Key, Place)>,
}

impl RoutePlace {
    fn of(section: &Section<'_>) -> Self {
        let keys = Key::ALL.iter().filter_map(|key| Some((*key, section.placed(key.as_str())?)));
        Self { whole: section.place(), template: section.placed("template"), keys: keys.collect() }
    }

    pub(super) fn of_key(&self, key: Key) -> Place {
        self.keys.iter().find(|(found, _)| *found == key).map_or(&self.whole, |(_, place)| place).clone()
    }
}

/// The names of rules, with their positions.
#[derive(Default)]
struct Taking(HashMap<String, Place>);

impl Taking {
    /// Returns the name of a rule, or a name from its number if it has none.
    fn name(&mut self, section: &mut Section<'_>, what: &'static str) -> String {
        let name = section.string("name");
        let place = name.as_ref().map_or_else(|| section.place(), |name| name.place.clone());
        let name = name.map_or_else(|| unnamed(what, self.0.len()), |name| name.value);
        if let Some(first) = self.0.insert(name.clone(), place.clone()) {
            let problem = RuleProblem::DuplicateName { what, name: name.clone(), first: first.line() };
            section.note(&problem, place.clone());
            // Keeps the count correct, so that the next rule without a name gets the next number.
            self.0.insert(format!("{name} (again {})", self.0.len()), place);
        }
        name
    }
}

impl Names<'_> {
    /// The mutes and their positions.
    pub(super) fn mutes(&self, roots: &mut [Section<'_>]) -> (Vec<Mute>, Vec<Place>) {
        let (mut mutes, mut places, mut names) = (vec![], vec![], Taking::default());
        for mut section in roots.iter_mut().flat_map(|root| root.list("mutes")) {
            places.push(section.place());
            let name = names.name(&mut section, "mute");
            let conditions = conditions(&mut section);
            let place = section.place_of_taken("channels");
            let channels = section.strings("channels").map(|texts| self.known(&section, texts));
            if channels.as_ref().is_some_and(Vec::is_empty) && !section.is_broken() {
                section.note(&RuleProblem::NoMutedChannels(name.clone()), place);
            }
            let channels = channels.unwrap_or_default();
            let until = until(&mut section, &name);
            let enabled = section.flag_or("enabled", true);
            if conditions.is_none() && !section.has_more() {
                section.note(&RuleProblem::EmptyMute(name.clone()), section.place());
            }
            mutes.push(Mute { name, conditions: conditions.unwrap_or_default(), channels, until, enabled });
            section.finish();
        }
        (mutes, places)
    }

    /// The routes and their positions.
    pub(super) fn routes(&self, roots: &mut [Section<'_>]) -> (Vec<Route>, Vec<RoutePlace>) {
        let (mut routes, mut places, mut names) = (vec![], vec![], Taking::default());
        for mut section in roots.iter_mut().flat_map(|root| root.list("routes")) {
            places.push(RoutePlace::of(&section));
            routes.push(self.route(&mut section, &mut names));
            section.finish();
        }
        (routes, places)
    }

    fn route(&self, section: &mut Section<'_>, names: &mut Taking) -> Route {
        let name = names.name(section, "route");
        let conditions = conditions(section);
        let to = match section.strings("to") {
            Some(texts) if !texts.is_empty() => self.known(section, texts),
            _ => {
                section.note(&RuleProblem::NoChannel(name.clone()), section.place());
                vec![]
            }
        };
        let template = section.string("template").and_then(|template| self.template(section, template));
        let style = style(section);
        let (is_final, otherwise) = (section.flag("final"), section.flag("otherwise"));
        let enabled = section.flag_or("enabled", true);
        if conditions.is_none() && !section.has_more() {
            section.note(&RuleProblem::EmptyRoute(name.clone()), section.place());
        }
        let conditions = conditions.unwrap_or_default();
        Route { name, conditions, to, template, style, is_final, otherwise, enabled }
    }

    /// `[delivery]`.
    pub(super) fn delivery(&self, root: &mut Section<'_>) -> DeliverySettings {
        let mut section = root.table("delivery");
        let max_age = duration(&mut section, "max_age").unwrap_or(MAX_AGE);
        let alerts = section.strings("alerts").map(|texts| self.known(&section, texts)).unwrap_or_default();
        section.finish();
        DeliverySettings { max_age, alerts }
    }

    /// Returns the channels that exist; each unknown one is an error.
    fn known(&self, section: &Section<'_>, texts: Vec<Taken<String>>) -> Vec<ChannelName> {
        let mut to = vec![];
        for text in texts {
            match self.channels {
                Some(known) if !known.contains_key(text.value.as_str()) => {
                    let near = nearest(&text.value, known.keys().copied()).map(ToOwned::to_owned);
                    let problem = match text.value.contains("://") {
                        true => RuleProblem::UrlAsChannel,
                        false => RuleProblem::UnknownChannel { name: text.value, near },
                    };
                    section.note(&problem, text.place);
                }
                _ => to.push(ChannelName::from(text.value)),
            }
        }
        to
    }

    fn template(&self, section: &Section<'_>, template: Taken<String>) -> Option<String> {
        match self.templates {
            Some(known) if !known.contains(&template.value) => {
                let near = known.nearest(&template.value).map(ToOwned::to_owned);
                section.note(&RuleProblem::UnknownTemplate { name: template.value, near }, template.place);
                None
            }
            _ => Some(template.value),
        }
    }
}

/// End of a mute.
fn until(section: &mut Section<'_>, name: &str) -> Option<Timestamp> {
    let taken = section.timestamp("until")?;
    // A time needs a UTC offset; a date does not.
    let is_day = taken.value.len() == "2026-12-24".len();
    let day = || {
        let date = taken.value.parse::<Date>().ok().filter(|_| is_day)?;
        TimeZone::UTC.to_timestamp(date.to_datetime(Time::midnight())).ok()
    };
    let until = taken.value.parse::<Timestamp>().ok().or_else(day);
    match until {
        None => {
            section.note(&RuleProblem::InvalidUntil(taken.value), taken.place);
        }
        Some(until) if until <= Timestamp::now() => {
            section.note(&RuleProblem::ExpiredMute(name.to_owned()), taken.place);
        }
        Some(_) => {}
    }
    until
}

/// The conditions of a rule; `None` if it has no matcher, not even an invalid one. `unless` alone does not count: it
/// leaves in everything else.
pub(super) fn conditions(section: &mut Section<'_>) -> Option<Conditions> {
    let (all, unless) = parts(section);
    Some(Conditions::new(all?).unless(unless.unwrap_or_default()))
}

/// The `accept` guard of a channel; `None` if it has no matcher. In a guard, `unless` alone is enough.
pub(super) fn guard(section: &mut Section<'_>) -> Option<Conditions> {
    let (all, unless) = parts(section);
    if all.is_none() && unless.is_none() {
        return None;
    }
    Some(Conditions::new(all.unwrap_or_default()).unless(unless.unwrap_or_default()))
}

type Parts = (Option<Vec<Condition>>, Option<Vec<Condition>>);

/// The matchers of a rule, and those of its `unless`.
fn parts(section: &mut Section<'_>) -> Parts {
    let all = matchers(section);
    let unless = section.optional("unless").map(|mut unless| {
        let excluded = matchers(&mut unless);
        if excluded.is_none() && !unless.has_more() {
            unless.note(&RuleProblem::EmptyUnless, unless.place());
        }
        unless.finish();
        excluded.unwrap_or_default()
    });
    (all, unless)
}

fn matchers(section: &mut Section<'_>) -> Option<Vec<Condition>> {
    let mut any = false;
    let mut conditions = vec![];
    for &key in Key::ALL {
        let Some(texts) = section.strings(key.as_str()) else { continue };
        any = true;
        if texts.is_empty() {
            section.note(&RuleProblem::EmptyKey(key), section.place_of_taken(key.as_str()));
        } else if key == Key::Event {
            conditions.extend(event(section, texts));
        } else {
            texts.iter().for_each(|text| unheard_of(section, key, text));
            conditions.push(Condition::Value(key, patterns(section, texts, key.style())));
        }
    }
    any.then_some(conditions)
}

/// Records an error for a value that no event has. Applies to keys with a fixed set of values.
fn unheard_of(section: &Section<'_>, key: Key, text: &Taken<String>) {
    let bare = text.value.trim_start_matches('!');
    let is_word = !bare.contains(['*', '?', '[', '{', '~', '\\']);
    if let Some(words) =
        key.words().filter(|words| is_word && !words.iter().any(|word| word.eq_ignore_ascii_case(bare)))
    {
        let (value, near) = (bare.to_owned(), nearest(bare, words.iter().copied()).map(ToOwned::to_owned));
        let problem = match words {
            ["true", "false"] => RuleProblem::NotAFlag { key, value, near },
            _ => RuleProblem::UnknownWord { key, value, words, near },
        };
        section.note(&problem, text.place.clone());
    }
}

fn event(section: &Section<'_>, texts: Vec<Taken<String>>) -> Option<Condition> {
    let (values, places): (Vec<_>, Vec<_>) = texts.into_iter().map(|text| (text.value, text.place)).unzip();
    let words = providers().iter().flat_map(|provider| provider.keys).map(|key| key.name);
    let words: Vec<&str> = words.collect();
    for (value, place) in values.iter().zip(&places) {
        let bare = value.trim_start_matches('!');
        let is_kind = || Kind::parse(bare).is_some();
        let is_plain = !bare.contains(['*', '?', '[', '{', '~']);
        if is_plain && is_event_key(bare) && !words.contains(&bare) && !is_kind() {
            let near = nearest(bare, words.iter().copied()).map(ToOwned::to_owned);
            section.note(&RuleProblem::UnknownEventKey { key: bare.to_owned(), near }, place.clone());
        }
    }
    let texts: Vec<_> = values.into_iter().zip(places).collect();
    let known = texts.iter().filter(|(value, place)| match Kinds::new(std::slice::from_ref(value), is_event_key) {
        Ok(_) => true,
        Err(error) => {
            let bare = value.trim_start_matches('!');
            let sets: Vec<_> = SETS.iter().map(|set| format!("@{}", set.name)).collect();
            let known = Kind::ALL.iter().map(|kind| kind.as_str()).chain(sets.iter().map(String::as_str));
            let near = nearest(bare, known).map(ToOwned::to_owned);
            section.note(&RuleProblem::UnknownEvent { error, near, sets }, place.clone());
            false
        }
    });
    let known: Vec<_> = known.map(|(value, _)| value.clone()).collect();
    Kinds::new(&known, is_event_key).ok().filter(|_| !known.is_empty()).map(Condition::Event)
}
