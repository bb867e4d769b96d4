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
    pub(super) image: Option<Spanned<String>>,
    pub(super) accent: Option<Spanned<String>>,
    pub(super) author: Option<Spanned<String>>,
    pub(super) footer: Option<Spanned<String>>,
    pub(super) time: Option<Spanned<String>>,
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
    when: Option<Spanned<String>>,
    each: Option<Spanned<String>>,
    name: Spanned<String>,
    value: Spanned<String>,
}

/// `[[buttons]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ButtonKeys {
    when: Option<Spanned<String>>,
    each: Option<Spanned<String>>,
    label: Spanned<String>,
    url: Spanned<String>,
}

/// What fields and buttons have in common.
pub(super) trait ListedKeys {
    /// The path that must hold something.
    fn when(&self) -> Option<&Spanned<String>>;
    /// The path to the list that it is shown once for each of.
    fn each(&self) -> Option<&Spanned<String>>;
    /// A field's name, a button's label.
    fn name(&self) -> &Spanned<String>;
    /// A field's value, a button's address.
    fn value(&self) -> &Spanned<String>;
}

impl ListedKeys for FieldKeys {
    fn when(&self) -> Option<&Spanned<String>> {
        self.when.as_ref()
    }
    fn each(&self) -> Option<&Spanned<String>> {
        self.each.as_ref()
    }
    fn name(&self) -> &Spanned<String> {
        &self.name
    }
    fn value(&self) -> &Spanned<String> {
        &self.value
    }
}

impl ListedKeys for ButtonKeys {
    fn when(&self) -> Option<&Spanned<String>> {
        self.when.as_ref()
    }
    fn each(&self) -> Option<&Spanned<String>> {
        self.each.as_ref()
    }
    fn name(&self) -> &Spanned<String> {
        &self.label
    }
    fn value(&self) -> &Spanned<String> {
        &self.url
    }
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

/// A way out where a quote ended a text too early.
fn quotes(text: &str, at: usize) -> Option<String> {
    let line = text.get(..at)?.lines().next_back().unwrap_or_default();
    let is_quoted = line.matches('\'').count() >= 2 && line.contains('=');
    let help = if line.contains("{{") {
        "Handlebars' own quotes must be others than TOML's: `'{{join list \", \"}}'`"
    } else {
        "a text between single quotes cannot hold one: put it between `\"` or `\'\'\'`"
    };
    is_quoted.then(|| help.to_owned())
}

/// A TOML error in our own words where we have better ones.
fn explain(file: &Arc<SourceFile>, offset: usize, error: &toml::de::Error) -> Problem {
    let span = error.span().map_or(0..0, |span| span.start + offset..span.end + offset);
    let message = error.message();
    let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    let place = Place::Span(file.clone(), span);
    match unknown {
        Some(key) => {
            // serde lists the keys of the table that it stands in.
            let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
            let help = nearest(key, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            Problem::error(format!("unknown key `{key}` in the front matter"), place)
                .help(help.unwrap_or_else(|| format!("known keys: {}", known.join(", "))))
        }
        None => {
            let problem = Problem::error(format!("the front matter is not valid: {message}"), place);
            problem.maybe_help(quotes(&file.text, error.span().map_or(0, |span| span.start + offset)))
        }
    }
}
