//! The command line: one file a subcommand, none with logic that a user of the library would miss.

mod backup;
mod caller;
mod channels;
mod check;
mod deliveries;
mod doctor;
mod events;
mod explain;
mod input;
mod preview;
mod print;
mod render;
mod replay;
mod sample;
mod schema;
mod serve;
mod shown;
mod templates;
mod test;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::problem::{Problem, Severity, render_all};
use print::errln;

/// A notification bot for code hosts: webhooks in, messages in chats out.
#[derive(Parser)]
#[command(
    version,
    arg_required_else_help = false,
    after_help = "Without a command, Hookbell serves. Try it: start `hookbell`, and in a second terminal run\n\
                  `hookbell sample send push`.\n\n\
                  Environment: HOOKBELL_CONFIG names the config file; HOOKBELL__SERVER__LISTEN and the like\n\
                  override it; HOOKBELL_LOG=debug logs more.\n\
                  Exit codes: 0 fine, 1 the thing looked at is not fine, 2 wrong usage or config."
)]
struct Arguments {
    /// The config file; paths in it are relative to it.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "HOOKBELL_CONFIG",
        hide_env = true,
        default_value = "config.toml"
    )]
    config: PathBuf,

    /// Show times in UTC instead of the system's time zone.
    #[arg(long, global = true)]
    utc: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service: take webhooks in, send messages out.
    Serve,
    /// Look at the config and the templates, and say all that is wrong with them.
    Check(check::Check),
    /// Built-in realistic webhooks, to try things out with.
    #[command(subcommand)]
    Sample(sample::Sample),
    /// Show the message that an event becomes.
    Render(render::Render),
    /// Why an event went where it went, or nowhere: each rule's word, the chat's answers, and what was sent.
    Explain(explain::Explain),
    /// Edit templates in a browser, and see what each chat shows.
    Preview(preview::Preview),
    /// What came in lately and where it went; with `--refused`, what was not let in.
    Events(events::Events),
    /// Your templates and the built-in ones.
    #[command(subcommand)]
    Templates(templates::Templates),
    /// Run your own tests: which channels hear of an event, and what the message says.
    Test(test::Test),
    /// JSON Schema, for editors and for whoever writes templates.
    #[command(subcommand)]
    Schema(schema::Schema),
    /// What became of messages; of one, each attempt, the chat's words, and what was sent.
    Deliveries(deliveries::Deliveries),
    /// The channels: what waits, and whether they are open; try one out, pause it, reopen it.
    Channels(channels::Channels),
    /// Send messages again.
    Replay(replay::Replay),
    /// Give up messages that wait.
    Drop(replay::Drop),
    /// Copy the store into a new file, also while the service runs.
    Backup(backup::Backup),
    /// Look for what is wrong: config, store, files, channels.
    Doctor(doctor::Doctor),
}

/// How a command ended badly.
enum Failure {
    /// The thing looked at is not fine, and this says why.
    NotFine(String),
    /// Wrong usage, or a wrong config.
    Usage(String),
    /// The same, with positions.
    Problems(Vec<Problem>),
}

impl Failure {
    /// Without positions.
    fn text(&self) -> String {
        match self {
            Self::NotFine(text) | Self::Usage(text) => text.clone(),
            Self::Problems(problems) => format!("the config has {}", tally(problems)),
        }
    }
}

/// What a command waits with.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::NotFine(format!("cannot start: {error}")))
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.utc {
        shown::show_utc();
    }
    let result = match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(&arguments.config),
        Command::Check(check) => check.run(&arguments.config),
        Command::Sample(sample) => sample.run(&arguments.config),
        Command::Render(render) => render.run(&arguments.config),
        Command::Explain(explain) => explain.run(&arguments.config),
        Command::Preview(preview) => preview.run(&arguments.config),
        Command::Events(events) => events.run(&arguments.config),
        Command::Templates(templates) => templates.run(&arguments.config),
        Command::Test(test) => test.run(&arguments.config),
        Command::Schema(schema) => schema.run(),
        Command::Deliveries(deliveries) => deliveries.run(&arguments.config),
        Command::Channels(channels) => channels.run(&arguments.config),
        Command::Replay(replay) => replay.run(&arguments.config),
        Command::Drop(drop) => drop.run(&arguments.config),
        Command::Backup(backup) => backup.run(&arguments.config),
        Command::Doctor(doctor) => doctor.run(&arguments.config),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::NotFine(message)) => {
            complain(&message);
            ExitCode::from(1)
        }
        Err(Failure::Usage(message)) => {
            complain(&message);
            ExitCode::from(2)
        }
        Err(Failure::Problems(problems)) => {
            report(&problems);
            ExitCode::from(2)
        }
    }
}

fn complain(message: &str) {
    errln!("{}error:{} {message}", ERROR.render(), ERROR.render_reset());
}

const ERROR: anstyle::Style = anstyle::AnsiColor::BrightRed.on_default().bold();

/// Shows problems on standard error.
fn report(problems: &[Problem]) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    for text in render_all(problems, colour) {
        errln!("{text}\n");
    }
}

/// `2 errors and 1 warning`.
fn tally(problems: &[Problem]) -> String {
    let count = |severity: Severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let words = |n: usize, word: &str| (n > 0).then(|| plural(n, word));
    let parts = [words(count(Severity::Error), "error"), words(count(Severity::Warning), "warning")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

fn plural(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}
