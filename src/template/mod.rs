//! Template library: finds the template for an event and renders it into a [`Message`].
//!
//! Templates are looked up from the most specific name to the most general: the route's template, the kind
//! (`pull_request.approved`), its family (`pull_request`), `event`. For each name, a user's file takes precedence over
//! the built-in template. If a template fails to render, the next one is used: a template error never loses a message.

pub(crate) mod budget;
mod context;
mod direct;
mod file;
pub mod helpers;
mod lint;
mod native;
mod portable;
mod problems;
mod slot;
mod syntax;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use handlebars::Handlebars;
use rust_embed::RustEmbed;
use serde_json::Value;

use crate::chat::{Kind as ChatKind, kinds};
use crate::event::Kind;
use crate::message::shield::shield;
use crate::message::{Accent, Inline, Message, People};
use crate::problem::{Describe, Place, Problem, SourceFile, nearest};
use crate::text_file;
use lint::{LintContext, Partial};
use native::Native;

pub use context::Context;
pub(crate) use context::complete;
pub use portable::RenderFailure;
use portable::{NoMessage, Portable};
pub use problems::RenderError;
use problems::TemplateProblem;

/// File name suffix of portable templates.
const PORTABLE: &str = ".md.hbs";

/// File name suffix of chat-native templates, which are in a directory named after the chat.
const NATIVE: &str = ".json.hbs";

/// Directory of partials, and the suffix of their file names.
const PARTIALS: (&str, &str) = ("partials", ".hbs");

/// Template that renders Hookbell's own alerts, which are not events of a host.
pub(crate) const ALERT: &str = "alert";

/// Template that renders several refs of one push in one message.
pub(crate) const REFS: &str = "refs";

#[derive(RustEmbed)]
#[folder = "templates"]
struct BuiltIn;

/// All compiled templates. Immutable: a change creates a new library.
pub struct Library {
    registry: Handlebars<'static>,
    people: Arc<People>,
    partials: BTreeMap<String, Partial>,
    files: BTreeMap<String, Portable>,
    built_in: &'static BTreeMap<String, Portable>,
    /// Chat-native templates by chat and name.
    natives: BTreeMap<(&'static str, String), Native>,
}

/// Template that serves events of a kind, and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// Event kind.
    pub kind: Kind,
    /// Name of the template that is tried first.
    pub template: String,
    /// Path of the template's file; `None` for a built-in template.
    pub file: Option<String>,
}

/// Result of rendering an event.
#[derive(Debug)]
pub struct Rendered {
    /// The message; always present. If `body` is set, the body is sent instead.
    pub message: Message,
    /// Request body rendered by a chat-native template, sent unchanged.
    pub body: Option<String>,
    /// Name of the template that was used, as in [`Library::names`].
    pub template: String,
    /// Failures of the templates that were tried before it, most specific first.
    pub failures: Vec<RenderFailure>,
    /// Reason for sending nothing, if the template skips the message.
    pub skip: Option<String>,
}

/// Returns the kinds that a template serves because of its name: one kind, a family, or all. `None` if only a route can
/// select it.
fn served_by_name(name: &str) -> Option<Vec<Kind>> {
    let named = |of: fn(Kind) -> &'static str| Kind::ALL.iter().copied().filter(move |kind| of(*kind) == name);
    let kinds: Vec<_> = match name {
        "event" => Kind::ALL.to_vec(),
        REFS => Kind::ALL.iter().copied().filter(|kind| kind.is_of_ref()).collect(),
        _ if Kind::parse(name).is_some() => named(Kind::as_str).collect(),
        _ => named(Kind::family).collect(),
    };
    (!kinds.is_empty()).then_some(kinds)
}

/// The built-in templates, compiled when they are first used.
static BUILT_IN: LazyLock<BTreeMap<String, Portable>> = LazyLock::new(|| {
    let compiled = |path: &str| {
        let name = path.strip_suffix(PORTABLE)?;
        let text = Library::built_in_text(name).unwrap_or_default();
        let source = SourceFile { path: format!("built-in {path}"), text };
        // A test checks that every built-in template compiles. One that does not is missing, which is not fatal.
        let known = LintContext { partials: &BTreeMap::new(), kinds: None, is_foreign: true };
        let (portable, _) = Portable::compile(name, Arc::new(source), &known);
        Some((name.to_owned(), portable?))
    };
    let paths: Vec<_> = BuiltIn::iter().collect();
    // It takes a third of the time that the service needs to start, so two threads share it.
    let (first, second) = paths.split_at(paths.len() / 2);
    let of = |paths: &[Cow<'static, str>]| paths.iter().filter_map(|path| compiled(path)).collect::<BTreeMap<_, _>>();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| of(second));
        let mut all = of(first);
        all.extend(other.join().unwrap_or_default());
        all
    })
});

