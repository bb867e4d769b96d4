//! Template helpers and the registry that contains them.
//!
//! Helpers treat null and missing values as empty. The text that a helper returns is shielded like any other value.
//! Helpers that produce markup write a [`Splice`] instead, and return plain text to an enclosing helper.

mod compare;
mod documented;
mod mention;

use std::cmp::Ordering;
use std::sync::Arc;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, JsonRender, Output, RenderContext, RenderError,
    RenderErrorReason, ScopedJson,
};
use jiff::Timestamp;
use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation;

use super::{budget, problems};
use crate::message::People;
use crate::message::shield::shield;
use crate::message::splice::Splice;

pub use documented::{Documented, HELPERS, example};

/// Creates a registry that shields all values and has all helpers. It is lenient: missing values are empty.
pub(super) fn registry() -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.register_escape_fn(shield);
    registry.unregister_helper("log");
    registry.unregister_helper("raw");
    registry.register_helper("helperMissing", Box::new(missing));
    let values: [(&str, ValueFn); 17] = [
        ("eq", |arguments| compared(arguments, |order| order == Some(Ordering::Equal))),
        ("ne", |arguments| compared(arguments, |order| order != Some(Ordering::Equal))),
        ("gt", |arguments| compared(arguments, |order| order == Some(Ordering::Greater))),
        ("gte", |arguments| compared(arguments, |order| order.is_some_and(Ordering::is_ge))),
        ("lt", |arguments| compared(arguments, |order| order == Some(Ordering::Less))),
        ("lte", |arguments| compared(arguments, |order| order.is_some_and(Ordering::is_le))),
        ("plain", plain),
        ("truncate", truncate),
        ("first_line", first_line),
        ("short_hash", short_hash),
        ("plural", plural),
        ("join", join),
        ("default", default),
        ("date", date),
        ("ago", ago),
        ("len", len),
        ("lookup", lookup),
    ];
    for (name, function) in values {
        registry.register_helper(name, Box::new(ValueHelper(function)));
    }
    let splices: [(&str, SpliceFn); 3] = [("link", link), ("code", code), ("markdown", markdown)];
    for (name, function) in splices {
        registry.register_helper(name, Box::new(SpliceHelper(function)));
    }
    budget::register(&mut registry);
    registry.register_helper("skip", Box::new(skip));
    registry.register_helper("json", Box::new(json));
    let nobody = Arc::default();
    set_people(&mut registry, &nobody);
    registry
}

/// Sets the people that `mention` can ping.
pub(super) fn set_people(registry: &mut Handlebars<'_>, people: &Arc<People>) {
    let people = people.clone();
    let mention = move |arguments: &Arguments<'_, '_>| Ok(mention::mention(&people, arguments));
    registry.register_helper("mention", Box::new(SpliceHelper(mention)));
}

/// Error that stops rendering because the template skips the message, with the reason.
#[derive(Debug, thiserror::Error)]
#[error("skipped: {0}")]
pub(super) struct Skip(pub(super) String);

fn skip(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    _: &mut dyn Output,
) -> HelperResult {
    let why = helper.param(0).map(|why| why.value().render()).filter(|why| !why.is_empty());
    let skip = Skip(why.unwrap_or_else(|| "no reason given".to_owned()));
    Err(RenderErrorReason::NestedError(Box::new(skip)).into())
}

/// Renders a missing path like an empty value, which keeps the syntax around it from being empty.
fn missing(
    _: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    Ok(out.write(&shield(""))?)
}

type ValueFn = fn(&Arguments<'_, '_>) -> Result<Value, RenderError>;

/// Helper that returns a value.
struct ValueHelper(ValueFn);

impl HelperDef for ValueHelper {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        spend_on(helper)?;
        let value = (self.0)(&Arguments(helper, context))?;
        budget::spend_on(budget::weight(&value))?;
        Ok(ScopedJson::Derived(value))
    }
}

/// Spends budget steps according to the size of the helper's arguments.
fn spend_on(helper: &Helper<'_>) -> Result<(), RenderError> {
    budget::spend_on(helper.params().iter().map(|param| budget::weight(param.value())).sum())
}

/// Output of a markup helper: plain text for enclosing helpers, and shielded markup.
struct Markup {
    text: String,
    shielded: String,
}

type SpliceFn = fn(&Arguments<'_, '_>) -> Result<Markup, RenderError>;

/// Helper that produces markup.
struct SpliceHelper<F>(F);

impl<F> HelperDef for SpliceHelper<F>
where
    F: Fn(&Arguments<'_, '_>) -> Result<Markup, RenderError> + Send + Sync,
{
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        spend_on(helper)?;
        (self.0)(&Arguments(helper, context)).map(|markup| ScopedJson::Derived(Value::String(markup.text)))
    }

    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        spend_on(helper)?;
        Ok(out.write(&(self.0)(&Arguments(helper, context))?.shielded)?)
    }
}

