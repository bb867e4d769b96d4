//! Warnings about a valid configuration that probably does not do what was intended.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use jiff::Timestamp;

use super::Places;
use super::rules::RoutePlace;
use crate::config::SourceEntry;
use crate::config::section::Notes;
use crate::event::{ChannelName, Event, Kind, SourceName};
use crate::problem::{Place, Problem};
use crate::routing::pattern::unanchored;
use crate::routing::{Conditions, Key, Mute, Route, Router, Subject};
use crate::source::PROVIDERS;

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
    let samples = PROVIDERS.iter().flat_map(|provider| provider.samples.iter().map(move |sample| (provider, sample)));
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
            let problem = Problem::warning(format!("no route sends to channel `{name}`"), place.clone());
            notes.add(problem.help(format!("add a `[[routes]]` entry with `to = \"{name}\"`")));
        }
    }

    /// Warns about mutes and final routes of an included file that affect channels of other files. The author of the
    /// included file may not intend that.
    fn beyond(&self, notes: &Notes) {
        let of = |path: &str| -> Vec<&str> {
            let own = self.channels.iter().filter(|(_, place)| file(place) == Some(path));
            own.map(|(name, _)| name.as_str()).collect()
        };
        let included = |place: &'_ Place| file(place).filter(|path| *path != self.main).map(ToOwned::to_owned);
        for (mute, place) in self.router.mutes().iter().zip(self.mutes).filter(|(mute, _)| mute.enabled) {
            let Some(path) = included(place) else { continue };
            let own = of(&path);
            let all: Vec<_> = self.channels.iter().map(|(name, _)| name.as_str()).collect();
            let reached: Vec<_> = mute.channels.iter().map(ChannelName::as_str).collect();
            let reached = if reached.is_empty() { &all } else { &reached };
            let foreign: Vec<_> =
                reached.iter().filter(|name| !own.contains(name)).map(|name| format!("`{name}`")).collect();
            if !foreign.is_empty() {
                let message =
                    format!("mute `{}` also applies to channels of other files: {}", mute.name, foreign.join(", "));
                let help = if own.is_empty() {
                    "move it to the file that defines the channels to mute".to_owned()
                } else {
                    format!("limit it to the channels of this file: `channels = {own:?}`")
                };
                notes.add(Problem::warning(message, place.clone()).help(help));
            }
        }
        for (n, route) in self.read().filter(|(_, route)| route.is_final) {
            let place = &self.places[n].whole;
            let Some(path) = included(place) else { continue };
            let own = of(&path);
            let mut behind =
                self.read().filter(|(other, _)| *other > n && file(&self.places[*other].whole) != Some(&path));
            let Some((_, other)) = behind.find(|(_, other)| other.to.iter().any(|name| !own.contains(&name.as_str())))
            else {
                continue;
            };
            let message = format!(
                "route `{}` is final: events that it matches never reach routes of other files, such as `{}`",
                route.name, other.name
            );
            let help = "remove `final`, or move the routes that need all events to a file that is read earlier";
            notes.add(Problem::warning(message, place.clone()).help(help));
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
                let (name, first) = (&route.name, &first.name);
                let message =
                    format!("route `{name}` is never read: `{first}` above is final and matches all of its events");
                notes.add(
                    Problem::warning(message, self.places[n].whole.clone()).help(format!("move it above `{first}`")),
                );
            } else if let Some(template) = &route.template {
                let first = |channel| covering.iter().find(|(_, first)| first.to.contains(channel));
                for (channel, (_, first)) in route.to.iter().filter_map(|channel| Some((channel, first(channel)?))) {
                    let first = &first.name;
                    let message = format!(
                        "template `{template}` is never used for channel `{channel}`: route `{first}` above already \
                         sends these events there"
                    );
                    let place = self.places[n].template.as_ref().unwrap_or(&self.places[n].whole).clone();
                    let help = format!("move this route above `{first}`, or remove one of the two");
                    notes.add(Problem::warning(message, place).help(help));
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
            let Some((key, why, help)) = self.barrier(&route.conditions, &sent) else { continue };
            let place = key.map_or_else(|| self.places[n].whole.clone(), |key| self.places[n].of_key(key));
            let message = format!("no event can match route `{}`: {why}", route.name);
            notes.add(Problem::warning(message, place).help(help));
        }
    }

    /// The reason why no event of the `sent` kinds can match a route: the key that prevents it, if there is one, the
    /// reason as text, and help.
    fn barrier(&self, conditions: &Conditions, sent: &[Kind]) -> Option<(Option<Key>, String, String)> {
        let kinds: Vec<_> = sent.iter().copied().filter(|kind| conditions.may_hold(*kind)).collect();
        if kinds.is_empty() {
            let help = "run `hookbell sample list` to see the events that sources send".to_owned();
            return Some((Some(Key::Event), "none of your sources sends these events".to_owned(), help));
        }
        if let Some(patterns) = conditions.patterns(Key::Source)
            && !self.sources.keys().any(|name| patterns.fits(&[name.as_str()]))
        {
            let names: Vec<_> = self.sources.keys().map(|name| format!("`{name}`")).collect();
            let why = "none of your sources matches its `source`".to_owned();
            return Some((Some(Key::Source), why, format!("your sources: {}", names.join(", "))));
        }
        let needed: Vec<_> = conditions.needed().collect();
        if let Some(key) = needed.iter().find(|key| !kinds.iter().any(|kind| has(*kind, **key))) {
            let help = match key {
                Key::Label | Key::Path => "remove it: no supported host sends labels or paths yet".to_owned(),
                key => format!("remove `{}`, or add event kinds that have one", key.as_str()),
            };
            return Some((Some(*key), format!("none of its event kinds has a `{}`", key.as_str()), help));
        }
        if needed.contains(&Key::Branch) && needed.contains(&Key::Tag) {
            let help = "use two routes, because all keys of a route must match".to_owned();
            return Some((Some(Key::Tag), "no event has both a `branch` and a `tag`".to_owned(), help));
        }
        if let Some((key, text, name)) = full_ref(conditions) {
            let why = format!("`{text}` starts with `refs/`, but `{}` is only the name", key.as_str());
            return Some((Some(key), why, format!("write `{name}`")));
        }
        if let Some(mute) = self.router.mutes().iter().find(|mute| takes_all(mute, conditions)) {
            let why = format!("mute `{}` suppresses all of its events", mute.name);
            return Some((None, why, "narrow the mute, or remove the route".to_owned()));
        }
        if let Some(slug) = without_workspace(conditions) {
            let why = format!("`{slug}` has no `/`, but repository names have the form `workspace/slug`");
            return Some((Some(Key::Repo), why, format!("write `*/{slug}`, or a workspace in place of `*`")));
        }
        let repo = self.foreign(conditions)?;
        let help = "add it to `repo` of a source, or fix the name".to_owned();
        Some((Some(Key::Repo), format!("`{repo}` is not allowed by `repo` of any source"), help))
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
                let message = format!("`{text}` of route `{}` must match the whole `{}`", route.name, key.as_str());
                let help = format!("`{value}` does not match; `~.*{}.*` would", text.trim_start_matches('~'));
                notes.add(Problem::warning(message, self.places[n].of_key(key)).help(help));
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

/// Returns true if a supported host sends a value for the key with events of this kind.
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
        // No supported host sends these yet.
        Key::Label | Key::Path => false,
        _ => true,
    }
}
