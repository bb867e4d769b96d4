//! `hookbell schema`: print JSON Schemas.

use clap::Subcommand;

use super::Failure;
use super::print::outln;
use crate::config::reference;
use crate::event;

/// Arguments of `hookbell schema`.
#[derive(Subcommand)]
pub(super) enum Schema {
    /// Print the schema of the config file; save it next to that file, and name it in its first line: `#:schema FILE`
    Config,
    /// Print the schema of an event, which is the input of templates
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
