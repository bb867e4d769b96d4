//! Conditions: the keys of a rule with their patterns, and the mismatch of an event that does not fit.

use std::fmt;

use super::key::{Key, Subject};
use super::kinds::Kinds;
use crate::event::Kind;
use crate::pattern::{Anchor, Fit, Patterns};

/// One key of a rule, with its patterns.
#[derive(Clone, Debug)]
pub enum Condition {
    /// Any key but `event`.
    Value(Key, Patterns),
    /// `event`.
    Event(Kinds),
}

/// Reason why a rule does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The first condition that failed.
    Condition {
        /// Key of the condition.
        key: Key,
        /// Result of matching the event's values.
        fit: Fit,
    },
    /// All conditions of `unless` fit. Each key has the values of the event.
    Unless(Vec<(Key, Vec<String>)>),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ticked = |texts: &[String]| texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ");
        let (key, fit) = match self {
            Self::Condition { key, fit } => (key.as_str(), fit),
            Self::Unless(met) => {
                let one = |(key, values): &(Key, Vec<String>)| match values.as_slice() {
                    [] => format!("`{}` has no value", key.as_str()),
                    values => format!("`{}` is {}", key.as_str(), ticked(values)),
                };
                return write!(f, "excluded by `unless`: {}", met.iter().map(one).collect::<Vec<_>>().join(", "));
            }
        };
        match fit {
            Fit::Fits => write!(f, "`{key}` matches"),
            Fit::Excluded { value, pattern } => write!(f, "`{key}`: `{value}` is excluded by `{pattern}`"),
            Fit::NoneOf { values, patterns } if values.is_empty() => {
                let required = one_of(&ticked(patterns), patterns.len());
                write!(f, "`{key}`: the event has none; the rule requires {required}")
            }
            Fit::NoneOf { values, patterns } => {
                let verb = match (values.len(), patterns.len()) {
                    (1, 1) => "does not match",
                    (1, _) => "matches none of",
                    (_, 1) => "do not match",
                    _ => "match none of",
                };
                write!(f, "`{key}`: {} {verb} {}", ticked(values), ticked(patterns))
            }
        }
    }
}

fn one_of(ticked: &str, count: usize) -> String {
    if count == 1 { ticked.to_owned() } else { format!("one of {ticked}") }
}

impl Condition {
    /// The key of the condition.
    pub const fn key(&self) -> Key {
        match self {
            Self::Value(key, _) => *key,
            Self::Event(_) => Key::Event,
        }
    }

    /// Returns true if events of a kind may fit.
    fn may_hold(&self, kind: Kind) -> bool {
        match self {
            Self::Value(..) => true,
            Self::Event(kinds) => kinds.may_hold(kind),
        }
    }

    /// Returns true if every event fits.
    fn is_anything(&self) -> bool {
        matches!(self, Self::Event(kinds) if kinds.is_anything())
    }

    /// The patterns as written, sorted.
    fn texts(&self) -> Vec<&str> {
        let mut texts: Vec<&str> = match self {
            Self::Value(_, patterns) => patterns.texts().collect(),
            Self::Event(kinds) => kinds.texts().collect(),
        };
        texts.sort_unstable();
        texts
    }

    /// Returns true if an event without a value for the key cannot fit.
    fn needs_value(&self) -> bool {
        matches!(self, Self::Value(_, patterns) if !patterns.only_exclude())
    }

    fn fits(&self, subject: Subject<'_>) -> bool {
        match self {
            Self::Value(key, patterns) => patterns.fits(&key.values(subject)),
            Self::Event(kinds) => kinds.fits(subject.event),
        }
    }

    fn fit(&self, subject: Subject<'_>) -> Fit {
        match self {
            Self::Value(key, patterns) => patterns.fit(&key.values(subject)),
            Self::Event(kinds) => kinds.fit(subject.event),
        }
    }
}

/// The conditions of a rule, which must all fit, and the conditions of its `unless`, which must not all fit.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    all: Vec<Condition>,
    unless: Vec<Condition>,
}

fn in_order(mut conditions: Vec<Condition>) -> Vec<Condition> {
    conditions.sort_by_key(|condition| Key::ALL.iter().position(|key| *key == condition.key()));
    conditions
}

