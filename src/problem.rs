//! What is wrong with a file that a person wrote: where, what, and the way out.

use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::message::shield::is_order;

/// A text file of the user's, for diagnostics.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path, as the user would write it.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// One mistake in a file, an environment variable or elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stops the file from being used.
    pub severity: Severity,
    /// What is wrong, in one line that names the thing and the value.
    pub message: String,
    /// Where it is.
    pub place: Place,
    /// A few words at the place itself.
    pub label: Option<String>,
    /// The way out.
    pub help: Option<String>,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, and probably does not do what was meant.
    Warning,
}

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// These bytes of a file.
    Span(Arc<SourceFile>, Range<usize>),
    /// Something without lines: a file as a whole, an environment variable.
    Named(String),
}

impl Place {
    /// `file:line`, where it has a line.
    pub fn line(&self) -> Option<String> {
        let Self::Span(file, span) = self else { return None };
        let line = file.text.get(..span.start)?.matches('\n').count() + 1;
        Some(format!("{}:{line}", file.path))
    }
}

impl Place {
    /// `file:line`, or the name of what has no lines.
    pub fn named(&self) -> String {
        match self {
            Self::Span(file, _) => self.line().unwrap_or_else(|| file.path.clone()),
            Self::Named(name) => name.clone(),
        }
    }
}

impl Problem {
    /// An error at this place.
    pub fn error(message: impl Into<String>, place: Place) -> Self {
        Self { severity: Severity::Error, message: message.into(), place, label: None, help: None }
    }

    /// A warning at this place.
    pub fn warning(message: impl Into<String>, place: Place) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message, place) }
    }

    /// The same, with a few words at the place itself.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The same, with a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, with a way out if there is one.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// The problem as a person sees it: `file:line:column`, the line itself with a marker, the way out.
    pub fn render(&self, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let (message, help) = (inert(&self.message), self.help.as_deref().map(inert));
        let label = self.label.as_deref().map(inert);
        let title = level.primary_title(message.as_str());
        let help = help.as_deref().map(|help| Level::HELP.message(help));
        let path;
        let group = match &self.place {
            Place::Span(file, span) => {
                let annotation = AnnotationKind::Primary.span(span.clone()).label(label.as_deref());
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

/// The most problems that are shown at once: who has more of them reads no further.
const MOST_SHOWN: usize = 50;

/// Problems as a person sees them, errors first where there are many.
pub fn render_all(problems: &[Problem], colour: bool) -> Vec<String> {
    let mut shown: Vec<_> = problems.iter().collect();
    if problems.len() > MOST_SHOWN {
        shown.sort_by_key(|problem| problem.severity == Severity::Warning);
    }
    let mut texts: Vec<_> = shown.iter().take(MOST_SHOWN).map(|problem| problem.render(colour)).collect();
    let more = problems.len().saturating_sub(MOST_SHOWN);
    if more > 0 {
        texts.push(format!("… and {more} more"));
    }
    texts
}

/// A value from a file may hold anything; a terminal must not obey it.
fn inert(text: &str) -> String {
    text.chars().map(|c| if is_order(c) && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// The nearest of `known` to `name`, if one is near enough to be what was meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count().max(name.chars().count()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
