//! The config as typed: its values by figment (the file, overridden by the environment), and where each stands.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use figment::Figment;
use figment::providers::{Env, Format, Toml};
use figment::value::{Dict, Tag};
use regex::Regex;
use sha2::{Digest, Sha256};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Place, Problem, SourceFile};

/// What the names of environment variables that override the file begin with. Two underscores: Kubernetes sets
/// `HOOKBELL_PORT` and the like for a service of that name.
const PREFIX: &str = "HOOKBELL__";

/// The file and the environment, read.
pub(super) struct Document {
    file: Arc<SourceFile>,
    figment: Figment,
}

/// A step on the way to a value.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Document {
    pub(super) fn parse(path: String, text: String) -> Result<Self, Problem> {
        match DeTable::parse(&text) {
            Ok(root) => {
                let shown = masked(&text, &secrets(root.get_ref()));
                let figment = Figment::new().merge(Toml::string(&text)).merge(Env::prefixed(PREFIX).split("__"));
                Ok(Self { file: Arc::new(SourceFile { path, text: shown }), figment })
            }
            Err(error) => {
                let spans: Vec<_> = QUOTED.find_iter(&text).map(|found| found.range()).collect();
                let file = Arc::new(SourceFile { path, text: masked(&text, &spans) });
                let place = Place::Span(file, error.span().unwrap_or(0..0));
                Err(Problem::error(format!("not valid TOML: {}", error.message()), place))
            }
        }
    }

    /// All values.
    pub(super) fn values(&self) -> Result<Dict, Problem> {
        use figment::Provider;
        let data = self.figment.data().map_err(|error| {
            Problem::error(format!("cannot read the config: {error}"), Place::Named(self.file.path.clone()))
        })?;
        Ok(data.into_iter().next().map(|(_, values)| values).unwrap_or_default())
    }

    /// Where a value stands: in the file, or in a variable.
    pub(super) fn place(&self, path: &[Step], tag: Tag, what: Part) -> Place {
        let from_file = self.figment.get_metadata(tag).is_none_or(|metadata| !metadata.name.contains("environment"));
        if from_file {
            return Place::Span(self.file.clone(), self.span(path, what));
        }
        let names: Vec<String> = path.iter().map(Step::to_string).collect();
        Place::Named(format!("environment variable {PREFIX}{}", names.join("__").to_uppercase()))
    }

    /// The bytes of the file that hold a value or its key; of the nearest table around it where there is none.
    fn span(&self, path: &[Step], what: Part) -> Range<usize> {
        let Ok(root) = DeTable::parse(&self.file.text) else { return 0..0 };
        let mut span = 0..0;
        let mut key_span = None;
        let mut here: Option<&DeValue<'_>> = None;
        for step in path {
            let found: Option<(Option<Range<usize>>, &Spanned<DeValue<'_>>)> = match (step, here) {
                (Step::Key(key), None) => root.get_ref().get_key_value(key.as_str()).map(|(k, v)| (Some(k.span()), v)),
                (Step::Key(key), Some(DeValue::Table(table))) => {
                    table.get_key_value(key.as_str()).map(|(k, v)| (Some(k.span()), v))
                }
                (Step::Index(n), Some(DeValue::Array(items))) => items.get(*n).map(|item| (None, item)),
                _ => None,
            };
            let Some((key, value)) = found else { break };
            span = value.span();
            key_span = key;
            here = Some(value.get_ref());
        }
        match (what, key_span) {
            (Part::Key, Some(key)) => key,
            _ => first_line(&self.file.text, span),
        }
    }

    /// A short name for what the file and the environment say.
    pub(super) fn hash(&self, values: &Dict) -> String {
        let text = serde_json::to_string(values).unwrap_or_default();
        hex::encode(&Sha256::digest(text.as_bytes())[..6])
    }
}

/// The tables in which values may be secrets: somebody may have misspelt the key that holds one.
const WITH_SECRETS: &[&str] = &["sources", "channels", "http"];

/// The keys in there whose values are none.
const HARMLESS: &[&str] = &[
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
];

/// Text between quotes; in what is no TOML, any of it may be a secret.
#[expect(clippy::expect_used, reason = "a literal, which a test compiles")]
static QUOTED: LazyLock<Regex> = LazyLock::new(|| Regex::new("\"[^\"\\n]*\"?|'[^'\\n]*'?").expect("a valid pattern"));

/// Where strings are that may be secrets.
fn secrets(table: &DeTable<'_>) -> Vec<Range<usize>> {
    fn walk(value: &Spanned<DeValue<'_>>, spans: &mut Vec<Range<usize>>) {
        match value.get_ref() {
            DeValue::Table(table) => {
                for (key, value) in table {
                    if !HARMLESS.contains(&key.get_ref().as_ref()) {
                        walk(value, spans);
                    }
                }
            }
            DeValue::Array(items) => items.iter().for_each(|item| walk(item, spans)),
            DeValue::String(_) => spans.push(value.span()),
            _ => {}
        }
    }
    let mut spans = vec![];
    for (key, value) in table {
        if WITH_SECRETS.contains(&key.get_ref().as_ref()) {
            walk(value, &mut spans);
        }
    }
    spans
}

/// The text with these bytes made illegible; all others stay where they are.
fn masked(text: &str, spans: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for span in spans {
        bytes[span.clone()].iter_mut().filter(|byte| **byte != b'\n' && **byte != b'"').for_each(|byte| *byte = b'*');
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What to point at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Key,
    Value,
}

/// A whole table is too much to point at; its first line is enough.
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