/// Helper call in a template, with the context for its arguments.
struct Arguments<'a, 'rc>(&'a Helper<'rc>, &'a Context);

impl Arguments<'_, '_> {
    fn value(&self, n: usize) -> &Value {
        self.0.param(n).map_or(&Value::Null, |param| param.value())
    }

    /// Returns an argument as text; empty for null, missing values, lists and objects.
    fn text(&self, n: usize) -> String {
        text(self.value(n))
    }

    /// Returns an argument that must be a whole number.
    fn count(&self, n: usize) -> Result<usize, RenderError> {
        let number = self.value(n).as_u64().and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| self.wrong(n, "a whole number"))
    }

    /// Returns an argument that must be a timestamp, or `None` if it is empty.
    fn time(&self, n: usize) -> Result<Option<Timestamp>, RenderError> {
        let text = self.text(n);
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| self.wrong(n, "a timestamp such as `2026-11-24T08:00:00Z`"))
    }

    fn wrong(&self, n: usize, expected: &'static str) -> RenderError {
        let (helper, found) = (self.0.name().to_owned(), self.value(n).clone());
        let error = problems::RenderError::WrongArgument { helper, n, expected, found };
        RenderErrorReason::Other(error.to_string()).into()
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
        scalar => scalar.render(),
    }
}

/// `{{truncate text 200}}`: shortens a text to at most 200 graphemes, between words, and ends it with `…`.
fn truncate(arguments: &Arguments<'_, '_>) -> Result<Value, RenderError> {
    Ok(cut(arguments.text(0).trim(), arguments.count(1)?).into())
}

/// Shortens a text to `longest` graphemes. It ends between words if a word ends in the last third of the kept text.
fn cut(text: &str, longest: usize) -> String {
    let mut borders = text.grapheme_indices(true).map(|(at, _)| at);
    if borders.by_ref().nth(longest).is_none() {
        return text.to_owned();
    }
    let end = text.grapheme_indices(true).nth(longest.saturating_sub(1)).map_or(0, |(at, _)| at);
    let kept = &text[..end];
    let word = kept.rfind(char::is_whitespace).filter(|&at| at * 3 >= end * 2).unwrap_or(end);
    format!("{}…", kept[..word].trim_end())
}

/// `{{first_line message}}`: first line, such as a commit's subject.
fn first_line(arguments: &Arguments<'_, '_>) -> Result<Value, RenderError> {
    Ok(arguments.text(0).trim().lines().next().unwrap_or_default().trim_end().into())
}

/// `{{short_hash hash}}`: first seven characters.
fn short_hash(arguments: &Arguments<'_, '_>) -> Result<Value, RenderError> {
    Ok(arguments.text(0).chars().take(7).collect::<String>().into())
}

/// `{{plural 3 "commit"}}`: `3 commits`; `{{plural 2 "branch" "branches"}}`: `2 branches`;
/// with `more=true`, `5+ commits`.
fn plural(arguments: &Arguments<'_, '_>) -> Result<Value, RenderError> {
    let number = match arguments.value(0) {
        Value::Null => 0,
        Value::Array(items) => items.len(),
        _ => arguments.count(0)?,
    };
    let more = arguments.0.hash_get("more").is_some_and(|value| value.value() == &Value::Bool(true));
    let one = arguments.text(1);
    let word = match (number, more) {
        (1, false) => one,
        _ if arguments.0.param(2).is_some() => arguments.text(2),
        _ => format!("{one}s"),
    };
    Ok(format!("{number}{} {word}", if more { "+" } else { "" }).into())
}

/// `{{join list ", "}}`: joins a list; with a key, a list of objects: `{{join reviewers ", " "name"}}`.
fn join(arguments: &Arguments<'_, '_>) -> Result<Value, RenderError> {
    let items = match arguments.value(0) {
        Value::Array(items) => items.as_slice(),
        Value::Null => &[],
        _ => return Err(arguments.wrong(0, "a list")),
    };
    let key = arguments.value(2).as_str();
    let texts = items.iter().map(|item| text(key.map_or(item, |key| &item[key])));
    let mut texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
    let max =
        arguments.0.hash_get("max").and_then(|max| max.value().as_u64()).and_then(|max| usize::try_from(max).ok());
    let more = texts.len().saturating_sub(max.unwrap_or(usize::MAX));
    texts.truncate(texts.len() - more);
    if more > 0 {
        let last = texts.pop().map(|last| format!("{last} and ")).unwrap_or_default();
        texts.push(format!("{last}{more} more"));
    }
    let separator = arguments.text(1);
    // A long separator between many items could exhaust the memory.
    budget::spend_on(separator.len() as u64 * texts.len() as u64)?;
    Ok(texts.join(&separator).into())
}

/// `{{eq a b}}`, `{{gt a b}}` and the other comparisons.
fn compared(arguments: &Arguments<'_, '_>, holds: fn(Option<Ordering>) -> bool) -> Result<Value, RenderError> {
    Ok(holds(compare::compare(arguments.value(0), arguments.value(1))).into())
}