impl Library {
    /// Creates a library of the built-in templates.
    pub fn built_in() -> Self {
        Self {
            registry: helpers::registry(),
            people: Arc::default(),
            partials: BTreeMap::new(),
            files: BTreeMap::new(),
            built_in: &BUILT_IN,
            natives: BTreeMap::new(),
        }
    }

    /// Sets the people that mentions can ping.
    #[must_use]
    pub fn with_people(mut self, people: Arc<People>) -> Self {
        helpers::set_people(&mut self.registry, &people);
        self.people = people;
        self
    }

    /// Returns the people that mentions can ping.
    pub(crate) fn people(&self) -> &Arc<People> {
        &self.people
    }

    /// Returns the text of a built-in template.
    pub fn built_in_text(name: &str) -> Option<String> {
        let file = BuiltIn::get(&format!("{name}{PORTABLE}"))?;
        Some(String::from_utf8_lossy(&file.data).into_owned())
    }

    /// Loads the built-in templates and the files of a directory that override them. A file that equals the built-in
    /// template of its name does not count.
    ///
    /// Returns the problems next to the library. Files with errors are left out of the library.
    pub fn load(directory: &Path, shown_as: &str) -> (Self, Vec<Problem>) {
        let mut library = Self::built_in();
        let mut problems = vec![];
        let partials = directory.join(PARTIALS.0);
        if partials.is_dir() {
            let shown = format!("{shown_as}/{}", PARTIALS.0);
            for (name, source) in read(&partials, &shown, PARTIALS.1, &mut problems) {
                match lint::partial(source) {
                    Ok(partial) => {
                        library.partials.insert(name, partial);
                    }
                    Err(problem) => problems.push(problem),
                }
            }
            budget::measure(&mut library.partials);
            for (name, partial) in &library.partials {
                let template = budget::metered(partial.template.clone(), &library.partials);
                library.registry.register_template(name, template);
            }
        }
        misnamed(directory, shown_as, PORTABLE, &mut problems);
        for (name, source) in read(directory, shown_as, PORTABLE, &mut problems) {
            if Self::built_in_text(&name).is_some_and(|text| text == source.text) {
                continue;
            }
            let kinds = served_by_name(&name);
            let (portable, found) = library.compile(&name, source, kinds.as_deref());
            library.files.extend(portable.map(|portable| (name, portable)));
            problems.extend(found.into_iter().filter(|problem| !problems.contains(problem)).collect::<Vec<_>>());
        }
        for chat in natives() {
            let own = directory.join(chat.name());
            let files = if own.is_dir() {
                misnamed(&own, &format!("{shown_as}/{}", chat.name()), NATIVE, &mut problems);
                read(&own, &format!("{shown_as}/{}", chat.name()), NATIVE, &mut problems)
            } else {
                vec![]
            };
            for (name, source) in files {
                let kinds = served_by_name(&name);
                let known =
                    LintContext { partials: &library.partials, kinds: kinds.as_deref(), is_foreign: name == ALERT };
                let (native, found) = Native::compile(source, &known);
                library.natives.extend(native.map(|native| ((chat.name(), name), native)));
                problems.extend(found);
            }
        }
        (library, problems)
    }

    fn compile(&self, name: &str, source: Arc<SourceFile>, kinds: Option<&[Kind]>) -> (Option<Portable>, Vec<Problem>) {
        let known = LintContext { partials: &self.partials, kinds, is_foreign: name == ALERT };
        Portable::compile(name, source, &known)
    }

    /// Checks the templates that only routes select. `uses` maps each template name to the kinds of its events.
    pub(crate) fn wrong_for(&self, uses: &BTreeMap<&str, Vec<Kind>>) -> Vec<Problem> {
        let asked = uses.iter().filter(|(name, _)| served_by_name(name).is_none());
        let asked = asked.filter_map(|(name, kinds)| Some((name, self.files.get(*name)?, kinds)));
        asked.flat_map(|(name, file, kinds)| self.compile(name, file.file().clone(), Some(kinds)).1).collect()
    }

    /// Warns about users' templates that no event and no route uses. Most often, the name is misspelled.
    pub(crate) fn unused(&self, uses: &BTreeMap<&str, Vec<Kind>>) -> Vec<Problem> {
        let portable = self.files.iter().map(|(name, file)| (name, file.file()));
        let natives = self.natives.iter().map(|((_, name), native)| (name, native.file()));
        let is_used = |name: &str| served_by_name(name).is_some() || name == ALERT || uses.contains_key(name);
        let unused = portable.chain(natives).filter(|(name, _)| !is_used(name));
        let unused = unused.map(|(name, file)| {
            let kinds = Kind::ALL.iter().map(|kind| kind.as_str());
            let families = Kind::ALL.iter().map(|kind| kind.family());
            let near = nearest(name, kinds.chain(families).chain(["event", ALERT, REFS])).map(ToOwned::to_owned);
            TemplateProblem::Unused { name: name.clone(), near }.at(Place::Named(file.path.clone()))
        });
        unused.collect()
    }

