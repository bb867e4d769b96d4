//! `hookbell schema`.

use clap::Subcommand;

use super::Failure;
use crate::event::schema;

/// `hookbell schema …`
#[derive(Subcommand)]
pub(super) enum Schema {
    /// What an event looks like: all that templates see.
    Event,
}

impl Schema {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Event => anstream::println!("{}", serde_json::to_string_pretty(&schema()).unwrap_or_default()),
        }
        Ok(())
    }
}
