//! Handlebars' syntax errors speak of its grammar's rules; these speak of what was typed.

use std::sync::LazyLock;

use handlebars::TemplateError;
use regex::Regex;

/// `{{#each …}}`, `{{/each}}`: the sign and the name.
#[expect(clippy::expect_used, reason = "a literal, which a test compiles")]
static BLOCK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{\{~?\s*([#/])[>*]?\s*([\w.\-]+)").expect("a valid pattern"));

/// What is wrong with a template's text, and where: line and column, both from 1.
pub(super) fn explain(text: &str, error: &TemplateError) -> (String, Option<(usize, usize)>) {
    if let Some((name, at)) = unclosed_block(text) {
        return (format!("`{{{{#{name}}}}}` is not closed: end it with `{{{{/{name}}}}}`"), Some(position(text, at)));
    }
    let reason = error.reason().to_string();
    if text.matches("{{").count() > text.matches("}}").count() {
        return ("`{{` is not closed: `}}` is missing".to_owned(), error.pos());
    }
    let reason = reason.trim_start_matches("invalid handlebars syntax: ").trim();
    (format!("not valid Handlebars: {reason}"), error.pos())
}

/// The innermost block that was opened and never closed: its name, and the byte at which it opens.
fn unclosed_block(text: &str) -> Option<(&str, usize)> {
    let mut open = vec![];
    for found in BLOCK.captures_iter(text) {
        let (Some(whole), Some(sign), Some(name)) = (found.get(0), found.get(1), found.get(2)) else { continue };
        match sign.as_str() {
            "#" => open.push((name.as_str(), whole.start())),
            _ if open.last().is_some_and(|(opened, _)| *opened == name.as_str()) => {
                open.pop();
            }
            _ => return open.pop(),
        }
    }
    open.pop()
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
