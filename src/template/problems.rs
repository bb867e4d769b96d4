//! All texts about templates: problems found when they are loaded, and reasons for a failed rendering.

use std::io;

use serde_json::Value;
use thiserror::Error;

use super::budget::MAX_STEPS;
use super::lint::{MAX_LOOP_DEPTH, MAX_PARTIALS};
use super::native::MAX_DEPTH as MAX_JSON_DEPTH;
use super::slot::MAX_OUTPUT;
use super::syntax::{MAX_DEPTH, MAX_TAGS};
use crate::chat::BodyError;
use crate::event::Kind;
use crate::message::Accent;
use crate::problem::{Describe, Severity, did_you_mean};

/// Problem with a template file.
#[derive(Debug, Error)]
pub(super) enum TemplateProblem {
    #[error("cannot read the templates directory: {0}")]
    UnreadableDirectory(io::Error),
    #[error("cannot read the template: {0}")]
    UnreadableFile(io::Error),
    #[error("`{name}` is ignored: templates in this directory end in `{ending}`")]
    Misnamed { name: String, stem: String, ending: &'static str },
    #[error("template `{name}` is not used by any event or route")]
    Unused { name: String, near: Option<String> },

    #[error("the template has no front matter")]
    NoFrontMatter,
    #[error("the front matter is not closed")]
    UnclosedFrontMatter,
    #[error("unknown key `{key}` in the front matter")]
    UnknownKey { key: String, known: Vec<String>, near: Option<String> },
    #[error("invalid front matter: {reason}")]
    InvalidFrontMatter { reason: String, quotes: Option<Quotes> },
    #[error("the front matter has no `line`")]
    NoLine,
    #[error("`when` and `each` take a path without braces")]
    BracesAroundPath { path: String },
    #[error("`{0}` is not a valid accent")]
    InvalidAccent(String),
    #[error("`{0}` is not an `http` or `https` URL")]
    InvalidUrl(String),

    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    #[error("`{{% … %}}` is not Handlebars and is rendered as text")]
    ForeignTag,
    #[error("`{{{{{{ }}}}}}` renders untrusted text as markup")]
    TripleBraces,
    #[error("decorators (`{{{{*{0}}}}}`) are not supported")]
    Decorator(String),
    #[error("unsupported template element: `{0}`")]
    UnsupportedElement(String),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("`{path}` is not a single value")]
    NotSingle { path: String, parts: Several },
    #[error("`each` is nested more than {MAX_LOOP_DEPTH} levels deep")]
    NestedLoops,
    #[error("unknown helper `{name}`")]
    UnknownHelper { name: String, near: Option<&'static str>, is_value: bool, known: Vec<&'static str> },
    #[error("`{helper}` takes {takes}, found {found}")]
    ArgumentCount { helper: String, takes: String, found: usize, example: &'static str },
    #[error("unknown option `{key}` of `{helper}`")]
    UnknownOption { helper: String, key: String, known: &'static [&'static str] },
    #[error("`{helper}`: argument {} must be a whole number, found {found}", n + 1)]
    NotANumber { helper: String, n: usize, found: NoNumber, example: &'static str },
    #[error("`date`: `{format}` is not a valid strftime format")]
    DateFormat { format: String, fix: DateFormatFix },
    #[error("`{path}` is not an account")]
    NotAnAccount { path: String, example: &'static str },
    #[error("unknown partial `{name}`")]
    UnknownPartial { name: String, near: Option<String> },
    #[error("partials include each other: {}", .0.join(" → "))]
    PartialCycle(Vec<String>),
    #[error("includes more than {MAX_PARTIALS} partials")]
    TooManyPartials,
    #[error("no event that this template renders has `{path}`")]
    NeverPresent { path: String, missing_in: Vec<Kind> },
    #[error("only some events that this template renders have `{path}`")]
    SometimesMissing { path: String, missing_in: Vec<Kind> },
}

impl Describe for TemplateProblem {
    fn severity(&self) -> Severity {
        match self {
            Self::Misnamed { .. } | Self::Unused { .. } | Self::ForeignTag | Self::SometimesMissing { .. } => {
                Severity::Warning
            }
            _ => Severity::Error,
        }
    }

    fn label(&self) -> Option<&'static str> {
        matches!(self, Self::UnclosedFrontMatter).then_some("opened here")
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Misnamed { stem, ending, .. } => return Some(format!("rename it to `{stem}{ending}`")),
            Self::Unused { near: Some(near), .. } | Self::UnknownPartial { near: Some(near), .. } => {
                return Some(did_you_mean(near));
            }
            Self::Unused { name, .. } => {
                return Some(format!("rename it to an event kind, or use it in a route: `template = \"{name}\"`"));
            }

            Self::NoFrontMatter => {
                "start the file with a `+++` line, then at least `line = '…'`, then `+++`, then the body"
            }
            Self::UnclosedFrontMatter => "close it with a line `+++`",
            Self::UnknownKey { near: Some(near), .. } => return Some(did_you_mean(near)),
            Self::UnknownKey { known, .. } => return Some(format!("known keys: {}", known.join(", "))),
            Self::InvalidFrontMatter { quotes, .. } => return quotes.map(|quotes| quotes.to_string()),
            Self::NoLine => "add `line = '…'`, the one-line form of the message for notifications",
            Self::BracesAroundPath { path } => return Some(format!("write `{path}`")),
            Self::InvalidAccent(_) => {
                let known: Vec<_> = Accent::ALL.iter().map(|accent| accent.as_str()).collect();
                return Some(format!("expected one of: {}", known.join(", ")));
            }
            Self::InvalidUrl(_) => "start it with `https://` or `http://`; other URLs are left out of the message",

            Self::ForeignTag => "write `{{#if …}}…{{/if}}` or `{{#each …}}…{{/each}}`",
            Self::TripleBraces => {
                "write `{{ }}`, or `{{markdown …}}` for text that contains Markdown; if the text is trusted, put \
                 `{{! trusted: reason }}` directly before it"
            }
            Self::Decorator(_) => "put the text in a file in `partials/` and include it: `{{> name}}`",
            Self::Path(error) => return Some(error.help()),
            Self::NotSingle { path, parts } => return Some(parts.help(path)),
            Self::NestedLoops => "remove an inner loop; nested loops multiply",
            Self::UnknownHelper { near: Some(near), .. } => return Some(did_you_mean(near)),
            Self::UnknownHelper { name, is_value: true, .. } => {
                return Some(format!(
                    "`{name}` is a value; to render text only if it is set, write `{{{{#if {name}}}}}`"
                ));
            }
            Self::UnknownHelper { known, .. } => return Some(format!("available helpers: {}", known.join(", "))),
            Self::ArgumentCount { example, .. } | Self::NotANumber { example, .. } => {
                return Some(format!("for example: `{example}`"));
            }
            Self::UnknownOption { known: [], .. } => "expected one of: none",
            Self::UnknownOption { known, .. } => return Some(format!("expected one of: {}", known.join(", "))),
            Self::DateFormat { fix, .. } => return Some(fix.to_string()),
            Self::NotAnAccount { example, .. } => {
                return Some(format!("use an account or a list of accounts, for example `{example}`"));
            }
            Self::UnknownPartial { name, .. } => return Some(format!("create `partials/{name}.hbs`")),
            Self::PartialCycle(_) => "remove one of these; a partial must not include itself, even indirectly",
            Self::TooManyPartials => "include fewer partials; nested partials multiply",
            Self::NeverPresent { path, missing_in } => {
                return Some(format!("remove it; there is no `{}` in {}", part(path), some_of(missing_in)));
            }
            Self::SometimesMissing { path, missing_in } => {
                let (part, kinds) = (part(path), some_of(missing_in));
                return Some(format!(
                    "put it between `{{{{#if {part}}}}}` and `{{{{/if}}}}`; there is no `{part}` in {kinds}"
                ));
            }
            Self::UnreadableDirectory(_) | Self::UnreadableFile(_) | Self::Syntax(_) | Self::UnsupportedElement(_) => {
                return None;
            }
        };
        Some(help.to_owned())
    }
}

