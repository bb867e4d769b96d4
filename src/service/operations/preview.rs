//! Operations for the preview page: listing templates and samples, rendering a template draft, saving it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::OperationError;
use super::{OfChat, Operations};
use crate::chat::{console, kinds};
use crate::config::Settings;
use crate::event::EventId;
use crate::message::{Message, plain_text};
use crate::problem::{Place, Problem, Severity};
use crate::source::providers;
use crate::template::budget::cancelled_by;
use crate::template::{Context, Library, natives};
use crate::text_file;

/// Templates and samples for the preview.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PreviewAnswer {
    /// Directory in which templates are saved. `null` if none is configured.
    pub directory: Option<String>,
    /// All templates, in the order of their names.
    pub templates: Vec<TemplateName>,
    /// Samples to render templates with.
    pub samples: Vec<SampleName>,
}

/// Name and location of a template.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TemplateName {
    /// Name of the template.
    pub name: String,
    /// Chat that the template is for, such as `slack`. `null` if it is portable.
    pub chat: Option<String>,
    /// Path of its file. `null` if it is built in.
    pub file: Option<String>,
}

/// Name and description of a sample.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SampleName {
    /// Name of the sample.
    pub name: String,
    /// Short description.
    pub about: String,
}

/// Text of a template.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TemplateAnswer {
    /// Current text of the file, or the built-in text.
    pub text: String,
    /// Path of its file. `null` if it is built in.
    pub file: Option<String>,
}

/// Template draft.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// Name of the template.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$"))]
    pub template: String,
    /// Chat that the template is for, such as `slack`. `null` if it is portable.
    #[serde(default)]
    #[schemars(schema_with = "chats")]
    pub chat: Option<String>,
    /// Text of the template.
    pub text: String,
    /// Name of a sample or id of a stored event to render. Default: the sample `push`.
    #[serde(default)]
    pub event: Option<String>,
}

/// Rendered draft.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DrawingAnswer {
    /// Problems in the draft. Empty if there are none.
    pub problems: Vec<ProblemAt>,
    /// Errors while rendering. For each, the next template was used instead.
    pub failures: Vec<String>,
    /// Reason why the template skips the message. `null` if a message would be sent.
    pub skip: Option<String>,
    /// Name of the template that rendered the message.
    pub used: String,
    /// One-line form of the message, as plain text.
    pub line: String,
    /// Message as the `console` channel prints it, 80 columns wide, without colors.
    pub console: String,
    /// Request body for each chat, by the name of the chat.
    pub chats: Map<String, Value>,
}

/// Problem and its place in a file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProblemAt {
    /// `error` or `warning`.
    pub severity: String,
    /// Description of the problem.
    pub message: String,
    /// Help to fix the problem. `null` if there is none.
    pub help: Option<String>,
    /// Path of the file. `null` if the problem is in the draft.
    pub file: Option<String>,
    /// Line, counted from 1. `null` if unknown.
    pub line: Option<usize>,
    /// Column in characters, counted from 1. `null` if unknown.
    pub column: Option<usize>,
}

/// Location of a saved template.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SavedAnswer {
    /// Path of the saved file.
    pub file: String,
}

/// Maximum number of drafts rendered concurrently. Each takes a CPU and some MB of memory.
pub(super) const DRAWINGS: usize = 2;

/// Maximum time that a draft waits for its turn.
const DRAWING_WAIT: Duration = Duration::from_secs(5);

/// Signals on drop that the client no longer waits.
#[derive(Default)]
struct LeaveOnDrop(Arc<AtomicBool>);

impl Drop for LeaveOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Operations {
    /// Lists templates and samples.
    pub async fn preview(&self) -> Result<PreviewAnswer, OperationError> {
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
        let samples = providers().iter().flat_map(|provider| provider.samples);
        let samples = samples.map(|sample| SampleName { name: sample.name.to_owned(), about: sample.about.to_owned() });
        let directory = settings.templates_directory.as_ref().map(|directory| directory.display().to_string());
        Ok(PreviewAnswer { directory, templates, samples: samples.collect() })
    }

    /// Returns the current text of a template.
    pub async fn template(&self, name: String, query: OfChat) -> Result<TemplateAnswer, OperationError> {
        let chat = query.chat;
        let path = self.path_of(&name, chat.as_deref()).ok();
        if let Some((path, text)) =
            path.and_then(|path| Some((path.clone(), text_file::read_text(&path, text_file::MAX_FILE).ok()?)))
        {
            return Ok(TemplateAnswer { text, file: Some(path.display().to_string()) });
        }
        let built_in = Library::built_in_text(&name).filter(|_| chat.is_none());
        let unknown = || OperationError::UnknownTemplate(name.clone());
        Ok(TemplateAnswer { text: built_in.ok_or_else(unknown)?, file: None })
    }