    /// Returns the directories that contain templates: `directory` and its subdirectories for partials and chats.
    pub(crate) fn directories(directory: &Path) -> Vec<PathBuf> {
        let chats = natives().map(|chat| directory.join(chat.name()));
        [directory.to_owned(), directory.join(PARTIALS.0)].into_iter().chain(chats).collect()
    }

    /// Returns the template that serves each kind, unless a route selects another.
    pub fn serving(&self) -> Vec<Serving> {
        let serving = |kind: Kind| {
            let names = [kind.as_str(), kind.family(), "event"];
            let layers = names.into_iter().flat_map(|name| [self.files.get(name), self.built_in.get(name)]);
            let first = layers.flatten().next()?;
            let is_file = self.files.get(first.name()).is_some_and(|file| std::ptr::eq(file, first));
            let file = is_file.then(|| first.file().path.clone());
            Some(Serving { kind, template: first.name().to_owned(), file })
        };
        Kind::ALL.iter().filter_map(|kind| serving(*kind)).collect()
    }

    /// File name of a draft in problems.
    pub(crate) const DRAFT: &str = "the draft";

    /// Replaces the text of a template and returns its problems. With `chat`, that is the chat-native template,
    /// otherwise the portable one.
    pub fn replace(&mut self, name: &str, chat: Option<&str>, text: &str) -> Vec<Problem> {
        let source = Arc::new(SourceFile { path: Self::DRAFT.to_owned(), text: text.to_owned() });
        let kinds = served_by_name(name);
        let Some(chat) = chat else {
            let (portable, problems) = self.compile(name, source, kinds.as_deref());
            self.files.extend(portable.map(|portable| (name.to_owned(), portable)));
            return problems;
        };
        let known = LintContext { partials: &self.partials, kinds: kinds.as_deref(), is_foreign: name == ALERT };
        let (native, problems) = Native::compile(source, &known);
        let chat = natives().find(|known| known.name() == chat);
        self.natives.extend(native.zip(chat).map(|(native, chat)| ((chat.name(), name.to_owned()), native)));
        problems
    }

    /// Returns the path of a template's file, which may not exist. `None` if the chat has no chat-native templates.
    pub(crate) fn file_of(directory: &Path, name: &str, chat: Option<&str>) -> Option<PathBuf> {
        match chat {
            None => Some(directory.join(format!("{name}{PORTABLE}"))),
            Some(chat) => {
                let chat = natives().find(|known| known.name() == chat)?;
                Some(directory.join(chat.name()).join(format!("{name}{NATIVE}")))
            }
        }
    }

    /// Returns the users' portable templates: name, file, and true if the template overrides a built-in one.
    pub fn overrides(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        self.files
            .iter()
            .map(|(name, file)| (name.as_str(), file.file().path.as_str(), self.built_in.contains_key(name)))
    }

    /// Returns the chat-native templates: chat, name, file.
    pub fn of_chats(&self) -> impl Iterator<Item = (&'static str, &str, &str)> {
        self.natives.iter().map(|((chat, name), native)| (*chat, name.as_str(), native.file().path.as_str()))
    }

