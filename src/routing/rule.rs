//! Rules: the keys they may hold, and what each key looks at.

use std::fmt;

use super::pattern::{Fit, Patterns, Style};
use super::set::Set;
use crate::event::{Event, Kind, SourceName};

/// What rules look at: an event, and the source that it came through.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The source's name.
    pub source: &'a SourceName,
    /// The event.
    pub event: &'a Event,
}

/// A key of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The source's name in the config.
    Source,
    /// `workspace/slug`.
    Repo,
    /// The owner of the repository.
    Workspace,
    /// The project's key.
    Project,
    /// `public`, `private`.
    Visibility,
    /// `true`, `false`.
    Fork,
    /// The kind, or a set: `pull_request.*`, `@calm`.
    Event,
    /// The ref of a push, a pull request's target.
    Branch,
    /// Where a pull request comes from.
    SourceBranch,
    /// Where a pull request goes.
    TargetBranch,
    /// A tag's name.
    Tag,
    /// Who did it: name, nickname or id.
    Actor,
    /// `user`, `bot`, `app`, `team`.
    ActorKind,
    /// Who wrote the pull request, or the newest commit.
    Author,
    /// Anyone who was asked for a review.
    Reviewer,
    /// The pull request's or the issue's title.
    Title,
    /// Of a pull request `open`, `merged`, `declined`, `superseded`; of a build `failed` and its like; of an issue the
    /// host's word.
    State,
    /// `true`, `false`.
    Draft,
    /// `true`, `false`.
    Forced,
    /// `pull_request`: a push that merges or closes one.
    Via,
}

impl Key {
    /// Every key, in the order in which a rule's conditions are looked at: where first, then what, then who.
    pub const ALL: &'static [Self] = &[
        Self::Source,
        Self::Repo,
        Self::Workspace,
        Self::Project,
        Self::Visibility,
        Self::Fork,
        Self::Event,
        Self::Branch,
        Self::SourceBranch,
        Self::TargetBranch,
        Self::Tag,
        Self::Actor,
        Self::ActorKind,
        Self::Author,
        Self::Reviewer,
        Self::Title,
        Self::State,
        Self::Draft,
        Self::Forced,
        Self::Via,
    ];

    /// The key as the config writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Repo => "repo",
            Self::Workspace => "workspace",
            Self::Project => "project",
            Self::Visibility => "visibility",
            Self::Fork => "fork",
            Self::Event => "event",
            Self::Branch => "branch",
            Self::SourceBranch => "source_branch",
            Self::TargetBranch => "target_branch",
            Self::Tag => "tag",
            Self::Actor => "actor",
            Self::ActorKind => "actor_kind",
            Self::Author => "author",
            Self::Reviewer => "reviewer",
            Self::Title => "title",
            Self::State => "state",
            Self::Draft => "draft",
            Self::Forced => "forced",
            Self::Via => "via",
        }
    }

    /// How its patterns match.
    pub const fn style(self) -> Style {
        match self {
            Self::Repo => Style { separator: true, ignore_case: true },
            Self::Branch | Self::SourceBranch | Self::TargetBranch | Self::Tag => {
                Style { separator: true, ignore_case: false }
            }
            _ => Style { separator: false, ignore_case: true },
        }
    }

    /// Whether it says where a thing happened, rather than what.
    const fn is_place(self) -> bool {
        matches!(self, Self::Source | Self::Repo | Self::Workspace | Self::Project | Self::Visibility | Self::Fork)
    }

    /// What an event has for this key.
    fn values(self, subject: Subject<'_>) -> Vec<&str> {
        let event = subject.event;
        let repository = event.repository.as_ref();
        let pull_request = event.pull_request.as_ref();
        let push = event.push.as_ref();
        let one = |value: Option<&'static str>| value.into_iter().collect();
        match self {
            Self::Source => vec![subject.source.as_str()],
            Self::Event => vec![event.kind.as_str()],
            Self::Repo => repository.and_then(|r| r.full_name.as_deref()).into_iter().collect(),
            Self::Workspace => event.workspace().into_iter().collect(),
            Self::Project => {
                let project = event.project.as_ref().or_else(|| repository?.project.as_ref());
                project.and_then(|project| project.key.as_deref()).into_iter().collect()
            }
            Self::Visibility => one(repository.and_then(|r| r.visibility).map(crate::event::Visibility::as_str)),
            Self::Fork => one(repository.and_then(|r| r.fork).map(truth)),
            Self::Branch => event.branch().into_iter().collect(),
            Self::SourceBranch => pull_request.and_then(|p| p.source.branch.as_deref()).into_iter().collect(),
            Self::TargetBranch => pull_request.and_then(|p| p.target.branch.as_deref()).into_iter().collect(),
            Self::Tag => {
                let tag = push.and_then(|p| p.tag.as_deref());
                tag.or_else(|| event.pipeline.as_ref()?.tag.as_deref()).into_iter().collect()
            }
            Self::Actor => event.actor.iter().filter(|actor| actor.is_known()).flat_map(names).collect(),
            Self::ActorKind => one(event.actor.as_ref().filter(|a| a.is_known()).map(|actor| actor.kind.as_str())),
            Self::Author => author(event).into_iter().flat_map(names).collect(),
            Self::Reviewer => {
                let reviewers = pull_request.and_then(|p| p.reviewers.as_deref()).unwrap_or_default();
                reviewers.iter().flat_map(|r| known([Some(&r.name), r.nickname.as_ref(), r.id.as_ref()])).collect()
            }
            Self::Title => {
                let issue = event.issue.as_ref().and_then(|issue| issue.title.as_deref());
                pull_request.and_then(|p| p.title.as_deref()).or(issue).into_iter().collect()
            }
            Self::State => state(event).into_iter().collect(),
            Self::Draft => one(pull_request.and_then(|p| p.draft).map(truth)),
            Self::Forced => one(push.map(|p| truth(p.forced))),
            Self::Via => one(push.and_then(|p| p.via).map(crate::event::Via::as_str)),
        }
    }
}

