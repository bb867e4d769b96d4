//! What Handlebars would only notice while rendering, or never: found when a template is loaded.

mod shape;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use handlebars::Template;
use handlebars::template::{BlockParam, DecoratorTemplate, HelperTemplate, Parameter, TemplateElement};

use super::direct::stretches;
use super::helpers::HELPERS;
use super::slot::Slot;
use super::syntax;
use crate::event::Kind;
use crate::problem::{Place, Problem, SourceFile, nearest};
use shape::{Nowhere, Shape, without};

/// Loops within loops multiply; two are enough for any message.
const DEEPEST_LOOP: usize = 2;

/// How deep partials may include partials.
const DEEPEST_PARTIAL: usize = 16;

/// Problems of a file that are reported.
const MAX_PROBLEMS: usize = 100;

/// Partials that a text may include, with those that they include.
const MAX_PARTIALS: usize = 1_000;

/// The comment that says that `{{{ }}}` is meant.
const TRUSTED: &str = "trusted";

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

/// What names mean within a block.
#[derive(Clone)]
struct Scope {
    at: Shape,
    names: Vec<(String, Shape)>,
}

struct Walk<'a> {
    known: &'a Known<'a>,
    source: Source,
    scopes: Vec<Scope>,
    /// Paths that hold something here.
    guards: Vec<String>,
    loops: usize,
    /// The partials that led here.
    within: Vec<&'a str>,
    /// Partials that were included so far.
    included: usize,
    faults: Vec<Problem>,
}

type Position = Option<(usize, usize)>;

impl<'a> Walk<'a> {
    fn template(&mut self, template: &'a Template) {
        let mut is_trusted = false;
        for (n, element) in template.elements.iter().enumerate() {
            let position = template.mapping.get(n).map(|mapping| (mapping.0, mapping.1));
            self.element(element, position, is_trusted);
            is_trusted = matches!(element, TemplateElement::Comment(text) if comment(text).starts_with(TRUSTED));
        }
    }

    fn element(&mut self, element: &'a TemplateElement, position: Position, is_trusted: bool) {
        match element {
            TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
            TemplateElement::HtmlExpression(_) if !is_trusted => self.error(
                position,
                "`{{{ }}}` would let what strangers write be markup".to_owned(),
                Some(
                    "write `{{ }}`; for text in which Markdown is meant, `{{markdown …}}`; if it is meant all the same, put \
                     `{{! trusted: why }}` right before it"
                        .to_owned(),
                ),
            ),
            TemplateElement::HtmlExpression(helper)
            | TemplateElement::Expression(helper)
            | TemplateElement::HelperBlock(helper) => {
                self.helper(helper, matches!(element, TemplateElement::HelperBlock(_)), position);
            }
            TemplateElement::PartialExpression(partial) | TemplateElement::PartialBlock(partial) => {
                self.partial(partial, position);
            }
            TemplateElement::DecoratorExpression(decorator) | TemplateElement::DecoratorBlock(decorator) => {
                let name = name(decorator);
                let help = Some("a file in `partials/` can be used by all: `{{> name}}`".to_owned());
                self.error(position, format!("decorators (`{{{{*{name}}}}}`) are not supported"), help);
            }
            other => self.error(position, format!("this is not supported: {other:?}"), None),
        }
    }

    fn helper(&mut self, helper: &'a HelperTemplate, block: bool, position: Position) {
        let name = helper.name.as_name().unwrap_or_default();
        let is_call = block || !helper.params.is_empty() || !helper.hash.is_empty() || name == "skip";
        if !is_call {
            if !name.is_empty()
                && let Some(help) = self.shape_of(name, position, false).several(name)
            {
                self.error(position, format!("`{name}` is not one value, but several"), Some(help));
            }
            return;
        }
        if !self.call(name, &helper.params, &helper.hash, position) || !block {
            return;
        }
        let inner = self.block(name, helper, position);
        let is_loop = name == "each";
        self.loops += usize::from(is_loop);
        if self.loops > DEEPEST_LOOP {
            let message = format!("`each` nested more than {DEEPEST_LOOP} deep");
            self.error(position, message, Some("loops within loops multiply: flatten the list".to_owned()));
        } else {
            // What the condition names holds something in one of its branches.
            let mut named = vec![];
            helper.params.iter().for_each(|parameter| self.named_in(parameter, &mut named));
            let (inside, outside) = if name == "unless" { (vec![], named) } else { (named, vec![]) };
            self.branch(helper.template.as_ref(), inside, inner);
            self.branch(helper.inverse.as_ref(), outside, None);
        }
        self.loops -= usize::from(is_loop);
    }

