//! Index of routes. It finds the routes that may match an event, by repository, workspace or kind, without testing each
//! route.

use std::collections::HashMap;

use super::Route;
use super::key::{Key, Subject};
use crate::event::Kind;
use crate::pattern::Anchor;

/// Indexes of routes, in ascending order.
type Numbers = Vec<usize>;

/// Routes by the values that an event must have to match them.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    repo: Anchored,
    workspace: Anchored,
    /// Routes without a repository or workspace anchor, by event kind.
    by_kind: HashMap<Kind, Numbers>,
    /// All routes without a repository or workspace anchor.
    anywhere: Numbers,
}

impl Index {
    /// Builds the index. Disabled routes are left out.
    pub(super) fn new(routes: &[Route]) -> Self {
        let mut index = Self::default();
        for (n, route) in routes.iter().enumerate().filter(|(_, route)| route.enabled) {
            if let Some(anchors) = route.conditions.anchors(Key::Repo) {
                index.repo.add(anchors, n);
            } else if let Some(anchors) = route.conditions.anchors(Key::Workspace) {
                index.workspace.add(anchors, n);
            } else {
                index.anywhere.push(n);
                for &kind in Kind::ALL.iter().filter(|kind| route.conditions.may_hold(**kind)) {
                    index.by_kind.entry(kind).or_default().push(n);
                }
            }
        }
        index
    }

    /// Routes that may match the event: a superset of the routes that match.
    pub(super) fn candidates(&self, subject: Subject<'_>) -> Numbers {
        self.with_places(subject, self.by_kind.get(&subject.event.kind).map_or(&[], Vec::as_slice))
    }

    /// Routes that may be near misses: a superset of the routes whose place conditions match.
    pub(super) fn near(&self, subject: Subject<'_>) -> Numbers {
        self.with_places(subject, &self.anywhere)
    }

    fn with_places(&self, subject: Subject<'_>, others: &[usize]) -> Numbers {
        let mut found = others.to_vec();
        self.repo.find(Key::Repo.values(subject).first().copied(), &mut found);
        self.workspace.find(Key::Workspace.values(subject).first().copied(), &mut found);
        if found.len() > others.len() {
            found.sort_unstable();
            found.dedup();
        }
        found
    }
}

/// Routes by a literal part of a key's value.
#[derive(Clone, Debug, Default)]
struct Anchored {
    all: Numbers,
    whole: HashMap<String, Numbers>,
    starts: Parts,
    ends: Parts,
}

/// Routes by the start or the end of a value.
#[derive(Clone, Debug, Default)]
struct Parts {
    /// Lengths of the parts, without duplicates.
    lengths: Vec<usize>,
    routes: HashMap<String, Numbers>,
}

impl Anchored {
    fn add(&mut self, anchors: Vec<Anchor>, route: usize) {
        self.all.push(route);
        for anchor in anchors {
            match anchor {
                Anchor::Whole(text) => self.whole.entry(text).or_default().push(route),
                Anchor::Start(text) => self.starts.add(text, route),
                Anchor::End(text) => self.ends.add(text, route),
            }
        }
    }

    fn find(&self, value: Option<&str>, found: &mut Numbers) {
        let Some(value) = value else { return };
        if !value.is_ascii() {
            // Only the patterns know the case folding of other characters.
            found.extend(&self.all);
            return;
        }
        let value = value.to_ascii_lowercase();
        found.extend(self.whole.get(&value).into_iter().flatten());
        self.starts.find(found, |length| value.get(..length));
        self.ends.find(found, |length| value.get(value.len().checked_sub(length)?..));
    }
}

impl Parts {
    fn add(&mut self, part: String, route: usize) {
        if !self.lengths.contains(&part.len()) {
            self.lengths.push(part.len());
        }
        self.routes.entry(part).or_default().push(route);
    }

    fn find<'a>(&self, found: &mut Numbers, part: impl Fn(usize) -> Option<&'a str>) {
        let parts = self.lengths.iter().filter_map(|length| part(*length));
        found.extend(parts.filter_map(|part| self.routes.get(part)).flatten());
    }
}
