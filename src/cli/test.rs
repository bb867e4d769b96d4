//! `hookbell test`: run the user's tests of routes and messages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use toml::Spanned;
use toml_edit::{DocumentMut, Item, TableLike};

use super::failure::{Doing, Failure, TestProblem};
use super::input::parsed;
use super::plural;
use super::print::outln;
use super::shown::sanitized_lines;
use crate::chat::console::{self, Layout};
use crate::chat::{self, Style};
use crate::config::{self, Secrets, Settings};
use crate::event::{ChannelName, Event, SourceName};
use crate::message::Message;
use crate::problem::{Describe, Place, Problem, SourceFile, nearest};
use crate::routing::{Decision, Explanation, RouteTarget, Subject};
use crate::template::Context;
use crate::time::{now, timestamp};

/// Suffix of test files that are found automatically.
const ENDING: &str = ".test.toml";

/// Width of rendered messages in columns, independent of the terminal.
const WIDTH: usize = 100;

/// Arguments of `hookbell test`.
#[derive(Args)]
pub(super) struct Test {
    /// Test files [default: all files `*.test.toml` next to the config file]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Replace the expected messages in the test files with the actual ones
    #[arg(long)]
    update: bool,
    /// JSON output, one object per test
    #[arg(long)]
    json: bool,
}

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

/// Result of one test. The test passes if it has no differences of either sort.
#[derive(Default)]
struct Outcome {
    name: String,
    /// Differences from the expectations, except for messages.
    wrong: Vec<String>,
    /// Differences between messages, which `--update` accepts.
    changed: Vec<String>,
    /// Actual messages by channel, for the channels that the test names.
    messages: BTreeMap<String, String>,
}

impl Test {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let settings = config::load(config, Secrets::Optional).sound().map_err(Failure::Problems)?;
        let (mut passed, mut failed) = (0, 0);
        for path in self.found(config)? {
            let text = std::fs::read_to_string(&path).map_err(Failure::file(Doing::Read, &path))?;
            let source = Arc::new(SourceFile { path: path.display().to_string(), text });
            let tests = read(&source)?;
            if tests.is_empty() {
                return Err(Failure::NoTests(path));
            }
            let mut outcomes = vec![];
            for (n, test) in tests.iter().enumerate() {
                let trial =
                    Trial { settings: &settings, directory: path.parent().unwrap_or(Path::new("")), file: &source };
                let mut outcome = trial.run(test, n);
                if self.update {
                    outcome.changed.clear();
                }
                self.show(&path, &outcome);
                outcomes.push(outcome);
            }
            if self.update {
                update(&path, &source.text, &outcomes)?;
            }
            let fine = outcomes.iter().filter(|outcome| outcome.differences().next().is_none()).count();
            (passed, failed) = (passed + fine, failed + outcomes.len() - fine);
        }
        if failed > 0 {
            return Err(Failure::Tests { passed, failed });
        }
        if !self.json {
            outln!("{}: {passed} passed, 0 failed", plural(passed, "test"));
        }
        Ok(())
    }

    fn found(&self, config: &Path) -> Result<Vec<PathBuf>, Failure> {
        if !self.files.is_empty() {
            return Ok(self.files.clone());
        }
        let directory = config.parent().unwrap_or(Path::new(""));
        let listed = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let entries = std::fs::read_dir(listed).map_err(Failure::file(Doing::Read, listed))?;
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut found: Vec<_> = names.filter(|name| name.ends_with(ENDING)).map(|name| directory.join(name)).collect();
        found.sort();
        if found.is_empty() {
            return Err(Failure::NoTestFile { ending: ENDING, config: config.to_owned() });
        }
        Ok(found)
    }

    fn show(&self, path: &Path, outcome: &Outcome) {
        let differences: Vec<_> = outcome.differences().collect();
        let is_fine = differences.is_empty();
        if self.json {
            let file = path.display().to_string();
            let text = json!({ "file": file, "name": outcome.name, "passed": is_fine, "wrong": differences });
            outln!("{text}");
            return;
        }
        let (style, word) = if is_fine {
            (anstyle::AnsiColor::Green.on_default(), "ok  ")
        } else {
            (anstyle::AnsiColor::Red.on_default().bold(), "FAIL")
        };
        outln!("{style}{word}{style:#}  {}", sanitized_lines(&outcome.name));
        for difference in differences {
            outln!("      {}", sanitized_lines(difference).replace('\n', "\n      "));
        }
    }
}

impl Outcome {
    fn differences(&self) -> impl Iterator<Item = &str> {
        self.wrong.iter().chain(&self.changed).map(String::as_str)
    }
}

fn read(source: &Arc<SourceFile>) -> Result<Vec<Expectation>, Failure> {
    let file: File = toml::from_str(&source.text).map_err(|error| {
        let place = Place::Span(source.clone(), error.span().unwrap_or(0..0));
        Failure::Problems(vec![TestProblem::InvalidFile(error.message().to_owned()).at(place)])
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
        let (entry, place) = (self.settings.sources.get(source)?, event.place()?);
        (!entry.repo.matches(&place)).then(|| format!("`{place}` is not allowed by `repo` of source `{source}`"))
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
        let chat = channel.and_then(|channel| chat::kind(channel.kind)).filter(|_| style == Style::Full);
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

/// Updates the expected messages in a test file. The rest of the file is unchanged.
fn update(path: &Path, text: &str, outcomes: &[Outcome]) -> Result<(), Failure> {
    let cannot = |reason: String| Failure::TestUpdate { path: path.to_owned(), reason };
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
