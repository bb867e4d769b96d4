//! What the preview page asks: templates and samples, drawing a template that is being written, saving it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::desk::{Desk, Wrong, shown};
use crate::chat::{KINDS, console};
use crate::config::Settings;
use crate::event::EventId;
use crate::message::{Message, plain_text};
use crate::problem::{Place, Problem, Severity};
use crate::source::PROVIDERS;
use crate::template::budget::cancelled_by;
use crate::template::{Context, Library, natives};
use crate::text_file;

/// What there is to look at.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PreviewAnswer {
    /// Where templates are saved; none where the config names no directory.
    pub directory: Option<String>,
    /// All templates.
    pub templates: Vec<TemplateName>,
    /// Events to draw them with.
    pub samples: Vec<SampleName>,
}

/// A template.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TemplateName {
    /// Its name.
    pub name: String,
    /// The chat that it is for alone.
    pub chat: Option<String>,
    /// Its file; none where it is built in.
    pub file: Option<String>,
}

/// A sample.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SampleName {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub about: String,
}

/// What a template says.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TemplateAnswer {
    /// Its text, as it is on the disk now, or as it is built in.
    pub text: String,
    /// Its file; none where it is built in.
    pub file: Option<String>,
}

/// A template that is being written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    /// Its name.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$"))]
    pub(super) template: String,
    /// The chat that it is for alone.
    #[serde(default)]
    #[schemars(schema_with = "chats")]
    pub(super) chat: Option<String>,
    /// Its text.
    pub(super) text: String,
    /// A sample's name, or the id of a stored event, to draw it with.
    #[serde(default)]
    pub(super) event: Option<String>,
}

/// What became of a draft.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DrawingAnswer {
    /// What is wrong with it.
    pub problems: Vec<ProblemAt>,
    /// Why it could not be rendered, and the next template was used.
    pub failures: Vec<String>,
    /// Why nothing would be sent.
    pub skip: Option<String>,
    /// The template that made the message.
    pub used: String,
    /// The message's one line.
    pub line: String,
    /// What a terminal shows.
    pub console: String,
    /// The bodies of requests, by chat.
    pub chats: Map<String, Value>,
}

/// A problem, and where it is: lines and columns from 1.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ProblemAt {
    /// `error` or `warning`.
    pub severity: String,
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub help: Option<String>,
    /// The file; none where it is the draft itself.
    pub file: Option<String>,
    /// The line.
    pub line: Option<usize>,
    /// The column.
    pub column: Option<usize>,
}

/// A template was saved.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SavedAnswer {
    /// The file.
    pub file: String,
}

/// Drafts that are drawn at once: each takes a processor, and some MB.
pub(super) const DRAWINGS: usize = 2;

/// Time for which a draft waits for its turn.
const DRAWING_WAIT: Duration = Duration::from_secs(5);

/// Says, when it is dropped, that nobody waits any more.
#[derive(Default)]
struct LeaveOnDrop(Arc<AtomicBool>);

impl Drop for LeaveOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Desk {
    pub(super) async fn preview(&self) -> Result<PreviewAnswer, Wrong> {
        let settings = self.live.now();
        let library = current(&settings);
        let portable = library.names().map(|name| TemplateName {
            name: name.to_owned(),
            chat: None,
            file: library.overrides().find(|(other, ..)| *other == name).map(|(_, file, _)| file.to_owned()),
        });
        let native = library.of_chats().map(|(chat, name, file)| TemplateName {
            name: name.to_owned(),
            chat: Some(chat.to_owned()),
            file: Some(file.to_owned()),
        });
        let mut templates: Vec<_> = portable.chain(native).collect();
        templates.sort_by(|one, other| (&one.name, &one.chat).cmp(&(&other.name, &other.chat)));
        let samples = PROVIDERS.iter().flat_map(|provider| provider.samples);
        let samples = samples.map(|sample| SampleName { name: sample.name.to_owned(), about: sample.about.to_owned() });
        let directory = settings.templates_directory.as_ref().map(|directory| directory.display().to_string());
        Ok(PreviewAnswer { directory, templates, samples: samples.collect() })
    }

    pub(super) async fn template(&self, name: String, chat: Option<String>) -> Result<TemplateAnswer, Wrong> {
        let path = self.path_of(&name, chat.as_deref()).ok();
        if let Some((path, text)) =
            path.and_then(|path| Some((path.clone(), text_file::read_text(&path, text_file::MAX_FILE).ok()?)))
        {
            return Ok(TemplateAnswer { text, file: Some(path.display().to_string()) });
        }
        let built_in = Library::built_in_text(&name).filter(|_| chat.is_none());
        let unknown = || Wrong::Unknown(format!("there is no template `{}`", shown(&name)));
        Ok(TemplateAnswer { text: built_in.ok_or_else(unknown)?, file: None })
    }

