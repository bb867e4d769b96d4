//! File format of portable templates: TOML front matter between `+++` lines, then a body.

use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::problems::{Quotes, TemplateProblem};
use crate::problem::{Describe, Place, Problem, SourceFile, nearest};

/// Line that opens and closes the front matter.
const FENCE: &str = "+++";

/// Keys of the front matter. Every string is Handlebars; see [`crate::message::Message`] for the resulting parts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FrontMatter {
    pub(super) line: Option<Spanned<String>>,
    pub(super) title: Option<Spanned<String>>,
    pub(super) url: Option<Spanned<String>>,
    pub(super) image: Option<Spanned<String>>,
    pub(super) accent: Option<Spanned<String>>,
    pub(super) author: Option<Spanned<String>>,
    pub(super) avatar: Option<Spanned<String>>,
    pub(super) origin: Option<Spanned<String>>,
    pub(super) footer: Option<Spanned<String>>,
    pub(super) time: Option<Spanned<String>>,
    pub(super) items: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) fields: Vec<FieldKeys>,
    #[serde(default)]
    pub(super) buttons: Vec<ButtonKeys>,
}

/// Keys of `[[fields]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldKeys {
    when: Option<Spanned<String>>,
    each: Option<Spanned<String>>,
    name: Spanned<String>,
    value: Spanned<String>,
}

/// Keys of `[[buttons]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ButtonKeys {
    when: Option<Spanned<String>>,
    each: Option<Spanned<String>>,
    label: Spanned<String>,
    url: Spanned<String>,
}

/// Common keys of fields and buttons.
pub(super) trait ListedKeys {
    /// Path of the value that must be true.
    fn when(&self) -> Option<&Spanned<String>>;
    /// Path of the list; the entry is shown once per item.
    fn each(&self) -> Option<&Spanned<String>>;
    /// Name of a field, or label of a button.
    fn name(&self) -> &Spanned<String>;
    /// Value of a field, or URL of a button.
    fn value(&self) -> &Spanned<String>;
}

impl ListedKeys for FieldKeys {
    fn when(&self) -> Option<&Spanned<String>> {
        self.when.as_ref()
    }
    fn each(&self) -> Option<&Spanned<String>> {
        self.each.as_ref()
    }
    fn name(&self) -> &Spanned<String> {
        &self.name
    }
    fn value(&self) -> &Spanned<String> {
        &self.value
    }
}

impl ListedKeys for ButtonKeys {
    fn when(&self) -> Option<&Spanned<String>> {
        self.when.as_ref()
    }
    fn each(&self) -> Option<&Spanned<String>> {
        self.each.as_ref()
    }
    fn name(&self) -> &Spanned<String> {
        &self.label
    }
    fn value(&self) -> &Spanned<String> {
        &self.url
    }
}

/// Parts of a template file. Spans are byte ranges in the whole file.
pub(super) struct Parts {
    pub(super) front_matter: FrontMatter,
    /// Byte offset of the front matter; its spans are relative to it.
    pub(super) offset: usize,
    pub(super) body: Range<usize>,
}

/// Splits a file into front matter and body.
pub(super) fn parse(file: &Arc<SourceFile>) -> Result<Parts, Box<Problem>> {
    let text = &file.text;
    let at = |span: Range<usize>| Place::Span(file.clone(), span);
    let first_line = 0..text.find('\n').unwrap_or(text.len());
    let opened = text.lines().next().is_some_and(|line| line.trim_end() == FENCE);
    if !opened {
        return Err(Box::new(TemplateProblem::NoFrontMatter.at(at(first_line))));
    }
    let offset = text.find('\n').map_or(text.len(), |end| end + 1);
    let Some((close, body)) = closing_fence(text, offset) else {
        return Err(Box::new(TemplateProblem::UnclosedFrontMatter.at(at(first_line))));
    };
    let front_matter = toml::from_str(&text[offset..close]).map_err(|error| Box::new(explain(file, offset, &error)))?;
    Ok(Parts { front_matter, offset, body: body..text.len() })
}

/// Returns the byte offsets of the closing line and of the body.
fn closing_fence(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut start = from;
    for line in text[from..].split_inclusive('\n') {
        if line.trim_end() == FENCE {
            return Some((start, start + line.len()));
        }
        start += line.len();
    }
    None
}

/// Returns the quotes that closed a TOML string too early, if that is the cause of an error at this offset.
fn quotes(text: &str, at: usize) -> Option<Quotes> {
    let line = text.get(..at)?.lines().next_back().unwrap_or_default();
    let is_quoted = line.matches('\'').count() >= 2 && line.contains('=');
    is_quoted.then_some(if line.contains("{{") { Quotes::InHandlebars } else { Quotes::Single })
}

/// Rewords a TOML error if the template's context allows a better message.
fn explain(file: &Arc<SourceFile>, offset: usize, error: &toml::de::Error) -> Problem {
    let span = error.span().map_or(0..0, |span| span.start + offset..span.end + offset);
    let message = error.message();
    let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    let problem = match unknown {
        Some(key) => {
            // serde lists the keys of the table that contains the unknown key.
            let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
            TemplateProblem::UnknownKey {
                key: key.to_owned(),
                near: nearest(key, known.iter().copied()).map(ToOwned::to_owned),
                known: known.into_iter().map(ToOwned::to_owned).collect(),
            }
        }
        None => TemplateProblem::InvalidFrontMatter {
            reason: message.to_owned(),
            quotes: quotes(&file.text, error.span().map_or(0, |span| span.start + offset)),
        },
    };
    problem.at(Place::Span(file.clone(), span))
}
