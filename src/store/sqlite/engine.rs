//! The file of a store that is not opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{SqliteStore, backup, sibling};
use crate::store::url::Engine;
use crate::store::{Store, StoreError};
use crate::time::Millis;

/// Scheme of the URLs.
pub(in crate::store) const SCHEME: &str = "sqlite";

/// URL that is used by default.
pub(in crate::store) const DEFAULT_URL: &str = "sqlite:hookbell.db";

/// Form of a URL, for people.
pub(in crate::store) const FORMS: &str = "write `sqlite:` and a file path: `sqlite:hookbell.db`";

/// What the default URL names, for people.
pub(in crate::store) const ABOUT: &str = "the SQLite file; created if missing, readable only by its owner";

struct Sqlite(PathBuf);

/// Returns the file that a URL names after its scheme.
pub(in crate::store) fn locate(path: &str, directory: &Path) -> Option<Arc<dyn Engine>> {
    (!path.is_empty()).then(|| Arc::new(Sqlite(directory.join(path))) as Arc<dyn Engine>)
}

impl Engine for Sqlite {
    fn open(&self, clock: fn() -> Millis) -> Result<Arc<dyn Store>, StoreError> {
        Ok(Arc::new(SqliteStore::open_at(&self.0, clock)?))
    }

    fn exists(&self) -> bool {
        self.0.exists()
    }

    fn address(&self) -> Option<String> {
        let address = crate::text_file::read_text(&sibling(&self.0, "lock"), 1_024).ok()?;
        Some(address.trim().to_owned()).filter(|address| !address.is_empty())
    }

    fn backup(&self, to: &Path) -> Result<(), StoreError> {
        backup::backup(&self.0, to).map_err(|error| StoreError::Backup(error.into()))
    }

    fn check(&self) -> Result<Vec<String>, StoreError> {
        backup::check(&self.0)
            .map_err(|source| StoreError::Database { doing: "check the database", source: source.into() })
    }

    fn file(&self, extension: &str) -> PathBuf {
        sibling(&self.0, extension)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.0.clone()]
    }

    fn shown(&self) -> String {
        self.0.display().to_string()
    }

    fn location(&self) -> String {
        self.0.components().collect::<PathBuf>().display().to_string()
    }
}
