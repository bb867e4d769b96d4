//! Deletion of expired data, in small steps.

use std::time::Duration;

use rusqlite::{Connection, params};

use crate::store::Retention;
use crate::time::{Millis, millis};

/// Maximum number of rows per step: a fraction of a second of work, between which requests can run.
const STEP: usize = 200;

/// Time for which a repeated request of a host is recognized.
const DEDUPE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Time for which the state of an unchanged subject is stored.
const MEMORY: Duration = Duration::from_secs(180 * 24 * 60 * 60);

/// Time for which rules are stored after the last time at which they are known to have been in use.
const CONFIGS: Duration = Duration::from_secs(24 * 60 * 60);

/// Deletes up to [`STEP`] rows of each type, and returns `true` if there may be more.
pub(super) fn step(db: &Connection, keep: Retention, now: Millis) -> rusqlite::Result<bool> {
    let before = |age: Duration| now.saturating_sub(millis(age));
    let prune = |sql: &str, before: Millis| db.prepare_cached(sql)?.execute(params![before, STEP]);
    let bodies = prune(
        "UPDATE requests SET body = NULL WHERE id IN
             (SELECT id FROM requests WHERE body IS NOT NULL AND received_at < ?1 ORDER BY received_at LIMIT ?2)",
        before(keep.raw),
    )?;
    let dedupe = prune(
        "DELETE FROM dedupe WHERE (source, hook, key) IN
             (SELECT source, hook, key FROM dedupe WHERE received_at < ?1 ORDER BY received_at LIMIT ?2)",
        before(DEDUPE.min(keep.all)),
    )?;
    let memory = prune(
        "DELETE FROM memory WHERE subject IN (SELECT subject FROM memory WHERE at < ?1 ORDER BY at LIMIT ?2)",
        before(MEMORY),
    )?;
    prune(
        "DELETE FROM configs WHERE hash IN (SELECT hash FROM configs WHERE at < ?1 LIMIT ?2)",
        before(keep.all.saturating_add(CONFIGS)),
    )?;
    // A repeated body is recognized as long as its first request is stored.
    let bodies_seen = prune(
        "DELETE FROM memory WHERE subject IN (SELECT subject FROM memory INDEXED BY memory_bodies
             WHERE subject GLOB 'body:*' AND at < ?1 ORDER BY at LIMIT ?2)",
        before(keep.all),
    )?;
    let requests = requests(db, before(keep.all))?;
    Ok([bodies, dedupe, memory, bodies_seen, requests].contains(&STEP))
}

/// Deletes requests with all their results, except requests with a delivery that has not ended.
fn requests(db: &Connection, before: Millis) -> rusqlite::Result<usize> {
    let old = "SELECT id FROM requests WHERE received_at < ?1 AND NOT EXISTS
                   (SELECT 1 FROM events JOIN deliveries ON deliveries.event = events.id
                    WHERE events.request = requests.id AND state IN ('queued', 'parked', 'pending_routing'))
               ORDER BY received_at LIMIT ?2";
    let old: Vec<String> =
        db.prepare_cached(old)?.query_map(params![before, STEP], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for request in &old {
        for sql in [
            "DELETE FROM attempts WHERE delivery IN (SELECT deliveries.id FROM deliveries
                 JOIN events ON events.id = deliveries.event WHERE events.request = ?1)",
            "DELETE FROM delivery_events WHERE delivery IN (SELECT deliveries.id FROM deliveries
                 JOIN events ON events.id = deliveries.event WHERE events.request = ?1)",
            "DELETE FROM deliveries WHERE event IN (SELECT id FROM events WHERE request = ?1)",
            "DELETE FROM events WHERE request = ?1",
            "DELETE FROM requests WHERE id = ?1",
        ] {
            db.prepare_cached(sql)?.execute([request])?;
        }
    }
    Ok(old.len())
}
