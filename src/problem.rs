//! Diagnostics for files that a person wrote: place, message and help.

use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::text::is_terminal_control;

/// A text file of the user, for diagnostics.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Path as the user would write it.
    pub path: String,
    /// Content of the file.
    pub text: String,
}

/// An error or a warning about a file, an environment variable or something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// Statement of the problem in one line that names the key and the value.
    pub message: String,
    /// Location of the problem.
    pub place: Place,
    /// Short text next to the marked place.
    pub label: Option<&'static str>,
    /// Advice on how to fix the problem.
    pub help: Option<String>,
}

/// Severity of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but probably does not do what the user intended.
    Warning,
}

/// Location of a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Byte range of a file.
    Span(Arc<SourceFile>, Range<usize>),
    /// Name of something without lines: a whole file, an environment variable.
    Named(String),
}

impl Place {
    /// Returns `file:line`; `None` for a place without lines.
    pub fn line(&self) -> Option<String> {
        let Self::Span(file, span) = self else { return None };
        let line = file.text.get(..span.start)?.matches('\n').count() + 1;
        Some(format!("{}:{line}", file.path))
    }
}

impl Place {
    /// Returns `file:line`, or the name of a place without lines.
    pub fn named(&self) -> String {
        match self {
            Self::Span(file, _) => self.line().unwrap_or_else(|| file.path.clone()),
            Self::Named(name) => name.clone(),
        }
    }
}

/// The texts of one problem. Each area of the program lists its problems in one enum, so that all its words can be read
/// in one file.
///
/// [`Display`](std::fmt::Display) is the statement: one line that names the key and the value.
pub trait Describe: std::fmt::Display {
    /// Error or warning.
    fn severity(&self) -> Severity {
        Severity::Error
    }

    /// Short text next to the marked place.
    fn label(&self) -> Option<&'static str> {
        None
    }

    /// Advice on how to fix the problem.
    fn help(&self) -> Option<String>;

    /// Creates the problem at a place.
    fn at(&self, place: Place) -> Problem {
        Problem { severity: self.severity(), message: self.to_string(), place, label: self.label(), help: self.help() }
    }
}

/// Advice for a misspelled name.
pub fn did_you_mean(near: &str) -> String {
    format!("did you mean `{near}`?")
}

/// Advice for a misspelled name, at the end of a statement; empty if no name is similar.
pub fn or_near(near: Option<&str>) -> String {
    near.map(|near| format!("; {}", did_you_mean(near))).unwrap_or_default()
}

/// Advice for a value that must be one of a few: the nearest one if there is any, otherwise all of them.
pub fn one_of(near: Option<&str>, all: &[impl AsRef<str>]) -> String {
    let all: Vec<_> = all.iter().map(AsRef::as_ref).collect();
    near.map_or_else(|| format!("expected one of: {}", all.join(", ")), did_you_mean)
}

impl Problem {
    /// Renders the problem for a terminal: `file:line:column`, the line with a marker, and the help.
    pub fn render(&self, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let (message, help) = (inert(&self.message), self.help.as_deref().map(inert));
        let label = self.label;
        let title = level.primary_title(message.as_str());
        let help = help.as_deref().map(|help| Level::HELP.message(help));
        let path;
        let group = match &self.place {
            Place::Span(file, span) => {
                let annotation = AnnotationKind::Primary.span(span.clone()).label(label);
                path = inert(&file.path);
                let snippet = Snippet::source(file.text.as_str()).path(path.as_str()).annotation(annotation);
                title.element(snippet).elements(help)
            }
            Place::Named(name) => {
                path = inert(name);
                Group::with_title(title).element(Origin::path(path.as_str())).elements(help)
            }
        };
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// Maximum number of problems shown at once.
const MAX_SHOWN: usize = 50;

/// Renders problems for a terminal. If there are too many to show, errors come first and the rest is counted.
pub fn render_all(problems: &[Problem], colour: bool) -> Vec<String> {
    let mut shown: Vec<_> = problems.iter().collect();
    if problems.len() > MAX_SHOWN {
        shown.sort_by_key(|problem| problem.severity == Severity::Warning);
    }
    let mut texts: Vec<_> = shown.iter().take(MAX_SHOWN).map(|problem| problem.render(colour)).collect();
    let more = problems.len().saturating_sub(MAX_SHOWN);
    if more > 0 {
        texts.push(format!("… and {more} more"));
    }
    texts
}

/// Replaces control characters, so that a value from a file cannot control the terminal.
fn inert(text: &str) -> String {
    text.chars().map(|c| if is_terminal_control(c) && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Returns the entry of `known` closest to `name`, if `name` may be a misspelling of it.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count().max(name.chars().count()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
