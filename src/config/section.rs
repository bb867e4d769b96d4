//! A table of the configuration. Its values are taken one by one. Errors are recorded without stopping, and the keys
//! that remain at the end are unknown.

use std::cell::{Cell, RefCell};

use figment::value::{Dict, Tag, Value};

use super::document::{DATE, Document, Step, What};
use super::problems::{ConfigProblem, Expected, Found};
use crate::problem::{Describe, Place, Problem, Severity, nearest};

/// Part of the program that an error makes unusable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Part {
    /// The whole service: it does not start.
    #[default]
    Service,
    /// The routing configuration: events are stored as pending routing until it is fixed.
    Routing,
}

/// Problems found so far.
#[derive(Default)]
pub(super) struct Notes {
    part: Cell<Part>,
    problems: RefCell<Vec<Problem>>,
    broken: Cell<Broken>,
    /// The keys that were read from each type of table.
    #[cfg(test)]
    pub(super) asked: RefCell<std::collections::BTreeMap<String, Vec<&'static str>>>,
}

/// Parts that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) service: bool,
    pub(super) routing: bool,
}

impl Notes {
    /// Assigns the problems added from here on to this part.
    pub(super) fn begin(&self, part: Part) {
        self.part.set(part);
    }

    pub(super) fn note(&self, problem: &impl Describe, place: Place) {
        self.add(problem.at(place));
    }

    pub(super) fn add(&self, problem: Problem) {
        self.add_to(self.part.get(), problem);
    }

    pub(super) fn add_to(&self, part: Part, problem: Problem) {
        if problem.severity == Severity::Error {
            let broken = self.broken.get();
            self.broken.set(match part {
                Part::Service => Broken { service: true, ..broken },
                Part::Routing => Broken { routing: true, ..broken },
            });
        }
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn broken(&self) -> Broken {
        self.broken.get()
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// A table and the values that were not taken yet.
pub(super) struct Section<'a> {
    pub(super) document: &'a Document,
    notes: &'a Notes,
    /// Type of the table: `channels.NAME`, `routes`.
    sort: String,
    path: Vec<Step>,
    tag: Tag,
    values: Dict,
    asked: Vec<&'static str>,
}

/// A value with its position.
pub(super) struct Taken<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<'a> Section<'a> {
    pub(super) fn root(notes: &'a Notes, document: &'a Document, values: Dict) -> Self {
        Self { document, notes, sort: String::new(), path: vec![], tag: Tag::Default, values, asked: vec![] }
    }

    /// The table's position.
    pub(super) fn place(&self) -> Place {
        self.document.place(&self.path, self.tag, What::Value)
    }

    /// Position of a value that was not taken yet; `None` if the key is missing.
    pub(super) fn placed(&self, key: &str) -> Option<Place> {
        let tag = self.values.get(key)?.tag();
        Some(self.document.place(&extend(&self.path, Step::Key(key.to_owned())), tag, What::Value))
    }

    /// Position of a value that was not taken yet, or of the table if the key is missing.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.placed(key).unwrap_or_else(|| self.place())
    }

    /// Position of a value that was already taken.
    pub(super) fn place_of_taken(&self, key: &str) -> Place {
        let path = extend(&self.path, Step::Key(key.to_owned()));
        self.document.place(&path, self.tag, What::Value)
    }

    /// Returns a string without taking it.
    pub(super) fn peek(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(Value::as_str)
    }

    /// Returns true if keys remain that were not taken.
    pub(super) fn has_more(&self) -> bool {
        !self.values.is_empty()
    }

    /// Returns true if an error was recorded, in this table or elsewhere.
    pub(super) fn is_broken(&self) -> bool {
        self.notes.broken() != Broken::default()
    }

    pub(super) fn note(&self, problem: &impl Describe, place: Place) {
        self.notes.note(problem, place);
    }

    /// Records a problem that has its place.
    pub(super) fn add(&self, problem: Problem) {
        self.notes.add(problem);
    }

    pub(super) fn string(&mut self, key: &'static str) -> Option<Taken<String>> {
        self.scalar(key, Expected::Text, |value| value.as_str().map(ToOwned::to_owned))
    }

    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        self.flag_or(key, false)
    }

