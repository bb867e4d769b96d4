//! Tables, and the migrations from older versions.

use rusqlite::Connection;
use thiserror::Error;

/// Migration steps, oldest first; a file with `n` applied steps has version `n`. Steps are only added.
pub(super) const STEPS: &[&str] = &[
    include_str!("0001.sql"),
    include_str!("0002.sql"),
    include_str!("0003.sql"),
    include_str!("0004.sql"),
    include_str!("0005.sql"),
    include_str!("0006.sql"),
    include_str!("0007.sql"),
    include_str!("0008.sql"),
    include_str!("0009.sql"),
];

/// Reason why the tables of a file cannot be used.
#[derive(Debug, Error)]
pub(super) enum SchemaError {
    /// A newer Hookbell created the file.
    #[error(
        "a newer Hookbell created it (its version is {found}, this program supports up to {known}); use the newer \
         program or another file"
    )]
    Newer { found: usize, known: usize },
    /// The database reported an error.
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
}

/// Returns the number of applied steps.
pub(super) fn version(db: &Connection) -> rusqlite::Result<usize> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Returns the version of a file that is not empty and has steps to apply.
pub(super) fn older(db: &Connection) -> rusqlite::Result<Option<usize>> {
    Ok(Some(version(db)?).filter(|found| (1..STEPS.len()).contains(found)))
}

/// Applies the steps that are missing.
pub(super) fn migrate(db: &mut Connection) -> Result<(), SchemaError> {
    let found = version(db)?;
    if found > STEPS.len() {
        return Err(SchemaError::Newer { found, known: STEPS.len() });
    }
    for (n, step) in STEPS.iter().enumerate().skip(found) {
        let transaction = db.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", n + 1)?;
        transaction.commit()?;
    }
    Ok(())
}
