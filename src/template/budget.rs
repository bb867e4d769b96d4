//! Budget that limits the work of rendering. Without it, a template with loops over long lists could take minutes.
//!
//! A message is rendered on one thread without interruption, so its remaining budget is stored in a thread-local. Each
//! write costs one step, each loop iteration one step per element of the loop body, and each helper call a number of
//! steps that depends on the length of its texts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use handlebars::template::{HelperTemplate, TemplateElement};
use handlebars::{
    Context, Handlebars, Helper, HelperResult, Output, RenderContext, RenderError, RenderErrorReason, Template,
};

use serde_json::Value;

use super::lint::Partial;
use super::problems;

/// Maximum number of steps for one message. A push of 1,000 commits takes about 20,000.
pub(super) const MAX_STEPS: u64 = 200_000;

/// Bytes of text that a helper may process per step.
const BYTES: u64 = 32;

/// Internal helper that spends the steps of a loop iteration. The lint rejects it in users' templates.
const TURN: &str = "_turn";

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(MAX_STEPS) };
    static CANCELLED: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// Resets the budget for a new message.
pub(super) fn begin() {
    LEFT.set(MAX_STEPS);
}

/// Runs `work` on this thread. Rendering in it fails once `flag` is set.
pub(crate) fn cancelled_by<T>(flag: Arc<AtomicBool>, work: impl FnOnce() -> T) -> T {
    /// Clears the flag even after a panic, because the thread is reused.
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            CANCELLED.set(None);
        }
    }
    CANCELLED.set(Some(flag));
    let _reset = Reset;
    work()
}

/// Returns true if the work on this thread was cancelled.
pub(super) fn is_cancelled() -> bool {
    CANCELLED.with_borrow(|flag| flag.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)))
}

/// Returns the approximate size of a value and its contents in bytes.
pub(super) fn weight(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(items) => items.iter().map(|item| weight(item) + 8).sum(),
        Value::Object(parts) => parts.iter().map(|(key, part)| key.len() as u64 + weight(part) + 8).sum(),
        _ => 8,
    }
}

/// Spends steps of the budget. Fails if the budget is exhausted or the work was cancelled.
pub(super) fn spend(steps: u64) -> Result<(), problems::RenderError> {
    let left = LEFT.get();
    LEFT.set(left.saturating_sub(steps));
    if left < steps {
        return Err(problems::RenderError::TooManySteps);
    }
    if is_cancelled() { Err(problems::RenderError::Cancelled) } else { Ok(()) }
}

/// Spends the steps of a helper that reads or produces this many bytes.
pub(super) fn spend_on(bytes: u64) -> Result<(), RenderError> {
    spend_or_fail(bytes / BYTES + 1)
}

/// Like [`spend`], with the error type of helpers.
fn spend_or_fail(steps: u64) -> Result<(), RenderError> {
    spend(steps).map_err(|why| RenderErrorReason::Other(why.to_string()).into())
}

/// Registers the internal helper that [`metered`] inserts into loops.
pub(super) fn register(registry: &mut Handlebars<'_>) {
    registry.register_helper(TURN, Box::new(turn));
}

fn turn(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    _: &mut dyn Output,
) -> HelperResult {
    let steps = helper.param(0).and_then(|steps| steps.value().as_u64()).unwrap_or(1);
    spend_or_fail(steps)
}

/// Returns the template with loops that spend budget on each iteration.
pub(super) fn metered(mut template: Template, partials: &BTreeMap<String, Partial>) -> Template {
    for element in &mut template.elements {
        let TemplateElement::HelperBlock(block) = element else { continue };
        let is_loop = block.name.as_name() == Some("each");
        let HelperTemplate { template, inverse, .. } = block.as_mut();
        for branch in [&mut *template, inverse] {
            *branch = branch.take().map(|branch| metered(branch, partials));
        }
        if let Some(body) = template.as_mut().filter(|_| is_loop) {
            let steps = size(body, partials) + 1;
            if let Ok(mut turn) = Template::compile(&format!("{{{{{TURN} {steps}}}}}")) {
                body.elements.splice(0..0, turn.elements.drain(..));
                body.mapping.splice(0..0, turn.mapping.drain(..));
            }
        }
    }
    template
}

/// Maximum nesting depth up to which partials are measured. The lint allows less.
const MAX_PARTIAL_DEPTH: usize = 32;

/// Computes the size of each partial.
pub(super) fn measure(partials: &mut BTreeMap<String, Partial>) {
    let mut sizes = BTreeMap::new();
    for name in partials.keys() {
        size_of(name, partials, &mut sizes, 0);
    }
    for (name, partial) in partials {
        partial.size = sizes.get(name).copied().unwrap_or_default();
    }
}

