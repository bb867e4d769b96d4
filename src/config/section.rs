//! A table of the config, whose values are taken out one by one. What is wrong is noted, and the rest goes on;
//! what is left in the end is unknown.

use std::cell::{Cell, RefCell};

use figment::value::{Dict, Tag, Value};

use super::document::{Document, Step, What};
use crate::problem::{Place, Problem, Severity, nearest};

/// What a mistake makes useless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Part {
    /// The service as a whole: it does not start.
    #[default]
    Service,
    /// What says where events go: they come in and wait until it is mended.
    Routing,
}

/// What is wrong so far.
#[derive(Default)]
pub(super) struct Notes {
    part: Cell<Part>,
    problems: RefCell<Vec<Problem>>,
    broken: Cell<Broken>,
    /// The keys that each sort of table was asked for.
    #[cfg(test)]
    pub(super) asked: RefCell<std::collections::BTreeMap<String, Vec<&'static str>>>,
}

/// What cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) service: bool,
    pub(super) routing: bool,
}

impl Notes {
    /// What is noted from now on is about this part.
    pub(super) fn begin(&self, part: Part) {
        self.part.set(part);
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

/// A table.
pub(super) struct Section<'a> {
    pub(super) document: &'a Document,
    notes: &'a Notes,
    /// What sort of table it is: `channels.NAME`, `routes`.
    sort: String,
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
    pub(super) fn root(notes: &'a Notes, document: &'a Document, values: Dict) -> Self {
        Self { document, notes, sort: String::new(), path: vec![], tag: Tag::Default, values, asked: vec![] }
    }

    /// The table's own place.
    pub(super) fn place(&self) -> Place {
        self.document.place(&self.path, self.tag, What::Value)
    }

    /// Where the value of a key stands that was not taken yet, if there is one.
    pub(super) fn placed(&self, key: &str) -> Option<Place> {
        let tag = self.values.get(key)?.tag();
        Some(self.document.place(&extend(&self.path, Step::Key(key.to_owned())), tag, What::Value))
    }

    /// The same; the table's where there is none.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.placed(key).unwrap_or_else(|| self.place())
    }

    /// Where the value stood that was taken from under a key.
    pub(super) fn place_of_taken(&self, key: &str) -> Place {
        let path = extend(&self.path, Step::Key(key.to_owned()));
        self.document.place(&path, self.tag, What::Value)
    }

    /// A string, left where it is.
    pub(super) fn peek(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(Value::as_str)
    }

    /// Whether there are keys that nobody asked for so far.
    pub(super) fn has_more(&self) -> bool {
        !self.values.is_empty()
    }

    /// Whether anything is of no use so far, here or elsewhere.
    pub(super) fn is_broken(&self) -> bool {
        self.notes.broken() != Broken::default()
    }

    pub(super) fn note(&self, problem: Problem) {
        self.notes.add(problem);
    }

    pub(super) fn string(&mut self, key: &'static str) -> Option<Taken<String>> {
        self.scalar(key, "a string", |value| value.as_str().map(ToOwned::to_owned))
    }

    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        self.flag_or(key, false)
    }

    pub(super) fn flag_or(&mut self, key: &'static str, default: bool) -> bool {
        self.scalar(key, "`true` or `false`", Value::to_bool).map_or(default, |taken| taken.value)
    }

    /// A date or a time, as it is written.
    pub(super) fn moment(&mut self, key: &'static str) -> Option<Taken<String>> {
        self.scalar(key, "a date or a time", |value| match value {
            // TOML's own dates come so from figment.
            Value::Dict(_, date) => date.get("$__toml_private_datetime")?.as_str().map(ToOwned::to_owned),
            value => value.as_str().map(ToOwned::to_owned),
        })
    }

    /// A table under this key, if there is one.
    pub(super) fn optional(&mut self, key: &'static str) -> Option<Section<'a>> {
        let (value, path) = self.take(key)?;
        Some(self.section(key, path, value, ""))
    }

    /// A string, or a list of strings; each with its place.
    pub(super) fn strings(&mut self, key: &'static str) -> Option<Vec<Taken<String>>> {
        let (value, path) = self.take(key)?;
        let items = match value {
            Value::Array(_, items) => items.into_iter().enumerate().map(|(n, item)| (step(&path, n), item)).collect(),
            one => vec![(path, one)],
        };
        let texts = items.into_iter().filter_map(|(path, item)| {
            let place = self.document.place(&path, item.tag(), What::Value);
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
        let place = self.document.place(&path, value.tag(), What::Value);
        Some(Taken { value, place })
    }

    /// A table under this key; an empty one where there is none.
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
                self.wrong(key, &format!("`[[{key}]]` tables"), &other, place);
                vec![]
            }
        }
    }

    /// Leaves out what was not taken, because of a mistake that is noted it cannot be known what it means; but for misspelt
    /// keys.
    pub(super) fn discard(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        self.values.retain(|key, _| nearest(key, asked.iter().copied()).is_some());
        self.asked = asked;
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(self) {
        #[cfg(test)]
        self.notes.asked.borrow_mut().entry(self.sort.clone()).or_default().extend(&self.asked);
        for (key, value) in &self.values {
            let path = extend(&self.path, Step::Key(key.clone()));
            let place = self.document.place(&path, value.tag(), What::Key);
            let near = nearest(key, self.asked.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let known = format!("known here: {}", self.asked.join(", "));
            let within = match self.path.as_slice() {
                [] if self.document.is_included => "an included file".to_owned(),
                [] => "the config".to_owned(),
                steps => format!("`{}`", names(steps)),
            };
            let problem = Problem::error(format!("unknown key `{key}` in {within}"), place);
            // TOML reads what stands below a table's header as part of the table.
            let is_misplaced = !self.path.is_empty() && AT_THE_TOP.contains(&key.as_str());
            let problem = if is_misplaced {
                problem.help(format!("move `{key}` to the top of the file, above the first `[table]`"))
            } else {
                problem.help(near.clone().unwrap_or(known))
            };
            let is_of_service = |near: String| OF_SERVICE.iter().any(|table| near.contains(&format!("`{table}`")));
            match self.path.as_slice() {
                // A table of its own that nobody knows: it may have been meant to be one of these.
                [] if near.is_some_and(is_of_service) => self.notes.add_to(Part::Service, problem),
                [] => self.notes.add_to(Part::Routing, problem),
                _ => self.notes.add(problem),
            }
        }
    }

    fn scalar<T>(&mut self, key: &'static str, expected: &str, of: impl Fn(&Value) -> Option<T>) -> Option<Taken<T>> {
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
                self.wrong(key, "a table", &other, place);
                Dict::new()
            }
        };
        let sort = format!("{within}{key}{named}");
        Section { document: self.document, notes: self.notes, sort, path, tag, values, asked: vec![] }
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
        let help = match (expected, found) {
            ("a table", _) => Some(format!("write `[{key}]` on a line of its own, and what belongs there below it")),
            ("a string", "a number" | "`true` or `false`") => Some("put it between quotes".to_owned()),
            ("`true` or `false`", "a string") => Some("leave the quotes out".to_owned()),
            _ => None,
        };
        self.notes.add(Problem::error(format!("`{key}` must be {expected}, not {found}"), place).maybe_help(help));
    }
}

/// Keys of the file itself, which stand above all tables.
const AT_THE_TOP: &[&str] = &["templates", "include"];

/// The tables without which the service does not start.
const OF_SERVICE: &[&str] = &["server", "store", "sources", "admin"];

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
