//! `hookbell doctor`: diagnose problems of the configuration, the machine, the running service, and what it depends on.

mod machine;
mod outside;
mod running;

use std::path::Path;

use clap::Args;

use super::Failure;
use super::caller::Server;
use super::print::outln;
use super::shown::sanitized_lines;
use crate::config::{self, Secrets};

/// Arguments of `hookbell doctor`.
#[derive(Args)]
pub(super) struct Doctor {
    /// Do not connect to chats and code hosts
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    server: Server,
}

/// State of a checked item.
struct Finding {
    item: &'static str,
    level: Level,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Fine,
    /// Worth knowing; nothing fails because of it.
    Note,
    Problem,
}

impl Finding {
    fn fine(item: &'static str, text: impl Into<String>) -> Self {
        Self { item, level: Level::Fine, text: text.into() }
    }

    fn note(item: &'static str, text: impl Into<String>) -> Self {
        Self { item, level: Level::Note, text: text.into() }
    }

    fn problem(item: &'static str, text: impl Into<String>) -> Self {
        Self { item, level: Level::Problem, text: text.into() }
    }
}

impl Doctor {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let loaded = config::load(config, Secrets::Leave);
        let mut findings = machine::findings(config, &loaded);
        let (running, repositories) = running::findings(&self.server, config);
        findings.extend(running);
        if let Some(settings) = loaded.settings.as_ref().filter(|_| !self.offline) {
            findings.extend(super::runtime()?.block_on(outside::findings(settings, loaded.is_sound(), &repositories)));
        }
        let problems = findings.iter().filter(|finding| finding.level == Level::Problem).count();
        for Finding { item, level, text } in findings {
            let mark = match level {
                Level::Fine => "ok   ",
                Level::Note => "note ",
                Level::Problem => "error",
            };
            outln!("{mark}  {item:<8} {}", sanitized_lines(&text));
        }
        if problems == 0 { Ok(()) } else { Err(Failure::Findings(problems)) }
    }
}