/// Who wrote the pull request or the issue, or the newest commit.
fn author(event: &Event) -> Option<&crate::event::Account> {
    if let Some(pull_request) = &event.pull_request {
        return pull_request.author.as_ref();
    }
    if let Some(issue) = &event.issue {
        return issue.author.as_ref();
    }
    let pushed = event.push.as_ref().and_then(|push| push.commits.first().or(push.head.as_ref()));
    let built = event.build.as_ref().and_then(|build| build.commit.as_ref());
    pushed.or(built).or(event.commit.as_ref())?.author.as_ref()
}

fn state(event: &Event) -> Option<&str> {
    let pull_request = event.pull_request.as_ref().and_then(|pr| pr.state).map(crate::event::PullRequestState::as_str);
    let build = event.build.as_ref().and_then(|build| build.state);
    let machine = build.or_else(|| event.pipeline.as_ref()?.state).map(crate::event::BuildState::as_str);
    pull_request.or(machine).or_else(|| event.issue.as_ref()?.state.as_deref())
}

const fn truth(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

fn names(account: &crate::event::Account) -> impl Iterator<Item = &str> {
    known([Some(&account.name), account.nickname.as_ref(), account.id.as_ref()])
}

fn known(texts: [Option<&String>; 3]) -> impl Iterator<Item = &str> {
    texts.into_iter().flatten().map(String::as_str)
}

/// One key of a rule, with its patterns.
#[derive(Clone, Debug)]
pub enum Condition {
    /// Any key but `event`.
    Value(Key, Patterns),
    /// `event`: kinds by glob, and sets.
    Event {
        /// Globs over kinds.
        kinds: Patterns,
        /// Sets, each with whether it excludes.
        sets: Vec<(&'static Set, bool)>,
        /// Whether any of both is positive.
        positive: bool,
    },
}

/// Why a rule does not match: the first condition that failed, and what it met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The key.
    pub key: Key,
    /// How its values stood to its patterns.
    pub fit: Fit,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_str();
        let ticked = |texts: &[String]| texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ");
        match &self.fit {
            Fit::Fits => write!(f, "`{key}` fits"),
            Fit::Excluded { value, pattern } => write!(f, "`{key}`: `{value}` is excluded by `{pattern}`"),
            Fit::NoneOf { values, patterns } if values.is_empty() => {
                write!(f, "`{key}`: this event has none, and {} asked for", one_of(&ticked(patterns), patterns.len()))
            }
            Fit::NoneOf { values, patterns } => {
                let verb = if patterns.len() == 1 { "is not" } else { "is none of" };
                write!(f, "`{key}`: {} {verb} {}", ticked(values), ticked(patterns))
            }
        }
    }
}

