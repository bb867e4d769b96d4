//! Users' tests of routes and messages: files with events, and what is expected of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;
use toml_edit::{DocumentMut, Item, TableLike};

use super::payload::{PayloadError, parsed};
use crate::chat::console::{self, Layout};
use crate::config::Settings;
use crate::event::{ChannelName, Event, SourceName};
use crate::message::{Message, Style};
use crate::problem::{Describe, Place, Problem, SourceFile, nearest};
use crate::routing::{Decision, Explanation, RouteTarget, Subject};
use crate::template::Context;
use crate::time::{now, timestamp};

/// Suffix of test files that are found automatically.
const ENDING: &str = ".test.toml";

/// Width of rendered messages in columns, independent of the terminal.
const WIDTH: usize = 100;

/// A test file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    tests: Vec<Expectation>,
}

/// `[[tests]]`: an event with its expected routing and messages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    name: Option<String>,
    /// Name of a built-in sample; the alternative is `file` with its event key in `event`.
    sample: Option<Spanned<String>>,
    file: Option<Spanned<String>>,
    event: Option<String>,
    /// Source of the event; the first configured one by default.
    source: Option<Spanned<String>>,
    /// Values to change in the event, by their paths in templates.
    #[serde(default)]
    set: BTreeMap<String, Spanned<toml::Value>>,
    /// Paths of values to set to null in the event.
    #[serde(default)]
    unset: Vec<Spanned<String>>,
    /// Exact list of channels that the event must be routed to.
    channels: Option<Vec<String>>,
    /// Name of the mute that must suppress the event.
    muted: Option<String>,
    /// Expected message, by channel.
    #[serde(default)]
    message: BTreeMap<String, String>,
}

/// Reason why test files cannot be run or updated.
#[derive(Debug, Error)]
pub enum ExpectationsError {
    /// A file has errors.
    #[error("the test file has {} problems", .0.len())]
    Problems(Vec<Problem>),
    /// A file or a directory cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// Error of the system.
        error: io::Error,
    },
    /// A file contains no test.
    #[error("`{}` has no `[[tests]]`", .0.display())]
    NoTests(PathBuf),
    /// No test file was found.
    #[error("no `*{ENDING}` file next to `{}`; pass a test file", .0.display())]
    NoTestFile(PathBuf),
    /// A file cannot be updated.
    #[error("cannot update `{}`: {reason}", path.display())]
    Update {
        /// Path of the file.
        path: PathBuf,
        /// Reason.
        reason: String,
    },
}

impl ExpectationsError {
    /// Returns true unless an update failed.
    pub const fn is_usage(&self) -> bool {
        !matches!(self, Self::Update { .. })
    }
}

/// Result of one test. The test passes if it has no differences of either sort.
#[derive(Default)]
pub struct Outcome {
    /// Name of the test.
    pub name: String,
    /// Differences from the expectations, except for messages.
    wrong: Vec<String>,
    /// Differences between messages, which `--update` accepts.
    changed: Vec<String>,
    /// Actual messages by channel, for the channels that the test names.
    messages: BTreeMap<String, String>,
}

impl Outcome {
    /// Takes the actual messages for the expected ones.
    pub fn accept(&mut self) {
        self.changed.clear();
    }

    /// Returns what differs from the expectations; nothing if the test passed.
    pub fn differences(&self) -> impl Iterator<Item = &str> {
        self.wrong.iter().chain(&self.changed).map(String::as_str)
    }
}

/// Returns the test files next to a config file, sorted by name.
pub fn files(config: &Path) -> Result<Vec<PathBuf>, ExpectationsError> {
    let directory = config.parent().unwrap_or(Path::new(""));
    let listed = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let entries = std::fs::read_dir(listed).map_err(unreadable(listed))?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<_> = names.filter(|name| name.ends_with(ENDING)).map(|name| directory.join(name)).collect();
    found.sort();
    if found.is_empty() {
        return Err(ExpectationsError::NoTestFile(config.to_owned()));
    }
    Ok(found)
}

