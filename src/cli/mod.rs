//! Command line: one file per subcommand. Logic that users of the library need is elsewhere.

mod backup;
mod caller;
mod channels;
mod check;
mod deliveries;
mod dev_cert;
mod doctor;
mod events;
mod explain;
mod failure;
mod hooks;
mod host;
mod init;
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

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::Settings;
use crate::http_client::{Trust, last_cause, to_hookbell};
use crate::problem::{Problem, Severity, render_all};
use crate::service::acme::last_certificate;
use crate::text::shows_colour;
use crate::tls::Identity;
use failure::Failure;
use print::errln;

/// Receive webhooks from code hosts and post messages to chats
#[derive(Parser)]
#[command(
    version,
    arg_required_else_help = false,
    after_help = "Without a command, Hookbell runs the service. To try it, start `hookbell` and run\n\
                  `hookbell sample send push` in a second terminal.\n\n\
                  Environment: HOOKBELL_CONFIG sets the config file; variables such as\n\
                  HOOKBELL__SERVER__LISTEN override its keys; HOOKBELL_LOG=debug logs more.\n\
                  Exit codes: 0: success; 1: the check or operation failed; 2: usage or configuration error"
)]
struct Arguments {
    /// Config file; relative paths in it start at its directory
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "HOOKBELL_CONFIG",
        hide_env = true,
        default_value = "config.toml"
    )]
    config: PathBuf,

    /// Show times in UTC instead of the system's time zone
    #[arg(long, global = true)]
    utc: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Write a configuration for a new installation
    Init(init::Init),
    /// Create a self-signed certificate, to try TLS on this machine
    DevCert(dev_cert::DevCert),
    /// Run the service: receive webhooks and post messages
    Serve,
    /// Check the configuration and the templates, and report all errors
    Check(check::Check),
    /// List, show or send built-in sample webhooks
    #[command(subcommand)]
    Sample(sample::Sample),
    /// Render the message for an event
    Render(render::Render),
    /// Explain the routing of an event: the result of each rule, the deliveries and the chats' responses
    Explain(explain::Explain),
    /// Edit templates in a browser, with a preview for each chat
    Preview(preview::Preview),
    /// List recent events and where they were routed; with `--rejected`, rejected requests
    Events(events::Events),
    /// List, copy or compare templates
    #[command(subcommand)]
    Templates(templates::Templates),
    /// Run your tests of routes and messages
    Test(test::Test),
    /// Print the JSON Schema of the configuration or of events
    #[command(subcommand)]
    Schema(schema::Schema),
    /// List deliveries; with an id, show its attempts, the chat's responses and the sent message
    Deliveries(deliveries::Deliveries),
    /// List channels with their state and queue; test, pause or reopen a channel
    Channels(channels::Channels),
    /// Send messages again
    Replay(replay::Replay),
    /// Drop queued messages
    Drop(replay::DropMessages),
    /// Back up the store to a new file, also while the service is running
    Backup(backup::Backup),
    /// List, create, repair and remove the webhooks on the code host
    Hooks(hooks::HooksCommand),
    /// Diagnose problems of the configuration, the store, its files and the channels
    Doctor(doctor::Doctor),
}

/// Returns how the user runs this program. If cargo started it, it is probably not in the PATH.
fn program() -> &'static str {
    if std::env::var_os("CARGO").is_some() { "cargo run --" } else { "hookbell" }
}

/// Creates the client of a command that connects to Hookbell.
fn client(timeout: Duration, trust: Trust<'_>) -> Result<reqwest::Client, Failure> {
    to_hookbell(timeout, trust).map_err(|error| Failure::NoClient(last_cause(&error).to_string()))
}

/// Returns the certificate of the listener for webhooks, if there is one.
fn certificate(settings: &Settings) -> Option<Arc<Identity>> {
    let requested = || last_certificate(&settings.store).filter(|_| settings.acme.is_some()).map(Arc::new);
    settings.tls.clone().or_else(requested)
}

/// Creates the async runtime of a command.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::NoRuntime)
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.utc {
        shown::show_utc();
    }
    let result = match arguments.command.unwrap_or(Command::Serve) {
        Command::Init(init) => init.run(&arguments.config),
        Command::DevCert(dev_cert) => dev_cert.run(&arguments.config),
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
        Command::Hooks(hooks) => hooks.run(&arguments.config),
        Command::Doctor(doctor) => doctor.run(&arguments.config),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match &failure {
                Failure::Problems(problems) => report(problems),
                other => complain(&other.to_string()),
            }
            ExitCode::from(if failure.is_usage() { 2 } else { 1 })
        }
    }
}

fn complain(message: &str) {
    errln!("{}error:{} {message}", ERROR.render(), ERROR.render_reset());
}

const ERROR: anstyle::Style = anstyle::AnsiColor::BrightRed.on_default().bold();

/// Prints problems to standard error.
fn report(problems: &[Problem]) {
    for text in render_all(problems, shows_colour(&std::io::stderr())) {
        errln!("{text}\n");
    }
}

/// Counts problems: `2 errors and 1 warning`.
fn tally(problems: &[Problem]) -> String {
    let count = |severity: Severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let words = |n: usize, word: &str| (n > 0).then(|| plural(n, word));
    let parts = [words(count(Severity::Error), "error"), words(count(Severity::Warning), "warning")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

fn plural(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}
