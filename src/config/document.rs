//! A configuration file: its values, overridden by the environment, and their positions.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use figment::providers::{Env, Serialized};
use figment::util::nest;
use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};
use regex::Regex;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problems::ConfigProblem;
use crate::problem::{Describe, Place, Problem, SourceFile};
use crate::routing::Key;

/// Prefix of environment variables that override the file. It has two underscores because Kubernetes sets
/// `HOOKBELL_PORT` and similar variables for a service named `hookbell`.
const PREFIX: &str = "HOOKBELL__";

/// A parsed file. Environment variables override the values of the main file.
pub(super) struct Document {
    /// Base directory for relative paths in the file.
    pub(super) directory: PathBuf,
    /// True if users other than its owner and group can read the file.
    pub(super) is_public: bool,
    /// True if another file includes this one.
    pub(super) is_included: bool,
    file: Arc<SourceFile>,
    spans: HashMap<String, Spans>,
    figment: Figment,
}

/// Position of a value, and of its key if it has one.
struct Spans {
    key: Option<Range<usize>>,
    value: Range<usize>,
}

/// One step in the path to a value.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// An environment variable that overrides a value.
struct Variable {
    path: String,
    text: String,
}

impl Provider for Variable {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment variable")
    }

    /// Parses the variable. The configuration has no numeric values, so a secret or a name made of digits stays text.
    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let Ok(read) = self.text.parse();
        // Text may start like a list or a table; it is one only if it is valid TOML.
        let is_text = match &read {
            Value::Num(..) => true,
            Value::Array(..) | Value::Dict(..) => !is_toml(&self.text),
            _ => false,
        };
        let value = if is_text { Value::from(self.text.as_str()) } else { read };
        Ok(Profile::Default.collect(nest(&self.path, value).into_dict().unwrap_or_default()))
    }
}

/// The values of a file.
struct FileValues(Dict);

impl Provider for FileValues {
    fn metadata(&self) -> Metadata {
        Metadata::named("TOML file")
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}

/// Key of a date or a time, which figment has no type for: its only key is this one, with the text as its value.
pub(super) const DATE: &str = "$__toml_private_datetime";

/// Returns the values of a table, or the position of one that is out of range.
fn dict(table: &DeTable<'_>) -> Result<Dict, Range<usize>> {
    table.iter().map(|(key, item)| Ok((key.get_ref().to_string(), value(item)?))).collect()
}

fn value(item: &Spanned<DeValue<'_>>) -> Result<Value, Range<usize>> {
    let out_of_range = || item.span();
    Ok(match item.get_ref() {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Integer(number) => {
            Value::from(i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| out_of_range())?)
        }
        DeValue::Float(number) => {
            let float: f64 = number.as_str().parse().map_err(|_| out_of_range())?;
            if float.is_infinite() && !number.as_str().contains("inf") {
                return Err(out_of_range());
            }
            Value::from(float)
        }
        DeValue::Datetime(date) => Value::from(Dict::from([(DATE.to_owned(), date.to_string().into())])),
        DeValue::Array(items) => Value::from(items.iter().map(value).collect::<Result<Vec<_>, _>>()?),
        DeValue::Table(table) => Value::from(dict(table)?),
    })
}

/// Writes the path of an environment variable as in the file, whose keys may have capitals: a channel is often named in
/// a variable in capitals, whatever the case of its name. A key that the file does not have is in lower case.
fn as_in_the_file(path: &str, root: &DeTable<'_>) -> String {
    let mut table = Some(root);
    let steps = path.split('.').map(|step| {
        let found = table.and_then(|table| table.iter().find(|(key, _)| key.get_ref().eq_ignore_ascii_case(step)));
        table = found.and_then(|(_, value)| value.get_ref().as_table());
        found.map_or_else(|| step.to_ascii_lowercase(), |(key, _)| key.get_ref().to_string())
    });
    steps.collect::<Vec<_>>().join(".")
}

/// Returns true if the text is a list of strings or a table in TOML syntax.
fn is_toml(text: &str) -> bool {
    let table: Option<toml::Table> = toml::from_str(&format!("value = {text}")).ok();
    match table.as_ref().and_then(|table| table.get("value")) {
        Some(toml::Value::Array(items)) => items.iter().all(toml::Value::is_str),
        Some(value) => value.is_table(),
        None => false,
    }
}

/// Environment overrides, allowed or not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Overrides {
    Yes,
    No,
}

