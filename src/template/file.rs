//! A portable template's file as typed: TOML front matter between `+++` lines, then a body.

use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use crate::problem::{Place, Problem, SourceFile, nearest};

/// The line that opens and closes the front matter.
const FENCE: &str = "+++";

/// What the front matter may hold. Every string is Handlebars; see [`crate::message::Message`] for what each
/// becomes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FrontMatter {
    pub(super) line: Option<Spanned<String>>,
    pub(super) title: Option<Spanned<String>>,
    pub(super) url: Option<Spanned<String>>,
    pub(super) accent: Option<Spanned<String>>,
    pub(super) author: Option<Spanned<String>>,
    pub(super) footer: Option<Spanned<String>>,
    pub(super) items: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) fields: Vec<FieldKeys>,
    #[serde(default)]
    pub(super) buttons: Vec<ButtonKeys>,
}

/// `[[fields]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldKeys {
    pub(super) name: Spanned<String>,
    pub(super) value: Spanned<String>,
}

/// `[[buttons]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ButtonKeys {
    pub(super) label: Spanned<String>,
    pub(super) url: Spanned<String>,
}

/// A template's file, taken apart. Spans are bytes of the whole file.
pub(super) struct Parts {
    pub(super) front_matter: FrontMatter,
    /// Where the front matter begins: its own spans count from here.
    pub(super) offset: usize,
    pub(super) body: Range<usize>,
}

/// Takes a file apart.
pub(super) fn parse(file: &Arc<SourceFile>) -> Result<Parts, Box<Problem>> {
    let text = &file.text;
    let at = |span: Range<usize>| Place::Span(file.clone(), span);
    let first_line = 0..text.find('\n').unwrap_or(text.len());
    let opened = text.lines().next().is_some_and(|line| line.trim_end() == FENCE);
    if !opened {
        let problem = Problem::error("a template begins with front matter between `+++` lines", at(first_line));
        return Err(Box::new(problem.help("write `+++`, then at least `line = '…'`, then `+++`, then the body")));
    }
    let offset = text.find('\n').map_or(text.len(), |end| end + 1);
    let Some((close, body)) = closing_fence(text, offset) else {
        let problem = Problem::error("the front matter has no end", at(first_line)).label("opened here");
        return Err(Box::new(problem.help("close it with a line that says `+++`")));
    };
    let front_matter = toml::from_str(&text[offset..close]).map_err(|error| Box::new(explain(file, offset, &error)))?;
    Ok(Parts { front_matter, offset, body: body..text.len() })
}

/// Where the closing line begins, and where the body does.
fn closing_fence(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut start = from;
    for line in text[from..].split_inclusive('\n') {
        if line.trim_end() == FENCE {
            return Some((start, start + line.len()));
        }
        start += line.len();
    }
    None
}

/// A TOML error in our own words where we have better ones.
fn explain(file: &Arc<SourceFile>, offset: usize, error: &toml::de::Error) -> Problem {
    const KEYS: &[&str] =
        &["line", "title", "url", "accent", "author", "footer", "items", "fields", "buttons", "name", "value", "label"];
    let span = error.span().map_or(0..0, |span| span.start + offset..span.end + offset);
    let message = error.message();
    let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    let place = Place::Span(file.clone(), span);
    match unknown {
        Some(key) => {
            let known = "known keys: line, title, url, accent, author, footer, items, fields (name, value), buttons (label, url)";
            let help = nearest(key, KEYS.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            Problem::error(format!("unknown key `{key}` in the front matter"), place)
                .help(help.unwrap_or_else(|| known.to_owned()))
        }
        None => Problem::error(format!("the front matter is not valid: {message}"), place),
    }
}
