//! Migration of files of earlier versions.
//!
//! Versions 1 to 9 differ by a few statements each. Version 11 has other tables, so all rows are moved to them: in parts,
//! each in steps that are small enough to log progress, and that continue where they were interrupted. Meanwhile the file
//! has version 10.

mod rows;

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::database::Database;
use super::schema::{TABLES, VERSION};

/// Statements that lead to the versions 1, 2, …
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

/// Version of files whose rows are being moved.
pub(super) const BEGUN: usize = STEPS.len() + 1;

/// Number of rows that are moved in one transaction.
const STEP: usize = 1_000;

/// Interval of progress in the log.
const PROGRESS: Duration = Duration::from_secs(5);

/// Moves some rows behind the position; returns the position of the last one, or `None` if there are no more.
type Part = fn(&mut Database, &Position, usize) -> rusqlite::Result<Option<Position>>;

/// Last row of a part that was moved.
struct Position {
    time: i64,
    key: String,
}

/// Parts, with the table whose rows they move.
const PARTS: &[(&str, Part)] = &[
    ("old_requests", rows::requests),
    ("old_deliveries", rows::deliveries),
    ("old_memory", rows::memory),
    ("old_lanes", rows::others),
];

/// Tables that are dropped after that.
const OLD: &[&str] = &[
    "old_attempts",
    "old_delivery_events",
    "old_deliveries",
    "old_events",
    "old_dedupe",
    "old_requests",
    "old_memory",
    "old_lanes",
    "old_configs",
    "old_rejected",
];

/// Migrates a file of this version, which is older than [`VERSION`], or in which the migration was interrupted.
pub(super) fn migrate(mut db: Connection, found: usize) -> rusqlite::Result<Connection> {
    for (n, step) in STEPS.iter().enumerate().skip(found) {
        let transaction = db.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", n + 1)?;
        transaction.commit()?;
    }
    if found < BEGUN {
        let transaction = db.transaction()?;
        transaction.execute_batch(include_str!("begin.sql"))?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", BEGUN)?;
        transaction.commit()?;
    } else {
        tracing::info!("continuing the migration of the store");
    }
    let mut db = move_all(Database::new(db)?)?.into_connection();
    for table in OLD {
        db.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
    }
    let transaction = db.transaction()?;
    transaction.execute_batch("DROP TABLE moved")?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    tracing::info!("store migrated");
    Ok(db)
}

/// Moves the rows of all parts that are not moved yet.
fn move_all(mut db: Database) -> rusqlite::Result<Database> {
    let mut logged = Instant::now();
    loop {
        let (part, position) = db.query_row("SELECT part, time, key FROM moved", [], |row| {
            Ok((row.get::<_, usize>(0)?, Position { time: row.get(1)?, key: row.get(2)? }))
        })?;
        let Some((table, move_some)) = PARTS.get(part) else { return Ok(db) };
        let (mut position, mut count) = (Some(position), 0_usize);
        let all: usize = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        while let Some(last) = position {
            db.execute_batch("BEGIN IMMEDIATE")?;
            position = move_some(&mut db, &last, STEP)?;
            match &position {
                Some(Position { time, key }) => {
                    db.execute("UPDATE moved SET time = ?1, key = ?2", params![time, key])?
                }
                None => db.execute("UPDATE moved SET part = part + 1, time = ?1, key = ''", [i64::MIN])?,
            };
            db.execute_batch("COMMIT")?;
            count += STEP;
            if logged.elapsed() > PROGRESS {
                logged = Instant::now();
                let rows = table.trim_start_matches("old_");
                tracing::info!(rows, moved = count.min(all), of = all, "migrating the store");
            }
        }
    }
}