/// First part of a path.
fn part(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}

/// The first kinds of a list, in back-ticks.
fn some_of(kinds: &[Kind]) -> String {
    let names: Vec<_> = kinds.iter().take(3).map(|kind| format!("`{kind}`")).collect();
    format!("{}{}", names.join(", "), if kinds.len() > names.len() { ", …" } else { "" })
}

/// Quotes that close a TOML string too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Quotes {
    #[error("inside a TOML string, use the other kind of quotes for Handlebars: `'{{{{join list \", \"}}}}'`")]
    InHandlebars,
    #[error("a string in `'` quotes cannot contain `'`: enclose it in `\"` or `'''`")]
    Single,
}

/// What a helper got instead of a number.
#[derive(Debug, Error)]
pub(super) enum NoNumber {
    #[error("`{0}`")]
    Literal(Value),
    #[error("`{0}`, which is not a number")]
    Path(String),
}

/// Fix of a date format.
#[derive(Debug, Error)]
pub(super) enum DateFormatFix {
    /// The format uses the letters of Java and JavaScript.
    #[error("write `{0}`")]
    Write(String),
    #[error("{0}; for example: `%-d %b %Y, %H:%M`")]
    Invalid(jiff::Error),
}

/// Parts of a value that is not a single one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Several {
    /// The value is a list.
    Items,
    /// The value is an object with these fields.
    Fields(Vec<String>),
}

impl Several {
    fn help(&self, path: &str) -> String {
        match self {
            Self::Items => format!("loop over the list: `{{{{#each {path}}}}}…{{{{/each}}}}`"),
            Self::Fields(names) => format!("use one of its fields: {}", names.join(", ")),
        }
    }
}

/// Error in the syntax of Handlebars.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum SyntaxError {
    #[error("{0} expressions in one text; the maximum is {MAX_TAGS}")]
    TooManyTags(usize),
    #[error("nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    #[error("`{{{{#{0}}}}}` is not closed; add `{{{{/{0}}}}}`")]
    UnclosedBlock(String),
    #[error("`{{{{` is not closed; add `}}}}`")]
    UnclosedTag,
    #[error("`|` is not valid in Handlebars; write the helper first: `{{{{truncate pull_request.title 60}}}}`")]
    Filter,
    #[error("`.` is not a list; name a list: `{{{{#each push.commits}}}}`; inside the loop, `this` is the item")]
    EachDot,
    #[error("invalid Handlebars syntax: {0}")]
    Invalid(String),
}