    fn branch(&mut self, template: Option<&'a Template>, guards: Vec<String>, scope: Option<Scope>) {
        let Some(template) = template else { return };
        let (count, entered) = (self.guards.len(), scope.is_some());
        self.guards.extend(guards);
        self.scopes.extend(scope);
        self.template(template);
        self.guards.truncate(count);
        if entered {
            self.scopes.pop();
        }
    }

    /// What names mean within a block, where it changes that.
    fn block(&mut self, name: &str, helper: &HelperTemplate, position: Position) -> Option<Scope> {
        let subject = helper.params.first()?;
        let shape = match subject {
            Parameter::Path(_) | Parameter::Name(_) => self.quietly(subject.as_name()?),
            _ => Shape::Any,
        };
        let at = match name {
            "with" => shape,
            "each" => shape.items(subject.as_name().unwrap_or_default()).unwrap_or_else(|Nowhere { message, help }| {
                self.error(position, message, help);
                Shape::Any
            }),
            _ => return None,
        };
        let named = |parameter: &Parameter, shape: Shape| Some((parameter.as_name()?.to_owned(), shape));
        let names = match &helper.block_param {
            None => vec![],
            Some(BlockParam::Single(one)) => named(one, at.clone()).into_iter().collect(),
            Some(BlockParam::Pair((one, key))) => {
                [named(one, at.clone()), named(key, Shape::Any)].into_iter().flatten().collect()
            }
            Some(_) => vec![],
        };
        Some(Scope { at, names })
    }

    /// Looks at a call; false where there is no such helper.
    fn call(
        &mut self,
        name: &str,
        params: &'a [Parameter],
        hash: &'a std::collections::HashMap<String, Parameter>,
        position: Position,
    ) -> bool {
        let Some(helper) = HELPERS.iter().find(|helper| helper.name == name) else {
            let near =
                nearest(name, HELPERS.iter().map(|helper| helper.name)).map(|near| format!("did you mean `{near}`?"));
            let is_path = self.quietly_found(name);
            let help = near.unwrap_or_else(|| match is_path {
                true => format!("`{name}` is a value: for what is shown only where it is there, `{{{{#if {name}}}}}`"),
                false => {
                    format!("helpers: {}", HELPERS.iter().map(|helper| helper.name).collect::<Vec<_>>().join(", "))
                }
            });
            self.error(position, format!("there is no helper `{name}`"), Some(help));
            return false;
        };
        let given = params.len();
        if given < helper.least || given > helper.most {
            let message = format!("`{name}` takes {}, not {given}", helper.takes());
            self.error(position, message, Some(format!("as in `{}`", helper.example)));
        }
        for key in hash.keys().filter(|key| !helper.options.contains(&key.as_str())) {
            let known = if helper.options.is_empty() { "none".to_owned() } else { helper.options.join(", ") };
            self.error(position, format!("`{name}` has no option `{key}`"), Some(format!("its options: {known}")));
        }
        for n in helper.numbers {
            let found = match params.get(*n) {
                Some(Parameter::Literal(literal)) if !literal.is_number() => literal.to_string(),
                Some(parameter @ (Parameter::Path(_) | Parameter::Name(_))) => {
                    let Some(path) = parameter.as_name().filter(|path| !self.quietly(path).may_be_number()) else {
                        continue;
                    };
                    format!("`{path}`, which is none")
                }
                _ => continue,
            };
            let message = format!("`{name}`: argument {} must be a whole number, not {found}", n + 1);
            self.error(position, message, Some(format!("as in `{}`", helper.example)));
        }
        let account = params.first().and_then(Parameter::as_name).filter(|_| name == "mention");
        if let Some(path) = account.filter(|path| !self.quietly(path).may_be_account()) {
            let help = Some(format!("name an account, as in `{}`", helper.example));
            self.error(position, format!("`{path}` is nobody who could be mentioned"), help);
        }
        // What is asked about, or stands in for another, may be missing.
        let may_miss = helper.may_miss;
        for parameter in params.iter().chain(hash.values()) {
            self.parameter(parameter, position, may_miss);
        }
        true
    }

