//! The library of templates: which there are, which one serves an event, and rendering it into a [`Message`].
//!
//! A template is looked up from the most special name down: the route's own, the kind (`pull_request.approved`),
//! its family (`pull_request`), `event`. For each name a file of the user's comes before the built-in. Where one
//! fails to render, the next is used: a message never dies of a template.

mod file;
mod helpers;
mod lint;
mod portable;
mod syntax;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use handlebars::Handlebars;
use rust_embed::RustEmbed;
use serde_json::Value;

use crate::event::{Event, Kind};
use crate::message::shield::shield;
use crate::message::{Accent, Inline, Message};
use crate::problem::{Place, Problem, SourceFile, nearest};

pub use portable::RenderFailure;
use portable::{NoMessage, Portable};

/// How a portable template's file name ends.
const PORTABLE: &str = ".md.hbs";

/// Longest list in an event that a template gets to see; no message shows a thousand of anything.
const LONGEST_LIST: usize = 1_000;

#[derive(RustEmbed)]
#[folder = "templates"]
struct BuiltIn;

/// All templates, compiled. Immutable: a change makes a new library.
pub struct Library {
    registry: Handlebars<'static>,
    files: BTreeMap<String, Portable>,
    built_in: BTreeMap<String, Portable>,
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

    /// The event, as templates see it.
    pub fn event(&self) -> &Value {
        self.context.data()
    }

    /// Of an event.
    pub fn of(event: &Event) -> Self {
        Self::new(serde_json::to_value(event).unwrap_or_default())
    }
}

/// What rendering an event gave.
#[derive(Debug)]
pub struct Rendered {
    /// The message; there always is one.
    pub message: Message,
    /// The template that made it, as [`Library::names`] has it.
    pub template: String,
    /// The templates that were tried before and failed, most special first.
    pub failures: Vec<RenderFailure>,
    /// Why nothing is to be sent, if the template says so.
    pub skip: Option<String>,
}

impl Library {
    /// The built-in templates alone.
    pub fn built_in() -> Self {
        let mut library = Self { registry: helpers::registry(), files: BTreeMap::new(), built_in: BTreeMap::new() };
        for path in BuiltIn::iter() {
            let Some(name) = path.strip_suffix(PORTABLE) else { continue };
            let text = BuiltIn::get(&path).map(|file| String::from_utf8_lossy(&file.data).into_owned());
            let source = SourceFile { path: format!("built-in {path}"), text: text.unwrap_or_default() };
            // A test holds every built-in template to compiling; one that did not would be missing, not fatal.
            if let Ok(portable) = Portable::compile(name, Arc::new(source)) {
                library.built_in.insert(name.to_owned(), portable);
            }
        }
        library
    }

    /// The built-in templates, overridden by the files of a directory.
    ///
    /// Problems come beside the library, which then leaves out the files that have one.
    pub fn load(directory: &Path, shown_as: &str) -> (Self, Vec<Problem>) {
        let mut library = Self::built_in();
        let mut problems = vec![];
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                let problem = Problem::error(
                    format!("cannot read the templates directory: {error}"),
                    Place::Named(shown_as.to_owned()),
                );
                return (library, vec![problem.help("create it, or leave `templates` out of the config")]);
            }
        };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let Some(file_name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let Some(name) = file_name.strip_suffix(PORTABLE) else { continue };
            let shown = Path::new(shown_as).join(file_name).display().to_string();
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    let source = Arc::new(SourceFile { path: shown, text });
                    match Portable::compile(name, source) {
                        Ok(portable) => {
                            library.files.insert(name.to_owned(), portable);
                        }
                        Err(found) => problems.extend(found),
                    }
                }
                Err(error) => {
                    problems.push(Problem::error(format!("cannot read the template: {error}"), Place::Named(shown)));
                }
            }
        }
        (library, problems)
    }

    /// The names of all templates, users' and built-in.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let files = self.files.keys().map(String::as_str);
        let built_in = self.built_in.keys().map(String::as_str);
        files.chain(built_in.filter(|name| !self.files.contains_key(*name)))
    }

    /// The users' templates and what they say.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(name, file)| (name.as_str(), file.text()))
    }

    /// Whether there is a template of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.files.contains_key(name) || self.built_in.contains_key(name)
    }

    /// The nearest name to one that there is no template of.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.names())
    }

    /// Renders an event. `route` is the template that the route asks for. There is a message whatever happens.
    pub fn render(&self, event: &Context, route: Option<&str>) -> Rendered {
        let Context { kind, context } = event;
        let mut failures = vec![];
        let names = route.into_iter().chain([kind.as_str(), kind.family(), "event"]);
        let layers = names.flat_map(|name| [self.files.get(name), self.built_in.get(name)]);
        for template in layers.flatten() {
            match template.render(&self.registry, context) {
                Ok(message) => {
                    return Rendered { message, template: template.name().to_owned(), failures, skip: None };
                }
                Err(NoMessage::Skip(why)) => {
                    let (message, template) = (last_resort(context.data()), template.name().to_owned());
                    return Rendered { message, template, failures, skip: Some(why) };
                }
                Err(NoMessage::Failed(failure)) => failures.push(failure),
            }
        }
        Rendered { message: last_resort(context.data()), template: "none".to_owned(), failures, skip: None }
    }
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

/// Cuts lists to [`LONGEST_LIST`], so that loops over them have an end in sight.
fn cap(value: &mut Value) {
    match value {
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
