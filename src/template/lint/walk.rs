//! Lint pass over the elements of a template.

use handlebars::Template;
use handlebars::template::{BlockParam, DecoratorTemplate, HelperTemplate, Parameter, TemplateElement};

use super::super::helpers::HELPERS;
use super::super::problems::{DateFormatFix, NoNumber, PathError, TemplateProblem};
use super::shape::{Shape, without};
use super::{LintContext, MAX_PROBLEMS, Source, at};
use crate::problem::{Describe, Problem, nearest};

/// Maximum nesting depth of loops. Nested loops multiply, and two levels are enough for any message.
pub(in crate::template) const MAX_LOOP_DEPTH: usize = 2;

/// Maximum nesting depth of partials.
const MAX_PARTIAL_DEPTH: usize = 16;

/// Maximum number of partials that a text may include, counting nested ones.
pub(in crate::template) const MAX_PARTIALS: usize = 1_000;

/// Start of the comment that allows `{{{ }}}`.
const TRUSTED: &str = "trusted";

/// Meaning of names inside a block.
#[derive(Clone)]
pub(super) struct Scope {
    pub(super) at: Shape,
    pub(super) names: Vec<(String, Shape)>,
}

pub(super) struct Walk<'a> {
    pub(super) known: &'a LintContext<'a>,
    pub(super) source: Source,
    pub(super) scopes: Vec<Scope>,
    /// Paths that are known to have a value.
    pub(super) guards: Vec<String>,
    pub(super) loops: usize,
    /// Partials that enclose the current element, outermost first.
    pub(super) within: Vec<&'a str>,
    /// Number of partials included so far.
    pub(super) included: usize,
    pub(super) faults: Vec<Problem>,
}

type Position = Option<(usize, usize)>;

