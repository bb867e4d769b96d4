//! `hookbell schema`.

use clap::Subcommand;

use super::Failure;
use super::print::outln;
use crate::config::reference;
use crate::event;

/// `hookbell schema …`
#[derive(Subcommand)]
pub(super) enum Schema {
    /// What a config file may hold. Save it beside the file, and name it in the file's first line: `#:schema FILE`.
    Config,
    /// What an event looks like: all that templates see.
    Event,
}

impl Schema {
    pub(super) fn run(self) -> Result<(), Failure> {
        let schema = match self {
            Self::Config => serde_json::to_string_pretty(&reference::schema()),
            Self::Event => serde_json::to_string_pretty(&event::schema()),
        };
        outln!("{}", schema.unwrap_or_default());
        Ok(())
    }
}