/// Runs the tests of a file.
pub fn run(settings: &Settings, path: &Path) -> Result<Vec<Outcome>, ExpectationsError> {
    let text = std::fs::read_to_string(path).map_err(unreadable(path))?;
    let file = Arc::new(SourceFile { path: path.display().to_string(), text });
    let tests = read(&file)?;
    if tests.is_empty() {
        return Err(ExpectationsError::NoTests(path.to_owned()));
    }
    let trial = Trial { settings, directory: path.parent().unwrap_or(Path::new("")), file: &file };
    Ok(tests.iter().enumerate().map(|(n, test)| trial.run(test, n)).collect())
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> ExpectationsError {
    move |error| ExpectationsError::Unreadable { path: path.to_owned(), error }
}

fn read(source: &Arc<SourceFile>) -> Result<Vec<Expectation>, ExpectationsError> {
    let file: File = toml::from_str(&source.text).map_err(|error| {
        let place = Place::Span(source.clone(), error.span().unwrap_or(0..0));
        ExpectationsError::Problems(vec![TestProblem::InvalidFile(error.message().to_owned()).at(place)])
    })?;
    Ok(file.tests)
}

/// Context of a test.
struct Trial<'a> {
    settings: &'a Settings,
    /// Directory that paths of payload files are relative to.
    directory: &'a Path,
    file: &'a Arc<SourceFile>,
}

