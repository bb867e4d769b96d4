//! Portable templates: front matter whose strings are Handlebars, and a body in Markdown, made into a
//! [`Message`] that any chat can draw.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use handlebars::{Context, Handlebars, Template};
use thiserror::Error;
use toml::Spanned;

use super::{file, lint, syntax};
use crate::message::{Accent, Button, Field, Message, WebUrl, is_blank, markdown};
use crate::problem::{Place, Problem, SourceFile};

/// The most that one slot of a template may render to, in bytes; chats show far less.
const LARGEST_OUTPUT: usize = 256 * 1024;

/// A compiled portable template. Its slots are registered by name in the library's registry.
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
    /// Its name in the registry.
    Template(String),
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

impl Portable {
    /// Compiles a template's file into the registry; `layer` tells templates of one name apart.
    pub(super) fn compile(
        layer: &str,
        name: &str,
        file: Arc<SourceFile>,
        registry: &mut Handlebars<'static>,
    ) -> Result<Self, Vec<Problem>> {
        let parts = file::parse(&file).map_err(|problem| vec![*problem])?;
        let mut compiler = Compiler { prefix: format!("{layer}:{name}"), file: &file, registry, problems: vec![] };
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
    pub(super) fn render(&self, registry: &Handlebars<'_>, context: &Context) -> Result<Message, RenderFailure> {
        let render = |slot: &Slot| self.slot(slot, registry, context);
        let plain = |slot: &Slot| render(slot).map(|text| markdown::plain(&text));
        let optional = |slot: &Option<Slot>| {
            let text = slot.as_ref().map(plain).transpose()?;
            Ok(text.filter(|text| !text.is_empty()))
        };
        let url = |slot: &Slot| plain(slot).map(|text| WebUrl::parse(&text));

        let line = markdown::line(&render(&self.line)?);
        if is_blank(&line) {
            return Err(self.failure("`line` rendered to nothing".to_owned()));
        }
        let accent = match &self.accent {
            None => Accent::Neutral,
            Some(slot) => {
                let name = plain(slot)?;
                let unknown = || self.failure(format!("`accent` rendered to `{name}`, which is no accent"));
                Accent::parse(&name).ok_or_else(unknown)?
            }
        };
        let mut message = Message {
            line,
            title: optional(&self.title)?,
            author: optional(&self.author)?,
            footer: optional(&self.footer)?,
            items: optional(&self.items)?,
            url: self.url.as_ref().map(url).transpose()?.flatten(),
            accent,
            body: markdown::blocks(&render(&self.body)?),
            time: context.data().get("time").and_then(|time| time.as_str()?.parse().ok()),
            ..Message::default()
        };
        for (name, value) in &self.fields {
            let field = Field { name: plain(name)?, value: markdown::inlines(&render(value)?) };
            if !field.name.is_empty() && !is_blank(&field.value) {
                message.fields.push(field);
            }
        }
        for (label, target) in &self.buttons {
            let label = plain(label)?;
            if let (false, Some(url)) = (label.is_empty(), url(target)?) {
                message.buttons.push(Button { label, url });
            }
        }
        Ok(message)
    }

    fn slot(&self, slot: &Slot, registry: &Handlebars<'_>, context: &Context) -> Result<String, RenderFailure> {
        let name = match slot {
            Slot::Plain(text) => return Ok(text.clone()),
            Slot::Template(name) => name,
        };
        let mut output = Capped(Vec::with_capacity(4096));
        registry.render_with_context_to_write(name, context, &mut output).map_err(|error| {
            let slot = name.rsplit(':').next().unwrap_or_default();
            self.failure(format!("in `{slot}`: {error}"))
        })?;
        String::from_utf8(output.0).map_err(|error| self.failure(error.to_string()))
    }

    fn failure(&self, reason: String) -> RenderFailure {
        RenderFailure { path: self.file.path.clone(), reason }
    }
}

/// Compiles one template's slots and gathers what is wrong with them.
struct Compiler<'a> {
    prefix: String,
    file: &'a Arc<SourceFile>,
    registry: &'a mut Handlebars<'static>,
    problems: Vec<Problem>,
}

impl Compiler<'_> {
    /// A string of the front matter, whose span counts from `offset`.
    fn front(&mut self, what: &str, text: &Spanned<String>, offset: usize) -> Slot {
        let span = text.span();
        self.compile(what, text.get_ref(), span.start + offset..span.end + offset)
    }

    fn compile(&mut self, what: &str, text: &str, span: Range<usize>) -> Slot {
        let name = format!("{}:{what}", self.prefix);
        match Template::compile_with_name(text, name.clone()) {
            Ok(template) => {
                for fault in lint::faults(&template) {
                    let span = self.within(&span, text, fault.position);
                    let problem = Problem::error(fault.message, Place::Span(self.file.clone(), span));
                    self.problems.push(problem.maybe_help(fault.help));
                }
                self.registry.register_template(&name, template);
            }
            Err(error) => {
                let (message, position) = syntax::explain(text, &error);
                let place = Place::Span(self.file.clone(), self.within(&span, text, position));
                self.problems.push(Problem::error(message, place));
            }
        }
        if text.contains("{{") { Slot::Template(name) } else { Slot::Plain(text.to_owned()) }
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
struct Capped(Vec<u8>);

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST_OUTPUT {
            return Err(io::Error::other(format!("renders to more than {} KB", LARGEST_OUTPUT / 1024)));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