/// Returns the size of a partial. A partial that includes itself counts once.
fn size_of(name: &str, partials: &BTreeMap<String, Partial>, sizes: &mut BTreeMap<String, u64>, depth: usize) -> u64 {
    if let Some(size) = sizes.get(name) {
        return *size;
    }
    let Some(partial) = partials.get(name).filter(|_| depth < MAX_PARTIAL_DEPTH) else { return 0 };
    sizes.insert(name.to_owned(), 0);
    let size = elements(&partial.template, &mut |name| size_of(name, partials, sizes, depth + 1));
    sizes.insert(name.to_owned(), size);
    size
}

fn size(template: &Template, partials: &BTreeMap<String, Partial>) -> u64 {
    elements(template, &mut |name| partials.get(name).map_or(0, |partial| partial.size))
}

/// Counts the elements of a template, including those of its partials.
fn elements(template: &Template, of_partial: &mut dyn FnMut(&str) -> u64) -> u64 {
    template.elements.iter().fold(0_u64, |sum, element| {
        let inside = match element {
            TemplateElement::HelperBlock(block) => {
                let branches = [&block.template, &block.inverse].into_iter().flatten();
                branches.fold(0_u64, |sum, branch| sum.saturating_add(elements(branch, of_partial)))
            }
            TemplateElement::PartialExpression(partial) | TemplateElement::PartialBlock(partial) => {
                partial.name.as_name().map_or(0, &mut *of_partial)
            }
            _ => 0,
        };
        sum.saturating_add(inside).saturating_add(1)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Context, Library};
    use super::*;

    /// Returns the failures of a template with this body and these partials, rendered for a push of 1,000 commits.
    fn failures(body: &str, partials: &[(&str, &str)]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("partials")).unwrap();
        for (name, text) in partials {
            std::fs::write(directory.path().join(format!("partials/{name}.hbs")), text).unwrap();
        }
        let text = format!("+++\nline = 'x'\n+++\n{body}");
        std::fs::write(directory.path().join("push.md.hbs"), text).unwrap();
        let (library, problems) = Library::load(directory.path(), "templates");
        assert!(problems.is_empty(), "{problems:?}");
        let commits =
            vec![json!({ "subject": "a", "message": "a long one ".repeat(100), "parents": ["a", "b"] }); 1_000];
        let event = json!({ "kind": "push", "key": "repo:push", "push": { "commits": commits } });
        let rendered = library.render(&Context::new(event), None);
        rendered.failures.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn large_push_has_its_fields() {
        let body = "{{#each push.commits}}- {{link (truncate subject 80) url}}{{#if by}} {{by}}{{/if}}\n{{/each}}";
        assert_eq!(failures(body, &[]), Vec::<String>::new());
    }

    #[test]
    fn endless_work_is_limited() {
        let loops = |body: &str| {
            format!("{{{{#each push.commits}}}}{{{{#each ../push.commits}}}}{body}{{{{/each}}}}{{{{/each}}}}")
        };
        let long = "{{#each push.commits}}{{#if (markdown message)}}{{/if}}{{#if (markdown message)}}{{/if}}{{/each}}"
            .repeat(20);
        let partials =
            [("a", "{{> b}}{{> b}}{{> b}}"), ("b", "{{> c}}{{> c}}{{> c}}"), ("c", "{{#if (eq @root.key 1)}}{{/if}}")];
        for (body, partials) in [
            (loops("{{#if (eq subject 'b')}}{{/if}}"), &[][..]),
            (loops("{{subject}}"), &[][..]),
            (long, &[][..]),
            (loops("{{> a}}"), &partials[..]),
        ] {
            let failures = failures(&body, partials);
            assert!(
                failures.iter().any(|failure| failure.contains("steps") || failure.contains("KB")),
                "{body}: {failures:?}"
            );
        }
    }

    #[test]
    fn multiplying_partials_are_an_error() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("partials")).unwrap();
        for n in 0..15 {
            let next = format!("{{{{> p{}}}}}", n + 1).repeat(4);
            std::fs::write(directory.path().join(format!("partials/p{n}.hbs")), next).unwrap();
        }
        std::fs::write(directory.path().join("partials/p15.hbs"), "x").unwrap();
        std::fs::write(directory.path().join("push.md.hbs"), "+++\nline = 'x'\n+++\n{{> p0}}").unwrap();
        let (_, problems) = Library::load(directory.path(), "templates");
        let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(messages, ["includes more than 1000 partials"]);
    }

    #[test]
    fn rendering_is_cancelled_when_the_client_leaves() {
        let cancelled = Arc::new(AtomicBool::new(true));
        let failures = cancelled_by(cancelled, || failures("{{key}}{{key}}", &[]));
        assert!(failures.iter().any(|failure| failure.contains("rendering was cancelled")), "{failures:?}");
        assert!(spend(1).is_ok());
    }
}
