//! Forgetting what is too old, a little at a time.

use std::time::Duration;

use rusqlite::{Connection, params};

use crate::store::{Keep, Millis};

/// How many rows a step looks at, at most: a fraction of a second's work, between which requests come in.
const STEP: usize = 200;

/// For how long a request that a host sends again is known.
const DEDUPE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// For how long the state of a thing that nothing happens to is remembered.
const MEMORY: Duration = Duration::from_secs(180 * 24 * 60 * 60);

/// For how long rules are kept beyond the last moment at which they are known to have been in use.
const CONFIGS: Duration = Duration::from_secs(24 * 60 * 60);

/// Forgets up to [`STEP`] rows of each sort, and says whether there may be more.
pub(super) fn step(db: &Connection, keep: Keep, now: Millis) -> rusqlite::Result<bool> {
    let before = |age: Duration| now.saturating_sub(Millis::try_from(age.as_millis()).unwrap_or(Millis::MAX));
    let forget = |sql: &str, before: Millis| db.prepare_cached(sql)?.execute(params![before, STEP]);
    let bodies = forget(
        "UPDATE requests SET body = NULL WHERE id IN
             (SELECT id FROM requests WHERE body IS NOT NULL AND received_at < ?1 ORDER BY received_at LIMIT ?2)",
        before(keep.raw),
    )?;
    let dedupe = forget(
        "DELETE FROM dedupe WHERE (source, hook, key) IN
             (SELECT source, hook, key FROM dedupe WHERE received_at < ?1 ORDER BY received_at LIMIT ?2)",
        before(DEDUPE.min(keep.all)),
    )?;
    let memory = forget(
        "DELETE FROM memory WHERE subject IN (SELECT subject FROM memory WHERE at < ?1 ORDER BY at LIMIT ?2)",
        before(MEMORY),
    )?;
    forget(
        "DELETE FROM configs WHERE hash IN (SELECT hash FROM configs WHERE at < ?1 LIMIT ?2)",
        before(keep.all.saturating_add(CONFIGS)),
    )?;
    // A body that is sent again is known as long as the request that it came by first.
    let bodies_seen = forget(
        "DELETE FROM memory WHERE subject IN (SELECT subject FROM memory INDEXED BY memory_bodies
             WHERE subject GLOB 'body:*' AND at < ?1 ORDER BY at LIMIT ?2)",
        before(keep.all),
    )?;
    let requests = requests(db, before(keep.all))?;
    Ok([bodies, dedupe, memory, bodies_seen, requests].contains(&STEP))
}

/// Forgets requests with all that came of them, unless something of it is still to be delivered.
fn requests(db: &Connection, before: Millis) -> rusqlite::Result<usize> {
    let old = "SELECT id FROM requests WHERE received_at < ?1 AND NOT EXISTS
                   (SELECT 1 FROM events JOIN deliveries ON deliveries.event = events.id
                    WHERE events.request = requests.id AND state IN ('waiting', 'parked', 'undecided'))
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