impl Trial<'_> {
    fn problem(&self, at: std::ops::Range<usize>, problem: &TestProblem) -> Problem {
        problem.at(Place::Span(self.file.clone(), at))
    }

    /// Runs a test. An invalid test fails.
    fn run(&self, test: &Expectation, n: usize) -> Outcome {
        let name = test.name.clone().or_else(|| test.sample.as_ref().map(|sample| sample.get_ref().clone()));
        let name = name.unwrap_or_else(|| format!("test {}", n + 1));
        let nonsense = |problem: Problem| {
            let at = problem.place.line().map(|line| format!("{line}: ")).unwrap_or_default();
            let help = problem.help.map(|help| format!("\n{help}")).unwrap_or_default();
            Outcome { wrong: vec![format!("{at}{}{help}", problem.message)], ..Outcome::default() }
        };
        let outcome = self.tried(test).unwrap_or_else(nonsense);
        Outcome { name, ..outcome }
    }

    fn tried(&self, test: &Expectation) -> Result<Outcome, Problem> {
        if test.channels.is_none() && test.muted.is_none() && test.message.is_empty() {
            let at = test.sample.as_ref().or(test.file.as_ref()).map_or(0..0, Spanned::span);
            return Err(self.problem(at, &TestProblem::NoExpectations));
        }
        let (source, events) = self.events(test)?;
        let (mut wrong, mut changed) = (self.unknown(test), vec![]);
        let (mut sends, mut muted, mut messages) = (vec![], None, BTreeMap::new());
        let mut reasons = vec![];
        for event in events {
            let event = self.changed(test, event)?;
            wrong.extend(self.foreign(&source, &event));
            let at = timestamp(now());
            let (decision, said) = self.settings.router.explain(Subject { source: &source, event: &event, at });
            for send in decision.sends.iter().filter(|send| test.message.contains_key(send.channel.as_str())) {
                let text = self.text(&event, send);
                let messages = messages.entry(send.channel.to_string());
                // The messages of several events of a payload are concatenated.
                messages
                    .and_modify(|before: &mut String| *before = format!("{}\n\n{text}", before.trim_end()))
                    .or_insert(text);
            }
            reasons.extend(self.reasons(test, &decision, &said));
            muted = muted.or(decision.muted);
            sends.extend(decision.sends.into_iter().map(|send| send.channel.to_string()));
        }
        sends.sort();
        sends.dedup();
        if let Some(channels) = &test.channels {
            let mut wanted = channels.clone();
            wanted.sort();
            if wanted != sends {
                wrong.push(format!("expected channels: {}; actual channels: {}", list(&wanted), list(&sends)));
                wrong.append(&mut reasons);
            }
        }
        if test.muted.is_some() && test.muted != muted {
            let by = |mute: &Option<String>| mute.as_ref().map_or("none".to_owned(), |mute| format!("`{mute}`"));
            wrong.push(format!("expected mute: {}; actual mute: {}", by(&test.muted), by(&muted)));
        }
        for (channel, wanted) in &test.message {
            match messages.get(channel) {
                None => wrong.push(format!("expected a message to {channel}, but the event is not routed there")),
                Some(text) if text.trim() == wanted.trim() => {}
                Some(text) => changed.push(difference(channel, wanted.trim(), text.trim())),
            }
        }
        Ok(Outcome { name: String::new(), wrong, changed, messages })
    }

    /// Returns an error for each channel or mute that is not configured.
    fn unknown(&self, test: &Expectation) -> Vec<String> {
        let known: Vec<_> = self.settings.lanes.keys().map(ChannelName::as_str).collect();
        let named: BTreeSet<&str> =
            test.channels.iter().flatten().chain(test.message.keys()).map(String::as_str).collect();
        let channels = named.into_iter().filter(|name| !known.contains(name));
        let channels = channels.map(|name| not_there("channel", name, known.iter().copied()));
        let mutes = || self.settings.router.mutes().iter().map(|mute| mute.name.as_str());
        let mute = test.muted.iter().filter(|name| mutes().all(|known| known != name.as_str()));
        channels.chain(mute.map(|name| not_there("mute", name, mutes()))).collect()
    }

    /// Returns the reason why the source would reject the event.
    fn foreign(&self, source: &SourceName, event: &Event) -> Option<String> {
        let place = self.settings.sources.get(source)?.foreign_place(event)?;
        Some(format!("`{place}` is not allowed by `repo` of source `{source}`"))
    }

    /// Returns the reasons for unexpected and for missing channels.
    fn reasons(&self, test: &Expectation, decision: &Decision, said: &Explanation) -> Vec<String> {
        let wanted = |channel: &ChannelName| test.channels.iter().flatten().any(|name| name == channel.as_str());
        let muted = decision.muted.iter().map(|mute| format!("muted by `{mute}`"));
        let too_many = decision.sends.iter().filter(|send| !wanted(&send.channel));
        let too_many = too_many.map(|send| format!("route `{}` sends to {}", send.route, send.channel));
        let held = decision.held.iter().filter(|held| wanted(&held.channel));
        let held = held.map(|held| format!("not sent to {}: {}", held.channel, held.reason));
        let missing = self.settings.router.routes().iter().zip(&said.routes);
        let missing = missing.filter(|(route, _)| route.to.iter().any(wanted));
        let missing =
            missing.filter_map(|(route, said)| Some(format!("route `{}`: {}", route.name, said.reason.as_ref()?)));
        muted.chain(too_many).chain(held).chain(missing).collect()
    }

    /// Returns the source of the test, and the events of its payload.
    fn events(&self, test: &Expectation) -> Result<(SourceName, Vec<Event>), Problem> {
        let (payload, at) = match (&test.sample, &test.file) {
            (Some(sample), None) => (sample.get_ref().clone(), sample.span()),
            (None, Some(file)) => (self.directory.join(file.get_ref()).display().to_string(), file.span()),
            _ => return Err(self.problem(0..0, &TestProblem::NoPayload)),
        };
        let sources = &self.settings.sources;
        let entry = match &test.source {
            None => sources.iter().next(),
            Some(name) => sources.get_key_value(&SourceName::from(name.get_ref().as_str())),
        };
        let Some((name, entry)) = entry else {
            let at = test.source.as_ref().map_or(at, Spanned::span);
            return Err(self.problem(at, &TestProblem::UnknownSource));
        };
        let parsed = parsed(entry.provider, Some(entry.source.as_ref()), &payload, test.event.as_deref());
        let parsed = parsed.map_err(|failure| self.problem(at, &TestProblem::Payload(failure)))?;
        Ok((name.clone(), parsed.events))
    }

    /// Applies the changes of the test to an event.
    fn changed(&self, test: &Expectation, event: Event) -> Result<Event, Problem> {
        if test.set.is_empty() && test.unset.is_empty() {
            return Ok(event);
        }
        let set = test
            .set
            .iter()
            .map(|(path, value)| (path, value.span(), serde_json::to_value(value.get_ref()).unwrap_or_default()));
        let unset = test.unset.iter().map(|path| (path.get_ref(), path.span(), serde_json::Value::Null));
        let changes: Vec<_> = set.chain(unset).collect();
        let mut json = serde_json::to_value(event).unwrap_or_default();
        let at = changes.first().map_or(0..0, |(_, at, _)| at.clone());
        for (path, at, value) in changes {
            let pointer = format!("/{}", path.replace('.', "/"));
            let Some(slot) = json.pointer_mut(&pointer) else {
                return Err(self.problem(at, &TestProblem::UnknownField(path.clone())));
            };
            *slot = value;
        }
        serde_json::from_value(json).map_err(|error| self.problem(at, &TestProblem::InvalidEvent(error)))
    }

    /// Renders the message for a channel as plain text.
    fn text(&self, event: &Event, send: &RouteTarget) -> String {
        let context = Context::of(event);
        let channel = self.settings.channels.get(&send.channel);
        let style = send.style.or(channel.map(|channel| channel.style)).unwrap_or_default();
        let chat = channel.map(|channel| channel.kind).filter(|_| style == Style::Full);
        let rendered = self.settings.templates.render_for(&context, send.template.as_deref(), chat);
        if let Some(why) = rendered.skip {
            return format!("(skipped: {why})");
        }
        if let Some(body) = rendered.body {
            let body: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
            return serde_json::to_string_pretty(&body).unwrap_or_default();
        }
        plain(&style.of(rendered.message))
    }
}

