//! The tables, and the steps that lead from any older shape of them to today's.

use rusqlite::Connection;

/// The steps, oldest first; a file that has taken `n` of them is of version `n`. Steps only add.
pub(super) const STEPS: &[&str] = &[
    include_str!("0001.sql"),
    include_str!("0002.sql"),
    include_str!("0003.sql"),
    include_str!("0004.sql"),
    include_str!("0005.sql"),
    include_str!("0006.sql"),
    include_str!("0007.sql"),
    include_str!("0008.sql"),
];

/// Why a file's tables cannot be used.
#[derive(Debug)]
pub(super) enum SchemaError {
    /// A newer Hookbell made the file.
    Newer { found: usize, known: usize },
    /// The database says no.
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for SchemaError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// How many steps a file has taken.
pub(super) fn version(db: &Connection) -> rusqlite::Result<usize> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// The version of a file that holds something and has steps to take.
pub(super) fn older(db: &Connection) -> rusqlite::Result<Option<usize>> {
    Ok(Some(version(db)?).filter(|found| (1..STEPS.len()).contains(found)))
}

/// Takes the steps that the file has not taken yet.
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
