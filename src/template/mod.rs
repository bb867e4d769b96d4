//! The library of templates: which there are, which one serves an event, and rendering it into a [`Message`].
//!
//! A template is looked up from the most special name down: the route's own, the kind (`pull_request.approved`),
//! its family (`pull_request`), `event`. For each name a file of the user's comes before the built-in. Where one
//! fails to render, the next is used: a message never dies of a template.

pub(crate) mod budget;
mod direct;
mod file;
pub mod helpers;
mod lint;
mod native;
mod portable;
mod slot;
mod syntax;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use handlebars::Handlebars;
use rust_embed::RustEmbed;
use serde_json::Value;

use crate::chat::{KINDS, Kind as Chat};
use crate::event::{Event, Kind};
use crate::message::shield::shield;
use crate::message::{Accent, Inline, Message, People};
use crate::problem::{Place, Problem, SourceFile, nearest};
use crate::text_file;
use lint::{Known, Partial};
use native::Native;

pub use portable::RenderFailure;
use portable::{NoMessage, Portable};

/// How a portable template's file name ends.
const PORTABLE: &str = ".md.hbs";

/// How a chat-native template's file name ends; it stands in a directory of its chat's name.
const NATIVE: &str = ".json.hbs";

/// Where partials are, and how their file names end.
const PARTIALS: (&str, &str) = ("partials", ".hbs");

/// The template that draws what is no event of a host's.
const FOREIGN: &str = "alert";

/// The template that draws several refs of one push in one message.
pub(crate) const REFS: &str = "refs";

/// Longest list in an event that a template gets to see; no message shows a thousand of anything.
const LONGEST_LIST: usize = 1_000;

#[derive(RustEmbed)]
#[folder = "templates"]
struct BuiltIn;

/// All templates, compiled. Immutable: a change makes a new library.
pub struct Library {
    registry: Handlebars<'static>,
    people: Arc<People>,
    partials: BTreeMap<String, Partial>,
    files: BTreeMap<String, Portable>,
    built_in: BTreeMap<String, Portable>,
    /// By chat and name.
    natives: BTreeMap<(&'static str, String), Native>,
}

/// What serves events of a kind: a template, and why it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// The kind.
    pub kind: Kind,
    /// The template that is used first.
    pub template: String,
    /// Its file; none where it is built in.
    pub file: Option<String>,
}

/// An event as templates see it; made once, and used for all of its messages.
pub struct Context {
    kind: Kind,
    context: handlebars::Context,
}

impl Context {
    /// Of the JSON that [`Event`] serialises to.
    pub fn new(mut event: Value) -> Self {
        cap(&mut event);
        let kind = event["kind"].as_str().and_then(Kind::parse).unwrap_or(Kind::Other);
        Self { kind, context: handlebars::Context::from(event) }
    }

    /// The same, as if it came now where it does not say when: pushes do not, and are told when they come in.
    pub fn as_of_now(event: &Event) -> Self {
        let time = event.time.or_else(|| Some(jiff::Timestamp::now()));
        Self::of(&Event { time, ..event.clone() })
    }

    /// The event, as templates see it.
    pub fn event(&self) -> &Value {
        self.context.data()
    }

    /// Returns the event, with its lists cut.
    pub(crate) fn into_event(mut self) -> Value {
        std::mem::take(self.context.data_mut())
    }

    /// Of an event.
    pub fn of(event: &Event) -> Self {
        Self::new(serde_json::to_value(event).unwrap_or_default())
    }
}

/// What rendering an event gave.
#[derive(Debug)]
pub struct Rendered {
    /// The message; there always is one. Where there is a `body`, that is sent in its place.
    pub message: Message,
    /// What is sent as it stands, made by a template of the chat's own.
    pub body: Option<String>,
    /// The template that made it, as [`Library::names`] has it.
    pub template: String,
    /// The templates that were tried before and failed, most special first.
    pub failures: Vec<RenderFailure>,
    /// Why nothing is to be sent, if the template says so.
    pub skip: Option<String>,
}

/// The kinds that a template of this name serves by its name: its own, its family's, all; none where a route must ask
/// for it.
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

