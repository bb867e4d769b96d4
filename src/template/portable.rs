//! Portable templates: front matter with Handlebars strings and a Markdown body, rendered into a [`Message`] for any
//! chat.

use std::ops::Range;
use std::sync::Arc;

use handlebars::{Context, Handlebars, JsonTruthy};
use serde_json::Value;
use thiserror::Error;
use toml::Spanned;

use super::budget;
use super::file::{self, FrontMatter, ListedKeys};
use super::lint::{Faults, LintContext};
use super::problems::{RenderError, TemplateProblem};
use super::slot::{Rendering, Slot, SlotError};
use crate::message::splice::pings;
use crate::message::{Accent, Button, Field, Inline, Message, WebUrl, is_blank, markdown};
use crate::problem::{Place, Problem, Severity, SourceFile};

/// A compiled portable template.
pub(super) struct Portable {
    name: String,
    file: Arc<SourceFile>,
    line: Slot,
    title: Option<Slot>,
    url: Option<Slot>,
    image: Option<Slot>,
    accent: Option<Slot>,
    author: Option<Slot>,
    avatar: Option<Slot>,
    origin: Option<Slot>,
    footer: Option<Slot>,
    time: Option<Slot>,
    items: Option<Slot>,
    fields: Vec<Listed>,
    buttons: Vec<Listed>,
    body: Slot,
}

/// Field (name and value) or button (label and URL).
struct Listed {
    /// Path of a value; the entry is shown if the value is true.
    when: Option<String>,
    /// Path of a list; the entry is shown once per item, named `item`.
    each: Option<String>,
    name: Slot,
    value: Slot,
}

/// Failure of a template to render.
#[derive(Clone, Debug, Error)]
#[error("{path}{}: {reason}", line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct RenderFailure {
    /// Path of the template file.
    pub path: String,
    /// Line in the file, if known.
    pub line: Option<usize>,
    /// Cause.
    pub reason: RenderError,
}

/// Reason for a missing message.
pub(super) enum NoMessage {
    /// The template skips the message, for this reason.
    Skip(String),
    /// The template failed.
    Failed(Box<RenderFailure>),
}

impl NoMessage {
    /// Creates the failure of a template file.
    pub(super) fn failed(file: &SourceFile, line: Option<usize>, reason: RenderError) -> Self {
        Self::Failed(Box::new(RenderFailure { path: file.path.clone(), line, reason }))
    }
}

impl Portable {
    /// Compiles a template file. Returns the problems next to the template, which is `None` if one of them is an error.
    pub(super) fn compile(name: &str, file: Arc<SourceFile>, known: &LintContext<'_>) -> (Option<Self>, Vec<Problem>) {
        let parts = match file::parse(&file) {
            Ok(parts) => parts,
            Err(problem) => return (None, vec![*problem]),
        };
        let mut compiler = Compiler { file: &file, offset: parts.offset, faults: Faults::new(file.clone(), known) };
        let portable = compiler.portable(name, &parts.front_matter, parts.body);
        let problems = compiler.faults.into_problems();
        let is_broken = problems.iter().any(|problem| problem.severity == Severity::Error);
        ((!is_broken).then_some(portable), problems)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the source file.
    pub(super) fn file(&self) -> &Arc<SourceFile> {
        &self.file
    }

    /// Renders the message. Blank parts are left out. A blank `line` is a failure.
    pub(super) fn render(&self, registry: &Handlebars<'_>, context: &Context) -> Result<Message, NoMessage> {
        let mut made = Making { template: self, rendering: Rendering::new(registry, context) };
        let rendered = made.slot(&self.line)?;
        let (line, mut pinged) = (markdown::line(rendered), pings(rendered));
        if is_blank(&line) {
            return Err(self.failure(RenderError::EmptyLine));
        }
        let time = made.optional(self.time.as_ref())?;
        let mut message = Message {
            line,
            title: made.title(self.title.as_ref())?,
            author: made.optional(self.author.as_ref())?,
            // A chat may reject a message with a picture that it cannot load.
            avatar: made.url(self.avatar.as_ref())?.filter(WebUrl::is_public),
            origin: made.optional(self.origin.as_ref())?,
            footer: made.optional(self.footer.as_ref())?,
            items: made.optional(self.items.as_ref())?,
            url: made.url(self.url.as_ref())?,
            image: made.url(self.image.as_ref())?,
            accent: made.accent(self.accent.as_ref())?,
            time: time.and_then(|time| time.parse().ok()),
            ..Message::default()
        };
        let rendered = made.slot(&self.body)?;
        message.body = markdown::blocks(rendered);
        pinged.extend(pings(rendered));
        made.listed(&self.fields, |made, field| {
            let name = made.plain(&field.name)?;
            let rendered = made.slot(&field.value)?;
            let value = markdown::inlines(rendered);
            if !name.is_empty() && !is_blank(&value) {
                pinged.extend(pings(rendered));
                message.fields.push(Field { name, value });
            }
            Ok(())
        })?;
        made.listed(&self.buttons, |made, button| {
            let label = made.plain(&button.name)?;
            if let (false, Some(url)) = (label.is_empty(), made.url(Some(&button.value))?) {
                message.buttons.push(Button { label, url });
            }
            Ok(())
        })?;
        for ping in pinged {
            if message.pings.iter().all(|known| known.person != ping.person) {
                message.pings.push(ping);
            }
        }
        Ok(message)
    }

    fn failure(&self, reason: RenderError) -> NoMessage {
        NoMessage::failed(&self.file, None, reason)
    }
}

/// Rendering of one template into a message.
struct Making<'a> {
    template: &'a Portable,
    rendering: Rendering<'a>,
}