    /// Renders a draft and lists its problems.
    pub async fn draw(&self, draft: Draft) -> Result<DrawingAnswer, OperationError> {
        check_names(&draft.template, draft.chat.as_deref())?;
        let context = self.context(draft.event.as_deref().unwrap_or("push")).await?;
        let settings = self.live.now();
        let turn = tokio::time::timeout(DRAWING_WAIT, self.drawings.clone().acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or(OperationError::Busy)?;
        // Compiling and rendering take a while, so they must not block the listener. They stop if the client leaves.
        let left = LeaveOnDrop::default();
        let is_left = left.0.clone();
        let drawn = tokio::task::spawn_blocking(move || {
            let drawn = cancelled_by(is_left, || drawn(&draft, &context, current(&settings)));
            drop(turn);
            drawn
        });
        drawn.await.map_err(OperationError::RenderingPanicked)
    }

    async fn context(&self, event: &str) -> Result<Context, OperationError> {
        if event.starts_with("evt_") {
            let unknown = || OperationError::UnknownEvent(event.to_owned());
            return Ok(Context::new(self.store.event_json(&EventId::from(event)).await?.ok_or_else(unknown)?));
        }
        let sample = providers().iter().find_map(|provider| Some((provider, provider.sample(event)?)));
        let parsed = sample.and_then(|(provider, sample)| provider.parse_sample(sample).ok());
        let first = parsed.and_then(|parsed| parsed.events.into_iter().next());
        let none = || OperationError::UnknownSample(event.to_owned());
        Ok(Context::as_of_now(&first.ok_or_else(none)?))
    }

    /// Saves a draft in the template directory.
    pub async fn save(&self, draft: Draft) -> Result<SavedAnswer, OperationError> {
        let path = self.path_of(&draft.template, draft.chat.as_deref())?;
        let cannot = |error: std::io::Error| OperationError::Unwritable { path: path.clone(), error };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(cannot)?;
        }
        // Atomic, because the file is read as soon as it exists.
        let new_file = path.with_extension("new");
        std::fs::write(&new_file, &draft.text).and_then(|()| std::fs::rename(&new_file, &path)).map_err(cannot)?;
        tracing::info!(file = %path.display(), "template saved from the preview");
        Ok(SavedAnswer { file: path.display().to_string() })
    }

    /// Returns the path of a template's file, even if it does not exist yet.
    fn path_of(&self, name: &str, chat: Option<&str>) -> Result<PathBuf, OperationError> {
        check_names(name, chat)?;
        let directory = self.live.now().templates_directory.clone();
        let path = directory.and_then(|directory| Library::file_of(&directory, name, chat));
        path.ok_or(OperationError::NoTemplatesDirectory)
    }
}

/// Loads the templates as they are on disk.
fn current(settings: &Settings) -> Library {
    let directory = settings.templates_directory.as_deref();
    let library = directory.map_or_else(Library::built_in, |directory| Library::load(directory, "templates").0);
    library.with_people(settings.templates.people().clone())
}

fn check_names(template: &str, chat: Option<&str>) -> Result<(), OperationError> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if template.is_empty() || template.starts_with('.') || !template.chars().all(is_part) {
        return Err(OperationError::InvalidTemplateName(template.to_owned()));
    }
    match chat.filter(|chat| natives().all(|known| known.name() != *chat)) {
        Some(chat) => Err(OperationError::NoNativeTemplates(chat.to_owned())),
        None => Ok(()),
    }
}

/// Schema of `chat`: the chats with templates of their own, or `null`.
fn chats(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<_> = natives().map(|chat| Some(chat.name())).chain([None]).collect();
    schemars::json_schema!({ "enum": names })
}

fn drawn(draft: &Draft, context: &Context, mut library: Library) -> DrawingAnswer {
    let problems = library.replace(&draft.template, draft.chat.as_deref(), &draft.text);
    let rendered = library.render(context, Some(&draft.template));
    let mut failures: Vec<_> = rendered.failures.iter().map(ToString::to_string).collect();
    let mut chats = Map::new();
    // A program gets the event, which no template changes; the console's text is not JSON.
    let previewed = kinds().iter().copied().filter(|chat| !chat.takes_events() && chat.name() != console::NAME);
    for chat in previewed {
        let of_chat = library.render_for(context, Some(&draft.template), Some(chat));
        failures.extend(of_chat.failures.iter().map(ToString::to_string));
        let body = of_chat.body.unwrap_or_else(|| chat.draw(&of_chat.message));
        chats.insert(chat.name().to_owned(), serde_json::from_str(&body).unwrap_or_default());
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
