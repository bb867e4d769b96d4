//! What can be used, and probably does not do what was meant.

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

/// A config without mistakes.
pub(super) struct Seen<'a> {
    pub(super) sources: &'a BTreeMap<SourceName, SourceEntry>,
    pub(super) router: &'a Router,
    /// Where each route stands.
    pub(super) places: &'a [RoutePlace],
    pub(super) channels: &'a Places,
    /// Where each mute stands.
    pub(super) mutes: &'a [Place],
    /// The main file; all others are included by it.
    pub(super) main: &'a str,
}

/// The path of the file in which something stands.
fn file(place: &Place) -> Option<&str> {
    match place {
        Place::Span(file, _) => Some(&file.path),
        Place::Named(_) => None,
    }
}

/// The events of all samples.
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

    /// A channel that nobody routes to is probably a slip.
    fn unrouted(&self, notes: &Notes, alerts: &[ChannelName]) {
        let routed: std::collections::HashSet<_> =
            self.router.routes().iter().flat_map(|route| &route.to).chain(alerts).collect();
        for (name, place) in self.channels.iter().filter(|(name, _)| !routed.contains(name)) {
            let problem = Problem::warning(format!("no route leads to channel `{name}`"), place.clone());
            notes.add(problem.help(format!("add a `[[routes]]` with `to = \"{name}\"`")));
        }
    }

    /// Mutes and final routes of an included file that reach beyond the channels that it defines: whoever keeps the file may
    /// not mean the channels of others.
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
                    format!("mute `{}` also silences channels of other files: {}", mute.name, foreign.join(", "));
                let help = if own.is_empty() {
                    "move it to the file of the channels that it is for".to_owned()
                } else {
                    format!("name the channels of this file: `channels = {own:?}`")
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
                "route `{}` is final: what it takes never reaches routes of other files, such as `{}`",
                route.name, other.name
            );
            let help = "leave `final` out; or put the routes that must get everything into a file that is read before";
            notes.add(Problem::warning(message, place.clone()).help(help));
        }
    }

    /// Routes, or their templates, that never come to anything because of one above.
    fn behind(&self, notes: &Notes) {
        // By the repositories that they name, so that not each is held against each.
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
                    format!("route `{name}` is never read: `{first}` above is final and takes all that it would");
                notes.add(
                    Problem::warning(message, self.places[n].whole.clone()).help(format!("put it above `{first}`")),
                );
            } else if let Some(template) = &route.template {
                let first = |channel| covering.iter().find(|(_, first)| first.to.contains(channel));
                for (channel, (_, first)) in route.to.iter().filter_map(|channel| Some((channel, first(channel)?))) {
                    let first = &first.name;
                    let message = format!(
                        "template `{template}` is never used for `{channel}`: route `{first}` above takes the same there first"
                    );
                    let place = self.places[n].template.as_ref().unwrap_or(&self.places[n].whole).clone();
                    let help = format!("put it above `{first}`, or leave one of the two out");
                    notes.add(Problem::warning(message, place).help(help));
                }
            }
            if !route.otherwise {
                above.entry(repo).or_default().push(n);
            }
        }
    }

    /// Routes that no event can reach: because no source sends it, or not with what they ask for, or a mute takes all.
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
            let message = format!("no event can reach route `{}`: {why}", route.name);
            notes.add(Problem::warning(message, place).help(help));
        }
    }

    /// What keeps all events from a route, of those kinds that sources send: the key that does, if one does, why, and the
    /// way out.
    fn barrier(&self, conditions: &Conditions, sent: &[Kind]) -> Option<(Option<Key>, String, String)> {
        let kinds: Vec<_> = sent.iter().copied().filter(|kind| conditions.may_hold(*kind)).collect();
        if kinds.is_empty() {
            let help = "`hookbell sample list` shows what they send".to_owned();
            return Some((Some(Key::Event), "none of your sources sends such events".to_owned(), help));
        }
        if let Some(patterns) = conditions.patterns(Key::Source)
            && !self.sources.keys().any(|name| patterns.fits(&[name.as_str()]))
        {
            let names: Vec<_> = self.sources.keys().map(|name| format!("`{name}`")).collect();
            let why = "none of your sources fits its `source`".to_owned();
            return Some((Some(Key::Source), why, format!("your sources: {}", names.join(", "))));
        }
        let needed: Vec<_> = conditions.needed().collect();
        if let Some(key) = needed.iter().find(|key| !kinds.iter().any(|kind| has(*kind, **key))) {
            let help = match key {
                Key::Label | Key::Path => "no host that Hookbell knows sends these yet: leave it out".to_owned(),
                key => format!("leave `{}` out, or add kinds of events that have one", key.as_str()),
            };
            return Some((Some(*key), format!("none that it is for has a `{}`", key.as_str()), help));
        }
        if needed.contains(&Key::Branch) && needed.contains(&Key::Tag) {
            let help = "make two routes: all keys of one must fit".to_owned();
            return Some((Some(Key::Tag), "none has both a `branch` and a `tag`".to_owned(), help));
        }
        if let Some((key, text, name)) = full_ref(conditions) {
            let why = format!("`{text}` begins with `refs/`, and `{}` is the name alone", key.as_str());
            return Some((Some(key), why, format!("write `{name}`")));
        }
        if let Some(mute) = self.router.mutes().iter().find(|mute| takes_all(mute, conditions)) {
            let why = format!("mute `{}` silences all that it is for", mute.name);
            return Some((None, why, "narrow the mute, or remove the route".to_owned()));
        }
        if let Some(slug) = without_workspace(conditions) {
            let why = format!("`{slug}` has no `/`, and repositories are called `workspace/slug`");
            return Some((Some(Key::Repo), why, format!("write `*/{slug}`, or name the workspace before the `/`")));
        }
        let repo = self.foreign(conditions)?;
        let help = "see `repo` of your sources: it says what each may speak for".to_owned();
        Some((Some(Key::Repo), format!("no source may speak for `{repo}`"), help))
    }

    /// A repository that a route names outright, where it names only such that no source may speak for.
    fn foreign<'b>(&self, conditions: &'b Conditions) -> Option<&'b str> {
        let names = wanted(conditions, Key::Repo)?;
        let is_foreign = |name: &&str| {
            !name.contains(['*', '?', '[', '{', '~', '\\'])
                && !self.sources.values().any(|entry| entry.repo.matches(name))
        };
        if names.iter().all(is_foreign) { names.first().copied() } else { None }
    }

    /// Regular expressions that match nothing in the samples but would, if they were not anchored.
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
                let message =
                    format!("`{text}` of route `{}` is held against the whole `{}`", route.name, key.as_str());
                let help = format!("`{value}` does not match; `~.*{}.*` would", text.trim_start_matches('~'));
                notes.add(Problem::warning(message, self.places[n].of_key(key)).help(help));
            }
        }
    }
}