impl<'a> Walk<'a> {
    pub(super) fn template(&mut self, template: &'a Template) {
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
            TemplateElement::HtmlExpression(_) if !is_trusted => {
                self.note(position, &TemplateProblem::TripleBraces);
            }
            TemplateElement::HtmlExpression(helper)
            | TemplateElement::Expression(helper)
            | TemplateElement::HelperBlock(helper) => {
                self.helper(helper, matches!(element, TemplateElement::HelperBlock(_)), position);
            }
            TemplateElement::PartialExpression(partial) | TemplateElement::PartialBlock(partial) => {
                self.partial(partial, position);
            }
            TemplateElement::DecoratorExpression(decorator) | TemplateElement::DecoratorBlock(decorator) => {
                self.note(position, &TemplateProblem::Decorator(name(decorator)));
            }
            other => self.note(position, &TemplateProblem::UnsupportedElement(format!("{other:?}"))),
        }
    }

    fn helper(&mut self, helper: &'a HelperTemplate, block: bool, position: Position) {
        let name = helper.name.as_name().unwrap_or_default();
        let is_call = block || !helper.params.is_empty() || !helper.hash.is_empty() || name == "skip";
        if !is_call {
            if !name.is_empty()
                && let Some(parts) = self.shape_of(name, position, false).several()
            {
                self.note(position, &TemplateProblem::NotSingle { path: name.to_owned(), parts });
            }
            return;
        }
        if !self.call(name, &helper.params, &helper.hash, position) || !block {
            return;
        }
        let inner = self.block(name, helper, position);
        let is_loop = name == "each";
        self.loops += usize::from(is_loop);
        if self.loops > MAX_LOOP_DEPTH {
            self.note(position, &TemplateProblem::NestedLoops);
        } else {
            // In one of the branches, the paths in the condition are known to have a value.
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

    /// Returns the scope inside a block, if the block changes it.
    fn block(&mut self, name: &str, helper: &HelperTemplate, position: Position) -> Option<Scope> {
        let subject = helper.params.first()?;
        let shape = match subject {
            Parameter::Path(_) | Parameter::Name(_) => self.quietly(subject.as_name()?),
            _ => Shape::Any,
        };
        let at = match name {
            "with" => shape,
            "each" => shape.items(subject.as_name().unwrap_or_default()).unwrap_or_else(|error| {
                self.note(position, &error.into());
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

    /// Checks a helper call. Returns false if the helper is unknown.
    fn call(
        &mut self,
        name: &str,
        params: &'a [Parameter],
        hash: &'a std::collections::HashMap<String, Parameter>,
        position: Position,
    ) -> bool {
        let Some(helper) = HELPERS.iter().find(|helper| helper.name == name) else {
            let known: Vec<_> = HELPERS.iter().map(|helper| helper.name).collect();
            let (near, is_value) = (nearest(name, known.iter().copied()), self.quietly_found(name));
            let problem =
                TemplateProblem::UnknownHelper { name: name.to_owned(), near, is_value, known: known.clone() };
            self.note(position, &problem);
            return false;
        };
        let (example, named) = (helper.example, || name.to_owned());
        let given = params.len();
        if given < helper.least || given > helper.most {
            let (takes, found) = (helper.takes(), given);
            self.note(position, &TemplateProblem::ArgumentCount { helper: named(), takes, found, example });
        }
        for key in hash.keys().filter(|key| !helper.options.contains(&key.as_str())) {
            let (key, known) = (key.clone(), helper.options);
            self.note(position, &TemplateProblem::UnknownOption { helper: named(), key, known });
        }
        for n in helper.numbers {
            let found = match params.get(*n) {
                Some(Parameter::Literal(literal)) if !literal.is_number() => NoNumber::Literal(literal.clone()),
                Some(parameter @ (Parameter::Path(_) | Parameter::Name(_))) => {
                    let Some(path) = parameter.as_name().filter(|path| !self.quietly(path).may_be_number()) else {
                        continue;
                    };
                    NoNumber::Path(path.to_owned())
                }
                _ => continue,
            };
            self.note(position, &TemplateProblem::NotANumber { helper: named(), n: *n, found, example });
        }
        if let (true, Some(Parameter::Literal(serde_json::Value::String(format)))) = (name == "date", params.get(1))
            && let Some(fix) = date_format_fix(format)
        {
            self.note(position, &TemplateProblem::DateFormat { format: format.clone(), fix });
        }
        let account = params.first().and_then(Parameter::as_name).filter(|_| name == "mention");
        if let Some(path) = account.filter(|path| !self.quietly(path).may_be_account()) {
            self.note(position, &TemplateProblem::NotAnAccount { path: path.to_owned(), example });
        }
        // Arguments that the helper tests or falls back from may be missing.
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

    /// Collects the paths in a condition, from the root of the event.
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
            let near = nearest(&name, self.known.partials.keys().map(String::as_str)).map(ToOwned::to_owned);
            self.note(position, &TemplateProblem::UnknownPartial { name, near });
            return;
        };
        if self.within.contains(&name.as_str()) || self.within.len() > MAX_PARTIAL_DEPTH {
            let cycle = self.within.iter().copied().chain([name.as_str()]).map(ToOwned::to_owned).collect();
            self.note(position, &TemplateProblem::PartialCycle(cycle));
            return;
        }
        self.included += 1;
        if self.included > MAX_PARTIALS {
            // Reported once.
            if self.included == MAX_PARTIALS + 1 {
                self.note(position, &TemplateProblem::TooManyPartials);
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

    /// Returns the shape at a path. Reports a path that no event or only some of the served kinds have.
    fn shape_of(&mut self, path: &str, position: Position, may_miss: bool) -> Shape {
        match self.resolve(path) {
            Ok(shape) => {
                if let Some(path) = shape.path().filter(|_| !may_miss).map(ToOwned::to_owned) {
                    self.held(&path, position);
                }
                shape
            }
            Err(error) => {
                self.note(position, &error.into());
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

    fn resolve(&self, path: &str) -> Result<Shape, PathError> {
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
            shape = shape.step(part, rest).map_err(|error| self.of_the_event(rest, &whole, error))?;
        }
        Ok(shape)
    }

    /// Adds help if an unknown name inside `each` or `with` is a field of the event: names are looked up in the item.
    fn of_the_event(&self, path: &str, looked_in: &Shape, error: PathError) -> PathError {
        let is_within = self.scopes.len() > 1 && looked_in.path() != Some("");
        if !is_within || at(path).is_err() {
            return error;
        }
        PathError::InItem { path: path.to_owned(), error: Box::new(error) }
    }

    /// Reports a path that all or some of the served kinds do not have.
    fn held(&mut self, path: &str, position: Position) {
        let Some(kinds) = self.known.kinds else { return };
        let is_guarded = |guard: &String| path == guard || path.starts_with(&format!("{guard}."));
        if self.guards.iter().any(is_guarded) || path.is_empty() {
            return;
        }
        let lacking = without(path, kinds);
        let part = path.split('.').next().unwrap_or(path);
        // A guard on any path of the same part guards this path too.
        if lacking.is_empty() || self.guards.iter().any(|guard| guard.split('.').next() == Some(part)) {
            return;
        }
        let (path, never) = (path.to_owned(), lacking.len() == kinds.len());
        let problem = match never {
            true => TemplateProblem::NeverPresent { path, missing_in: lacking },
            false => TemplateProblem::SometimesMissing { path, missing_in: lacking },
        };
        self.note(position, &problem);
    }

    fn note(&mut self, position: Position, problem: &TemplateProblem) {
        if self.faults.len() < MAX_PROBLEMS {
            self.faults.push(problem.at(self.source.place(position)));
        }
    }
}

/// Returns the text of a comment without its marks.
fn comment(text: &str) -> &str {
    text.trim_start_matches(['{', '~', '!', '-', ' '])
}

fn name(decorator: &DecoratorTemplate) -> String {
    decorator.name.as_name().unwrap_or("(computed)").to_owned()
}

/// Returns the fix for a date format that is invalid or uses the letters of Java and JavaScript.
fn date_format_fix(format: &str) -> Option<DateFormatFix> {
    const LETTERS: [(&str, &str); 10] = [
        ("YYYY", "%Y"),
        ("yyyy", "%Y"),
        ("YY", "%y"),
        ("MMM", "%b"),
        ("MM", "%m"),
        ("DD", "%d"),
        ("dd", "%d"),
        ("HH", "%H"),
        ("mm", "%M"),
        ("ss", "%S"),
    ];
    if !format.contains('%') && LETTERS.iter().any(|(letters, _)| format.contains(letters)) {
        let right = LETTERS.iter().fold(format.to_owned(), |format, (letters, right)| format.replace(letters, right));
        return Some(DateFormatFix::Write(right));
    }
    let zoned = jiff::Timestamp::UNIX_EPOCH.to_zoned_datetime(jiff::tz::TimeZone::UTC);
    jiff::fmt::strtime::format(format, &zoned).err().map(DateFormatFix::Invalid)
}
