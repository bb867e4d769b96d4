//! Warnings about a valid configuration that probably does not do what was intended.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use jiff::Timestamp;

use super::Places;
use super::rules::RoutePlace;
use crate::config::SourceEntry;
use crate::config::problems::{RuleProblem, Unmatched};
use crate::config::section::Notes;
use crate::event::{ChannelName, Event, Kind, SourceName};
use crate::pattern::unanchored;
use crate::problem::Place;
use crate::routing::{Conditions, Key, Mute, Route, Router, Subject};
use crate::source::providers;

/// A configuration without errors.
pub(super) struct Seen<'a> {
    pub(super) sources: &'a BTreeMap<SourceName, SourceEntry>,
    pub(super) router: &'a Router,
    /// Position of each route.
    pub(super) places: &'a [RoutePlace],
    pub(super) channels: &'a Places,
    /// Position of each mute.
    pub(super) mutes: &'a [Place],
    /// Path of the main file, which includes all others.
    pub(super) main: &'a str,
}

/// Path of the file that contains a position.
fn file(place: &Place) -> Option<&str> {
    match place {
        Place::Span(file, _) => Some(&file.path),
        Place::Named(_) => None,
    }
}

/// Events of all samples.
static SAMPLES: LazyLock<Vec<Event>> = LazyLock::new(|| {
    let samples = providers().iter().flat_map(|provider| provider.samples.iter().map(move |sample| (provider, sample)));
    let parsed = samples.filter_map(|(provider, sample)| provider.parse_sample(sample).ok());
    parsed.flat_map(|parsed| parsed.events).collect()
});