impl Document {
    pub(super) fn parse(path: String, text: &str, overrides: Overrides) -> Result<Self, Problem> {
        match DeTable::parse(text) {
            Ok(root) => {
                let shown = masked(text, &secrets(root.get_ref()));
                let file = Arc::new(SourceFile { path, text: shown });
                let mut spans = HashMap::new();
                note_spans(root.get_ref(), &mut String::new(), &mut spans);
                // Valid syntax can still hold an invalid value, such as a number that is too large.
                let values = dict(root.get_ref())
                    .map_err(|span| ConfigProblem::UnreadableValue.at(Place::Span(file.clone(), span)))?;
                let mut figment = Figment::from(FileValues(values));
                if overrides == Overrides::Yes {
                    for (path, text) in Env::prefixed(PREFIX).split("__").lowercase(false).iter() {
                        let path = as_in_the_file(path.as_str(), root.get_ref());
                        figment = figment.merge(Variable { path, text });
                    }
                }
                let is_included = overrides == Overrides::No;
                Ok(Self { directory: PathBuf::new(), is_public: false, is_included, file, spans, figment })
            }
            Err(error) => {
                let file = Arc::new(SourceFile { path, text: masked(text, &perhaps_secrets(text)) });
                let place = Place::Span(file, error.span().unwrap_or(0..0));
                Err(explained(text, &error).at(place))
            }
        }
    }

    /// A document made of rules from the store, which have no file.
    pub(super) fn kept(values: &serde_json::Value) -> Self {
        let file = Arc::new(SourceFile { path: "kept".to_owned(), text: String::new() });
        let figment = Figment::from(Serialized::defaults(values));
        let spans = HashMap::new();
        Self { directory: PathBuf::new(), is_public: false, is_included: true, file, spans, figment }
    }

    /// Path of the file, as shown to the user.
    pub(super) fn path(&self) -> &str {
        &self.file.path
    }

    /// All values.
    pub(super) fn values(&self) -> Result<Dict, Problem> {
        let data = self
            .figment
            .data()
            .map_err(|error| ConfigProblem::Unreadable(error.into()).at(Place::Named(self.file.path.clone())))?;
        Ok(data.into_iter().next().map(|(_, values)| values).unwrap_or_default())
    }

    /// Position of a value: in the file, or an environment variable.
    pub(super) fn place(&self, path: &[Step], tag: Tag, what: What) -> Place {
        let from_file = self.figment.get_metadata(tag).is_none_or(|metadata| !metadata.name.contains("environment"));
        if from_file {
            return Place::Span(self.file.clone(), self.span(path, what));
        }
        let names: Vec<String> = path.iter().map(Step::to_string).collect();
        Place::Named(format!("environment variable {PREFIX}{}", names.join("__").to_uppercase()))
    }

    /// Byte range of a value or its key. If it is not in the file, the range of the nearest enclosing table.
    fn span(&self, path: &[Step], what: What) -> Range<usize> {
        let mut name = String::new();
        let mut names = vec![];
        for step in path {
            append(&mut name, step);
            names.push(name.clone());
        }
        let Some(found) = names.iter().rev().find_map(|name| self.spans.get(name)) else { return 0..0 };
        match (what, &found.key) {
            (What::Key, Some(key)) => key.clone(),
            _ => first_line(&self.file.text, found.value.clone()),
        }
    }
}

/// Recognizes common TOML errors. The parser tells them apart only in its message.
fn explained(text: &str, error: &toml::de::Error) -> ConfigProblem {
    let reason = error.message().to_owned();
    if !reason.contains("duplicate") {
        return ConfigProblem::InvalidToml(reason);
    }
    let has_header = |list: &&str| text.lines().any(|line| line.trim().starts_with(&format!("[{list}]")));
    match ["routes", "mutes"].into_iter().find(has_header) {
        Some(list) => ConfigProblem::SingleBrackets { reason, list },
        None => ConfigProblem::DuplicateKey(reason),
    }
}

/// Records the position of every value in a table.
fn note_spans(table: &DeTable<'_>, path: &mut String, spans: &mut HashMap<String, Spans>) {
    for (key, value) in table {
        let step = Step::Key(key.get_ref().to_string());
        note_value(step, Some(key.span()), value, path, spans);
    }
}

fn note_value(
    step: Step,
    key: Option<Range<usize>>,
    value: &Spanned<DeValue<'_>>,
    path: &mut String,
    spans: &mut HashMap<String, Spans>,
) {
    let length = path.len();
    append(path, &step);
    spans.insert(path.clone(), Spans { key, value: value.span() });
    match value.get_ref() {
        DeValue::Table(table) => note_spans(table, path, spans),
        DeValue::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                note_value(Step::Index(n), None, item, path, spans);
            }
        }
        _ => {}
    }
    path.truncate(length);
}

