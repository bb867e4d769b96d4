//! Deletion of expired data, in small steps.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::database::{Database, highest};
use super::memory;
use crate::store::Retention;
use crate::store::ids::first_of;
use crate::time::{Millis, millis};

/// Maximum number of requests per step: a fraction of a second of work, between which other writes can run.
const STEP: usize = 200;

/// Number of subjects that a step looks at.
const SUBJECTS: usize = 1_000;

/// Time for which the state of an unchanged subject is stored.
const MEMORY: Duration = Duration::from_secs(180 * 24 * 60 * 60);

/// Time for which rules are stored after the last time at which they are known to have been in use.
const CONFIGS: Duration = Duration::from_secs(24 * 60 * 60);

/// Deletes some of the expired data, and returns `true` if there may be more.
pub(super) fn step(db: &mut Database, keep: Retention, now: Millis) -> rusqlite::Result<bool> {
    let before = |age: Duration| now.saturating_sub(millis(age));
    let sql = "DELETE FROM bodies WHERE id IN (SELECT id FROM bodies WHERE id < ?1 ORDER BY id LIMIT ?2)";
    let bodies = db.prepare_cached(sql)?.execute(params![first_of(before(keep.raw)), STEP])?;
    db.swept = memory::sweep(db, db.swept, SUBJECTS, before(MEMORY))?;
    let sql = "DELETE FROM configs WHERE at < ?1";
    db.prepare_cached(sql)?.execute([before(keep.all.saturating_add(CONFIGS))])?;
    let requests = requests(db, first_of(before(keep.all)))?;
    Ok([bodies, requests].contains(&STEP))
}

/// Deletes requests with all their results, except requests with a delivery that has not ended.
fn requests(db: &Connection, before: i64) -> rusqlite::Result<usize> {
    // The events of a request are between its id and that of the next request. So are its deliveries, except those that
    // were added later, which an index finds.
    let old = "WITH old AS (SELECT id, coalesce((SELECT min(id) FROM requests AS next WHERE next.id > requests.id),
                   9223372036854775807) AS next FROM requests WHERE id < ?1)
               SELECT id, next FROM old WHERE NOT EXISTS
                   (SELECT 1 FROM deliveries WHERE deliveries.id >= old.id AND deliveries.id < next
                    AND event >= old.id AND event < next AND state IN (2, 8))
               AND NOT EXISTS (SELECT 1 FROM deliveries WHERE is_added = 1 AND event >= old.id AND event < next
                    AND state IN (2, 8))
               ORDER BY id LIMIT ?2";
    let old: Vec<(i64, i64)> = db
        .prepare_cached(old)?
        .query_map(params![before, STEP], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    if !old.is_empty() {
        // New numbers are above all numbers ever used.
        db.prepare_cached("UPDATE deleted SET highest = ?1")?.execute([highest(db)?])?;
    }
    for (request, next) in &old {
        for sql in [
            "DELETE FROM attempts WHERE delivery IN (SELECT id FROM deliveries WHERE is_added = 1 AND event >= ?1 AND event < ?2)",
            "DELETE FROM attempts WHERE delivery IN
                 (SELECT id FROM deliveries WHERE id >= ?1 AND id < ?2 AND event >= ?1 AND event < ?2)",
            "DELETE FROM delivery_events WHERE event >= ?1 AND event < ?2",
            "DELETE FROM former_ids WHERE prefix = 'dlv_' AND id IN
                 (SELECT id FROM deliveries WHERE is_added = 1 AND event >= ?1 AND event < ?2)",
            "DELETE FROM deliveries WHERE is_added = 1 AND event >= ?1 AND event < ?2",
            "DELETE FROM deliveries WHERE id >= ?1 AND id < ?2 AND event >= ?1 AND event < ?2",
            "DELETE FROM events WHERE id >= ?1 AND id < ?2",
            "DELETE FROM more_events WHERE id >= ?1 AND id < ?2",
            "DELETE FROM former_ids WHERE prefix IN ('req_', 'evt_') AND id >= ?1 AND id < ?2",
        ] {
            db.prepare_cached(sql)?.execute([request, next])?;
        }
        db.prepare_cached("DELETE FROM bodies WHERE id = ?1")?.execute([request])?;
        db.prepare_cached("DELETE FROM requests WHERE id = ?1")?.execute([request])?;
    }
    Ok(old.len())
}
