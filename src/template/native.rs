//! Chat-native templates: the request's own body as JSON, with Handlebars in it. The chat turns values back by the
//! slot that each stands in, and holds the result against its limits.

use std::sync::Arc;

use handlebars::{Context, Handlebars};
use jsonc_parser::ast;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::{Map, Value};

use super::lint::{self, Faults, Known};
use super::portable::{NoMessage, RenderFailure};
use super::slot::{Rendering, Slot, SlotError};
use super::syntax;
use crate::message::shield::{Skeleton, harmless, unshield};
use crate::problem::{Problem, Severity, SourceFile};

/// How deep a body may nest. No chat's goes to a tenth of it, and reading one takes some stack for each level.
const DEEPEST: usize = 128;

/// A compiled chat-native template.
pub(super) struct Native {
    file: Arc<SourceFile>,
    body: Slot,
    /// The same with line numbers, to say where a mistake in its JSON is.
    marked: Option<Slot>,
}

impl Native {
    /// Compiles a template's file. What is wrong with it comes beside it; with an error, there is none.
    pub(super) fn compile(file: Arc<SourceFile>, known: &Known<'_>) -> (Option<Self>, Vec<Problem>) {
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

    /// The body, once `finish` has turned its values back.
    pub(super) fn render(
        &self,
        registry: &Handlebars<'_>,
        context: &Context,
        finish: fn(Value) -> Result<String, String>,
    ) -> Result<String, NoMessage> {
        let failed = |reason| NoMessage::Failed(RenderFailure { path: self.file.path.clone(), line: None, reason });
        let mut rendering = Rendering::new(registry, context);
        let text = rendering.slot(&self.body).map_err(|error| match error {
            SlotError::Skip(why) => NoMessage::Skip(why),
            SlotError::Failed(reason) => failed(reason),
        })?;
        let body = json(&Skeleton::of(text)).map_err(|reason| {
            let line = self.line_of_mistake(registry, context);
            NoMessage::Failed(RenderFailure { path: self.file.path.clone(), line, reason })
        })?;
        finish(body).map_err(failed)
    }

    /// The line of the template that makes no JSON for this event.
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

/// JSON with comments and trailing commas, and nothing laxer. A key that stands twice is a mistake.
fn json(skeleton: &Skeleton<'_>) -> Result<Value, String> {
    let text = skeleton.as_str();
    // What an escape makes of a private character would be taken for a value, or a helper's markup.
    let mut escapes = text.match_indices("\\u").filter_map(|(at, _)| text.get(at + 2..at + 5));
    if escapes.any(|high| ("db8"..="dbf").contains(&high.to_ascii_lowercase().as_str())) {
        return Err("renders to JSON with an escape for a private character".to_owned());
    }
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(format!("renders to JSON that nests more than {DEEPEST} deep"));
        }
    }
    let parsed = parse_to_ast(text, &CollectOptions::default(), &OPTIONS).map_err(|error| {
        let line = text.lines().nth(error.line_display().saturating_sub(1)).unwrap_or_default();
        let shown = harmless(&unshield(&skeleton.rendered(line)));
        format!(
            "renders to no JSON: {} in line {} of what comes out: `{}`",
            error.kind(),
            error.line_display(),
            shown.trim()
        )
    })?;
    value(&parsed.value.ok_or("renders to nothing: there must be a JSON object")?, skeleton)
}

/// What was parsed, with the marks around its values.
fn value(parsed: &ast::Value<'_>, skeleton: &Skeleton<'_>) -> Result<Value, String> {
    let value = |parsed: &ast::Value<'_>| value(parsed, skeleton);
    Ok(match parsed {
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::BooleanLit(literal) => literal.value.into(),
        ast::Value::StringLit(literal) => skeleton.rendered(&literal.value).into(),
        ast::Value::NumberLit(literal) => {
            serde_json::from_str(literal.value).map_err(|_| format!("`{}` is no number of JSON", literal.value))?
        }
        ast::Value::Array(items) => Value::Array(items.elements.iter().map(value).collect::<Result<_, _>>()?),
        ast::Value::Object(object) => {
            let mut map = Map::new();
            for property in &object.properties {
                let key = skeleton.rendered(property.name.as_str());
                if map.insert(key, value(&property.value)?).is_some() {
                    let key = harmless(property.name.as_str());
                    return Err(format!("`{key}` stands twice in one object"));
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
    fn comments_and_trailing_commas_and_nothing_laxer() {
        let fine = "{ // said\n \"a\": [1, -2.5e3, true, null,], /* and */ \"b\": {},\n}";
        assert_eq!(json(&Skeleton::of(fine)).unwrap(), serde_json::json!({ "a": [1, -2500.0, true, null], "b": {} }));
        for (wrong, why) in [
            ("{ a: 1 }", "no JSON"),
            ("{ 'a': 1 }", "no JSON"),
            ("{ \"a\": 1 \"b\": 2 }", "no JSON"),
            ("{ \"a\": 0x1 }", "no JSON"),
            ("{ \"a\": +1 }", "no JSON"),
            ("{ \"a\": .5 }", "no JSON"),
            ("{ \"a\": NaN }", "no JSON"),
            ("{ \"a\": \"\\x41\" }", "no JSON"),
            ("{ \"a\": 1, \"a\": 2 }", "`a` stands twice"),
            ("", "renders to nothing"),
            ("{} {}", "no JSON"),
        ] {
            let error = json(&Skeleton::of(wrong)).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
        for private in ["{ \"a\": \"\\udbc0\\udc01pX\" }", "{ \"\\uDB80\\uDC00\": 1 }"] {
            assert!(json(&Skeleton::of(private)).unwrap_err().contains("private character"), "{private}");
        }
        assert!(json(&Skeleton::of("{ \"a\": \"\\ud83d\\ude00 \\u00e9\" }")).is_ok());
        assert!(json(&Skeleton::of(&"[".repeat(100_000))).unwrap_err().contains("nests more than"));
    }
}
