//! Syntax checks and errors. Handlebars' own errors name grammar rules; these name the text that the user typed.

use std::sync::LazyLock;

use handlebars::{Template, TemplateError};
use regex::Regex;

use super::problems::SyntaxError;

/// Matches `{{#each …}}` and `{{/each}}`: the sign and the name.
#[expect(clippy::expect_used, reason = "a literal that a test compiles")]
static BLOCK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{\{~?\s*([#/])[>*]?\s*([\w.\-]+)").expect("a valid pattern"));

/// Matches `{{name | filter}}`, as in Jinja and Liquid.
#[expect(clippy::expect_used, reason = "a literal that a test compiles")]
static FILTER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"\{\{~?\s*[\w.\-]+\s*\|\s*\w[^}|]*\}\}"#).expect("a valid pattern"));

/// Matches `{{#each .}}`.
#[expect(clippy::expect_used, reason = "a literal that a test compiles")]
static EACH_DOT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{\{~?\s*#\s*each\s+\.\s*[}|]").expect("a valid pattern"));

/// Matches `{% if … %}`, as in Jinja and Liquid; Handlebars treats it as text.
#[expect(clippy::expect_used, reason = "a literal that a test compiles")]
static TAG_OF_JINJA: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{%-?\s*(if|for|else|endif|endfor|set|include)\b").expect("a valid pattern"));

/// Finds a tag of another template language. Returns its line and column, both 1-based.
pub(super) fn foreign_tag(text: &str) -> Option<(usize, usize)> {
    TAG_OF_JINJA.find(text).map(|found| position(text, found.start()))
}

/// Appends the line number to each line of a JSON template, as a comment. These marks map positions in the output to
/// lines of the template.
pub(super) fn with_line_marks(text: &str) -> String {
    let (mut marked, mut at, mut line) = (String::with_capacity(text.len() * 2), 0, 1);
    let mut copy = |part: &str, is_raw: bool| {
        for c in part.chars() {
            if c == '\n' {
                if is_raw {
                    marked.push_str(&format!(" {LINE_MARK}{line}*/"));
                }
                line += 1;
            }
            marked.push(c);
        }
    };
    while let Some(start) = text[at..].find("{{").map(|found| at + found) {
        let end = Tag::at(text, start).end;
        copy(&text[at..start], true);
        copy(&text[start..end], false);
        at = end;
    }
    copy(&text[at..], true);
    marked
}

/// Returns the template line of a byte offset in the rendered output of a template with line marks.
pub(super) fn marked_line(rendered: &str, at: usize) -> usize {
    let before = rendered.get(..at).unwrap_or(rendered);
    let last = before.rfind(LINE_MARK).map(|found| &before[found + LINE_MARK.len()..]);
    let number = last.and_then(|rest| rest.split("*/").next()?.parse::<usize>().ok());
    number.map_or(1, |number| number + 1)
}

const LINE_MARK: &str = "/*@";

/// Maximum number of expressions in a text. Handlebars' parser searches from the start for the line of each one.
pub(super) const MAX_TAGS: usize = 5_000;

/// Compiles the text of a template. The error has a position: line and column, both 1-based.
pub(super) fn compile(text: &str) -> Result<Template, (SyntaxError, Option<(usize, usize)>)> {
    let tags = opened(text);
    if tags > MAX_TAGS {
        return Err((SyntaxError::TooManyTags(tags), None));
    }
    if let Some(at) = too_deep(text) {
        return Err((SyntaxError::TooDeep, Some(position(text, at))));
    }
    Template::compile(text).map_err(|error| explain(text, &error))
}

/// Counts the expressions that a text opens.
fn opened(text: &str) -> usize {
    text.matches("{{").count()
}

/// Explains a syntax error and returns its position: line and column, both 1-based.
fn explain(text: &str, error: &TemplateError) -> (SyntaxError, Option<(usize, usize)>) {
    if let Some((name, at)) = unclosed_block(text) {
        return (SyntaxError::UnclosedBlock(name.to_owned()), Some(position(text, at)));
    }
    if let Some(found) = FILTER.find(text) {
        return (SyntaxError::Filter, Some(position(text, found.start())));
    }
    if let Some(found) = EACH_DOT.find(text) {
        return (SyntaxError::EachDot, Some(position(text, found.start())));
    }
    let reason = error.reason().to_string();
    if opened(text) > text.matches("}}").count() {
        return (SyntaxError::UnclosedTag, error.pos());
    }
    let reason = reason.trim_start_matches("invalid handlebars syntax: ").trim();
    (SyntaxError::Invalid(reason.to_owned()), error.pos())
}

/// Finds the innermost block that is not closed. Returns its name and the byte offset of its opening tag.
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

/// Maximum nesting depth of blocks, `{{else if}}` chains and subexpressions. Handlebars' parser uses stack space for
/// each level.
pub(super) const MAX_DEPTH: usize = 64;

/// Returns the byte offset at which a template first nests deeper than [`MAX_DEPTH`]. Works without parsing.
fn too_deep(text: &str) -> Option<usize> {
    // Most templates have fewer blocks and parentheses in total.
    if opened(text) <= MAX_DEPTH && text.matches(['(', '[', '{']).count() <= MAX_DEPTH {
        return None;
    }
    // Levels of each open block: one, and one per `else` in its chain.
    let (mut open, mut depth) = (vec![], 0_usize);
    let mut at = 0;
    while let Some(start) = text[at..].find("{{").map(|found| at + found) {
        let tag = Tag::at(text, start);
        at = tag.end;
        match tag.sort {
            Sort::Opens => {
                open.push(1);
                depth += 1;
            }
            Sort::Chains => {
                if let Some(levels) = open.last_mut() {
                    *levels += 1;
                }
                depth += 1;
            }
            Sort::Closes => depth -= open.pop().unwrap_or(0),
            Sort::Other => {}
        }
        if depth > MAX_DEPTH || tag.parentheses > MAX_DEPTH {
            return Some(start);
        }
    }
    None
}

/// A `{{…}}` tag.
struct Tag {
    end: usize,
    sort: Sort,
    /// Nesting depth of parentheses, brackets and braces inside the tag.
    parentheses: usize,
}

enum Sort {
    Opens,
    Chains,
    Closes,
    Other,
}

impl Tag {
    fn at(text: &str, start: usize) -> Self {
        let rest = &text[start..];
        let ends = |mark: &str| rest.find(mark).map_or(text.len(), |found| start + found + mark.len());
        let other = |end| Self { end, sort: Sort::Other, parentheses: 0 };
        let escapes = text[..start].bytes().rev().take_while(|byte| *byte == b'\\').count();
        if escapes % 2 == 1 {
            return other(start + 2);
        }
        let inside = rest.trim_start_matches('{').trim_start_matches('~').trim_start();
        if inside.starts_with("!--") {
            return other(ends("--}}").min(ends("--~}}")));
        }
        if inside.starts_with('!') {
            return other(ends("}}"));
        }
        let (end, parentheses) = Self::expression(text, start + 2);
        let sort = match inside.as_bytes().first() {
            Some(b'#') => Sort::Opens,
            Some(b'/') => Sort::Closes,
            _ => match inside.strip_prefix("else").or_else(|| inside.strip_prefix('^')) {
                Some(rest) if !rest.trim_start_matches(|c: char| c == '~' || c.is_whitespace()).starts_with('}') => {
                    Sort::Chains
                }
                _ => Sort::Other,
            },
        };
        Self { end, sort, parentheses }
    }

    /// Returns the end of the expression that starts at `from`, and its nesting depth.
    fn expression(text: &str, from: usize) -> (usize, usize) {
        let bytes = text.as_bytes();
        let (mut at, mut depth, mut deepest, mut quote) = (from, 0_usize, 0, None);
        while let Some(&byte) = bytes.get(at) {
            match (quote, byte) {
                (Some(_), b'\\') => at += 1,
                (Some(open), _) if open == byte => quote = None,
                (Some(_), _) => {}
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'(' | b'[' | b'{') => depth += 1,
                (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return (at + 2, deepest),
                (None, b')' | b']' | b'}') => depth = depth.saturating_sub(1),
                (None, _) => {}
            }
            deepest = deepest.max(depth);
            at += 1;
        }
        // An unclosed quote does not count as one, so that the text after it is checked as well.
        (if quote.is_some() { from } else { text.len() }, deepest)
    }
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(open: &str, close: &str, times: usize) -> String {
        format!("{}x{}", open.repeat(times), close.repeat(times))
    }

    #[test]
    fn deep_nesting_is_an_error_before_compiling() {
        for (open, close) in [
            ("{{#if a}}", "{{/if}}"),
            ("{{~ #each a ~}}", "{{~/each~}}"),
            ("{{#if a}}{{!-- {{/if}} --}}", "{{/if}}"),
            ("{{#if a}}{{! {{/if}}", "{{/if}}"),
            ("{{#if a}}\\{{/if}}", "{{/if}}"),
            ("{{#if a}}{{eq a \"{{/if}}\"}}", "{{/if}}"),
            ("{{#if a}}b{{else if c}}", "{{/if}}"),
        ] {
            assert!(too_deep(&nested(open, close, 3_000)).is_some(), "{open}");
            assert!(compile(&nested(open, close, 100_000)).is_err(), "{open}");
        }
        // An unclosed quote hides the text after it, for Handlebars as well.
        assert!(compile(&nested("{{#if a}}its {{b \"", "{{/if}}", 100_000)).is_err());
        let chain = format!("{{{{#if a}}}}{}{{{{/if}}}}", "{{else if b}}x".repeat(3_000));
        assert!(too_deep(&chain).is_some());
        for expression in [nested("(eq a ", ")", 4_000), nested("[", "]", 4_000), nested("{a:", "}", 4_000)] {
            assert!(too_deep(&format!("{{{{eq {expression} b}}}}")).is_some());
        }
    }

    #[test]
    fn line_marks_map_output_to_template_lines() {
        let marked = with_line_marks("{\n{{#if a\n}}\n\"b\": 1\n{{/if}}\n}");
        assert_eq!(marked, "{ /*@1*/\n{{#if a\n}} /*@3*/\n\"b\": 1 /*@4*/\n{{/if}} /*@5*/\n}");
        assert_eq!(marked_line(&marked, 0), 1);
        assert_eq!(marked_line(&marked, marked.find("\"b\"").unwrap()), 4);
        assert_eq!(marked_line(&marked, marked.len()), 6);
    }

    #[test]
    fn too_many_expressions_are_an_error() {
        assert!(compile(&"{{a}}".repeat(MAX_TAGS)).is_ok());
        let (error, _) = compile(&"{{a}}".repeat(MAX_TAGS + 1)).unwrap_err();
        assert_eq!(error, SyntaxError::TooManyTags(5_001));
    }

    #[test]
    fn siblings_are_not_nested() {
        let blocks = "{{#if a}}{{b}}{{else}}{{^}}{{/if}}{{eq (len a) 1}}{{{c}}}".repeat(200);
        assert_eq!(too_deep(&blocks), None);
        assert!(compile(&nested("{{#if a}}", "{{/if}}", MAX_DEPTH)).is_ok());
        let error = compile(&nested("{{#if a}}\n", "{{/if}}", MAX_DEPTH + 1)).unwrap_err();
        assert_eq!(error, (SyntaxError::TooDeep, Some((65, 1))));
    }
}