impl<'a> Making<'a> {
    fn slot<'s>(&'s mut self, slot: &'s Slot) -> Result<&'s str, NoMessage> {
        let template = self.template;
        self.rendering.slot(slot).map_err(|error| match error {
            SlotError::Skip(why) => NoMessage::Skip(why),
            SlotError::Failed(reason) => template.failure(reason),
        })
    }

    fn plain(&mut self, slot: &Slot) -> Result<String, NoMessage> {
        self.slot(slot).map(markdown::plain)
    }

    fn optional(&mut self, slot: Option<&Slot>) -> Result<Option<String>, NoMessage> {
        let text = slot.map(|slot| self.plain(slot)).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    fn title(&mut self, slot: Option<&Slot>) -> Result<Option<Vec<Inline>>, NoMessage> {
        let title = slot.map(|slot| self.slot(slot).map(markdown::title)).transpose()?;
        Ok(title.filter(|title| !is_blank(title)))
    }

    fn url(&mut self, slot: Option<&Slot>) -> Result<Option<WebUrl>, NoMessage> {
        let address = slot.map(|slot| self.slot(slot).map(markdown::address_of)).transpose()?;
        Ok(address.and_then(|address| WebUrl::parse(&address)))
    }

    fn accent(&mut self, slot: Option<&Slot>) -> Result<Accent, NoMessage> {
        let Some(name) = self.optional(slot)? else { return Ok(Accent::default()) };
        Accent::parse(&name).ok_or_else(|| self.template.failure(RenderError::InvalidAccent(name)))
    }

    fn spend(&self, steps: u64) -> Result<(), NoMessage> {
        budget::spend(steps).map_err(|why| self.template.failure(why))
    }

    /// Renders fields or buttons: skips those whose `when` is false, and repeats those with `each` per item.
    fn listed(
        &mut self,
        all: &[Listed],
        mut show: impl FnMut(&mut Self, &Listed) -> Result<(), NoMessage>,
    ) -> Result<(), NoMessage> {
        for one in all {
            if one.when.as_ref().is_some_and(|path| !self.rendering.value(path).is_truthy(false)) {
                continue;
            }
            let Some(each) = &one.each else {
                self.spend(1)?;
                show(self, one)?;
                continue;
            };
            for item in self.rendering.value(each).as_array().map(Vec::as_slice).unwrap_or_default() {
                // Each item is copied and rendered.
                self.spend(LISTED_STEPS + budget::weight(item) / 32)?;
                self.rendering.item = Some(Value::clone(item));
                show(self, one)?;
            }
            self.rendering.item = None;
        }
        Ok(())
    }
}

/// Budget steps for a field or button of one item. The price is high because chats show only a few of them.
const LISTED_STEPS: u64 = 50;

/// Compiles the slots of one template and collects their problems.
struct Compiler<'a> {
    file: &'a Arc<SourceFile>,
    /// Byte offset of the front matter; its spans are relative to it.
    offset: usize,
    faults: Faults<'a>,
}

