//! Lint pass over the elements of a template.

use handlebars::Template;
use handlebars::template::{BlockParam, DecoratorTemplate, HelperTemplate, Parameter, TemplateElement};

use super::super::helpers::HELPERS;
use super::shape::{Nowhere, Shape, without};
use super::{LintContext, MAX_PROBLEMS, Source, at};
use crate::problem::{Problem, nearest};

/// Maximum nesting depth of loops. Nested loops multiply, and two levels are enough for any message.
const MAX_LOOP_DEPTH: usize = 2;

/// Maximum nesting depth of partials.
const MAX_PARTIAL_DEPTH: usize = 16;

/// Maximum number of partials that a text may include, counting nested ones.
const MAX_PARTIALS: usize = 1_000;

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
            TemplateElement::HtmlExpression(_) if !is_trusted => self.error(
                position,
                "`{{{ }}}` renders untrusted text as markup".to_owned(),
                Some(
                    "write `{{ }}`, or `{{markdown …}}` for text that contains Markdown; if the text is trusted, put \
                     `{{! trusted: reason }}` directly before it"
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
                let help = Some("put the text in a file in `partials/` and include it: `{{> name}}`".to_owned());
                self.error(position, format!("decorators (`{{{{*{name}}}}}`) are not supported"), help);
            }
            other => self.error(position, format!("unsupported template element: `{other:?}`"), None),
        }
    }

    fn helper(&mut self, helper: &'a HelperTemplate, block: bool, position: Position) {
        let name = helper.name.as_name().unwrap_or_default();
        let is_call = block || !helper.params.is_empty() || !helper.hash.is_empty() || name == "skip";
        if !is_call {
            if !name.is_empty()
                && let Some(help) = self.shape_of(name, position, false).several(name)
            {
                self.error(position, format!("`{name}` is not a single value"), Some(help));
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
            let message = format!("`each` is nested more than {MAX_LOOP_DEPTH} levels deep");
            self.error(position, message, Some("remove an inner loop; nested loops multiply".to_owned()));
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

    /// Checks a helper call. Returns false if the helper is unknown.
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
                true => format!("`{name}` is a value; to render text only if it is set, write `{{{{#if {name}}}}}`"),
                false => {
                    let known: Vec<_> = HELPERS.iter().map(|helper| helper.name).collect();
                    format!("available helpers: {}", known.join(", "))
                }
            });
            self.error(position, format!("unknown helper `{name}`"), Some(help));
            return false;
        };
        let given = params.len();
        if given < helper.least || given > helper.most {
            let message = format!("`{name}` takes {}, found {given}", helper.takes());
            self.error(position, message, Some(format!("for example: `{}`", helper.example)));
        }
        for key in hash.keys().filter(|key| !helper.options.contains(&key.as_str())) {
            let known = if helper.options.is_empty() { "none".to_owned() } else { helper.options.join(", ") };
            let help = format!("expected one of: {known}");
            self.error(position, format!("unknown option `{key}` of `{name}`"), Some(help));
        }
        for n in helper.numbers {
            let found = match params.get(*n) {
                Some(Parameter::Literal(literal)) if !literal.is_number() => format!("`{literal}`"),
                Some(parameter @ (Parameter::Path(_) | Parameter::Name(_))) => {
                    let Some(path) = parameter.as_name().filter(|path| !self.quietly(path).may_be_number()) else {
                        continue;
                    };
                    format!("`{path}`, which is not a number")
                }
                _ => continue,
            };
            let message = format!("`{name}`: argument {} must be a whole number, found {found}", n + 1);
            self.error(position, message, Some(format!("for example: `{}`", helper.example)));
        }
        if let (true, Some(Parameter::Literal(serde_json::Value::String(format)))) = (name == "date", params.get(1))
            && let Some(right) = wrong_date_format(format)
        {
            let message = format!("`date`: `{format}` is not a valid strftime format");
            self.error(position, message, Some(right));
        }
        let account = params.first().and_then(Parameter::as_name).filter(|_| name == "mention");
        if let Some(path) = account.filter(|path| !self.quietly(path).may_be_account()) {
            let help = Some(format!("use an account or a list of accounts, for example `{}`", helper.example));
            self.error(position, format!("`{path}` is not an account"), help);
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
            let near = nearest(&name, self.known.partials.keys().map(String::as_str));
            let help =
                near.map_or_else(|| format!("create `partials/{name}.hbs`"), |near| format!("did you mean `{near}`?"));
            self.error(position, format!("unknown partial `{name}`"), Some(help));
            return;
        };
        if self.within.contains(&name.as_str()) || self.within.len() > MAX_PARTIAL_DEPTH {
            let way: Vec<_> = self.within.iter().copied().chain([name.as_str()]).collect();
            let help = Some("remove one of these; a partial must not include itself, even indirectly".to_owned());
            self.error(position, format!("partials include each other: {}", way.join(" → ")), help);
            return;
        }
        self.included += 1;
        if self.included > MAX_PARTIALS {
            let help = Some("include fewer partials; nested partials multiply".to_owned());
            // Reported once.
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

    /// Returns the shape at a path. Reports a path that no event or only some of the served kinds have.
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

    /// Adds help if an unknown name inside `each` or `with` is a field of the event: names are looked up in the item.
    fn of_the_event(&self, path: &str, looked_in: &Shape, nowhere: Nowhere) -> Nowhere {
        let is_within = self.scopes.len() > 1 && looked_in.path() != Some("");
        if !is_within || at(path).is_err() {
            return nowhere;
        }
        let help = format!("inside a block, names are looked up in its item; for the event, write `@root.{path}`");
        Nowhere { help: Some(help), ..nowhere }
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
        let names: Vec<_> = lacking.iter().take(3).map(|kind| format!("`{kind}`")).collect();
        let more = if lacking.len() > names.len() { ", …" } else { "" };
        if lacking.len() == kinds.len() {
            let message = format!("no event that this template renders has `{path}`");
            let help = format!("remove it; there is no `{part}` in {}{more}", names.join(", "));
            self.error(position, message, Some(help));
        } else {
            let message = format!("only some events that this template renders have `{path}`");
            let help = format!(
                "put it between `{{{{#if {part}}}}}` and `{{{{/if}}}}`; there is no `{part}` in {}{more}",
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

/// Returns the text of a comment without its marks.
fn comment(text: &str) -> &str {
    text.trim_start_matches(['{', '~', '!', '-', ' '])
}

fn name(decorator: &DecoratorTemplate) -> String {
    decorator.name.as_name().unwrap_or("(computed)").to_owned()
}

/// Returns help for a date format that is invalid or uses the letters of Java and JavaScript.
fn wrong_date_format(format: &str) -> Option<String> {
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
        return Some(format!("write `{right}`"));
    }
    let zoned = jiff::Timestamp::UNIX_EPOCH.to_zoned_datetime(jiff::tz::TimeZone::UTC);
    let error = jiff::fmt::strtime::format(format, &zoned).err()?;
    Some(format!("{error}; for example: `%-d %b %Y, %H:%M`"))
}
