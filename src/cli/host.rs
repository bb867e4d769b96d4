//! `--source`: the host that samples and payload files come from.

use clap::Args;

use super::Failure;
use crate::service::payload::named_provider;
use crate::source::{Provider, providers};

/// Selects a host.
#[derive(Args)]
pub(super) struct Host {
    /// Source kind, for samples and payload files
    #[arg(long, value_name = "KIND", default_value = providers()[0].kind)]
    source: String,
}

impl Host {
    /// Returns the provider of the host.
    pub(super) fn provider(&self) -> Result<&'static Provider, Failure> {
        Ok(named_provider(&self.source)?)
    }
}