impl Seen<'_> {
    pub(super) fn warn(&self, notes: &Notes, alerts: &[ChannelName]) {
        self.unrouted(notes, alerts);
        self.behind(notes);
        self.unreached(notes);
        self.unmatched(notes);
        self.beyond(notes);
    }

    fn read(&self) -> impl Iterator<Item = (usize, &Route)> {
        self.router.routes().iter().enumerate().filter(|(_, route)| route.enabled)
    }

    /// Warns about channels without a route, which are probably an oversight.
    fn unrouted(&self, notes: &Notes, alerts: &[ChannelName]) {
        let routed: std::collections::HashSet<_> =
            self.router.routes().iter().flat_map(|route| &route.to).chain(alerts).collect();
        for (name, place) in self.channels.iter().filter(|(name, _)| !routed.contains(name)) {
            notes.note(&RuleProblem::UnroutedChannel(name.clone()), place.clone());
        }
    }

    /// Warns about mutes and final routes of an included file that affect channels of other files. The author of the
    /// included file may not intend that.
    fn beyond(&self, notes: &Notes) {
        let of = |path: &str| -> Vec<String> {
            let own = self.channels.iter().filter(|(_, place)| file(place) == Some(path));
            own.map(|(name, _)| name.to_string()).collect()
        };
        let included = |place: &'_ Place| file(place).filter(|path| *path != self.main).map(ToOwned::to_owned);
        for (mute, place) in self.router.mutes().iter().zip(self.mutes).filter(|(mute, _)| mute.enabled) {
            let Some(path) = included(place) else { continue };
            let own = of(&path);
            let all: Vec<_> = self.channels.iter().map(|(name, _)| name.to_string()).collect();
            let reached: Vec<_> = mute.channels.iter().map(ToString::to_string).collect();
            let reached = if reached.is_empty() { all } else { reached };
            let foreign: Vec<_> = reached.into_iter().filter(|name| !own.contains(name)).collect();
            if !foreign.is_empty() {
                notes.note(&RuleProblem::ForeignMute { mute: mute.name.clone(), foreign, own }, place.clone());
            }
        }
        for (n, route) in self.read().filter(|(_, route)| route.is_final) {
            let place = &self.places[n].whole;
            let Some(path) = included(place) else { continue };
            let own = of(&path);
            let mut behind =
                self.read().filter(|(other, _)| *other > n && file(&self.places[*other].whole) != Some(&path));
            let Some((_, other)) =
                behind.find(|(_, other)| other.to.iter().any(|name| !own.iter().any(|own| own == name.as_str())))
            else {
                continue;
            };
            let problem = RuleProblem::ForeignFinal { route: route.name.clone(), other: other.name.clone() };
            notes.note(&problem, place.clone());
        }
    }

    /// Warns about routes and templates that are never used because of a route above.
    fn behind(&self, notes: &Notes) {
        // Grouped by repository patterns, to avoid comparing every pair of routes.
        let mut above: HashMap<Option<Vec<&str>>, Vec<usize>> = HashMap::new();
        for (n, route) in self.read() {
            let repo = repo(&route.conditions);
            let same = above.get(&repo).into_iter().flatten();
            let any = above.get(&None).into_iter().flatten().filter(|_| repo.is_some());
            let mut covering: Vec<_> = same.chain(any).copied().map(|n| (n, &self.router.routes()[n])).collect();
            covering.sort_unstable_by_key(|(n, _)| *n);
            covering.retain(|(_, first)| first.conditions.cover(&route.conditions));
            if let Some((_, first)) = covering.iter().find(|(_, first)| first.is_final) {
                let problem = RuleProblem::UnreadRoute { route: route.name.clone(), first: first.name.clone() };
                notes.note(&problem, self.places[n].whole.clone());
            } else if let Some(template) = &route.template {
                let first = |channel| covering.iter().find(|(_, first)| first.to.contains(channel));
                for (channel, (_, first)) in route.to.iter().filter_map(|channel| Some((channel, first(channel)?))) {
                    let problem = RuleProblem::UnusedTemplate {
                        template: template.clone(),
                        channel: channel.clone(),
                        first: first.name.clone(),
                    };
                    let place = self.places[n].template.as_ref().unwrap_or(&self.places[n].whole).clone();
                    notes.note(&problem, place);
                }
            }
            if !route.otherwise {
                above.entry(repo).or_default().push(n);
            }
        }
    }

    /// Warns about routes that no event can match: no source sends such events, their fields never match, or a mute
    /// suppresses all of them.
    fn unreached(&self, notes: &Notes) {
        let keys = self.sources.values().flat_map(|entry| entry.provider.keys);
        let mut sent: Vec<Kind> = keys.flat_map(|key| key.kinds).copied().chain([Kind::Other]).collect();
        sent.sort_unstable();
        sent.dedup();
        if self.sources.is_empty() {
            return;
        }
        for (n, route) in self.read() {
            let Some(reason) = self.unmatched_reason(&route.conditions, &sent) else { continue };
            let place = reason.key().map_or_else(|| self.places[n].whole.clone(), |key| self.places[n].of_key(key));
            notes.note(&RuleProblem::UnmatchedRoute { route: route.name.clone(), reason }, place);
        }
    }

    /// The reason why no event of the `sent` kinds can match a route.
    fn unmatched_reason(&self, conditions: &Conditions, sent: &[Kind]) -> Option<Unmatched> {
        let kinds: Vec<_> = sent.iter().copied().filter(|kind| conditions.may_hold(*kind)).collect();
        if kinds.is_empty() {
            return Some(Unmatched::Event);
        }
        if let Some(patterns) = conditions.patterns(Key::Source)
            && !self.sources.keys().any(|name| patterns.fits(&[name.as_str()]))
        {
            return Some(Unmatched::Source { sources: self.sources.keys().map(ToString::to_string).collect() });
        }
        let needed: Vec<_> = conditions.needed().collect();
        let is_unsent = |key: &&Key| self.sources.values().all(|entry| entry.provider.unsent.contains(key));
        if let Some(key) = needed.iter().find(is_unsent) {
            return Some(Unmatched::Unsent(*key));
        }
        if let Some(key) = needed.iter().find(|key| !kinds.iter().any(|kind| has(*kind, **key))) {
            return Some(Unmatched::Key(*key));
        }
        if needed.contains(&Key::Branch) && needed.contains(&Key::Tag) {
            return Some(Unmatched::BranchAndTag);
        }
        if let Some((key, text, name)) = full_ref(conditions) {
            return Some(Unmatched::FullRef { key, text: text.to_owned(), name: name.to_owned() });
        }
        if let Some(mute) = self.router.mutes().iter().find(|mute| takes_all(mute, conditions)) {
            return Some(Unmatched::Muted(mute.name.clone()));
        }
        if let Some(slug) = without_workspace(conditions) {
            return Some(Unmatched::NoWorkspace(slug.to_owned()));
        }
        self.foreign(conditions).map(|repo| Unmatched::ForeignRepository(repo.to_owned()))
    }

    /// The first repository of a route, if the route has only literal names and no source allows any of them.
    fn foreign<'b>(&self, conditions: &'b Conditions) -> Option<&'b str> {
        let names = wanted(conditions, Key::Repo)?;
        let is_foreign = |name: &&str| {
            !name.contains(['*', '?', '[', '{', '~', '\\'])
                && !self.sources.values().any(|entry| entry.repo.matches(name))
        };
        if names.iter().all(is_foreign) { names.first().copied() } else { None }
    }

    /// Warns about regular expressions that match no sample value, but would match if they were not anchored.
    fn unmatched(&self, notes: &Notes) {
        let source = SourceName::from("sample");
        for (n, route) in self.read() {
            for (key, text) in route.conditions.regexes() {
                let Some(loose) = unanchored(text, key.style()) else { continue };
                let values = SAMPLES.iter().flat_map(|event| {
                    let at = Timestamp::UNIX_EPOCH;
                    key.values(Subject { source: &source, event, at })
                        .into_iter()
                        .map(ToOwned::to_owned)
                        .collect::<Vec<_>>()
                });
                let values: Vec<_> = values.filter(|value| loose.found.is_match(value)).collect();
                let Some(value) = values.first().filter(|_| !values.iter().any(|value| loose.whole.is_match(value)))
                else {
                    continue;
                };
                let (route, regex) = (route.name.clone(), text.to_owned());
                let problem = RuleProblem::PartialRegex { route, key, regex, value: value.clone() };
                notes.note(&problem, self.places[n].of_key(key));
            }
        }
    }
}