impl Library {
    /// The built-in templates alone.
    pub fn built_in() -> Self {
        let mut library = Self {
            registry: helpers::registry(),
            people: Arc::default(),
            partials: BTreeMap::new(),
            files: BTreeMap::new(),
            built_in: BTreeMap::new(),
            natives: BTreeMap::new(),
        };
        for path in BuiltIn::iter() {
            let Some(name) = path.strip_suffix(PORTABLE) else { continue };
            let source =
                SourceFile { path: format!("built-in {path}"), text: Self::built_in_text(name).unwrap_or_default() };
            // A test holds every built-in template to compiling; one that did not would be missing, not fatal.
            let known = Known { partials: &BTreeMap::new(), kinds: None, is_foreign: true };
            if let (Some(portable), _) = Portable::compile(name, Arc::new(source), &known) {
                library.built_in.insert(name.to_owned(), portable);
            }
        }
        library
    }

    /// The same templates, whose mentions ping these people.
    #[must_use]
    pub fn with_people(mut self, people: Arc<People>) -> Self {
        helpers::set_people(&mut self.registry, &people);
        self.people = people;
        self
    }

    /// Who is pinged by mentions.
    pub(crate) fn people(&self) -> &Arc<People> {
        &self.people
    }

    /// What a built-in template says.
    pub fn built_in_text(name: &str) -> Option<String> {
        let file = BuiltIn::get(&format!("{name}{PORTABLE}"))?;
        Some(String::from_utf8_lossy(&file.data).into_owned())
    }

