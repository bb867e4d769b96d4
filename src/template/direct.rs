//! Fast path for most of a template: text, values at plain paths, and `if`, `unless` and `each` over such values.
//!
//! For each value, Handlebars walks from the root of the event and copies every step of the path. In a message with a
//! list, that takes most of the time. This module renders equivalent templates by reference. Everything else is left to
//! Handlebars: helpers, partials, `../`, `@index` and block parameters, as well as plain paths that turn out to need
//! Handlebars for a given event.

use std::collections::BTreeMap;

use handlebars::template::{HelperTemplate, Parameter, TemplateElement};
use handlebars::{JsonRender, JsonTruthy, Path, PathSeg, Template};
use serde_json::Value;

use super::budget::{metered, spend};
use super::helpers::HELPERS;
use super::lint::Partial;
use super::slot::MAX_OUTPUT;
use crate::message::shield::shield_into;

/// Segment of a template.
pub(super) struct Stretch {
    /// The segment as a Handlebars template.
    pub(super) template: Template,
    /// Steps of the fast path, if the segment supports it.
    steps: Option<Vec<Step>>,
}

/// Rendering step that does not need Handlebars.
enum Step {
    Text(String),
    Value(Vec<String>),
    If { path: Vec<String>, then: Vec<Step>, otherwise: Vec<Step> },
    Each { path: Vec<String>, body: Vec<Step>, otherwise: Vec<Step> },
}

/// Error for a value that the fast path does not support.
struct Surprise;

/// Splits a template into segments with and without a fast path.
pub(super) fn stretches(template: Template, partials: &BTreeMap<String, Partial>) -> Vec<Stretch> {
    // Lines of a partial are indented like the tag that includes it. Only Handlebars tracks that indentation.
    if template.elements.iter().any(has_partial) {
        return vec![Stretch { template: metered(template, partials), steps: None }];
    }
    let mut stretches: Vec<Stretch> = vec![];
    for (element, mapping) in template.elements.into_iter().zip(template.mapping) {
        let step = step(&element);
        let fits = stretches.last().is_some_and(|last| last.steps.is_some() == step.is_some());
        if !fits {
            stretches.push(Stretch { template: Template::new(), steps: step.as_ref().map(|_| vec![]) });
        }
        if let Some(last) = stretches.last_mut() {
            last.template.elements.push(element);
            last.template.mapping.push(mapping);
            if let Some(steps) = &mut last.steps {
                steps.extend(step);
            }
        }
    }
    let metered = |stretch: Stretch| Stretch { template: metered(stretch.template, partials), ..stretch };
    stretches.into_iter().map(metered).collect()
}

impl Stretch {
    /// Renders with the fast path. Returns false, and writes nothing, if it does not support this event.
    pub(super) fn write(&self, event: &Value, output: &mut String) -> bool {
        let before = output.len();
        let written = self.steps.as_ref().is_some_and(|steps| write(steps, event, output).is_ok());
        if !written {
            output.truncate(before);
        }
        written
    }
}

fn has_partial(element: &TemplateElement) -> bool {
    match element {
        TemplateElement::PartialExpression(_) | TemplateElement::PartialBlock(_) => true,
        TemplateElement::HelperBlock(block) => {
            let branches = [&block.template, &block.inverse];
            branches.into_iter().flatten().any(|branch| branch.elements.iter().any(has_partial))
        }
        _ => false,
    }
}

fn steps(template: Option<&Template>) -> Option<Vec<Step>> {
    template.map_or(Some(vec![]), |template| template.elements.iter().map(step).collect())
}

fn step(element: &TemplateElement) -> Option<Step> {
    match element {
        TemplateElement::RawString(text) => Some(Step::Text(text.clone())),
        TemplateElement::Comment(_) => Some(Step::Text(String::new())),
        TemplateElement::Expression(value) if value.params.is_empty() && value.hash.is_empty() => {
            let path = plain(&value.name)?;
            let is_helper = matches!(path.as_slice(), [name] if HELPERS.iter().any(|helper| helper.name == name));
            (!is_helper).then_some(Step::Value(path))
        }
        TemplateElement::HelperBlock(block) => self::block(block),
        _ => None,
    }
}

fn block(block: &HelperTemplate) -> Option<Step> {
    let [subject] = block.params.as_slice() else { return None };
    if !block.hash.is_empty() || block.block_param.is_some() {
        return None;
    }
    let path = plain(subject)?;
    let (inside, otherwise) = (steps(block.template.as_ref())?, steps(block.inverse.as_ref())?);
    match block.name.as_name()? {
        "if" => Some(Step::If { path, then: inside, otherwise }),
        "unless" => Some(Step::If { path, then: otherwise, otherwise: inside }),
        "each" => Some(Step::Each { path, body: inside, otherwise }),
        _ => None,
    }
}

/// Returns the parts of a path that consists only of names.
fn plain(parameter: &Parameter) -> Option<Vec<String>> {
    let Parameter::Path(Path::Relative((parts, _))) = parameter else { return None };
    let name = |part: &PathSeg| match part {
        PathSeg::Named(name) => Some(name.clone()),
        _ => None,
    };
    let path: Vec<_> = parts.iter().map(name).collect::<Option<_>>()?;
    (!path.is_empty()).then_some(path)
}

