//! The `event` key of a rule: globs for event kinds, globs for the host's event keys, and sets.

use thiserror::Error;

use super::key::Key;
use super::set::Set;
use crate::event::{Event, Kind};
use crate::pattern::{Fit, PatternError, Patterns};

/// The patterns of an `event` key.
#[derive(Clone, Debug)]
pub struct Kinds {
    /// All patterns as written.
    texts: Vec<String>,
    /// Patterns for event kinds.
    kinds: Patterns,
    /// Patterns for the host's event keys.
    words: Patterns,
    sets: Vec<&'static Set>,
    excluded_sets: Vec<&'static Set>,
}

/// Error in a pattern of an `event` key.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum KindsError {
    /// No set has this name.
    #[error("unknown set `@{0}`")]
    UnknownSet(String),
    /// No event kind matches this pattern.
    #[error("unknown event `{0}`")]
    UnknownEvent(String),
    /// The pattern is invalid.
    #[error("`{text}` {error}")]
    Pattern {
        /// The pattern.
        text: String,
        /// The error.
        error: PatternError,
    },
}

impl Kinds {
    /// Compiles patterns. `is_event_key` returns true for a pattern of a host's event keys. A pattern may be for both
    /// kinds and event keys.
    pub fn new(texts: &[String], is_event_key: impl Fn(&str) -> bool) -> Result<Self, KindsError> {
        let (mut kinds, mut words, mut sets, mut excluded_sets) = (vec![], vec![], vec![], vec![]);
        for text in texts {
            let bare = text.strip_prefix('!').unwrap_or(text);
            if let Some(name) = bare.strip_prefix('@') {
                let set = Set::named(name).ok_or_else(|| KindsError::UnknownSet(name.to_owned()))?;
                if bare.len() == text.len() { &mut sets } else { &mut excluded_sets }.push(set);
                continue;
            }
            let patterns = compiled(&[bare.to_owned()])?;
            let is_word = !bare.starts_with('~') && is_event_key(bare);
            let is_kind = Kind::ALL.iter().any(|kind| patterns.matches(kind.as_str()));
            if is_word {
                words.push(text.clone());
            }
            if is_kind {
                kinds.push(text.clone());
            }
            if !is_word && !is_kind {
                return Err(KindsError::UnknownEvent(bare.to_owned()));
            }
        }
        // Cannot fail: each pattern compiled above.
        let (kinds, words) = (compiled(&kinds)?, compiled(&words)?);
        Ok(Self { texts: texts.to_vec(), kinds, words, sets, excluded_sets })
    }

    /// The patterns as written.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }

    pub(super) fn fits(&self, event: &Event) -> bool {
        self.fit(event) == Fit::Fits
    }

    pub(super) fn fit(&self, event: &Event) -> Fit {
        let kind = event.kind.as_str();
        if let Some(set) = self.excluded_sets.iter().find(|set| set.holds(event)) {
            return Fit::Excluded { value: kind.to_owned(), pattern: format!("!@{}", set.name) };
        }
        let (by_kind, by_word) = (self.kinds.fit(&[kind]), self.words.fit(&[&event.key]));
        if let Some(excluded) = [&by_kind, &by_word].into_iter().find(|fit| matches!(fit, Fit::Excluded { .. })) {
            return excluded.clone();
        }
        let included = self.kinds.matches(kind)
            || self.words.matches(&event.key)
            || self.sets.iter().any(|set| set.holds(event))
            || self.only_exclude();
        if included {
            return Fit::Fits;
        }
        let patterns = self.texts.iter().filter(|text| !text.starts_with('!')).cloned().collect();
        let by_set = self.sets.iter().any(|set| set.may_hold(event.kind));
        let mut values = vec![if by_set { met_by_set(event) } else { kind.to_owned() }];
        if !self.words.only_exclude() && event.key != kind {
            values.push(event.key.clone());
        }
        Fit::NoneOf { values, patterns }
    }

    fn only_exclude(&self) -> bool {
        self.kinds.only_exclude() && self.words.only_exclude() && self.sets.is_empty()
    }

    /// Returns true if events of a kind may fit. A pattern for the host's event keys may fit any kind, because only the
    /// source knows the mapping.
    pub(super) fn may_hold(&self, kind: Kind) -> bool {
        !matches!(self.kinds.fit(&[kind.as_str()]), Fit::Excluded { .. })
            && (self.kinds.matches(kind.as_str())
                || !self.words.only_exclude()
                || self.sets.iter().any(|set| set.may_hold(kind))
                || self.only_exclude())
    }

    /// Returns true if events of a kind with this event key of the host may fit.
    pub(super) fn may_hold_key(&self, kind: Kind, key: &str) -> bool {
        let excluded = [self.kinds.fit(&[kind.as_str()]), self.words.fit(&[key])];
        !excluded.iter().any(|fit| matches!(fit, Fit::Excluded { .. }))
            && !self.excluded_sets.iter().any(|set| set.holds_all(kind))
            && (self.kinds.matches(kind.as_str())
                || self.words.matches(key)
                || self.sets.iter().any(|set| set.may_hold(kind))
                || self.only_exclude())
    }

    /// Returns true if every event fits.
    pub(super) fn is_anything(&self) -> bool {
        self.texts == ["@all"]
    }
}

/// Describes an event of a kind that a set contains only in part, with the detail that the set checks.
fn met_by_set(event: &Event) -> String {
    let kind = event.kind.as_str();
    match (event.push.as_ref().and_then(|push| push.via.as_ref()), event.branch()) {
        (Some(_), _) => format!("{kind} by a merge"),
        (None, Some(branch)) => format!("{kind} to {branch}"),
        (None, None) => kind.to_owned(),
    }
}

fn compiled(texts: &[String]) -> Result<Patterns, KindsError> {
    let invalid = |error| KindsError::Pattern { text: texts.join(", "), error };
    Patterns::new(texts, Key::Event.style()).map_err(invalid)
}