/// The patterns of a rule for a key, without exclusions.
fn wanted(conditions: &Conditions, key: Key) -> Option<Vec<&str>> {
    Some(conditions.patterns(key)?.texts().filter(|text| !text.starts_with('!')).collect())
}

/// The first branch or tag pattern and its short name, if all patterns of the key are full Git refs.
fn full_ref(conditions: &Conditions) -> Option<(Key, &str, &str)> {
    [Key::Branch, Key::SourceBranch, Key::TargetBranch, Key::Tag].into_iter().find_map(|key| {
        let texts = wanted(conditions, key)?;
        let first = texts.first().copied().filter(|_| texts.iter().all(|text| short_ref(text).is_some()))?;
        Some((key, first, short_ref(first).filter(|name| !name.is_empty())?))
    })
}

/// The short name of a full Git ref, as in events.
fn short_ref(text: &str) -> Option<&str> {
    text.strip_prefix("refs/heads/").or_else(|| text.strip_prefix("refs/tags/"))
}

/// The first repository pattern, if none of them has a workspace.
fn without_workspace(conditions: &Conditions) -> Option<&str> {
    let names = wanted(conditions, Key::Repo)?;
    let is_slug = |name: &&str| !name.contains(['/', '~', '[', '{', '\\']) && !name.contains("**");
    if names.iter().all(is_slug) { names.first().copied() } else { None }
}

/// The repository patterns of a rule as written, sorted.
fn repo(conditions: &Conditions) -> Option<Vec<&str>> {
    let mut texts: Vec<_> = conditions.patterns(Key::Repo)?.texts().collect();
    texts.sort_unstable();
    Some(texts)
}

fn takes_all(mute: &Mute, conditions: &Conditions) -> bool {
    mute.enabled && mute.channels.is_empty() && !mute.is_over(Timestamp::now()) && mute.conditions.cover(conditions)
}

/// Returns true if events of this kind may have a value for the key.
fn has(kind: Kind, key: Key) -> bool {
    let family = kind.family();
    let is_pull_request = family == "pull_request";
    let is_push = matches!(family, "push" | "branch" | "tag");
    match key {
        _ if kind == Kind::Other => true,
        Key::SourceBranch | Key::TargetBranch | Key::Reviewer | Key::Draft => is_pull_request,
        Key::Title => is_pull_request || family == "issue",
        Key::Branch => is_pull_request || matches!(family, "push" | "branch" | "build" | "pipeline"),
        Key::Tag => matches!(family, "tag" | "pipeline"),
        Key::Forced | Key::Via => is_push,
        Key::State => is_pull_request || matches!(family, "build" | "pipeline" | "issue"),
        _ => true,
    }
}