    /// The built-in templates, overridden by the files of a directory.
    ///
    /// Problems come beside the library, which then leaves out the files that have an error.
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
            let kinds = served_by_name(&name);
            let (portable, found) = library.compile(&name, source, kinds.as_deref());
            library.files.extend(portable.map(|portable| (name, portable)));
            problems.extend(found.into_iter().filter(|problem| !problems.contains(problem)).collect::<Vec<_>>());
        }
        for chat in natives() {
            let own = directory.join(chat.name);
            let files = if own.is_dir() {
                misnamed(&own, &format!("{shown_as}/{}", chat.name), NATIVE, &mut problems);
                read(&own, &format!("{shown_as}/{}", chat.name), NATIVE, &mut problems)
            } else {
                vec![]
            };
            for (name, source) in files {
                let kinds = served_by_name(&name);
                let known = Known { partials: &library.partials, kinds: kinds.as_deref(), is_foreign: name == FOREIGN };
                let (native, found) = Native::compile(source, &known);
                library.natives.extend(native.map(|native| ((chat.name, name), native)));
                problems.extend(found);
            }
        }
        (library, problems)
    }

    fn compile(&self, name: &str, source: Arc<SourceFile>, kinds: Option<&[Kind]>) -> (Option<Portable>, Vec<Problem>) {
        let known = Known { partials: &self.partials, kinds, is_foreign: name == FOREIGN };
        Portable::compile(name, source, &known)
    }

    /// What is wrong with templates that serve what routes ask them to: names, each with the kinds of its events.
    pub(crate) fn wrong_for(&self, uses: &BTreeMap<&str, Vec<Kind>>) -> Vec<Problem> {
        let asked = uses.iter().filter(|(name, _)| served_by_name(name).is_none());
        let asked = asked.filter_map(|(name, kinds)| Some((name, self.files.get(*name)?, kinds)));
        asked.flat_map(|(name, file, kinds)| self.compile(name, file.file().clone(), Some(kinds)).1).collect()
    }

    /// Warns of users' templates that neither an event nor a route uses: most often the name is misspelt.
    pub(crate) fn unused(&self, uses: &BTreeMap<&str, Vec<Kind>>) -> Vec<Problem> {
        let portable = self.files.iter().map(|(name, file)| (name, file.file()));
        let natives = self.natives.iter().map(|((_, name), native)| (name, native.file()));
        let is_used = |name: &str| served_by_name(name).is_some() || name == FOREIGN || uses.contains_key(name);
        let unused = portable.chain(natives).filter(|(name, _)| !is_used(name));
        let unused = unused.map(|(name, file)| {
            let kinds = Kind::ALL.iter().map(|kind| kind.as_str());
            let families = Kind::ALL.iter().map(|kind| kind.family());
            let near = nearest(name, kinds.chain(families).chain(["event", FOREIGN, REFS]));
            let help = near.map_or_else(
                || format!("name it like an event, or use it in a route: `template = \"{name}\"`"),
                |near| format!("did you mean `{near}`?"),
            );
            Problem::warning(format!("no event and no route uses template `{name}`"), Place::Named(file.path.clone()))
                .help(help)
        });
        unused.collect()
    }

    /// The directories in which files of a templates directory are.
    pub(crate) fn directories(directory: &Path) -> Vec<PathBuf> {
        let chats = natives().map(|chat| directory.join(chat.name));
        [directory.to_owned(), directory.join(PARTIALS.0)].into_iter().chain(chats).collect()
    }

    /// What serves each kind, where no route asks for something else.
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

    /// What a draft's file is called in problems.
    pub(crate) const DRAFT: &str = "the draft";

    /// Puts a text in a template's place, in that of a chat's own or of the portable one, and says what is wrong with it.
    pub fn replace(&mut self, name: &str, chat: Option<&str>, text: &str) -> Vec<Problem> {
        let source = Arc::new(SourceFile { path: Self::DRAFT.to_owned(), text: text.to_owned() });
        let kinds = served_by_name(name);
        let Some(chat) = chat else {
            let (portable, problems) = self.compile(name, source, kinds.as_deref());
            self.files.extend(portable.map(|portable| (name.to_owned(), portable)));
            return problems;
        };
        let known = Known { partials: &self.partials, kinds: kinds.as_deref(), is_foreign: name == FOREIGN };
        let (native, problems) = Native::compile(source, &known);
        let chat = natives().find(|known| known.name == chat);
        self.natives.extend(native.zip(chat).map(|(native, chat)| ((chat.name, name.to_owned()), native)));
        problems
    }

    /// Where a template's file is, or would be; none of a chat that has no templates of its own.
    pub(crate) fn file_of(directory: &Path, name: &str, chat: Option<&str>) -> Option<PathBuf> {
        match chat {
            None => Some(directory.join(format!("{name}{PORTABLE}"))),
            Some(chat) => {
                let chat = natives().find(|known| known.name == chat)?;
                Some(directory.join(chat.name).join(format!("{name}{NATIVE}")))
            }
        }
    }

    /// Users' templates: name, file, and whether a built-in one has the name too.
    pub fn overrides(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        self.files
            .iter()
            .map(|(name, file)| (name.as_str(), file.file().path.as_str(), self.built_in.contains_key(name)))
    }

    /// Templates of a chat's own: the chat, the name, the file.
    pub fn of_chats(&self) -> impl Iterator<Item = (&'static str, &str, &str)> {
        self.natives.iter().map(|((chat, name), native)| (*chat, name.as_str(), native.file().path.as_str()))
    }

    /// The names of all templates, users' and built-in.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let files = self.files.keys().map(String::as_str);
        let built_in = self.built_in.keys().map(String::as_str);
        files.chain(built_in.filter(|name| !self.files.contains_key(*name)))
    }

    /// The users' templates and what they say.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.iter().map(|(name, file)| (name.as_str(), file.file().text.as_str()));
        let partials = self.partials.iter().map(|(name, partial)| (name.as_str(), partial.file.text.as_str()));
        let natives = self.natives.iter().map(|((_, name), native)| (name.as_str(), native.file().text.as_str()));
        files.chain(partials).chain(natives)
    }

    /// Whether there is a template of this name.
    pub fn contains(&self, name: &str) -> bool {
        let is_native = || self.natives.keys().any(|(_, native)| native == name);
        self.files.contains_key(name) || self.built_in.contains_key(name) || is_native()
    }

    /// The nearest name to one that there is no template of.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.names())
    }

    /// Renders an event for all chats alike. `route` is the template that the route asks for. There is a message whatever
    /// happens.
    pub fn render(&self, event: &Context, route: Option<&str>) -> Rendered {
        self.render_for(event, route, None)
    }

    /// Renders an event by the built-in templates alone.
    pub(crate) fn render_built_in(&self, event: &Context) -> Message {
        let names = [event.kind.as_str(), event.kind.family(), "event"];
        let templates = names.iter().filter_map(|name| self.built_in.get(*name));
        let rendered = templates.filter_map(|template| template.render(&self.registry, &event.context).ok()).next();
        rendered.unwrap_or_else(|| last_resort(event.event()))
    }

    /// The same for one chat: where it has a template of its own, that comes before the portable one of its name.
    pub fn render_for(&self, event: &Context, route: Option<&str>, chat: Option<&Chat>) -> Rendered {
        let Context { kind, context } = event;
        let (resort, mut failures) = (|| last_resort(context.data()), vec![]);
        let finish = chat.and_then(|chat| Some((chat.name, chat.native?)));
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
                    Err(NoMessage::Failed(failure)) => failures.push(failure),
                }
            }
            for portable in [self.files.get(name), self.built_in.get(name)].into_iter().flatten() {
                match portable.render(&self.registry, context) {
                    Ok(message) => return Rendered { message, body: None, template: template(), failures, skip: None },
                    Err(NoMessage::Skip(why)) => return skipped(resort(), template(), failures, why),
                    Err(NoMessage::Failed(failure)) => failures.push(failure),
                }
            }
        }
        Rendered { message: resort(), body: None, template: "none".to_owned(), failures, skip: None }
    }
}

