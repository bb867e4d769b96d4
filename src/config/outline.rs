//! The parts of a configuration, each with a fingerprint, so that a reload can report what changed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use figment::value::{Dict, Value};

use super::kept::unnamed;
use crate::template::Library;

/// Parts of a configuration by name: route `x`, channel `y`, secret file `z`. Fingerprints never leave the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline(BTreeMap<String, u64>);

impl Outline {
    /// Adds the tables of the files, in reading order.
    pub(super) fn add_files<'a>(&mut self, files: impl Iterator<Item = &'a Dict>) {
        let mut rules: BTreeMap<&str, Vec<&'a Value>> = BTreeMap::new();
        for (key, value) in files.flatten() {
            match (key.as_str(), value) {
                ("routes" | "mutes", Value::Array(_, all)) => {
                    rules.entry(key.trim_end_matches('s')).or_default().extend(all);
                }
                ("sources" | "channels" | "people", Value::Dict(_, tables)) => {
                    let what = if key == "people" { "person" } else { key.trim_end_matches('s') };
                    for (name, table) in tables {
                        self.add(format!("{what} `{name}`"), table);
                    }
                }
                _ => self.add(format!("`{key}`"), value),
            }
        }
        for (what, rules) in rules {
            self.add_rules(what, &rules);
        }
    }

    fn add_rules(&mut self, what: &str, rules: &[&Value]) {
        let mut names = vec![];
        for (n, rule) in rules.iter().enumerate() {
            let name = rule.as_dict().and_then(|rule| rule.get("name")?.as_str());
            // Number among all rules of the type, the same name as everywhere else.
            let name = name.map_or_else(|| unnamed(what, n), ToOwned::to_owned);
            self.add(format!("{what} `{name}`"), rule);
            names.push(name);
        }
        self.0.insert(order_of(what), fingerprint(&names));
    }

    /// Adds a file that the configuration refers to.
    pub(super) fn add_file(&mut self, what: &str, path: &Path, holds: &impl Hash) {
        self.0.insert(file(what, path), fingerprint(holds));
    }

    /// Returns true if this file was read.
    pub(super) fn has_file(&self, what: &str, path: &Path) -> bool {
        self.0.contains_key(&file(what, path))
    }

    /// Adds the user's templates.
    pub(super) fn add_templates(&mut self, templates: &Library) {
        for (name, text) in templates.texts() {
            self.0.insert(format!("template `{name}`"), fingerprint(&text));
        }
    }

    fn add(&mut self, name: String, value: &Value) {
        self.0.insert(name, fingerprint(&serde_json::to_string(value).unwrap_or_default()));
    }

    /// Lists the differences in a newer outline: `added route …`.
    pub fn changes(&self, newer: &Self) -> Vec<String> {
        let added = newer.0.keys().filter(|name| !self.0.contains_key(*name)).map(|name| ("added", name));
        let removed = self.0.keys().filter(|name| !newer.0.contains_key(*name)).map(|name| ("removed", name));
        let changed = newer.0.iter().filter(|(name, new)| self.0.get(*name).is_some_and(|old| old != *new));
        let mut changes: Vec<_> = added.chain(removed).chain(changed.map(|(name, _)| ("changed", name))).collect();
        for what in ["route", "mute"] {
            // An added or removed rule is listed as such; the changed order is not listed in addition.
            let of_rule = |(how, name): &(&str, &String)| *how != "changed" && name.starts_with(&format!("{what} `"));
            if changes.iter().any(of_rule) {
                changes.retain(|(_, name)| **name != order_of(what));
            }
        }
        changes.into_iter().map(|(how, name)| format!("{how} {name}")).collect()
    }
}

fn file(what: &str, path: &Path) -> String {
    format!("{what} `{}`", path.display())
}

fn order_of(what: &str) -> String {
    format!("the order of {what}s")
}

fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
