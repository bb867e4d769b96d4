//! Portable templates: front matter whose strings are Handlebars, and a body in Markdown, made into a
//! [`Message`] that any chat can draw.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use handlebars::{Context, Handlebars, Output, RenderContext, RenderError, RenderErrorReason, Renderable, Template};
use thiserror::Error;
use toml::Spanned;

use super::helpers::Skip;
use super::{file, lint, syntax};
use crate::message::{Accent, Button, Field, Message, WebUrl, is_blank, markdown};
use crate::problem::{Place, Problem, SourceFile};

/// The most that one slot of a template may render to, in bytes; chats show far less.
const LARGEST_OUTPUT: usize = 256 * 1024;

/// Room for what most slots render to, in bytes.
const USUAL_OUTPUT: usize = 16 * 1024;

/// A compiled portable template.
pub(super) struct Portable {
    name: String,
    file: Arc<SourceFile>,
    line: Slot,
    title: Option<Slot>,
    url: Option<Slot>,
    accent: Option<Slot>,
    author: Option<Slot>,
    footer: Option<Slot>,
    items: Option<Slot>,
    fields: Vec<(Slot, Slot)>,
    buttons: Vec<(Slot, Slot)>,
    body: Slot,
}

/// One string of a template.
enum Slot {
    /// Without expressions: what it says.
    Plain(String),
    /// With expressions, and what the slot is called.
    Template(String, Box<Template>),
}

/// Why a template gave no message.
#[derive(Clone, Debug, Error)]
#[error("{path}: {reason}")]
pub struct RenderFailure {
    /// The file.
    pub path: String,
    /// What went wrong, with the slot and the line within it.
    pub reason: String,
}

/// Why there is no message.
pub(super) enum NoMessage {
    /// The template says that there is nothing to tell, and why.
    Skip(String),
    /// The template failed.
    Failed(RenderFailure),
}

impl Portable {
    /// The file as it is written.
    pub(super) fn text(&self) -> &str {
        &self.file.text
    }

    /// Compiles a template's file.
    pub(super) fn compile(name: &str, file: Arc<SourceFile>) -> Result<Self, Vec<Problem>> {
        let parts = file::parse(&file).map_err(|problem| vec![*problem])?;
        let mut compiler = Compiler { file: &file, problems: vec![] };
        let front = parts.front_matter;
        let offset = parts.offset;

        let mut slot = |what: &str, text: &Spanned<String>| compiler.front(what, text, offset);
        let title = front.title.as_ref().map(|text| slot("title", text));
        let url = front.url.as_ref().map(|text| slot("url", text));
        let accent = front.accent.as_ref().map(|text| slot("accent", text));
        let author = front.author.as_ref().map(|text| slot("author", text));
        let footer = front.footer.as_ref().map(|text| slot("footer", text));
        let items = front.items.as_ref().map(|text| slot("items", text));
        let fields = (front.fields.iter().enumerate())
            .map(|(n, f)| (slot(&format!("fields.{n}.name"), &f.name), slot(&format!("fields.{n}.value"), &f.value)));
        let fields = fields.collect();
        let buttons = (front.buttons.iter().enumerate())
            .map(|(n, b)| (slot(&format!("buttons.{n}.label"), &b.label), slot(&format!("buttons.{n}.url"), &b.url)));
        let buttons = buttons.collect();
        let line = match &front.line {
            Some(text) => slot("line", text),
            None => {
                let place = Place::Span(file.clone(), 0..file.text.find('\n').unwrap_or(0));
                let problem = Problem::error("the front matter has no `line`", place);
                compiler.problems.push(problem.help("add `line = '…'`: the message in one line, for notifications"));
                Slot::Plain(String::new())
            }
        };
        let body = compiler.compile("body", &file.text[parts.body.clone()], parts.body);
        if let Some(accent) = &front.accent {
            compiler.check_accent(accent, offset);
        }
        let problems = compiler.problems;
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { name: name.to_owned(), line, title, url, accent, author, footer, items, fields, buttons, body, file })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Makes the message. What renders blank is left out; a template of which nothing is left has failed.
    pub(super) fn render(&self, registry: &Handlebars<'_>, context: &Context) -> Result<Message, NoMessage> {
        let mut rendering = Rendering { template: self, registry, context, output: Capped::new() };
        let line = markdown::line(rendering.slot(&self.line)?);
        if is_blank(&line) {
            return Err(self.failure("`line` rendered to nothing".to_owned()));
        }
        let mut message = Message {
            line,
            title: rendering.optional(self.title.as_ref())?,
            author: rendering.optional(self.author.as_ref())?,
            footer: rendering.optional(self.footer.as_ref())?,
            items: rendering.optional(self.items.as_ref())?,
            url: self.url.as_ref().map(|slot| rendering.url(slot)).transpose()?.flatten(),
            accent: self.accent.as_ref().map(|slot| rendering.accent(slot)).transpose()?.unwrap_or_default(),
            body: markdown::blocks(rendering.slot(&self.body)?),
            time: context.data().get("time").and_then(|time| time.as_str()?.parse().ok()),
            ..Message::default()
        };
        for (name, value) in &self.fields {
            let field = Field { name: rendering.plain(name)?, value: markdown::inlines(rendering.slot(value)?) };
            if !field.name.is_empty() && !is_blank(&field.value) {
                message.fields.push(field);
            }
        }
        for (label, target) in &self.buttons {
            let label = rendering.plain(label)?;
            if let (false, Some(url)) = (label.is_empty(), rendering.url(target)?) {
                message.buttons.push(Button { label, url });
            }
        }
        Ok(message)
    }

