//! Template lint. Finds errors at load time that Handlebars would report only when rendering, or never.

mod shape;
mod walk;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use handlebars::Template;

use super::direct::stretches;
use super::problems::{PathError, TemplateProblem};
use super::slot::Slot;
use super::syntax;
use crate::event::Kind;
use crate::problem::{Describe, Place, Problem, SourceFile};
use shape::Shape;
use walk::{Scope, Walk};

pub(super) use walk::{MAX_LOOP_DEPTH, MAX_PARTIALS};

/// Maximum number of problems reported per file.
const MAX_PROBLEMS: usize = 100;

/// Partial: named template that other templates include.
pub(crate) struct Partial {
    pub(super) file: Arc<SourceFile>,
    pub(super) template: Template,
    /// Number of elements, including those of nested partials.
    pub(super) size: u64,
}

/// Context in which a template is checked.
pub(super) struct LintContext<'a> {
    pub(super) partials: &'a BTreeMap<String, Partial>,
    /// Kinds that the template serves. If unknown, only paths that no event has are errors.
    pub(super) kinds: Option<&'a [Kind]>,
    /// True if the template renders something other than a host's event, so that its paths are not checked.
    pub(super) is_foreign: bool,
}

/// Collector for the problems of one file.
pub(super) struct Faults<'a> {
    file: Arc<SourceFile>,
    known: &'a LintContext<'a>,
    problems: Vec<Problem>,
    /// Paths that are known to have a value in the current slot.
    guards: Vec<String>,
    /// Shape of `item` in the current slot.
    item: Option<Shape>,
}

impl<'a> Faults<'a> {
    pub(super) fn new(file: Arc<SourceFile>, known: &'a LintContext<'a>) -> Self {
        Self { file, known, problems: vec![], guards: vec![], item: None }
    }

    pub(super) fn note(&mut self, problem: &TemplateProblem, place: Place) {
        self.add(problem.at(place));
    }

    fn add(&mut self, problem: Problem) {
        // More problems are of no use, and locating them takes time.
        if self.problems.len() < MAX_PROBLEMS && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Sets the state for the next slots: `paths` have a value, and `item` is an item of the list `each`.
    pub(super) fn guarded(&mut self, paths: &[&str], each: Option<&str>) {
        self.guards = paths.iter().map(|path| (*path).to_owned()).collect();
        self.item = each.map(|each| at(each).and_then(|shape| shape.items(each)).unwrap_or(Shape::Any));
    }

    /// Resets the state set by [`Self::guarded`].
    pub(super) fn unguarded(&mut self) {
        (self.guards, self.item) = (vec![], None);
    }

    /// Checks a path in `when` or `each`.
    pub(super) fn path(&mut self, path: &str, place: Place, is_list: bool) {
        if self.known.is_foreign {
            return;
        }
        let found = at(path).and_then(|shape| if is_list { shape.items(path) } else { Ok(shape) });
        if let Err(error) = found {
            self.note(&error.into(), place);
        }
    }

    /// Compiles one string of the file; `span` is its byte range.
    pub(super) fn slot(&mut self, what: &str, text: &str, span: Range<usize>) -> Slot {
        let source = Source { file: self.file.clone(), span, text: text.to_owned() };
        let template = match syntax::compile(text) {
            Ok(template) => template,
            Err((error, position)) => {
                self.note(&error.into(), source.place(position));
                return Slot::Plain(String::new());
            }
        };
        let scope = Scope {
            at: Shape::event(),
            names: self.item.iter().map(|item| ("item".to_owned(), item.clone())).collect(),
        };
        let mut walk = Walk {
            known: self.known,
            source,
            scopes: vec![scope],
            guards: self.guards.clone(),
            loops: 0,
            within: vec![],
            included: 0,
            faults: vec![],
        };
        walk.template(&template);
        if let Some(position) = syntax::foreign_tag(text) {
            let place = walk.source.place(Some(position));
            self.note(&TemplateProblem::ForeignTag, place);
        }
        for fault in walk.faults {
            self.add(fault);
        }
        if text.contains("{{") {
            Slot::Template(what.to_owned(), stretches(template, self.known.partials))
        } else {
            Slot::Plain(text.to_owned())
        }
    }
}

/// Compiles a string that has already passed the lint.
pub(super) fn compiled(what: &str, text: &str, partials: &BTreeMap<String, Partial>) -> Option<Slot> {
    let template = syntax::compile(text).ok()?;
    Some(Slot::Template(what.to_owned(), stretches(template, partials)))
}

/// Returns the shape at a path from the root of the event.
fn at(path: &str) -> Result<Shape, PathError> {
    path.split('.').try_fold(Shape::event(), |shape, part| shape.step(part, path))
}

/// Location of a template's text in its file.
#[derive(Clone)]
struct Source {
    file: Arc<SourceFile>,
    span: Range<usize>,
    text: String,
}

impl Source {
    fn place(&self, position: Option<(usize, usize)>) -> Place {
        Place::Span(self.file.clone(), self.within(position))
    }

    /// Maps a line and column (both 1-based) of the text to a byte range in the file. A front matter string may contain
    /// escapes. Unless it appears verbatim in the file, the range is the whole string.
    fn within(&self, position: Option<(usize, usize)>) -> Range<usize> {
        let Self { file, span, text } = self;
        let Some((line, column)) = position else { return span.clone() };
        let found = file.text.get(span.clone()).and_then(|part| part.find(text));
        let Some(start) = found.map(|start| start + span.start) else { return span.clone() };
        let line_start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let rest = &text[line_start.min(text.len())..];
        let in_line = rest.char_indices().nth(column.saturating_sub(1)).map_or(0, |(at, _)| at);
        let begin = start + line_start + in_line;
        let end = file.text[begin..].find(['\n', '}']).map_or(span.end, |length| begin + length);
        begin..end.max(begin + 1).min(span.end.max(begin))
    }
}

/// Compiles a partial. The lint checks it in the templates that include it.
pub(super) fn partial(file: Arc<SourceFile>) -> Result<Partial, Problem> {
    match syntax::compile(&file.text) {
        Ok(template) => Ok(Partial { file, template, size: 0 }),
        Err((error, position)) => {
            let text = file.text.clone();
            let place = Source { span: 0..text.len(), text, file }.place(position);
            Err(TemplateProblem::from(error).at(place))
        }
    }
}
