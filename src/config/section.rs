//! A table of the config, whose values are taken out one by one. What is wrong is noted, and the rest goes on;
//! what is left in the end is unknown.

use std::cell::RefCell;

use figment::value::{Dict, Tag, Value};

use super::document::{Document, Part, Step};
use crate::problem::{Place, Problem, nearest};

/// What is wrong so far, and the document that it is about.
pub(super) struct Notes<'a> {
    pub(super) document: &'a Document,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Notes<'a> {
    pub(super) fn new(document: &'a Document) -> Self {
        Self { document, problems: RefCell::default() }
    }

    pub(super) fn add(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn any(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// A table.
pub(super) struct Section<'a> {
    notes: &'a Notes<'a>,
    path: Vec<Step>,
    tag: Tag,
    values: Dict,
    asked: Vec<&'static str>,
}

/// A value that was taken out, with its place.
pub(super) struct Taken<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<'a> Section<'a> {
    pub(super) fn root(notes: &'a Notes<'a>, values: Dict) -> Self {
        Self { notes, path: vec![], tag: Tag::Default, values, asked: vec![] }
    }

    /// The table's own place.
    pub(super) fn place(&self) -> Place {
        self.notes.document.place(&self.path, self.tag, Part::Value)
    }

    /// Where a key's value stands, or would.
    pub(super) fn place_of(&self, key: &str) -> Place {
        match self.values.get(key) {
            Some(value) => {
                let path = extend(&self.path, Step::Key(key.to_owned()));
                self.notes.document.place(&path, value.tag(), Part::Value)
            }
            None => self.place(),
        }
    }

    /// Whether anything is wrong so far, here or elsewhere.
    pub(super) fn is_noted(&self) -> bool {
        self.notes.any()
    }

    pub(super) fn note(&self, problem: Problem) {
        self.notes.add(problem);
    }

    pub(super) fn string(&mut self, key: &'static str) -> Option<Taken<String>> {
        self.scalar(key, "a string", |value| value.as_str().map(ToOwned::to_owned))
    }

    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        self.scalar(key, "`true` or `false`", Value::to_bool).is_some_and(|taken| taken.value)
    }

    /// A string, or a list of strings; each with its place.
    pub(super) fn strings(&mut self, key: &'static str) -> Option<Vec<Taken<String>>> {
        let (value, path) = self.take(key)?;
        let items = match value {
            Value::Array(_, items) => items.into_iter().enumerate().map(|(n, item)| (step(&path, n), item)).collect(),
            one => vec![(path, one)],
        };
        let texts = items.into_iter().filter_map(|(path, item)| {
            let place = self.notes.document.place(&path, item.tag(), Part::Value);
            // A flag (`draft = true`) is as good as its text.
            let text = item.as_str().map(ToOwned::to_owned).or_else(|| item.to_bool().map(|flag| flag.to_string()));
            if text.is_none() {
                self.wrong(key, "a string or a list of strings", &item, place.clone());
            }
            Some(Taken { value: text?, place })
        });
        Some(texts.collect())
    }

    /// A value of any sort, for those that may be of several.
    pub(super) fn any(&mut self, key: &'static str) -> Option<Taken<Value>> {
        let (value, path) = self.take(key)?;
        let place = self.notes.document.place(&path, value.tag(), Part::Value);
        Some(Taken { value, place })
    }

    /// A table under this key; an empty one where there is none.
    pub(super) fn table(&mut self, key: &'static str) -> Section<'a> {
        let taken = self.take(key);
        let path =
            taken.as_ref().map_or_else(|| extend(&self.path, Step::Key(key.to_owned())), |(_, path)| path.clone());
        let value = taken.map_or(Value::Dict(Tag::Default, Dict::new()), |(value, _)| value);
        self.section(key, path, value)
    }

    /// `[key.NAME]` tables.
    pub(super) fn named(&mut self, key: &'static str) -> Vec<(String, Section<'a>)> {
        let section = self.table(key);
        let path = section.path.clone();
        let tables = section.values.into_iter().map(|(name, value)| {
            let path = extend(&path, Step::Key(name.clone()));
            let section = self.section(key, path, value);
            (name, section)
        });
        tables.collect()
    }

    /// `[[key]]` tables.
    pub(super) fn list(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let Some((value, path)) = self.take(key) else { return vec![] };
        match value {
            Value::Array(_, items) => {
                let sections = items.into_iter().enumerate().map(|(n, item)| self.section(key, step(&path, n), item));
                sections.collect()
            }
            other => {
                let place = self.notes.document.place(&path, other.tag(), Part::Value);
                self.wrong(key, &format!("`[[{key}]]` tables"), &other, place);
                vec![]
            }
        }
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(self) {
        for (key, value) in &self.values {
            let path = extend(&self.path, Step::Key(key.clone()));
            let place = self.notes.document.place(&path, value.tag(), Part::Key);
            let near = nearest(key, self.asked.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let known = format!("known here: {}", self.asked.join(", "));
            let within = match self.path.as_slice() {
                [] => "the config".to_owned(),
                steps => format!("`{}`", names(steps)),
            };
            let problem = Problem::error(format!("unknown key `{key}` in {within}"), place);
            self.notes.add(problem.help(near.unwrap_or(known)));
        }
    }

    fn scalar<T>(&mut self, key: &'static str, expected: &str, of: impl Fn(&Value) -> Option<T>) -> Option<Taken<T>> {
        let (value, path) = self.take(key)?;
        let place = self.notes.document.place(&path, value.tag(), Part::Value);
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

    fn section(&self, key: &str, path: Vec<Step>, value: Value) -> Section<'a> {
        let tag = value.tag();
        let values = match value {
            Value::Dict(_, values) => values,
            other => {
                let place = self.notes.document.place(&path, tag, Part::Value);
                self.wrong(key, "a table", &other, place);
                Dict::new()
            }
        };
        Section { notes: self.notes, path, tag, values, asked: vec![] }
    }

    fn wrong(&self, key: &str, expected: &str, found: &Value, place: Place) {
        let found = match found {
            Value::String(..) => "a string",
            Value::Char(..) => "a character",
            Value::Bool(..) => "`true` or `false`",
            Value::Num(..) => "a number",
            Value::Empty(..) => "nothing",
            Value::Dict(..) => "a table",
            Value::Array(..) => "a list",
        };
        self.notes.add(Problem::error(format!("`{key}` must be {expected}, not {found}"), place));
    }
}

fn extend(path: &[Step], step: Step) -> Vec<Step> {
    path.iter().cloned().chain([step]).collect()
}

fn step(path: &[Step], n: usize) -> Vec<Step> {
    extend(path, Step::Index(n))
}

/// `routes[2]`, `channels.screen`.
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