    fn failure(&self, reason: String) -> NoMessage {
        NoMessage::Failed(RenderFailure { path: self.file.path.clone(), reason })
    }

    fn ended(&self, slot: &str, error: &RenderError) -> NoMessage {
        if let RenderErrorReason::NestedError(cause) = error.reason()
            && let Some(Skip(why)) = cause.downcast_ref()
        {
            return NoMessage::Skip(why.clone());
        }
        self.failure(format!("in `{slot}`: {error}"))
    }
}

/// One template on its way to become a message. All of its slots share one buffer.
struct Rendering<'a> {
    template: &'a Portable,
    registry: &'a Handlebars<'a>,
    context: &'a Context,
    output: Capped,
}

impl Rendering<'_> {
    /// What a slot renders to, shielded.
    fn slot<'s>(&'s mut self, slot: &'s Slot) -> Result<&'s str, NoMessage> {
        let (name, template) = match slot {
            Slot::Plain(text) => return Ok(text),
            Slot::Template(name, template) => (name, template),
        };
        self.output.0.clear();
        let mut state = RenderContext::new(None);
        let rendered = template.render(self.registry, self.context, &mut state, &mut self.output);
        rendered.map_err(|error| self.template.ended(name, &error))?;
        Ok(&self.output.0)
    }

    fn plain(&mut self, slot: &Slot) -> Result<String, NoMessage> {
        self.slot(slot).map(markdown::plain)
    }

    fn optional(&mut self, slot: Option<&Slot>) -> Result<Option<String>, NoMessage> {
        let text = slot.map(|slot| self.plain(slot)).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    fn url(&mut self, slot: &Slot) -> Result<Option<WebUrl>, NoMessage> {
        self.plain(slot).map(|text| WebUrl::parse(&text))
    }

    fn accent(&mut self, slot: &Slot) -> Result<Accent, NoMessage> {
        let name = self.plain(slot)?;
        let unknown = || self.template.failure(format!("`accent` rendered to `{name}`, which is no accent"));
        Accent::parse(&name).ok_or_else(unknown)
    }
}

/// Compiles one template's slots and gathers what is wrong with them.
struct Compiler<'a> {
    file: &'a Arc<SourceFile>,
    problems: Vec<Problem>,
}

impl Compiler<'_> {
    /// A string of the front matter, whose span counts from `offset`.
    fn front(&mut self, what: &str, text: &Spanned<String>, offset: usize) -> Slot {
        let span = text.span();
        self.compile(what, text.get_ref(), span.start + offset..span.end + offset)
    }

    fn compile(&mut self, what: &str, text: &str, span: Range<usize>) -> Slot {
        let template = match Template::compile(text) {
            Ok(template) => template,
            Err(error) => {
                let (message, position) = syntax::explain(text, &error);
                self.problems.push(Problem::error(message, self.place(&span, text, position)));
                return Slot::Plain(String::new());
            }
        };
        for fault in lint::faults(&template) {
            let problem = Problem::error(fault.message, self.place(&span, text, fault.position));
            self.problems.push(problem.maybe_help(fault.help));
        }
        if text.contains("{{") {
            Slot::Template(what.to_owned(), Box::new(template))
        } else {
            Slot::Plain(text.to_owned())
        }
    }

    fn place(&self, span: &Range<usize>, text: &str, position: Option<(usize, usize)>) -> Place {
        Place::Span(self.file.clone(), self.within(span, text, position))
    }

    /// The place in the file of a line and column (both from 1) of a slot's text. A string of the front matter
    /// may have been written with escapes, so there the whole string is marked unless it stands verbatim.
    fn within(&self, span: &Range<usize>, text: &str, position: Option<(usize, usize)>) -> Range<usize> {
        let Some((line, column)) = position else { return span.clone() };
        let Some(start) = self.file.text[span.clone()].find(text).map(|start| start + span.start) else {
            return span.clone();
        };
        let line_start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let rest = &text[line_start.min(text.len())..];
        let in_line = rest.char_indices().nth(column.saturating_sub(1)).map_or(0, |(at, _)| at);
        let begin = start + line_start + in_line;
        let end = self.file.text[begin..].find(['\n', '}']).map_or(span.end, |length| begin + length);
        begin..end.max(begin + 1).min(span.end.max(begin))
    }

    /// An accent that is written out, not computed, can be checked at once.
    fn check_accent(&mut self, accent: &Spanned<String>, offset: usize) {
        let name = accent.get_ref();
        if name.contains("{{") || Accent::parse(name).is_some() {
            return;
        }
        let known: Vec<_> = Accent::ALL.iter().map(|accent| accent.as_str()).collect();
        let place = Place::Span(self.file.clone(), accent.span().start + offset..accent.span().end + offset);
        let problem = Problem::error(format!("`{name}` is no accent"), place);
        self.problems.push(problem.help(format!("accents: {}", known.join(", "))));
    }
}

/// A buffer that refuses to grow past [`LARGEST_OUTPUT`].
struct Capped(String);

impl Capped {
    fn new() -> Self {
        Self(String::with_capacity(USUAL_OUTPUT))
    }
}

impl Output for Capped {
    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.0.len() + text.len() > LARGEST_OUTPUT {
            return Err(io::Error::other(format!("renders to more than {} KB", LARGEST_OUTPUT / 1024)));
        }
        self.0.push_str(text);
        Ok(())
    }
}
