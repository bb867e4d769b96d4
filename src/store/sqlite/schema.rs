//! The version of a file: new files get today's tables, older ones are migrated.

use rusqlite::Connection;
use thiserror::Error;

use super::older;

/// Version of files with the tables of `schema.sql`.
pub(super) const VERSION: usize = 11;

/// Tables of this version.
pub(super) const TABLES: &str = include_str!("schema.sql");

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

/// Returns the version of a file; 0 if it is empty.
pub(super) fn version(db: &Connection) -> rusqlite::Result<usize> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Returns the version of a file that has to be copied before its migration. A file in which the migration has begun was
/// copied before.
pub(super) fn older(db: &Connection) -> rusqlite::Result<Option<usize>> {
    Ok(Some(version(db)?).filter(|found| (1..older::BEGUN).contains(found)))
}

/// Creates the tables of this version, or migrates those of an older one.
pub(super) fn migrate(mut db: Connection) -> Result<Connection, SchemaError> {
    match version(&db)? {
        VERSION => Ok(db),
        0 => {
            let transaction = db.transaction()?;
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
            Ok(db)
        }
        found if found < VERSION => Ok(older::migrate(db, found)?),
        found => Err(SchemaError::Newer { found, known: VERSION }),
    }
}
