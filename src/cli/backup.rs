//! `hookbell backup`: back up the store.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::print::outln;
use crate::config;

/// Arguments of `hookbell backup`.
#[derive(Args)]
pub(super) struct Backup {
    /// New file for the backup
    file: PathBuf,
}

impl Backup {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let store = config::store(config).map_err(Failure::Problems)?;
        store.backup(&self.file)?;
        outln!("{} is a complete copy of {store}", self.file.display());
        Ok(())
    }
}
