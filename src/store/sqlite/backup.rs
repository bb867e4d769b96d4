//! Copies of a store, and whether a file is whole.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{beside, private_file, read_only};

/// Copies a store, which may be at work meanwhile, into a new file, and looks whether the copy is whole. The copy is as
/// of one moment, and readable for its owner alone. An error says what is wrong.
pub fn backup(store: &Path, to: &Path) -> Result<(), String> {
    if !store.exists() {
        return Err(format!("there is no store `{}` yet", store.display()));
    }
    if to.exists() {
        return Err(format!("`{}` is there already; name a new file", to.display()));
    }
    let db = read_only(store).map_err(|error| format!("cannot read `{}`: {error}", store.display()))?;
    copy(&db, to)
}

/// The same of an open database; what was at the place of the copy is replaced.
pub(super) fn copy(db: &Connection, to: &Path) -> Result<(), String> {
    // Whole or not at all: a copy that breaks off never has the name that was asked for.
    let unfinished = beside(to, "unfinished");
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
    // SQLite takes an empty file over, with its permissions.
    let file = private_file(to).map_err(|error| error.to_string())?;
    let name = to.to_str().ok_or("its path is no text")?;
    db.execute("VACUUM INTO ?1", [name]).map_err(told)?;
    file.sync_all().map_err(|error| error.to_string())?;
    match check(to) {
        Ok(faults) if faults.is_empty() => Ok(()),
        Ok(faults) => Err(format!("the copy is damaged: {}", faults.join("; "))),
        Err(reason) => Err(reason),
    }
}

/// What SQLite finds wrong with a file; nothing where it is whole.
pub fn check(path: &Path) -> Result<Vec<String>, String> {
    let told = |error: rusqlite::Error| error.to_string();
    let db = read_only(path).map_err(told)?;
    let mut quick_check = db.prepare("PRAGMA quick_check").map_err(told)?;
    let faults = quick_check.query_map([], |row| row.get::<_, String>(0)).map_err(told)?;
    let faults: Vec<String> = faults.collect::<rusqlite::Result<_>>().map_err(told)?;
    Ok(faults.into_iter().filter(|fault| fault != "ok").collect())
}

/// A new name is on disk once its directory is.
fn sync_directory(path: &Path) -> Result<(), String> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.map_or_else(|| PathBuf::from("."), Path::to_owned);
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| error.to_string())
}