/// Appends a step. The separator is safe: no key contains an unescaped control character.
fn append(path: &mut String, step: &Step) {
    let _ = write!(path, "\u{1f}{step}");
}

/// Tables without secrets. Values in all other tables may be secrets, because a table or a key may be misspelled.
const WITHOUT_SECRETS: &[&str] = &["server", "store", "delivery", "routes", "mutes", "templates", "include", "people"];

/// Keys in all other tables whose values are not secrets.
const NOT_SECRET: &[&str] = &[
    "kind",
    "repo",
    "bots",
    "allow_from",
    "unsigned",
    "style",
    "pace",
    "insecure",
    "accept",
    "ca",
    "file",
    "env",
    "generate",
    "hosts",
    "name",
    "role",
    "workspace",
    "repos",
    "email",
    "source",
    "domains",
    "channel",
];

/// A line that sets a key.
#[expect(clippy::expect_used, reason = "a literal, which a test compiles")]
static SETS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^\s*["']?([\w-]+)["']?\s*=(.*)$"#).expect("a valid pattern"));

/// A line that is empty, a comment, or a table header.
#[expect(clippy::expect_used, reason = "a literal, which a test compiles")]
static PLAIN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^\s*(#.*|\[{1,2}[\w."' -]*\]{0,2}\s*(#.*)?)?$"#).expect("a valid pattern"));

/// Byte ranges that may be secrets in text that is not valid TOML: everything except keys and values known to be safe.
fn perhaps_secrets(text: &str) -> Vec<Range<usize>> {
    let mut spans = vec![];
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        let hidden = match SETS.captures(bare).and_then(|found| Some((found.get(1)?, found.get(2)?))) {
            Some((key, value)) if is_sanitized(key.as_str()) && !value.as_str().contains(ADDRESS) => None,
            Some((_, value)) => Some(value.range()),
            None if PLAIN.is_match(bare) => None,
            None => Some(0..bare.len()),
        };
        spans.extend(hidden.map(|hidden| start + hidden.start..start + hidden.end));
        start += line.len();
    }
    spans
}

fn is_sanitized(key: &str) -> bool {
    NOT_SECRET.contains(&key)
        || Key::ALL.iter().any(|known| known.as_str() == key)
        || ["to", "include", "listen", "templates"].contains(&key)
}

/// Marker of a URL, which may be a secret in any position.
const ADDRESS: &str = "://";

/// Byte ranges of values that may be secrets.
fn secrets(table: &DeTable<'_>) -> Vec<Range<usize>> {
    fn walk(value: &Spanned<DeValue<'_>>, is_sanitized: bool, spans: &mut Vec<Range<usize>>) {
        match value.get_ref() {
            DeValue::Table(table) => {
                for (key, value) in table {
                    walk(value, is_sanitized || NOT_SECRET.contains(&key.get_ref().as_ref()), spans);
                }
            }
            DeValue::Array(items) => items.iter().for_each(|item| walk(item, is_sanitized, spans)),
            DeValue::Boolean(_) => {}
            DeValue::String(text) if is_sanitized && !text.contains(ADDRESS) => {}
            DeValue::String(_) => spans.push(value.span()),
            _ if is_sanitized => {}
            _ => spans.push(value.span()),
        }
    }
    let mut spans = vec![];
    for (key, value) in table {
        walk(value, WITHOUT_SECRETS.contains(&key.get_ref().as_ref()), &mut spans);
    }
    spans
}

/// The comment after a secret on the same line: it may contain another one, such as the previous secret.
fn behind(text: &str, end: usize) -> Option<Range<usize>> {
    let line = text.get(end..)?.split('\n').next()?;
    line.find('#').map(|at| end + at + 1..end + line.len())
}

/// The text with these byte ranges masked. All other bytes keep their positions.
fn masked(text: &str, spans: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let spans = spans.iter().cloned();
    for span in spans.flat_map(|span| [behind(text, span.end), Some(span)]).flatten() {
        bytes[span].iter_mut().filter(|byte| **byte != b'\n' && **byte != b'"').for_each(|byte| *byte = b'*');
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Part of an entry that a problem points at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Key,
    Value,
}

/// Limits a range to its first line, because a whole table is too much to point at.
fn first_line(text: &str, span: Range<usize>) -> Range<usize> {
    let end = text.get(span.clone()).and_then(|part| part.find('\n')).map_or(span.end, |at| span.start + at);
    span.start..end
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key) => f.write_str(key),
            Self::Index(n) => write!(f, "{n}"),
        }
    }
}
