//! What Handlebars would only notice while rendering, or never: found when a template is loaded.

mod shape;
mod walk;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use handlebars::Template;

use super::direct::stretches;
use super::slot::Slot;
use super::syntax;
use crate::event::Kind;
use crate::problem::{Place, Problem, SourceFile};
use shape::{Nowhere, Shape};
use walk::{Scope, Walk};

/// Problems of a file that are reported.
const MAX_PROBLEMS: usize = 100;

/// A partial: a piece of a template with a name of its own.
pub(crate) struct Partial {
    pub(super) file: Arc<SourceFile>,
    pub(super) template: Template,
    /// Elements in it and in the partials that it includes.
    pub(super) size: u64,
}

/// What a template may rely on.
pub(super) struct Known<'a> {
    pub(super) partials: &'a BTreeMap<String, Partial>,
    /// The kinds that it serves; where nobody knows them, only what no event has is wrong.
    pub(super) kinds: Option<&'a [Kind]>,
    /// It draws something that is no event: its paths are its own.
    pub(super) is_foreign: bool,
}

/// What is wrong with one file's templates.
pub(super) struct Faults<'a> {
    file: Arc<SourceFile>,
    known: &'a Known<'a>,
    problems: Vec<Problem>,
    /// What holds around the slot that is looked at: paths that are there, and what `item` is.
    guards: Vec<String>,
    item: Option<Shape>,
}

impl<'a> Faults<'a> {
    pub(super) fn new(file: Arc<SourceFile>, known: &'a Known<'a>) -> Self {
        Self { file, known, problems: vec![], guards: vec![], item: None }
    }

    pub(super) fn add(&mut self, problem: Problem) {
        // Nobody reads more, and finding places takes a while.
        if self.problems.len() < MAX_PROBLEMS && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// What holds of the next slots: these paths hold something, and `item` is one of what `each` leads to.
    pub(super) fn guarded(&mut self, paths: &[&str], each: Option<&str>) {
        self.guards = paths.iter().map(|path| (*path).to_owned()).collect();
        self.item = each.map(|each| at(each).and_then(|shape| shape.items(each)).unwrap_or(Shape::Any));
    }

    /// Nothing of that holds any more.
    pub(super) fn unguarded(&mut self) {
        (self.guards, self.item) = (vec![], None);
    }

    /// A path that stands by itself, in `when` or `each`.
    pub(super) fn path(&mut self, path: &str, place: Place, is_list: bool) {
        if self.known.is_foreign {
            return;
        }
        let found = at(path).and_then(|shape| if is_list { shape.items(path) } else { Ok(shape) });
        if let Err(Nowhere { message, help }) = found {
            self.add(Problem::error(message, place).maybe_help(help));
        }
    }

    /// Compiles one string of the file, which stands at these bytes.
    pub(super) fn slot(&mut self, what: &str, text: &str, span: Range<usize>) -> Slot {
        let source = Source { file: self.file.clone(), span, text: text.to_owned() };
        let template = match syntax::compile(text) {
            Ok(template) => template,
            Err((message, position)) => {
                let place = source.place(position);
                self.add(Problem::error(message, place));
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
            let problem = Problem::warning("`{% … %}` is not Handlebars, and is shown as text", place);
            self.add(problem.help("write `{{#if …}}…{{/if}}` or `{{#each …}}…{{/each}}`"));
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

/// Compiles a string of which is known that it has no mistakes.
pub(super) fn compiled(what: &str, text: &str, partials: &BTreeMap<String, Partial>) -> Option<Slot> {
    let template = syntax::compile(text).ok()?;
    Some(Slot::Template(what.to_owned(), stretches(template, partials)))
}

/// What a path from the event on leads to.
fn at(path: &str) -> Result<Shape, Nowhere> {
    path.split('.').try_fold(Shape::event(), |shape, part| shape.step(part, path))
}

/// Where a template's text stands.
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

    /// The place in the file of a line and column (both from 1) of the text. A string of the front matter may have been
    /// written with escapes, so there the whole string is marked unless it stands verbatim.
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

/// Compiles a partial; its own mistakes are found where it is used.
pub(super) fn partial(file: Arc<SourceFile>) -> Result<Partial, Problem> {
    match syntax::compile(&file.text) {
        Ok(template) => Ok(Partial { file, template, size: 0 }),
        Err((message, position)) => {
            let text = file.text.clone();
            Err(Problem::error(message, Source { span: 0..text.len(), text, file }.place(position)))
        }
    }
}