fn one_of(ticked: &str, count: usize) -> String {
    if count == 1 { format!("{ticked} is") } else { format!("one of {ticked} is") }
}

impl Condition {
    /// The key that it looks at.
    pub const fn key(&self) -> Key {
        match self {
            Self::Value(key, _) => *key,
            Self::Event { .. } => Key::Event,
        }
    }

    fn fit(&self, subject: Subject<'_>) -> Fit {
        match self {
            Self::Value(key, patterns) => patterns.fit(&key.values(subject)),
            Self::Event { kinds, sets, positive } => {
                let kind = subject.event.kind.as_str();
                let excluding = sets.iter().find(|(set, excludes)| *excludes && set.holds(subject.event));
                if let Some((set, _)) = excluding {
                    return Fit::Excluded { value: kind.to_owned(), pattern: format!("!@{}", set.name) };
                }
                let included = sets.iter().any(|(set, excludes)| !excludes && set.holds(subject.event));
                match kinds.fit(&[kind]) {
                    Fit::NoneOf { .. } | Fit::Fits if included => Fit::Fits,
                    Fit::Fits if !positive || kinds.matches(kind) => Fit::Fits,
                    Fit::Excluded { value, pattern } => Fit::Excluded { value, pattern },
                    Fit::Fits => self.none_of(kind, vec![]),
                    Fit::NoneOf { patterns, .. } => self.none_of(kind, patterns),
                }
            }
        }
    }

    fn none_of(&self, kind: &str, mut patterns: Vec<String>) -> Fit {
        if let Self::Event { sets, .. } = self {
            let included = sets.iter().filter(|(_, excludes)| !excludes);
            patterns.extend(included.map(|(set, _)| format!("@{}", set.name)));
        }
        Fit::NoneOf { values: vec![kind.to_owned()], patterns }
    }
}

/// The conditions of a rule, all of which must fit.
#[derive(Clone, Debug, Default)]
pub struct Conditions(Vec<Condition>);

impl Conditions {
    /// Puts conditions into the order of [`Key::ALL`].
    pub fn new(mut conditions: Vec<Condition>) -> Self {
        conditions.sort_by_key(|condition| Key::ALL.iter().position(|key| *key == condition.key()));
        Self(conditions)
    }

    /// Whether there is none, so that everything matches.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first condition that does not fit.
    pub fn mismatch(&self, subject: Subject<'_>) -> Option<Mismatch> {
        self.0.iter().find_map(|condition| match condition.fit(subject) {
            Fit::Fits => None,
            fit => Some(Mismatch { key: condition.key(), fit }),
        })
    }
}

impl Mismatch {
    /// Whether all that the rule says of *where* had fitted: somebody who looks for a message of this repository
    /// wants to hear of this rule.
    pub const fn is_near(&self) -> bool {
        !self.key.is_place()
    }
}

/// Why an `event` pattern is wrong.
pub fn event_condition(texts: &[String]) -> Result<Condition, (usize, String)> {
    let (mut kinds, mut places, mut sets) = (vec![], vec![], vec![]);
    for (n, text) in texts.iter().enumerate() {
        let bare = text.strip_prefix('!').unwrap_or(text);
        if let Some(name) = bare.strip_prefix('@') {
            let set = Set::named(name).ok_or_else(|| (n, format!("there is no set `@{name}`")))?;
            sets.push((set, text.starts_with('!')));
        } else {
            kinds.push(text.clone());
            places.push(n);
        }
    }
    let positive = texts.iter().any(|text| !text.starts_with('!'));
    let style = Key::Event.style();
    for (text, &n) in kinds.iter().zip(&places) {
        let bare = text.trim_start_matches('!').to_owned();
        let patterns = Patterns::new(std::slice::from_ref(&bare), style).map_err(|(_, reason)| (n, reason))?;
        if !Kind::ALL.iter().any(|kind| patterns.matches(kind.as_str())) {
            return Err((n, format!("no event is called `{bare}`")));
        }
    }
    let kinds = Patterns::new(&kinds, style).map_err(|(n, reason)| (places[n], reason))?;
    Ok(Condition::Event { kinds, sets, positive })
}