    pub(super) async fn draw(&self, draft: Draft) -> Result<DrawingAnswer, Wrong> {
        check_names(&draft.template, draft.chat.as_deref())?;
        let context = self.context(draft.event.as_deref().unwrap_or("push")).await?;
        let settings = self.live.now();
        let busy = || Wrong::Store("too many drafts are being drawn: try again".to_owned());
        let turn = tokio::time::timeout(DRAWING_WAIT, self.drawings.clone().acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or_else(busy)?;
        // Compiling and rendering take a while; the listener goes on meanwhile. It ends soon if the client leaves.
        let left = LeaveOnDrop::default();
        let is_left = left.0.clone();
        let drawn = tokio::task::spawn_blocking(move || {
            let drawn = cancelled_by(is_left, || drawn(&draft, &context, current(&settings)));
            drop(turn);
            drawn
        });
        drawn.await.map_err(|error| Wrong::Store(format!("drawing it failed: {error}")))
    }

    async fn context(&self, event: &str) -> Result<Context, Wrong> {
        if event.starts_with("evt_") {
            let unknown = || Wrong::Unknown(format!("there is no event `{}`", shown(event)));
            return Ok(Context::new(self.store.event_json(&EventId::from(event)).await?.ok_or_else(unknown)?));
        }
        let sample = PROVIDERS.iter().find_map(|provider| Some((provider, provider.sample(event)?)));
        let parsed = sample.and_then(|(provider, sample)| provider.parse_sample(sample).ok());
        let first = parsed.and_then(|parsed| parsed.events.into_iter().next());
        let none = || Wrong::Unknown(format!("there is no sample `{}` with an event", shown(event)));
        Ok(Context::as_of_now(&first.ok_or_else(none)?))
    }

    pub(super) async fn save(&self, draft: Draft) -> Result<SavedAnswer, Wrong> {
        let path = self.path_of(&draft.template, draft.chat.as_deref())?;
        let cannot = |error: std::io::Error| Wrong::Store(format!("cannot write `{}`: {error}", path.display()));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(cannot)?;
        }
        // Whole or not at all: it is read as soon as it is there.
        let beside = path.with_extension("new");
        std::fs::write(&beside, &draft.text).and_then(|()| std::fs::rename(&beside, &path)).map_err(cannot)?;
        tracing::info!(file = %path.display(), "a template was saved in the preview");
        Ok(SavedAnswer { file: path.display().to_string() })
    }

    /// Where a template's file is, or would be.
    fn path_of(&self, name: &str, chat: Option<&str>) -> Result<PathBuf, Wrong> {
        check_names(name, chat)?;
        let directory = self.live.now().templates_directory.clone();
        let path = directory.and_then(|directory| Library::file_of(&directory, name, chat));
        path.ok_or_else(|| {
            Wrong::Unknown("the config names no directory for templates: add `templates = \"templates\"`".to_owned())
        })
    }
}

/// The templates as they are on the disk.
fn current(settings: &Settings) -> Library {
    let directory = settings.templates_directory.as_deref();
    let library = directory.map_or_else(Library::built_in, |directory| Library::load(directory, "templates").0);
    library.with_people(settings.templates.people().clone())
}

fn check_names(template: &str, chat: Option<&str>) -> Result<(), Wrong> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if template.is_empty() || template.starts_with('.') || !template.chars().all(is_part) {
        let name = shown(template);
        return Err(Wrong::Input(format!("`{name}` is no template's name: letters, digits, `.`, `_` and `-`")));
    }
    match chat.filter(|chat| natives().all(|known| known.name != *chat)) {
        Some(chat) => Err(Wrong::Input(format!("`{}` has no templates of its own", shown(chat)))),
        None => Ok(()),
    }
}

/// The chats that have templates of their own, or `null`.
fn chats(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<_> = natives().map(|chat| Some(chat.name)).chain([None]).collect();
    schemars::json_schema!({ "enum": names })
}

fn drawn(draft: &Draft, context: &Context, mut library: Library) -> DrawingAnswer {
    let problems = library.replace(&draft.template, draft.chat.as_deref(), &draft.text);
    let rendered = library.render(context, Some(&draft.template));
    let mut failures: Vec<_> = rendered.failures.iter().map(ToString::to_string).collect();
    let mut chats = Map::new();
    for chat in KINDS {
        let Some(draw) = chat.draw.filter(|_| chat.name != console::KIND.name) else { continue };
        let of_chat = library.render_for(context, Some(&draft.template), Some(chat));
        failures.extend(of_chat.failures.iter().map(ToString::to_string));
        let body = of_chat.body.unwrap_or_else(|| draw(&of_chat.message));
        chats.insert(chat.name.to_owned(), serde_json::from_str(&body).unwrap_or_default());
    }
    failures.sort();
    failures.dedup();
    let Message { line, .. } = &rendered.message;
    DrawingAnswer {
        problems: problems.iter().map(at).collect(),
        failures,
        skip: rendered.skip,
        used: rendered.template,
        line: plain_text(line),
        console: console::draw(&rendered.message, console::Layout::new(80, false)),
        chats,
    }
}

fn at(problem: &Problem) -> ProblemAt {
    let (file, place) = match &problem.place {
        Place::Span(file, span) => {
            let before = file.text.get(..span.start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            ((file.path != Library::DRAFT).then(|| file.path.clone()), Some((line, column)))
        }
        Place::Named(name) => (Some(name.clone()), None),
    };
    let severity = if problem.severity == Severity::Error { "error" } else { "warning" };
    ProblemAt {
        severity: severity.to_owned(),
        message: problem.message.clone(),
        help: problem.help.clone(),
        file,
        line: place.map(|(line, _)| line),
        column: place.map(|(_, column)| column),
    }
}