    fn parameter(&mut self, parameter: &'a Parameter, position: Position, may_miss: bool) {
        match parameter {
            Parameter::Subexpression(sub) => {
                if let TemplateElement::Expression(helper) = sub.as_element() {
                    self.call(helper.name.as_name().unwrap_or_default(), &helper.params, &helper.hash, position);
                }
            }
            Parameter::Path(_) | Parameter::Name(_) => {
                if let Some(path) = parameter.as_name() {
                    self.shape_of(path, position, may_miss);
                }
            }
            _ => {}
        }
    }

    /// The paths that a condition names, from the event on.
    fn named_in(&self, parameter: &Parameter, named: &mut Vec<String>) {
        match parameter {
            Parameter::Subexpression(sub) => {
                if let TemplateElement::Expression(helper) = sub.as_element() {
                    helper.params.iter().for_each(|parameter| self.named_in(parameter, named));
                }
            }
            Parameter::Path(_) | Parameter::Name(_) => {
                let shape = parameter.as_name().map(|path| self.quietly(path));
                named.extend(shape.and_then(|shape| shape.path().map(ToOwned::to_owned)));
            }
            _ => {}
        }
    }

    fn partial(&mut self, partial: &'a DecoratorTemplate, position: Position) {
        let name = name(partial);
        let Some((name, found)) = self.known.partials.get_key_value(&name) else {
            let near = nearest(&name, self.known.partials.keys().map(String::as_str));
            let help =
                near.map_or_else(|| format!("create `partials/{name}.hbs`"), |near| format!("did you mean `{near}`?"));
            self.error(position, format!("there is no partial `{name}`"), Some(help));
            return;
        };
        if self.within.contains(&name.as_str()) || self.within.len() > DEEPEST_PARTIAL {
            let way: Vec<_> = self.within.iter().copied().chain([name.as_str()]).collect();
            let help = Some("a partial cannot include itself, nor one that includes it".to_owned());
            self.error(position, format!("partials include each other: {}", way.join(" → ")), help);
            return;
        }
        self.included += 1;
        if self.included > MAX_PARTIALS {
            let help = Some("partials within partials multiply: include fewer".to_owned());
            // Once is enough.
            if self.included == MAX_PARTIALS + 1 {
                self.error(position, format!("includes more than {MAX_PARTIALS} partials"), help);
            }
            return;
        }
        let options = partial.hash.iter().map(|(key, value)| {
            (
                key.clone(),
                match value {
                    Parameter::Path(_) | Parameter::Name(_) => {
                        value.as_name().map_or(Shape::Any, |path| self.quietly(path))
                    }
                    _ => Shape::Any,
                },
            )
        });
        let options: Vec<_> = options.collect();
        let at = match partial.params.first() {
            None => self.scopes.last().map_or(Shape::Any, |scope| scope.at.clone()),
            Some(parameter) => parameter.as_name().map_or(Shape::Any, |path| self.quietly(path)),
        };
        partial
            .params
            .iter()
            .chain(partial.hash.values())
            .for_each(|parameter| self.parameter(parameter, position, false));
        let text = found.file.text.clone();
        let source = Source { file: found.file.clone(), span: 0..text.len(), text };
        let before = std::mem::replace(&mut self.source, source);
        self.scopes.push(Scope { at, names: options });
        self.within.push(name);
        self.template(&found.template);
        self.within.pop();
        self.scopes.pop();
        self.source = before;
        if let Some(inner) = &partial.template {
            self.template(inner);
        }
    }

    /// What a path leads to; where nowhere, or in some kinds only, it is told.
    fn shape_of(&mut self, path: &str, position: Position, may_miss: bool) -> Shape {
        match self.resolve(path) {
            Ok(shape) => {
                if let Some(path) = shape.path().filter(|_| !may_miss).map(ToOwned::to_owned) {
                    self.held(&path, position);
                }
                shape
            }
            Err(Nowhere { message, help }) => {
                self.error(position, message, help);
                Shape::Any
            }
        }
    }