fn write(steps: &[Step], at: &Value, output: &mut String) -> Result<(), Surprise> {
    for step in steps {
        // If the budget is spent, Handlebars reports the error.
        spend(1).map_err(|_| Surprise)?;
        match step {
            Step::Text(text) => output.push_str(text),
            Step::Value(path) => match find(path, at)? {
                Value::String(text) => shield_into(text, output),
                value => shield_into(&value.render(), output),
            },
            Step::If { path, then, otherwise } => {
                write(if find(path, at)?.is_truthy(false) { then } else { otherwise }, at, output)?;
            }
            Step::Each { path, body, otherwise } => match find(path, at)? {
                Value::Array(items) if !items.is_empty() => {
                    items.iter().try_for_each(|item| write(body, item, output))?;
                }
                Value::Object(_) => return Err(Surprise),
                _ => write(otherwise, at, output)?,
            },
        }
        if output.len() > MAX_OUTPUT {
            return Err(Surprise);
        }
    }
    Ok(())
}

/// Returns the value at a path; null if there is none.
fn find<'a>(path: &[String], from: &'a Value) -> Result<&'a Value, Surprise> {
    path.iter().try_fold(from, |at, name| match at {
        Value::Object(parts) => Ok(parts.get(name).unwrap_or(&Value::Null)),
        Value::Array(_) => Err(Surprise),
        _ => Ok(&Value::Null),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::helpers;
    use super::*;

    /// Generates templates that the fast path supports, and some that it leaves to Handlebars.
    fn template() -> impl Strategy<Value = String> {
        let names = ["a", "b.c", "list", "list.x", "object", "eq", "this", "b.list", "@index", "../a", "[a]", "len"];
        let path = prop::sample::select(names.to_vec());
        let text = prop::sample::select(vec!["text", "\n", " ", "- ", "*"]).prop_map(str::to_owned);
        let leaf =
            prop_oneof![path.clone().prop_map(|path| format!("{{{{{path}}}}}")), text, Just("{{! note }}".to_owned())];
        let whole = |parts: Vec<String>| parts.concat();
        leaf.prop_recursive(4, 24, 4, move |inner| {
            let inside = prop::collection::vec(inner, 0..4).prop_map(whole);
            let name = prop::sample::select(vec!["if", "unless", "each", "with", "each+"]);
            let otherwise = prop::option::of(inside.clone());
            (name, path.clone(), inside, otherwise).prop_map(|(name, path, inside, otherwise)| {
                let (name, as_names) = name.strip_suffix('+').map_or((name, ""), |name| (name, " as |a|"));
                let otherwise = otherwise.map(|otherwise| format!("{{{{else}}}}{otherwise}")).unwrap_or_default();
                format!("{{{{#{name} {path}{as_names}}}}}{inside}{otherwise}{{{{/{name}}}}}")
            })
        })
    }

    fn event() -> impl Strategy<Value = Value> {
        let text = prop::sample::select(vec![json!(""), json!("*x*"), json!("a b"), json!(0), json!(17), json!(null)]);
        let leaf = prop_oneof![text, any::<bool>().prop_map(Value::from)];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let keys = prop::sample::select(vec!["a", "b", "c", "list", "x", "object", "eq", "len"]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(keys, inner, 0..6).prop_map(|parts| json!(parts)),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn direct_rendering_equals_handlebars(parts in prop::collection::vec(template(), 1..5), event in event()) {
            let text = parts.concat();
            let registry = helpers::registry();
            let Ok(template) = Template::compile(&text) else { return Ok(()) };
            for stretch in stretches(template, &BTreeMap::new()) {
                super::super::budget::begin();
                let mut short = "before".to_owned();
                if !stretch.write(&event, &mut short) {
                    prop_assert_eq!(short, "before");
                    continue;
                }
                let context = handlebars::Context::from(event.clone());
                let mut state = handlebars::RenderContext::new(None);
                let whole = handlebars::Renderable::renders(&stretch.template, &registry, &context, &mut state);
                prop_assert_eq!(Some(short), whole.ok().map(|whole| format!("before{whole}")), "{}", text);
            }
        }
    }

    #[test]
    fn simple_loops_are_rendered_directly_and_others_by_handlebars() {
        let short = |text: &str| {
            let event = json!({ "push": { "commits": [{ "subject": "a" }, { "subject": "b", "by": "Bo" }] }, "eq": 1 });
            let mut output = String::new();
            super::super::budget::begin();
            let stretches = stretches(Template::compile(text).unwrap(), &BTreeMap::new());
            stretches.iter().all(|stretch| stretch.write(&event, &mut output)).then_some(output)
        };
        let list = "{{#each push.commits}}{{subject}}{{#if by}}, {{by}}{{else if date}}!{{/if}};{{/each}}{{push.none}}";
        let said = short(list).unwrap();
        assert_eq!(crate::message::shield::unshield(&said), "a;b, Bo;");
        for text in [
            "{{eq}}",
            "{{> partial}}",
            "{{plural 2 'x'}}",
            "{{push.commits.subject}}",
            "{{#each push}}{{this}}{{/each}}",
        ] {
            assert_eq!(short(text), None, "{text}");
        }
    }
}