/// What a rule asks of a key, but for what it leaves out.
fn wanted(conditions: &Conditions, key: Key) -> Option<Vec<&str>> {
    Some(conditions.patterns(key)?.texts().filter(|text| !text.starts_with('!')).collect())
}

/// A branch or a tag that is named as Git does in full, where all are; and its name as events have it.
fn full_ref(conditions: &Conditions) -> Option<(Key, &str, &str)> {
    [Key::Branch, Key::SourceBranch, Key::TargetBranch, Key::Tag].into_iter().find_map(|key| {
        let texts = wanted(conditions, key)?;
        let first = texts.first().copied().filter(|_| texts.iter().all(|text| short_ref(text).is_some()))?;
        Some((key, first, short_ref(first).filter(|name| !name.is_empty())?))
    })
}

/// What events call a branch or a tag that is named in full.
fn short_ref(text: &str) -> Option<&str> {
    text.strip_prefix("refs/heads/").or_else(|| text.strip_prefix("refs/tags/"))
}

/// A repository that is named without its workspace, where all are.
fn without_workspace(conditions: &Conditions) -> Option<&str> {
    let names = wanted(conditions, Key::Repo)?;
    let is_slug = |name: &&str| !name.contains(['/', '~', '[', '{', '\\']) && !name.contains("**");
    if names.iter().all(is_slug) { names.first().copied() } else { None }
}

/// The repositories that a rule asks for, as it writes them.
fn repo(conditions: &Conditions) -> Option<Vec<&str>> {
    let mut texts: Vec<_> = conditions.patterns(Key::Repo)?.texts().collect();
    texts.sort_unstable();
    Some(texts)
}

fn takes_all(mute: &Mute, conditions: &Conditions) -> bool {
    mute.enabled && mute.channels.is_empty() && !mute.is_over(Timestamp::now()) && mute.conditions.cover(conditions)
}

/// Whether events of a kind ever have a value for a key, as far as hosts that Hookbell knows send one.
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
        // No host that Hookbell knows sends these yet.
        Key::Label | Key::Path => false,
        _ => true,
    }
}
