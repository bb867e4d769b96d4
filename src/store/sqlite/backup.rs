//! Copies of a store, and integrity checks of its file.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{private_file, read_only, sibling};

/// Copies a store, which may be in use, into a new file, and checks the copy. The copy is a snapshot of one point in
/// time, with access for its owner only. An error says what is wrong.
pub fn backup(store: &Path, to: &Path) -> Result<(), String> {
    if !store.exists() {
        return Err(format!("the store `{}` does not exist", store.display()));
    }
    if to.exists() {
        return Err(format!("`{}` already exists; choose another name", to.display()));
    }
    let db = read_only(store).map_err(|error| format!("cannot read `{}`: {error}", store.display()))?;
    copy(&db, to)
}

/// Copies an open database. An existing file at the target is replaced.
pub(super) fn copy(db: &Connection, to: &Path) -> Result<(), String> {
    // Atomic: an incomplete copy never has the name of the target.
    let unfinished = sibling(to, "unfinished");
    let shown = |error: &dyn std::fmt::Display| format!("`{}`: {error}", to.display());
    let copied = copy_and_check(db, &unfinished).and_then(|()| {
        std::fs::rename(&unfinished, to).map_err(|error| error.to_string())?;
        sync_directory(to)
    });
    copied.map_err(|reason| {
        let _ = std::fs::remove_file(&unfinished);
        shown(&reason)
    })
}

fn copy_and_check(db: &Connection, to: &Path) -> Result<(), String> {
    let told = |error: rusqlite::Error| error.to_string();
    if to.exists() {
        std::fs::remove_file(to).map_err(|error| error.to_string())?;
    }
    // SQLite uses an existing empty file, and keeps its permissions.
    let file = private_file(to).map_err(|error| error.to_string())?;
    let name = to.to_str().ok_or("its path is not valid UTF-8")?;
    db.execute("VACUUM INTO ?1", [name]).map_err(told)?;
    file.sync_all().map_err(|error| error.to_string())?;
    match check(to) {
        Ok(faults) if faults.is_empty() => Ok(()),
        Ok(faults) => Err(format!("the copy is damaged: {}", faults.join("; "))),
        Err(reason) => Err(reason),
    }
}

/// Returns the faults that SQLite finds in a file; none if the file is intact.
pub fn check(path: &Path) -> Result<Vec<String>, String> {
    let told = |error: rusqlite::Error| error.to_string();
    let db = read_only(path).map_err(told)?;
    let mut quick_check = db.prepare("PRAGMA quick_check").map_err(told)?;
    let faults = quick_check.query_map([], |row| row.get::<_, String>(0)).map_err(told)?;
    let faults: Vec<String> = faults.collect::<rusqlite::Result<_>>().map_err(told)?;
    Ok(faults.into_iter().filter(|fault| fault != "ok").collect())
}

/// Syncs the directory of a file, because a new name is on disk only after that.
fn sync_directory(path: &Path) -> Result<(), String> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.map_or_else(|| PathBuf::from("."), Path::to_owned);
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| error.to_string())
}
