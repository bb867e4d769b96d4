//! Which routes may match an event, found without trying each: by the repository or the workspace that they name, or
//! else by kind.

use std::collections::HashMap;

use super::Route;
use super::key::{Key, Subject};
use super::pattern::Anchor;
use crate::event::Kind;

/// The numbers of routes, in order.
type Numbers = Vec<usize>;

/// Routes by what an event must have to match them.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    repo: Anchored,
    workspace: Anchored,
    /// Those that can be found by neither, for each kind.
    by_kind: HashMap<Kind, Numbers>,
    /// Those that can be found by neither, whatever their kinds.
    anywhere: Numbers,
}

impl Index {
    /// Routes that are switched off are left out.
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

    /// All routes that match an event are among these.
    pub(super) fn candidates(&self, subject: Subject<'_>) -> Numbers {
        self.with_places(subject, self.by_kind.get(&subject.event.kind).map_or(&[], Vec::as_slice))
    }

    /// All routes whose conditions of place an event fits are among these.
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

/// Routes by a part of a key's value.
#[derive(Clone, Debug, Default)]
struct Anchored {
    all: Numbers,
    whole: HashMap<String, Numbers>,
    starts: Parts,
    ends: Parts,
}

/// Routes by how a value begins, or how it ends.
#[derive(Clone, Debug, Default)]
struct Parts {
    /// Of all parts, each once.
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
            // How case folds there is the patterns' own affair.
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