    fn quietly(&self, path: &str) -> Shape {
        self.resolve(path).unwrap_or(Shape::Any)
    }

    fn quietly_found(&self, path: &str) -> bool {
        self.resolve(path).is_ok_and(|shape| shape.path().is_some())
    }

    fn resolve(&self, path: &str) -> Result<Shape, Nowhere> {
        if self.known.is_foreign || path.starts_with('@') && !path.starts_with("@root") {
            return Ok(Shape::Any);
        }
        let mut depth = self.scopes.len().saturating_sub(1);
        let mut rest = path;
        while let Some(outer) = rest.strip_prefix("../") {
            (rest, depth) = (outer, depth.saturating_sub(1));
        }
        let scope = &self.scopes[depth];
        let mut parts =
            rest.split(['.', '/']).map(|part| part.trim_matches(['[', ']'])).filter(|part| !part.is_empty()).peekable();
        let mut shape = match parts.peek().copied() {
            None => return Ok(scope.at.clone()),
            Some("@root") => {
                parts.next();
                Shape::event()
            }
            Some("this") => {
                parts.next();
                scope.at.clone()
            }
            Some(first) => {
                let named = self.scopes.iter().rev().flat_map(|scope| &scope.names).find(|(name, _)| name == first);
                match named {
                    Some((_, shape)) => {
                        parts.next();
                        shape.clone()
                    }
                    None => scope.at.clone(),
                }
            }
        };
        let whole = shape.clone();
        for part in parts {
            shape = shape.step(part, rest).map_err(|nowhere| self.of_the_event(rest, &whole, nowhere))?;
        }
        Ok(shape)
    }

    /// Within `each` and `with`, names are looked up in the item: whoever means the event must say so.
    fn of_the_event(&self, path: &str, looked_in: &Shape, nowhere: Nowhere) -> Nowhere {
        let is_within = self.scopes.len() > 1 && looked_in.path() != Some("");
        if !is_within || at(path).is_err() {
            return nowhere;
        }
        let help = format!("within a block, names are looked up in its item: for the event's, write `@root.{path}`");
        Nowhere { help: Some(help), ..nowhere }
    }

    /// Tells where a path leads nowhere in all, or in some, of the kinds that are served.
    fn held(&mut self, path: &str, position: Position) {
        let Some(kinds) = self.known.kinds else { return };
        let is_guarded = |guard: &String| path == guard || path.starts_with(&format!("{guard}."));
        if self.guards.iter().any(is_guarded) || path.is_empty() {
            return;
        }
        let lacking = without(path, kinds);
        let part = path.split('.').next().unwrap_or(path);
        // Within a guard of any of the same part it is there as well.
        if lacking.is_empty() || self.guards.iter().any(|guard| guard.split('.').next() == Some(part)) {
            return;
        }
        let names: Vec<_> = lacking.iter().take(3).map(|kind| format!("`{kind}`")).collect();
        let more = if lacking.len() > names.len() { ", …" } else { "" };
        if lacking.len() == kinds.len() {
            let message = format!("`{path}` is in no event that this template serves");
            self.error(position, message, Some(format!("it serves {}{more}, which has no `{part}`", names.join(", "))));
        } else {
            let message = format!("`{path}` is in some of the events that this template serves only");
            let help = format!(
                "{}{more} have no `{part}`: put it between `{{{{#if {part}}}}}` and `{{{{/if}}}}`",
                names.join(", ")
            );
            let place = self.source.place(position);
            self.faults.push(Problem::warning(message, place).help(help));
        }
    }

    fn error(&mut self, position: Position, message: String, help: Option<String>) {
        if self.faults.len() >= MAX_PROBLEMS {
            return;
        }
        let place = self.source.place(position);
        self.faults.push(Problem::error(message, place).maybe_help(help));
    }
}

/// What a comment says, without its marks.
fn comment(text: &str) -> &str {
    text.trim_start_matches(['{', '~', '!', '-', ' '])
}

fn name(decorator: &DecoratorTemplate) -> String {
    decorator.name.as_name().unwrap_or("(computed)").to_owned()
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
