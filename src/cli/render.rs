//! `hookbell render`: render the message for an event.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use notify::{RecursiveMode, Watcher};

use super::caller::Server;
use super::host::Host;
use super::print::{errln, outln};
use super::{Failure, report};
use crate::chat::{Kind, console, kinds};
use crate::config;
use crate::message::Style;
use crate::problem::Severity;
use crate::service::payload::parsed;
use crate::template::{Context, Library};

/// Value of `--chat` for all chats.
const ALL: &str = "all";

/// Time without a change before the message is rendered again.
const QUIET: Duration = Duration::from_millis(60);

/// Arguments of `hookbell render`.
#[derive(Args)]
pub(super) struct Render {
    /// Name of a sample, file with a webhook payload, or id of a stored event (`evt_…`)
    #[arg(value_name = "SAMPLE|PAYLOAD|ID")]
    payload: String,
    /// Output: a chat's exact request body, `console` for the terminal output, or `all` for both of every chat
    #[arg(long, value_parser = PossibleValuesParser::new(kinds().iter().map(|kind| kind.name()).chain([ALL])))]
    chat: String,
    /// Message style, like `style` of a channel or a route
    #[arg(long, default_value = "full", value_parser = PossibleValuesParser::new(["full", "line"]))]
    style: String,
    /// Event key of the host, for a file: `repo:push`
    #[arg(long, value_name = "KEY")]
    event: Option<String>,
    #[command(flatten)]
    host: Host,
    /// Template to try first, like `template` of a route
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Render again whenever a template, the configuration or the payload is saved
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    server: Server,
}

impl Render {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let contexts = self.contexts(config)?;
        if !self.watch {
            return self.draw(config, &contexts);
        }
        self.watch(config, contexts)
    }

    /// Returns the events to render.
    fn contexts(&self, config: &Path) -> Result<Vec<Context>, Failure> {
        if self.payload.starts_with("evt_") {
            return Ok(vec![Context::new(self.server.caller(config)?.event(&self.payload)?.json)]);
        }
        let provider = self.host.provider()?;
        let parsed = parsed(provider, None, &self.payload, self.event.as_deref())?;
        if let Some(note) = parsed.note {
            errln!("nothing to post for `{}`: {note}", self.payload);
        }
        Ok(parsed.events.iter().map(Context::as_of_now).collect())
    }

    fn draw(&self, config: &Path, contexts: &[Context]) -> Result<(), Failure> {
        let library = library(config)?;
        if let Some(name) = self.template.as_deref().filter(|name| !library.contains(name)) {
            let near = library.nearest(name).map(ToOwned::to_owned);
            return Err(Failure::UnknownTemplate { name: name.to_owned(), near });
        }
        let style = Style::parse(&self.style).unwrap_or_default();
        for context in contexts {
            for chat in self.chats() {
                let of_chat = Some(chat).filter(|_| style == Style::Full);
                let rendered = library.render_for(context, self.template.as_deref(), of_chat);
                for failure in &rendered.failures {
                    errln!("template failed, fell back to `{}`: {failure}", rendered.template);
                }
                if let Some(why) = rendered.skip {
                    errln!("nothing to post for `{}`: {why}", self.payload);
                    continue;
                }
                let message = style.of(rendered.message);
                let drawn = || chat.draw_event(context.event()).unwrap_or_else(|| chat.draw(&message));
                let body = rendered.body.unwrap_or_else(drawn);
                if self.chat == ALL && chat.name() != console::NAME {
                    outln!("{}: {body}", chat.name());
                } else {
                    outln!("{body}");
                }
            }
        }
        Ok(())
    }

    /// Returns the chats to render for, the console first.
    fn chats(&self) -> Vec<&'static dyn Kind> {
        let asked = kinds().iter().copied().filter(|kind| self.chat == ALL || self.chat == kind.name());
        let (first, rest): (Vec<_>, Vec<_>) = asked.partition(|kind| kind.name() == console::NAME);
        first.into_iter().chain(rest).collect()
    }

    /// Renders now and after each change, until interrupted.
    fn watch(&self, config: &Path, mut contexts: Vec<Context>) -> Result<(), Failure> {
        let cannot = Failure::Watch;
        let (tell, changes) = mpsc::channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let is_ours = |path: &PathBuf| {
                path.extension().is_some_and(|of| ["hbs", "toml", "json"].iter().any(|one| of == *one))
            };
            let is_change = event.map_or(true, |event| {
                !matches!(event.kind, notify::EventKind::Access(_)) && event.paths.iter().any(is_ours)
            });
            if is_change {
                let _ = tell.send(());
            }
        })
        .map_err(cannot)?;
        for directory in self.directories(config) {
            watcher.watch(&directory, RecursiveMode::NonRecursive).map_err(cannot)?;
        }
        loop {
            // Clears the terminal.
            super::print::out(format_args!("\u{1b}[2J\u{1b}[H"));
            match self.draw(config, &contexts) {
                Ok(()) => {}
                Err(Failure::Problems(problems)) => report(&problems),
                Err(failure) => super::complain(&failure.to_string()),
            }
            errln!("\nwaiting for changes; press Ctrl-C to stop");
            if changes.recv().is_err() {
                return Ok(());
            }
            while changes.recv_timeout(QUIET).is_ok() {}
            // If the payload is invalid at present, the previous one stays in use.
            contexts = self.contexts(config).unwrap_or(contexts);
        }
    }

    /// Returns the directories to watch.
    fn directories(&self, config: &Path) -> Vec<PathBuf> {
        let templates = config::templates_directory(config).ok().flatten();
        let templates = templates.iter().flat_map(|directory| Library::directories(directory));
        let of_file = |path: &Path| path.is_file().then(|| path.parent().unwrap_or(Path::new("")).to_owned());
        let files = of_file(config).into_iter().chain(of_file(Path::new(&self.payload)));
        let here = |path: PathBuf| if path.as_os_str().is_empty() { PathBuf::from(".") } else { path };
        let mut all: Vec<_> = templates.chain(files).map(here).filter(|path| path.is_dir()).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Loads the configured templates, or the built-in ones if there is no config file.
fn library(config: &Path) -> Result<Library, Failure> {
    if !config.exists() {
        return Ok(Library::built_in());
    }
    let (library, problems) = config::templates(config);
    report(&problems);
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(Failure::InvalidTemplatesOrPeople);
    }
    Ok(library)
}