/// Error in a path: no event has a value there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum PathError {
    #[error("`{whole}`: a list has no field `{part}`")]
    FieldOfList { whole: String, part: String },
    #[error("`{whole}`: the value before `.{part}` has no fields")]
    FieldOfScalar { whole: String, part: String },
    #[error("unknown field `{part}`{}", if part == whole { String::new() } else { format!(" in `{whole}`") })]
    UnknownField { whole: String, part: String, known: Vec<String>, near: Option<String> },
    #[error("`{0}` is not a list")]
    NotAList(String),
    #[error("`{0}` is the event, not a list")]
    EventIsNotAList(String),
    /// A field of the event, used inside a block, where names are looked up in an item.
    #[error("{error}")]
    InItem { path: String, error: Box<PathError> },
}

impl PathError {
    fn help(&self) -> String {
        match self {
            Self::FieldOfList { whole, part } if is_length(part) => {
                format!("write `{{{{len {}}}}}`", before(whole, part))
            }
            Self::FieldOfList { .. } => {
                "loop over the list with `{{#each …}}`, or join it: `{{join list \", \" \"name\"}}`".to_owned()
            }
            Self::FieldOfScalar { whole, part } if is_length(part) => {
                format!("for the number of characters, write `{{{{len {}}}}}`", before(whole, part))
            }
            Self::FieldOfScalar { part, .. } => format!("remove `.{part}`"),
            Self::UnknownField { near: Some(near), .. } => did_you_mean(near),
            Self::UnknownField { known, .. } => format!("available fields: {}", known.join(", ")),
            Self::NotAList(_) | Self::EventIsNotAList(_) => {
                "use a list, for example `{{#each push.commits}}`".to_owned()
            }
            Self::InItem { path, .. } => {
                format!("inside a block, names are looked up in its item; for the event, write `@root.{path}`")
            }
        }
    }
}

/// Returns true if other template languages use this name for the length of a list.
fn is_length(part: &str) -> bool {
    matches!(part, "length" | "size" | "count")
}

/// Returns a path without its last part.
fn before<'a>(whole: &'a str, part: &str) -> &'a str {
    whole.strip_suffix(part).map_or(whole, |before| before.trim_end_matches('.'))
}

/// Reason why a template failed to render.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RenderError {
    /// An expression failed; Handlebars names the line.
    #[error("in `{slot}`: {reason}")]
    Slot {
        /// Part of the template: `title`, `fields.0.value`.
        slot: String,
        /// Message of Handlebars or of a helper.
        reason: String,
    },
    /// The one-line text is required.
    #[error("`line` rendered to an empty text")]
    EmptyLine,
    /// The accent is not one of [`Accent::ALL`].
    #[error("`accent` rendered to `{0}`, which is not a valid accent")]
    InvalidAccent(String),
    /// The template loops too much.
    #[error("rendering takes more than {MAX_STEPS} steps; loop over fewer items")]
    TooManySteps,
    /// The work was cancelled.
    #[error("rendering was cancelled")]
    Cancelled,
    /// A part renders to too much text.
    #[error("renders to more than {} KB", MAX_OUTPUT / 1024)]
    TooMuchOutput,
    /// An argument of a helper has the wrong type.
    #[error("`{helper}`: argument {} must be {expected}, found `{found}`", n + 1)]
    WrongArgument {
        /// Name of the helper.
        helper: String,
        /// Index of the argument.
        n: usize,
        /// Expected type.
        expected: &'static str,
        /// Value of the argument.
        found: Value,
    },
    /// The second argument of `date` is invalid.
    #[error("`date`: `{format}` is not a valid strftime format: {reason}")]
    DateFormat {
        /// The format.
        format: String,
        /// Reason.
        reason: String,
    },
    /// A JSON escape stands for a character that marks values.
    #[error("renders to JSON with a `\\u` escape for a private-use character")]
    PrivateUseEscape,
    /// The JSON is nested too deep to parse.
    #[error("renders to JSON nested more than {MAX_JSON_DEPTH} levels deep")]
    TooDeep,
    /// The output of a chat-native template is not JSON.
    #[error("renders to invalid JSON: {reason} in line {line} of the output: `{text}`")]
    InvalidJson {
        /// Message of the parser.
        reason: String,
        /// Line of the output, from 1.
        line: usize,
        /// Text of the line.
        text: String,
    },
    /// The output of a chat-native template is empty.
    #[error("renders to an empty text; expected a JSON object")]
    EmptyJson,
    /// A number that JSON does not allow.
    #[error("`{0}` is not a valid JSON number")]
    InvalidNumber(String),
    /// A key appears twice.
    #[error("duplicate key `{0}` in one object")]
    DuplicateKey(String),
    /// The chat would reject the body.
    #[error(transparent)]
    Body(#[from] BodyError),
}
