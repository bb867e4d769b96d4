//! `hookbell init`: write a configuration for a new installation.

mod answers;
mod text;

use std::io::{self, IsTerminal};
use std::path::Path;

use clap::Args;

pub(super) use self::answers::AnswerError;
use self::answers::Answers;
use super::failure::Doing;
use super::print::outln;
use super::{Failure, program};
use crate::config::secret::generated;
use crate::text_file;

/// Arguments of `hookbell init`. In a terminal, the command asks for what they leave open.
#[derive(Args)]
pub(super) struct Init {
    /// Chats to post to, separated by commas: `slack`, `teams`, `discord`, or `console`, this terminal
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    chat: Vec<String>,
    /// Webhook URL of a chat; without one, the command says which file to put it into
    #[arg(long, value_name = "KIND=URL")]
    webhook_url: Vec<String>,
    /// Address at which the code host reaches Hookbell: `https://hookbell.acme.example`
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Workspace, or pattern of repositories, that may send events: `acme`, `acme/api-*`
    #[arg(long, value_name = "NAME")]
    repo: Option<String>,
}

/// Files that a repository of the configuration must not contain.
const IGNORED: &str = "*.secret\n*.db\n*.db-*\n*.db.*\n*.pem\n";

impl Init {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        if config.exists() {
            return Err(Failure::ConfigExists(config.to_owned()));
        }
        let answers = if io::stdin().is_terminal() && io::stdout().is_terminal() {
            Answers::ask(&self, &mut io::stdin().lock(), &mut io::stdout())
        } else {
            Answers::of(&self)
        };
        write(config, &answers?)
    }
}

/// Writes all files, the configuration last: a failure before it can be repaired and the command run again.
fn write(config: &Path, answers: &Answers) -> Result<(), Failure> {
    let directory = config.parent().unwrap_or(Path::new(""));
    let urls = answers.chats.iter().filter_map(|chat| Some((directory.join(chat.file()?), chat.url.as_ref()?)));
    let urls: Vec<_> = urls.collect();
    if let Some((path, _)) = urls.iter().find(|(path, _)| path.exists()) {
        return Err(Failure::SecretExists(path.clone()));
    }
    let secret = directory.join(text::secret());
    if !secret.exists() {
        generated(&secret).map_err(Failure::file(Doing::Create, &secret))?;
    }
    for (path, url) in urls {
        text_file::create(&path, 0o600, &format!("{url}\n")).map_err(Failure::file(Doing::Create, &path))?;
    }
    ignore(&directory.join(".gitignore"))?;
    text_file::create(config, 0o600, &text::config(answers)).map_err(Failure::file(Doing::Create, config))?;
    show(config, answers);
    Ok(())
}

/// Adds the lines that are missing in `.gitignore`.
fn ignore(path: &Path) -> Result<(), Failure> {
    let old = match std::fs::read_to_string(path) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Failure::file(Doing::Read, path)(error)),
    };
    let missing: Vec<_> = IGNORED.lines().filter(|line| !old.lines().any(|old| old.trim() == *line)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let end = if old.is_empty() || old.ends_with('\n') { "" } else { "\n" };
    let text = format!("{old}{end}{}\n", missing.join("\n"));
    std::fs::write(path, text).map_err(Failure::file(Doing::Write, path))
}

/// Prints what was written, and what to do next.
fn show(config: &Path, answers: &Answers) {
    let (bold, dim) = (anstyle::Style::new().bold(), anstyle::Style::new().dimmed());
    let directory = config.parent().unwrap_or(Path::new(""));
    let path = |name: &str| directory.join(name).display().to_string();
    outln!("{bold}{}{bold:#} is written\n", config.display());
    let url = answers.public_url.as_deref().unwrap_or(text::LOCAL);
    outln!("  webhook   {url}{}", text::hook());
    outln!("  secret    in {}{dim}: enter it as the webhook's secret{dim:#}", path(&text::secret()));
    let chats: Vec<_> = answers.chats.iter().map(|chat| chat.kind.name()).collect();
    outln!("  channels  {}", chats.join(", "));
    for chat in answers.chats.iter().filter(|chat| chat.url.is_none()) {
        let Some(file) = chat.file() else { continue };
        outln!("  {:8}  {bold}put its webhook URL into {}{bold:#}", chat.kind.name(), path(&file));
        outln!("            {dim}to get it: {}{dim:#}", chat.kind.setup());
    }
    let program = program();
    let flag =
        if config == Path::new("config.toml") { String::new() } else { format!(" --config {}", config.display()) };
    outln!("\nnext:\n");
    outln!("  {program} check{flag}");
    outln!("  {program} serve{flag}");
    outln!("  {program} sample send push{flag}    {dim}in a second terminal{dim:#}");
}