impl Compiler<'_> {
    fn portable(&mut self, name: &str, front: &FrontMatter, body: Range<usize>) -> Portable {
        let mut slot = |what: &str, text: &Option<Spanned<String>>| text.as_ref().map(|text| self.front(what, text));
        let (title, url, image) = (slot("title", &front.title), slot("url", &front.url), slot("image", &front.image));
        let (author, avatar) = (slot("author", &front.author), slot("avatar", &front.avatar));
        let (origin, footer) = (slot("origin", &front.origin), slot("footer", &front.footer));
        let (time, items) = (slot("time", &front.time), slot("items", &front.items));
        let accent = slot("accent", &front.accent);
        let line = slot("line", &front.line).unwrap_or_else(|| {
            let place = Place::Span(self.file.clone(), 0..self.file.text.find('\n').unwrap_or(0));
            self.faults.note(&TemplateProblem::NoLine, place);
            Slot::Plain(String::new())
        });
        let fields = front.fields.iter().enumerate();
        let fields = fields.map(|(n, field)| self.listed(&format!("fields.{n}"), ["name", "value"], field)).collect();
        let buttons = front.buttons.iter().enumerate();
        let buttons: Vec<Listed> =
            buttons.map(|(n, button)| self.listed(&format!("buttons.{n}"), ["label", "url"], button)).collect();
        let body = self.faults.slot("body", &self.file.text[body.clone()], body);
        if let Some(accent) = &front.accent {
            self.check_accent(accent);
        }
        let urls = [&front.url, &front.image, &front.avatar].into_iter().flatten();
        for url in urls.chain(front.buttons.iter().map(ListedKeys::value)) {
            self.check_url(url);
        }
        let (file, name) = (self.file.clone(), name.to_owned());
        Portable {
            name,
            file,
            line,
            title,
            url,
            image,
            accent,
            author,
            avatar,
            origin,
            footer,
            time,
            items,
            fields,
            buttons,
            body,
        }
    }

    /// Compiles a string of the front matter.
    fn front(&mut self, what: &str, text: &Spanned<String>) -> Slot {
        self.faults.slot(what, text.get_ref(), self.span(text))
    }

    fn span(&self, text: &Spanned<String>) -> Range<usize> {
        text.span().start + self.offset..text.span().end + self.offset
    }

    fn place(&self, text: &Spanned<String>) -> Place {
        Place::Span(self.file.clone(), self.span(text))
    }

    fn listed<K: ListedKeys>(&mut self, what: &str, names: [&str; 2], keys: &K) -> Listed {
        let (when, each) = (keys.when(), keys.each());
        for path in [when, each].into_iter().flatten() {
            let place = self.place(path);
            if let Some(bare) = path.get_ref().trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
                let path = bare.trim().trim_start_matches("#if ").trim().to_owned();
                self.faults.note(&TemplateProblem::BracesAroundPath { path }, place);
                continue;
            }
            self.faults.path(path.get_ref(), place, each.is_some_and(|each| each == path));
        }
        let guards: Vec<&str> = [when, each].into_iter().flatten().map(|path| path.get_ref().as_str()).collect();
        self.faults.guarded(&guards, each.map(|path| path.get_ref().as_str()));
        let name = self.front(&format!("{what}.{}", names[0]), keys.name());
        let value = self.front(&format!("{what}.{}", names[1]), keys.value());
        self.faults.unguarded();
        let path = |path: Option<&Spanned<String>>| path.map(|path| path.get_ref().clone());
        Listed { when: path(when), each: path(each), name, value }
    }

    /// Checks an accent that is a literal, not an expression.
    fn check_accent(&mut self, accent: &Spanned<String>) {
        let name = accent.get_ref();
        if name.is_empty() || name.contains("{{") || Accent::parse(name).is_some() {
            return;
        }
        self.faults.note(&TemplateProblem::InvalidAccent(name.clone()), self.place(accent));
    }

    /// Checks a URL that is a literal, not an expression.
    fn check_url(&mut self, url: &Spanned<String>) {
        let text = url.get_ref();
        if text.contains("{{") || WebUrl::parse(text).is_some() {
            return;
        }
        self.faults.note(&TemplateProblem::InvalidUrl(text.clone()), self.place(url));
    }
}