/// The chats that may have templates of their own.
pub(crate) fn natives() -> impl Iterator<Item = &'static Chat> {
    KINDS.iter().filter(|chat| chat.native.is_some())
}

fn skipped(message: Message, template: String, failures: Vec<RenderFailure>, why: String) -> Rendered {
    Rendered { message, body: None, template, failures, skip: Some(why) }
}

/// Warns of files that look like templates, and are not read because of how their names end.
fn misnamed(directory: &Path, shown_as: &str, ending: &str, problems: &mut Vec<Problem>) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name()).collect();
    names.sort();
    for name in names.iter().filter_map(|name| name.to_str()).filter(|name| !name.ends_with(ending)) {
        let stem = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
        let Some(stem) = stem.filter(|stem| name.ends_with(".hbs") || served_by_name(stem).is_some()) else { continue };
        let place = Place::Named(Path::new(shown_as).join(name).display().to_string());
        let problem = Problem::warning(format!("`{name}` is not read: templates here end in `{ending}`"), place);
        problems.push(problem.help(format!("rename it to `{stem}{ending}`")));
    }
}

/// How people may think that templates' names end, the longest first.
const ENDINGS: [&str; 10] =
    [".json.hbs", ".md.hbs", ".html.hbs", ".txt.hbs", ".hbs.md", ".handlebars", ".hbs", ".md", ".json", ".txt"];

/// The files of a directory that end so: names and texts.
fn read(directory: &Path, shown_as: &str, ending: &str, problems: &mut Vec<Problem>) -> Vec<(String, Arc<SourceFile>)> {
    let named = |path: &str, message: String| Problem::error(message, Place::Named(path.to_owned()));
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(named(shown_as, format!("cannot read the templates directory: {error}")));
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
            Err(error) => problems.push(named(&shown, format!("cannot read the template: {error}"))),
        }
    }
    files
}

/// What is said when even the built-in templates fail: enough to go and look.
fn last_resort(event: &Value) -> Message {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let said = format!("{} {}", text("/repository/full_name"), text("/key"));
    let plain = crate::message::markdown::plain(&shield(&said));
    Message {
        line: vec![Inline::Text(plain.clone())],
        title: Some(plain),
        accent: Accent::Neutral,
        url: crate::message::WebUrl::parse(text("/repository/url")),
        ..Message::default()
    }
}

/// Cuts lists to [`LONGEST_LIST`], so that loops over them have an end in sight; and drops what only shielding may write,
/// so that no value can forge it where a template lets one through as it is.
fn cap(value: &mut Value) {
    match value {
        // Planes 15 and 16 begin with these bytes, and little else does.
        Value::String(text) if text.bytes().any(|byte| byte >= 0xF3) => text.retain(|c| u32::from(c) < 0xF_0000),
        Value::Array(items) => {
            items.truncate(LONGEST_LIST);
            items.iter_mut().for_each(cap);
        }
        Value::Object(map) => map.values_mut().for_each(cap),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
