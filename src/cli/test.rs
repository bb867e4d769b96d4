//! `hookbell test`: run the user's tests of routes and messages.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::failure::Failure;
use super::plural;
use super::print::outln;
use super::shown::sanitized_lines;
use crate::config::{self, Secrets};
use crate::service::expectations::{self, Outcome};

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

impl Test {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let settings = config::load(config, Secrets::Optional).sound().map_err(Failure::Problems)?;
        let files = if self.files.is_empty() { expectations::files(config)? } else { self.files.clone() };
        let (mut passed, mut failed) = (0, 0);
        for path in files {
            let mut outcomes = expectations::run(&settings, &path)?;
            if self.update {
                outcomes.iter_mut().for_each(Outcome::accept);
            }
            outcomes.iter().for_each(|outcome| self.show(&path, outcome));
            if self.update {
                expectations::update(&path, &outcomes)?;
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