/// Formats a message as plain text, without the bar at the left of console messages.
fn plain(message: &Message) -> String {
    let drawn = console::draw(message, Layout::new(WIDTH, false));
    let lines: Vec<_> =
        drawn.lines().map(|line| line.trim_start_matches('▌').trim_start_matches(' ').trim_end()).collect();
    lines.join("\n")
}

fn not_there<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("unknown {what} `{name}`{near}")
}

fn list(channels: &[String]) -> String {
    if channels.is_empty() { "none".to_owned() } else { channels.join(", ") }
}

fn difference(channel: &str, wanted: &str, text: &str) -> String {
    let lines = |text: &str, mark: &str| text.lines().map(|line| format!("\n  {mark} {line}")).collect::<String>();
    let is_new = wanted.is_empty();
    let wanted = if is_new {
        " is new; actual:".to_owned()
    } else {
        format!(" differs; expected:{}\nactual:", lines(wanted, "-"))
    };
    format!("the message to {channel}{wanted}{}\n`hookbell test --update` writes the actual message", lines(text, "+"))
}

/// Replaces the expected messages in a test file with the actual ones. The rest of the file is unchanged.
pub fn update(path: &Path, outcomes: &[Outcome]) -> Result<(), ExpectationsError> {
    let cannot = |reason: String| ExpectationsError::Update { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(unreadable(path))?;
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| cannot(error.to_string()))?;
    // `[[tests]]`, or `tests = [{ … }]`.
    let tests: Vec<&mut dyn TableLike> = match document.get_mut("tests") {
        Some(Item::ArrayOfTables(tests)) => tests.iter_mut().map(|test| test as &mut dyn TableLike).collect(),
        Some(Item::Value(toml_edit::Value::Array(tests))) => {
            let tests = tests.iter_mut().filter_map(|test| test.as_inline_table_mut());
            tests.map(|test| test as &mut dyn TableLike).collect()
        }
        _ => vec![],
    };
    for (test, outcome) in tests.into_iter().zip(outcomes) {
        for (channel, text) in &outcome.messages {
            if let Some(slot) = test.get_mut("message").and_then(|message| message.get_mut(channel.as_str())) {
                let is_same = slot.as_str().is_some_and(|old| old.trim() == text.trim());
                if !is_same {
                    *slot = toml_edit::value(format!("{}\n", text.trim()));
                }
            }
        }
    }
    let updated = document.to_string();
    if updated == text {
        return Ok(());
    }
    std::fs::write(path, updated).map_err(|error| cannot(error.to_string()))
}

/// Problem of a user's test that cannot run.
#[derive(Debug, Error)]
enum TestProblem {
    #[error("{0}")]
    InvalidFile(String),
    #[error("the test has no expectations")]
    NoExpectations,
    #[error("a test needs `sample`, or `file` with its event key in `event`")]
    NoPayload,
    #[error("unknown source")]
    UnknownSource,
    #[error("{0}")]
    Payload(PayloadError),
    #[error("the event has no field `{0}`")]
    UnknownField(String),
    #[error("the changed event is invalid: {0}")]
    InvalidEvent(serde_json::Error),
}

impl Describe for TestProblem {
    fn help(&self) -> Option<String> {
        let help = match self {
            Self::InvalidFile(_) => return None,
            Self::NoExpectations => "add `channels = [\"…\"]`, or `channels = []` for no channel",
            Self::NoPayload => "`hookbell sample list` lists samples",
            Self::UnknownSource => "sources are configured in `[sources.NAME]`",
            Self::Payload(_) => "see `hookbell sample list`",
            Self::UnknownField(_) => "`hookbell schema event` lists the fields",
            Self::InvalidEvent(_) => "`hookbell schema event` shows the types of the fields",
        };
        Some(help.to_owned())
    }
}
