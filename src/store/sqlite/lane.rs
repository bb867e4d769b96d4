//! SQL statements for lanes: their leases, their states, and messages that may have been in flight.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::event::DeliveryId;
use crate::store::{Lane, LaneState, Lease};
use crate::time::Millis;

/// Row of the table `lanes`.
pub(super) struct LaneRow {
    pub(super) owner: String,
    lease_until: Millis,
    state: String,
    next_at: Millis,
    pub(super) pause: Millis,
    is_asked: bool,
    pub(super) marked: Option<String>,
}

pub(super) fn lane_row(db: &Connection, lane: &Lane) -> rusqlite::Result<Option<LaneRow>> {
    let sql = "SELECT owner, lease_until, state, next_at, pause, is_asked, marked FROM lanes WHERE lane = ?1";
    let row = db.prepare_cached(sql)?.query_row([&lane.0], |row| {
        Ok(LaneRow {
            owner: row.get(0)?,
            lease_until: row.get(1)?,
            state: row.get(2)?,
            next_at: row.get(3)?,
            pause: row.get(4)?,
            is_asked: row.get(5)?,
            marked: row.get(6)?,
        })
    });
    row.optional()
}

pub(super) fn lease(db: &Connection, lane: &Lane, owner: &str, until: Millis, now: Millis) -> rusqlite::Result<Lease> {
    let row = lane_row(db, lane)?;
    if let Some(row) = &row {
        if row.state != "open" {
            return Ok(Lease::Shut);
        }
        let free = row.owner.is_empty() || row.owner == owner || row.lease_until <= now;
        if !free {
            return Ok(Lease::Taken);
        }
        if row.owner != owner {
            mark_unknown(db, lane, row, now)?;
        }
    }
    let sql = "INSERT INTO lanes (lane, owner, lease_until) VALUES (?1, ?2, ?3)
               ON CONFLICT (lane) DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until";
    db.prepare_cached(sql)?.execute(params![lane.0, owner, until])?;
    let (next_at, pause, is_asked) = row.map_or((0, 0, false), |row| (row.next_at, row.pause.max(0), row.is_asked));
    let wait = next_at.saturating_sub(now).clamp(0, pause);
    Ok(Lease::Held { wait: Duration::from_millis(wait.unsigned_abs()), failing: pause > 0, is_asked })
}

/// Reclaims a lane from an owner that has ended.
pub(super) fn reclaim(db: &Connection, lane: &Lane, owner: &str, now: Millis) -> rusqlite::Result<()> {
    if let Some(row) = lane_row(db, lane)?.filter(|row| row.owner == owner) {
        mark_unknown(db, lane, &row, now)?;
        release(db, lane, owner)?;
    }
    Ok(())
}

/// Reclaims all lanes from owners that have ended.
pub(super) fn reclaim_all(db: &Connection, now: Millis) -> rusqlite::Result<()> {
    let mut select = db.prepare("SELECT lane FROM lanes WHERE owner <> ''")?;
    let held = select.query_map([], |row| row.get(0).map(Lane))?.collect::<rusqlite::Result<Vec<_>>>()?;
    for lane in held {
        if let Some(row) = lane_row(db, &lane)? {
            reclaim(db, &lane, &row.owner, now)?;
        }
    }
    Ok(())
}

/// Adds an attempt with the outcome `unknown` to the message that may have been in flight, if the lane's last owner did
/// not release the lane: it may have sent the message without storing the result.
fn mark_unknown(db: &Connection, lane: &Lane, last: &LaneRow, now: Millis) -> rusqlite::Result<()> {
    // While a failing lane waits, nothing is in flight; it marks a message before sending it.
    if last.owner.is_empty() || (last.pause > 0 && last.marked.is_none()) {
        return Ok(());
    }
    let sql = "UPDATE deliveries SET attempts = attempts + 1
               WHERE seq = coalesce((SELECT seq FROM deliveries WHERE id = ?2),
                                    (SELECT min(seq) FROM deliveries WHERE lane = ?1 AND state = 'queued'))
                   AND state = 'queued'
               RETURNING id, attempts";
    let mut update = db.prepare_cached(sql)?;
    let doubted = update.query_row(params![lane.0, last.marked], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((id, n)): Option<(String, u32)> = doubted else { return Ok(()) };
    let response = "the process ended while this message may have been in flight; the chat may show it twice";
    let sql = "INSERT INTO attempts (delivery, n, at, duration_ms, outcome, response, node) VALUES (?1, ?2, ?3, 0, 'unknown', ?4, ?5)";
    db.prepare_cached(sql)?.execute(params![id, n, now, response, last.owner])?;
    Ok(())
}

pub(super) fn mark(db: &Connection, lane: &Lane, owner: &str, delivery: &DeliveryId) -> rusqlite::Result<()> {
    let sql = "UPDATE lanes SET marked = ?3 WHERE lane = ?1 AND owner = ?2";
    db.prepare_cached(sql)?.execute([&lane.0, owner, delivery.as_str()])?;
    Ok(())
}

pub(super) fn release(db: &Connection, lane: &Lane, owner: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE lanes SET owner = '', lease_until = 0, marked = NULL WHERE lane = ?1 AND owner = ?2";
    db.prepare_cached(sql)?.execute([&lane.0, owner])?;
    Ok(())
}

pub(super) fn set_lane(db: &Connection, lane: &Lane, state: &LaneState, now: Millis) -> rusqlite::Result<()> {
    let (state, reason, help, since) = match state {
        LaneState::Open => ("open", None, None, None),
        LaneState::Closed { reason, help } => ("closed", Some(reason), help.as_ref(), Some(now)),
        LaneState::Paused { reason } => ("paused", reason.as_ref(), None, Some(now)),
    };
    let sql =
        "INSERT INTO lanes (lane, owner, lease_until, state, reason, help, since) VALUES (?1, '', 0, ?2, ?3, ?4, ?5)
               ON CONFLICT (lane) DO UPDATE SET state = excluded.state, reason = excluded.reason,
                   help = excluded.help, since = excluded.since, next_at = 0, pause = 0, is_asked = 0";
    db.prepare_cached(sql)?.execute(params![lane.0, state, reason, help, since])?;
    Ok(())
}
