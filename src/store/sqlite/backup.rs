//! Copies of a store, and integrity checks of its file.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use thiserror::Error;

use super::{private_file, read_only, sibling};

/// Copies a store, which may be in use, into a new file, and checks the copy. The copy is a snapshot of one point in
/// time, with access for its owner only.
pub(super) fn backup(store: &Path, to: &Path) -> Result<(), CopyError> {
    if !store.exists() {
        return Err(CopyError::NoStore(store.to_owned()));
    }
    if to.exists() {
        return Err(CopyError::Exists(to.to_owned()));
    }
    let db = read_only(store).map_err(|error| CopyError::Unreadable { store: store.to_owned(), error })?;
    copy(&db, to)
}

/// Error while copying or checking a store.
#[derive(Debug, Error)]
pub(super) enum CopyError {
    /// There is nothing to copy.
    #[error("the store `{}` does not exist", .0.display())]
    NoStore(PathBuf),
    /// The target is not overwritten.
    #[error("`{}` already exists; choose another name", .0.display())]
    Exists(PathBuf),
    /// The store cannot be read.
    #[error("cannot read `{}`: {error}", store.display())]
    Unreadable {
        /// Path of the store.
        store: PathBuf,
        /// Error of the database.
        error: rusqlite::Error,
    },
    /// The copy failed.
    #[error("`{}`: {reason}", to.display())]
    Failed {
        /// Path of the copy.
        to: PathBuf,
        /// Reason.
        reason: Box<CopyError>,
    },
    /// Error of the file system.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// Error of the database.
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
    /// SQLite requires UTF-8.
    #[error("its path is not valid UTF-8")]
    InvalidPath,
    /// The copy has faults.
    #[error("the copy is damaged: {}", .0.join("; "))]
    Damaged(Vec<String>),
}

/// Copies an open database. An existing file at the target is replaced.
pub(super) fn copy(db: &Connection, to: &Path) -> Result<(), CopyError> {
    // Atomic: an incomplete copy never has the name of the target.
    let unfinished = sibling(to, "unfinished");
    let copied = copy_and_check(db, &unfinished).and_then(|()| {
        std::fs::rename(&unfinished, to)?;
        Ok(sync_directory(to)?)
    });
    copied.map_err(|reason| {
        let _ = std::fs::remove_file(&unfinished);
        CopyError::Failed { to: to.to_owned(), reason: Box::new(reason) }
    })
}

fn copy_and_check(db: &Connection, to: &Path) -> Result<(), CopyError> {
    if to.exists() {
        std::fs::remove_file(to)?;
    }
    // SQLite uses an existing empty file, and keeps its permissions.
    let file = private_file(to)?;
    let name = to.to_str().ok_or(CopyError::InvalidPath)?;
    db.execute("VACUUM INTO ?1", [name])?;
    file.sync_all()?;
    let faults = check(to)?;
    if faults.is_empty() { Ok(()) } else { Err(CopyError::Damaged(faults)) }
}

/// Returns the faults that SQLite finds in a file; none if the file is intact.
pub(super) fn check(path: &Path) -> rusqlite::Result<Vec<String>> {
    let db = read_only(path)?;
    let mut quick_check = db.prepare("PRAGMA quick_check")?;
    let faults = quick_check.query_map([], |row| row.get::<_, String>(0))?;
    let faults: Vec<String> = faults.collect::<rusqlite::Result<_>>()?;
    Ok(faults.into_iter().filter(|fault| fault != "ok").collect())
}

/// Syncs the directory of a file, because a new name is on disk only after that.
fn sync_directory(path: &Path) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.map_or_else(|| PathBuf::from("."), Path::to_owned);
    File::open(directory)?.sync_all()
}
