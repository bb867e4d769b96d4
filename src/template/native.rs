//! Chat-native templates: the request body as JSON with Handlebars expressions. The chat unshields each value for the
//! slot that contains it, and checks the result against its limits.

use std::sync::Arc;

use handlebars::{Context, Handlebars};
use jsonc_parser::ast;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::{Map, Value};

use super::lint::{self, Faults, LintContext};
use super::portable::NoMessage;
use super::problems::RenderError;
use super::slot::{Rendering, Slot, SlotError};
use super::syntax;
use crate::chat::Finish;
use crate::message::shield::{Skeleton, unshield};
use crate::problem::{Problem, Severity, SourceFile};
use crate::text::sanitized;

/// Maximum nesting depth of a body. Chats use less than a tenth of it. Parsing needs stack space for each level.
pub(super) const MAX_DEPTH: usize = 128;

/// Compiled chat-native template.
pub(super) struct Native {
    file: Arc<SourceFile>,
    body: Slot,
    /// Body with line marks, to locate errors in the JSON.
    marked: Option<Slot>,
}

impl Native {
    /// Compiles a template file. Returns the problems next to the template, which is `None` if one of them is an error.
    pub(super) fn compile(file: Arc<SourceFile>, known: &LintContext<'_>) -> (Option<Self>, Vec<Problem>) {
        let mut faults = Faults::new(file.clone(), known);
        let body = faults.slot("body", &file.text, 0..file.text.len());
        let problems = faults.into_problems();
        let is_broken = problems.iter().any(|problem| problem.severity == Severity::Error);
        let marked = lint::compiled("body", &syntax::with_line_marks(&file.text), known.partials);
        ((!is_broken).then_some(Self { file, body, marked }), problems)
    }

    pub(super) fn file(&self) -> &Arc<SourceFile> {
        &self.file
    }

    /// Renders the body; `finish` unshields its values.
    pub(super) fn render(
        &self,
        registry: &Handlebars<'_>,
        context: &Context,
        finish: Finish,
    ) -> Result<String, NoMessage> {
        let failed = |reason| NoMessage::failed(&self.file, None, reason);
        let mut rendering = Rendering::new(registry, context);
        let text = rendering.slot(&self.body).map_err(|error| match error {
            SlotError::Skip(why) => NoMessage::Skip(why),
            SlotError::Failed(reason) => failed(reason),
        })?;
        let body = json(&Skeleton::of(text)).map_err(|reason| {
            let line = self.line_of_mistake(registry, context);
            NoMessage::failed(&self.file, line, reason)
        })?;
        finish(body).map_err(|error| failed(error.into()))
    }

    /// Returns the line of the template that renders to invalid JSON for this event.
    fn line_of_mistake(&self, registry: &Handlebars<'_>, context: &Context) -> Option<usize> {
        let mut rendering = Rendering::new(registry, context);
        let skeleton = Skeleton::of(rendering.slot(self.marked.as_ref()?).ok()?);
        let error = parse_to_ast(skeleton.as_str(), &CollectOptions::default(), &OPTIONS).err()?;
        Some(syntax::marked_line(skeleton.as_str(), error.range().start))
    }
}

const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Parses JSON with comments and trailing commas, but no other extensions. A duplicate key is an error.
fn json(skeleton: &Skeleton<'_>) -> Result<Value, RenderError> {
    let text = skeleton.as_str();
    // A private-use character from an escape would be mistaken for a value or a helper's markup.
    let mut escapes = text.match_indices("\\u").filter_map(|(at, _)| text.get(at + 2..at + 5));
    if escapes.any(|high| ("db8"..="dbf").contains(&high.to_ascii_lowercase().as_str())) {
        return Err(RenderError::PrivateUseEscape);
    }
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(RenderError::TooDeep);
        }
    }
    let parsed = parse_to_ast(text, &CollectOptions::default(), &OPTIONS).map_err(|error| {
        let line = text.lines().nth(error.line_display().saturating_sub(1)).unwrap_or_default();
        let text = sanitized(&unshield(&skeleton.rendered(line))).trim().to_owned();
        RenderError::InvalidJson { reason: error.kind().to_string(), line: error.line_display(), text }
    })?;
    value(&parsed.value.ok_or(RenderError::EmptyJson)?, skeleton)
}

/// Converts the parsed tree, and puts the marks around values back.
fn value(parsed: &ast::Value<'_>, skeleton: &Skeleton<'_>) -> Result<Value, RenderError> {
    let value = |parsed: &ast::Value<'_>| value(parsed, skeleton);
    Ok(match parsed {
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::BooleanLit(literal) => literal.value.into(),
        ast::Value::StringLit(literal) => skeleton.rendered(&literal.value).into(),
        ast::Value::NumberLit(literal) => {
            serde_json::from_str(literal.value).map_err(|_| RenderError::InvalidNumber(literal.value.to_owned()))?
        }
        ast::Value::Array(items) => Value::Array(items.elements.iter().map(value).collect::<Result<_, _>>()?),
        ast::Value::Object(object) => {
            let mut map = Map::new();
            for property in &object.properties {
                let key = skeleton.rendered(property.name.as_str());
                if map.insert(key, value(&property.value)?).is_some() {
                    return Err(RenderError::DuplicateKey(sanitized(property.name.as_str())));
                }
            }
            map.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_allows_comments_and_trailing_commas_only() {
        let fine = "{ // said\n \"a\": [1, -2.5e3, true, null,], /* and */ \"b\": {},\n}";
        assert_eq!(json(&Skeleton::of(fine)).unwrap(), serde_json::json!({ "a": [1, -2500.0, true, null], "b": {} }));
        for (wrong, why) in [
            ("{ a: 1 }", "invalid JSON"),
            ("{ 'a': 1 }", "invalid JSON"),
            ("{ \"a\": 1 \"b\": 2 }", "invalid JSON"),
            ("{ \"a\": 0x1 }", "invalid JSON"),
            ("{ \"a\": +1 }", "invalid JSON"),
            ("{ \"a\": .5 }", "invalid JSON"),
            ("{ \"a\": NaN }", "invalid JSON"),
            ("{ \"a\": \"\\x41\" }", "invalid JSON"),
            ("{ \"a\": 1, \"a\": 2 }", "duplicate key `a`"),
            ("", "renders to an empty text"),
            ("{} {}", "invalid JSON"),
        ] {
            let error = json(&Skeleton::of(wrong)).unwrap_err().to_string();
            assert!(error.contains(why), "{wrong}: {error}");
        }
        for private in ["{ \"a\": \"\\udbc0\\udc01pX\" }", "{ \"\\uDB80\\uDC00\": 1 }"] {
            assert!(json(&Skeleton::of(private)).unwrap_err() == RenderError::PrivateUseEscape, "{private}");
        }
        assert!(json(&Skeleton::of("{ \"a\": \"\\ud83d\\ude00 \\u00e9\" }")).is_ok());
        assert!(json(&Skeleton::of(&"[".repeat(100_000))).unwrap_err() == RenderError::TooDeep);
    }
}