    /// Returns the names of all portable templates, users' and built-in.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let files = self.files.keys().map(String::as_str);
        let built_in = self.built_in.keys().map(String::as_str);
        files.chain(built_in.filter(|name| !self.files.contains_key(*name)))
    }

    /// Returns the names and texts of the users' templates and partials.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.iter().map(|(name, file)| (name.as_str(), file.file().text.as_str()));
        let partials = self.partials.iter().map(|(name, partial)| (name.as_str(), partial.file.text.as_str()));
        let natives = self.natives.iter().map(|((_, name), native)| (name.as_str(), native.file().text.as_str()));
        files.chain(partials).chain(natives)
    }

    /// Returns true if a template with this name exists.
    pub fn contains(&self, name: &str) -> bool {
        let is_native = || self.natives.keys().any(|(_, native)| native == name);
        self.files.contains_key(name) || self.built_in.contains_key(name) || is_native()
    }

    /// Returns the template name that is most similar to an unknown name.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.names())
    }

    /// Renders an event with portable templates only. `route` is the template that the route selects. Always returns a
    /// message.
    pub fn render(&self, event: &Context, route: Option<&str>) -> Rendered {
        self.render_for(event, route, None)
    }

    /// Renders an event with the built-in templates only.
    pub(crate) fn render_built_in(&self, event: &Context) -> Message {
        let kind = event.kind();
        let names = [kind.as_str(), kind.family(), "event"];
        let templates = names.iter().filter_map(|name| self.built_in.get(*name));
        let rendered = templates.filter_map(|template| template.render(&self.registry, event.context()).ok()).next();
        rendered.unwrap_or_else(|| last_resort(event.event()))
    }

    /// Renders an event for one chat. A chat-native template takes precedence over the portable one with the same name.
    pub fn render_for(&self, event: &Context, route: Option<&str>, chat: Option<&dyn ChatKind>) -> Rendered {
        let (kind, context) = (event.kind(), event.context());
        let (resort, mut failures) = (|| last_resort(context.data()), vec![]);
        let finish = chat.and_then(|chat| Some((chat.name(), chat.native()?)));
        for name in route.into_iter().chain([kind.as_str(), kind.family(), "event"]) {
            let template = || name.to_owned();
            let native = finish.and_then(|(chat, finish)| Some((self.natives.get(&(chat, name.to_owned()))?, finish)));
            if let Some((native, finish)) = native {
                match native.render(&self.registry, context, finish) {
                    Ok(body) => {
                        return Rendered {
                            message: resort(),
                            body: Some(body),
                            template: template(),
                            failures,
                            skip: None,
                        };
                    }
                    Err(NoMessage::Skip(why)) => return skipped(resort(), template(), failures, why),
                    Err(NoMessage::Failed(failure)) => failures.push(*failure),
                }
            }
            for portable in [self.files.get(name), self.built_in.get(name)].into_iter().flatten() {
                match portable.render(&self.registry, context) {
                    Ok(message) => return Rendered { message, body: None, template: template(), failures, skip: None },
                    Err(NoMessage::Skip(why)) => return skipped(resort(), template(), failures, why),
                    Err(NoMessage::Failed(failure)) => failures.push(*failure),
                }
            }
        }
        Rendered { message: resort(), body: None, template: "none".to_owned(), failures, skip: None }
    }
}

/// Returns the chats that support chat-native templates.
pub(crate) fn natives() -> impl Iterator<Item = &'static dyn ChatKind> {
    kinds().iter().copied().filter(|chat| chat.native().is_some())
}

fn skipped(message: Message, template: String, failures: Vec<RenderFailure>, why: String) -> Rendered {
    Rendered { message, body: None, template, failures, skip: Some(why) }
}

/// Warns about files that look like templates but are ignored because of their suffix.
fn misnamed(directory: &Path, shown_as: &str, ending: &'static str, problems: &mut Vec<Problem>) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name()).collect();
    names.sort();
    for name in names.iter().filter_map(|name| name.to_str()).filter(|name| !name.ends_with(ending)) {
        let stem = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
        let Some(stem) = stem.filter(|stem| name.ends_with(".hbs") || served_by_name(stem).is_some()) else { continue };
        let place = Place::Named(Path::new(shown_as).join(name).display().to_string());
        let (name, stem) = (name.to_owned(), stem.to_owned());
        problems.push(TemplateProblem::Misnamed { name, stem, ending }.at(place));
    }
}

/// Suffixes that users may give to templates, longest first.
const ENDINGS: [&str; 10] =
    [".json.hbs", ".md.hbs", ".html.hbs", ".txt.hbs", ".hbs.md", ".handlebars", ".hbs", ".md", ".json", ".txt"];

/// Reads the files of a directory that have a suffix; returns names and texts.
fn read(directory: &Path, shown_as: &str, ending: &str, problems: &mut Vec<Problem>) -> Vec<(String, Arc<SourceFile>)> {
    let named = |path: &str| Place::Named(path.to_owned());
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(TemplateProblem::UnreadableDirectory(error).at(named(shown_as)));
            return vec![];
        }
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    let mut files = vec![];
    for path in paths {
        let Some(file_name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some(name) = file_name.strip_suffix(ending) else { continue };
        let shown = Path::new(shown_as).join(file_name).display().to_string();
        match text_file::read_text(&path, text_file::MAX_FILE) {
            Ok(text) => files.push((name.to_owned(), Arc::new(SourceFile { path: shown, text }))),
            Err(error) => problems.push(TemplateProblem::UnreadableFile(error).at(named(&shown))),
        }
    }
    files
}

/// Builds a minimal message, for use when even the built-in templates fail.
fn last_resort(event: &Value) -> Message {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let said = format!("{} {}", text("/repository/full_name"), text("/key"));
    let plain = crate::message::markdown::plain(&shield(&said));
    Message {
        line: vec![Inline::Text(plain.clone())],
        title: Some(vec![Inline::Text(plain)]),
        accent: Accent::Neutral,
        url: crate::message::WebUrl::parse(text("/repository/url")),
        ..Message::default()
    }
}

#[cfg(test)]
mod tests;