impl Conditions {
    /// Sorts the conditions into the order of [`Key::ALL`].
    pub fn new(all: Vec<Condition>) -> Self {
        Self { all: in_order(all), unless: vec![] }
    }

    /// Adds an `unless`, which excludes events that fit all of these conditions.
    #[must_use]
    pub fn unless(self, unless: Vec<Condition>) -> Self {
        Self { unless: in_order(unless), ..self }
    }

    /// Returns true if an event fits.
    pub fn fits(&self, subject: Subject<'_>) -> bool {
        self.all.iter().all(|condition| condition.fits(subject)) && !self.is_excluded(subject)
    }

    fn is_excluded(&self, subject: Subject<'_>) -> bool {
        !self.unless.is_empty() && self.unless.iter().all(|condition| condition.fits(subject))
    }

    /// The first condition that an event fails; `None` if it fits.
    pub fn mismatch(&self, subject: Subject<'_>) -> Option<Mismatch> {
        let failed = self.all.iter().find_map(|condition| match condition.fit(subject) {
            Fit::Fits => None,
            fit => Some(Mismatch::Condition { key: condition.key(), fit }),
        });
        failed.or_else(|| {
            let met = |condition: &Condition| {
                let key = condition.key();
                (key, key.values(subject).into_iter().map(ToOwned::to_owned).collect())
            };
            self.is_excluded(subject).then(|| Mismatch::Unless(self.unless.iter().map(met).collect()))
        })
    }

    /// Returns true if events of a kind may fit.
    pub fn may_hold(&self, kind: Kind) -> bool {
        self.all.iter().all(|condition| condition.may_hold(kind))
    }

    /// Returns true if events of a kind with this event key of the host, from this source, may fit.
    pub fn may_hold_key(&self, kind: Kind, key: &str, source: &str) -> bool {
        self.all.iter().all(|condition| match condition {
            Condition::Event(kinds) => kinds.may_hold_key(kind, key),
            Condition::Value(Key::Source, patterns) => patterns.matches(source),
            Condition::Value(..) => true,
        })
    }

    /// Returns true if every event that fits `other` also fits these conditions. Compares only the text of patterns, so
    /// a false result is not certain.
    pub fn cover(&self, other: &Self) -> bool {
        let has = |all: &[Condition], one: &Condition| {
            all.iter().any(|other| other.key() == one.key() && other.texts() == one.texts())
        };
        let same = |one: &[Condition], other: &[Condition]| {
            one.len() == other.len() && one.iter().all(|condition| has(other, condition))
        };
        self.all.iter().all(|condition| condition.is_anything() || has(&other.all, condition))
            && (self.unless.is_empty() || same(&self.unless, &other.unless))
    }

    /// The keys that an event must have a value for.
    pub fn needed(&self) -> impl Iterator<Item = Key> {
        self.all.iter().filter(|condition| condition.needs_value()).map(Condition::key)
    }

    /// The regular expressions as written, with their keys.
    pub fn regexes(&self) -> impl Iterator<Item = (Key, &str)> {
        let values = self.all.iter().chain(&self.unless).filter_map(|condition| match condition {
            Condition::Value(key, patterns) => Some((*key, patterns)),
            Condition::Event(_) => None,
        });
        let texts = values.flat_map(|(key, patterns)| patterns.texts().map(move |text| (key, text)));
        texts.filter(|(_, text)| text.trim_start_matches('!').starts_with('~'))
    }

    /// The patterns of a key.
    pub fn patterns(&self, key: Key) -> Option<&Patterns> {
        self.all.iter().find_map(|condition| match condition {
            Condition::Value(found, patterns) if *found == key => Some(patterns),
            _ => None,
        })
    }

    /// Literal parts of a key's value; an event must have one of them to fit. `None` if unknown.
    pub(super) fn anchors(&self, key: Key) -> Option<Vec<Anchor>> {
        self.patterns(key)?.anchors()
    }
}

impl Mismatch {
    /// Returns true if all place conditions of the rule matched. A person who looks for a message about this repository
    /// wants to see this rule.
    pub const fn is_near(&self) -> bool {
        match self {
            Self::Condition { key, .. } => !key.is_place(),
            Self::Unless(_) => true,
        }
    }
}