    pub(super) fn flag_or(&mut self, key: &'static str, default: bool) -> bool {
        self.scalar(key, Expected::Flag, Value::to_bool).map_or(default, |taken| taken.value)
    }

    /// A date or a time, as written in the file.
    pub(super) fn timestamp(&mut self, key: &'static str) -> Option<Taken<String>> {
        self.scalar(key, Expected::Timestamp, |value| match value {
            Value::Dict(_, date) => date.get(DATE)?.as_str().map(ToOwned::to_owned),
            value => value.as_str().map(ToOwned::to_owned),
        })
    }

    /// The table under this key; `None` if the key is missing.
    pub(super) fn optional(&mut self, key: &'static str) -> Option<Section<'a>> {
        let (value, path) = self.take(key)?;
        Some(self.section(key, path, value, ""))
    }

    /// A string or a list of strings, each with its position.
    pub(super) fn strings(&mut self, key: &'static str) -> Option<Vec<Taken<String>>> {
        let (value, path) = self.take(key)?;
        let items = match value {
            Value::Array(_, items) => items.into_iter().enumerate().map(|(n, item)| (step(&path, n), item)).collect(),
            one => vec![(path, one)],
        };
        let texts = items.into_iter().filter_map(|(path, item)| {
            let place = self.document.place(&path, item.tag(), What::Value);
            // A boolean (`draft = true`) is accepted as its text.
            let text = item.as_str().map(ToOwned::to_owned).or_else(|| item.to_bool().map(|flag| flag.to_string()));
            if text.is_none() {
                self.wrong(key, Expected::Texts, &item, place.clone());
            }
            Some(Taken { value: text?, place })
        });
        Some(texts.collect())
    }

    /// A value of any type, for keys that accept several types.
    pub(super) fn any(&mut self, key: &'static str) -> Option<Taken<Value>> {
        let (value, path) = self.take(key)?;
        let place = self.document.place(&path, value.tag(), What::Value);
        Some(Taken { value, place })
    }

    /// The table under this key; an empty one if the key is missing.
    pub(super) fn table(&mut self, key: &'static str) -> Section<'a> {
        let taken = self.take(key);
        let path =
            taken.as_ref().map_or_else(|| extend(&self.path, Step::Key(key.to_owned())), |(_, path)| path.clone());
        let value = taken.map_or(Value::Dict(Tag::Default, Dict::new()), |(value, _)| value);
        self.section(key, path, value, "")
    }

    /// `[key.NAME]` tables.
    pub(super) fn named(&mut self, key: &'static str) -> Vec<(String, Section<'a>)> {
        let section = self.table(key);
        let path = section.path.clone();
        let tables = section.values.into_iter().map(|(name, value)| {
            let path = extend(&path, Step::Key(name.clone()));
            let section = self.section(key, path, value, ".NAME");
            (name, section)
        });
        tables.collect()
    }

    /// `[[key]]` tables.
    pub(super) fn list(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let Some((value, path)) = self.take(key) else { return vec![] };
        match value {
            Value::Array(_, items) => {
                let sections =
                    items.into_iter().enumerate().map(|(n, item)| self.section(key, step(&path, n), item, ""));
                sections.collect()
            }
            other => {
                let place = self.document.place(&path, other.tag(), What::Value);
                self.wrong(key, Expected::Tables(key), &other, place);
                vec![]
            }
        }
    }

    /// Returns the name of the table: `channels.screen`.
    pub(super) fn name(&self) -> String {
        names(&self.path)
    }

    /// Discards the keys that were not taken, except misspelled ones: after a recorded error their meaning is unclear.
    pub(super) fn discard(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        self.values.retain(|key, _| nearest(key, asked.iter().copied()).is_some());
        self.asked = asked;
    }

    /// Records an error for every key that was not taken.
    pub(super) fn finish(self) {
        #[cfg(test)]
        self.notes.asked.borrow_mut().entry(self.sort.clone()).or_default().extend(&self.asked);
        for (key, value) in &self.values {
            let path = extend(&self.path, Step::Key(key.clone()));
            let place = self.document.place(&path, value.tag(), What::Key);
            let near = nearest(key, self.asked.iter().copied());
            let key = key.clone();
            // In TOML, every key below a table header belongs to that table.
            let problem = if !self.path.is_empty() && AT_THE_TOP.contains(&key.as_str()) {
                ConfigProblem::KeyBelowTable { key, table: names(&self.path) }
            } else {
                let within = match self.path.as_slice() {
                    [] if self.document.is_included => "an included file".to_owned(),
                    [] => "the configuration".to_owned(),
                    steps => format!("`{}`", names(steps)),
                };
                let near = near.map(ToOwned::to_owned);
                ConfigProblem::UnknownKey { key, within, known: self.asked.clone(), near }
            };
            let problem = problem.at(place);
            match self.path.as_slice() {
                // An unknown table may be a misspelled one of these.
                [] if near.is_some_and(|near| OF_SERVICE.contains(&near)) => self.notes.add_to(Part::Service, problem),
                [] => self.notes.add_to(Part::Routing, problem),
                _ => self.notes.add(problem),
            }
        }
    }

    fn scalar<T>(
        &mut self,
        key: &'static str,
        expected: Expected,
        of: impl Fn(&Value) -> Option<T>,
    ) -> Option<Taken<T>> {
        let (value, path) = self.take(key)?;
        let place = self.document.place(&path, value.tag(), What::Value);
        match of(&value) {
            Some(value) => Some(Taken { value, place }),
            None => {
                self.wrong(key, expected, &value, place);
                None
            }
        }
    }

    fn take(&mut self, key: &'static str) -> Option<(Value, Vec<Step>)> {
        self.asked.push(key);
        let value = self.values.remove(key)?;
        Some((value, extend(&self.path, Step::Key(key.to_owned()))))
    }

    fn section(&self, key: &str, path: Vec<Step>, value: Value, named: &str) -> Section<'a> {
        let tag = value.tag();
        let within = if self.sort.is_empty() { String::new() } else { format!("{}.", self.sort) };
        let values = match value {
            Value::Dict(_, values) => values,
            other => {
                let place = self.document.place(&path, tag, What::Value);
                self.wrong(&names(&path), Expected::Table, &other, place);
                Dict::new()
            }
        };
        let sort = format!("{within}{key}{named}");
        Section { document: self.document, notes: self.notes, sort, path, tag, values, asked: vec![] }
    }

    fn wrong(&self, key: &str, expected: Expected, found: &Value, place: Place) {
        let found = match found {
            Value::String(..) => Found::Text,
            Value::Char(..) => Found::Character,
            Value::Bool(..) => Found::Flag,
            Value::Num(..) => Found::Number,
            Value::Empty(..) => Found::Nothing,
            Value::Dict(..) => Found::Table,
            Value::Array(..) => Found::List,
        };
        self.notes.note(&ConfigProblem::WrongType { key: key.to_owned(), expected, found }, place);
    }
}

/// Top-level keys, which must be above all tables.
const AT_THE_TOP: &[&str] = &["templates", "include"];

/// Tables whose errors prevent the service from starting.
const OF_SERVICE: &[&str] = &["server", "store", "sources", "admin"];

fn extend(path: &[Step], step: Step) -> Vec<Step> {
    path.iter().cloned().chain([step]).collect()
}

fn step(path: &[Step], n: usize) -> Vec<Step> {
    extend(path, Step::Index(n))
}

/// A path as text: `routes[2]`, `channels.screen`.
fn names(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Index(n) => text.push_str(&format!("[{}]", n + 1)),
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.push_str(&format!(".{key}")),
        }
    }
    text
}