/// `{{plain text}}`: Markdown written by the host's users as one line of plain text, without quotes.
fn plain(arguments: &Arguments<'_, '_>) -> Result<Value, RenderError> {
    Ok(crate::message::markdown::text_of(&arguments.text(0)).into())
}

/// `{{default a b}}`: first value that is not empty.
fn default(arguments: &Arguments<'_, '_>) -> Result<Value, RenderError> {
    let mut values = arguments.0.params().iter().map(|param| param.value());
    let blank = |value: &Value| matches!(value, Value::Null) || value.as_str().is_some_and(str::is_empty);
    Ok(values.find(|value| !blank(value)).cloned().unwrap_or_default())
}

/// `{{date time "%-d %b %Y"}}`: formats a time in UTC.
fn date(arguments: &Arguments<'_, '_>) -> Result<Value, RenderError> {
    let Some(time) = arguments.time(0)? else { return Ok(Value::Null) };
    let format = if arguments.value(1).is_null() { "%Y-%m-%d %H:%M".to_owned() } else { arguments.text(1) };
    let wrong = |error: jiff::Error| {
        let (format, reason) = (format.clone(), error.to_string());
        RenderErrorReason::Other(problems::RenderError::DateFormat { format, reason }.to_string())
    };
    let shown = jiff::fmt::strtime::format(&format, &time.to_zoned_datetime(jiff::tz::TimeZone::UTC)).map_err(wrong)?;
    Ok(shown.into())
}

/// `{{ago pull_request.created}}`: time elapsed between the value and the event, in the largest unit.
fn ago(arguments: &Arguments<'_, '_>) -> Result<Value, RenderError> {
    let now = arguments.1.data().get("time").and_then(Value::as_str).and_then(|time| time.parse::<Timestamp>().ok());
    let (Some(time), Some(now)) = (arguments.time(0)?, now) else { return Ok(Value::Null) };
    let seconds = now.duration_since(time).as_secs();
    let said = match seconds {
        ..60 => "just now".to_owned(),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    };
    Ok(said.into())
}

/// `{{len list}}`: number of items; for a text, number of graphemes.
fn len(arguments: &Arguments<'_, '_>) -> Result<Value, RenderError> {
    Ok(match arguments.value(0) {
        Value::Array(items) => items.len(),
        Value::Object(parts) => parts.len(),
        other => text(other).graphemes(true).count(),
    }
    .into())
}

/// `{{lookup list 0}}`, `{{lookup object "key"}}`: the item or field; null if there is none.
fn lookup(arguments: &Arguments<'_, '_>) -> Result<Value, RenderError> {
    let (within, at) = (arguments.value(0), arguments.value(1));
    let found = match within {
        Value::Array(items) => text(at).parse::<usize>().ok().and_then(|at| items.get(at)),
        Value::Object(parts) => parts.get(&text(at)),
        _ => None,
    };
    Ok(found.cloned().unwrap_or_default())
}

/// `{{json value}}`: formats a value as JSON. Texts are shielded, so none of them can end a JSON string.
fn json(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    fn shielded(value: &Value) -> String {
        let text = |text: &str| format!("\"{}\"", shield(text));
        match value {
            Value::String(value) => text(value),
            Value::Array(items) => format!("[{}]", items.iter().map(shielded).collect::<Vec<_>>().join(",")),
            Value::Object(parts) => {
                let parts = parts.iter().map(|(key, value)| format!("{}:{}", text(key), shielded(value)));
                format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
            }
            other => other.to_string(),
        }
    }
    spend_on(helper)?;
    Ok(out.write(&shielded(helper.param(0).map_or(&Value::Null, |value| value.value())))?)
}

/// `{{link url text}}`: link; only the text if the URL is invalid.
fn link(arguments: &Arguments<'_, '_>) -> Result<Markup, RenderError> {
    let (url, text) = (arguments.text(0), arguments.text(1));
    Ok(Markup { shielded: Splice::Link { url: &url, text: &text }.shielded(), text })
}

/// `{{code text}}`: inline code; markup in the text has no effect.
fn code(arguments: &Arguments<'_, '_>) -> Result<Markup, RenderError> {
    let text = arguments.text(0);
    Ok(Markup { shielded: Splice::Code(&text).shielded(), text })
}

/// `{{markdown text}}`: Markdown written by a host's user, without misleading links and images.
/// `{{markdown text 400}}` shortens it to 400 UTF-16 units, the unit in which chats count.
fn markdown(arguments: &Arguments<'_, '_>) -> Result<Markup, RenderError> {
    let text = arguments.text(0);
    let longest = if arguments.value(1).is_null() { usize::MAX } else { arguments.count(1)? };
    Ok(Markup { shielded: Splice::Markdown(&text, longest).shielded(), text })
}
