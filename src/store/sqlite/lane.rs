//! SQL statements for lanes. Their rules are in [`LaneRecord`].

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::database::Database;
use super::former_ids::{FormerIds, number};
use super::queue;
use crate::store::{InDoubt, Lane, LaneRecord, LaneState, Lease};
use crate::time::Millis;

const COLUMNS: &str = "owner, lease_until, state, reason, help, since, next_at, pause, is_asked, marked";

fn record(db: &Connection, row: &Row<'_>) -> rusqlite::Result<LaneRecord> {
    let owner: String = row.get(0)?;
    let reason: Option<String> = row.get(3)?;
    let state = match row.get_ref(2)?.as_str()? {
        "closed" => LaneState::Closed { reason: reason.unwrap_or_default(), help: row.get(4)? },
        "paused" => LaneState::Paused { reason },
        _ => LaneState::Open,
    };
    Ok(LaneRecord {
        owner: Some(owner).filter(|owner| !owner.is_empty()),
        lease_until: row.get(1)?,
        state,
        since: row.get(5)?,
        next_at: row.get(6)?,
        pause: row.get::<_, Millis>(7)?.max(0),
        is_asked: row.get(8)?,
        marked: row.get::<_, Option<i64>>(9)?.map(|id| FormerIds::of(db)?.delivery(db, id)).transpose()?,
    })
}

/// Returns the record of a lane; `None` if nothing is known about the lane.
fn read(db: &Connection, lane: &Lane) -> rusqlite::Result<Option<LaneRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM lanes WHERE lane = ?1");
    db.prepare_cached(&sql)?.query_row([&lane.0], |row| record(db, row)).optional()
}

/// Returns the records of all lanes.
pub(super) fn all(db: &Connection) -> rusqlite::Result<BTreeMap<Lane, LaneRecord>> {
    let mut select = db.prepare_cached(&format!("SELECT {COLUMNS}, lane FROM lanes"))?;
    let rows = select.query_map([], |row| Ok((Lane(row.get(10)?), record(db, row)?)))?;
    rows.collect()
}

fn write(db: &Connection, lane: &Lane, record: &LaneRecord) -> rusqlite::Result<()> {
    let (state, reason, help) = match &record.state {
        LaneState::Open => ("open", None, None),
        LaneState::Closed { reason, help } => ("closed", Some(reason), help.as_ref()),
        LaneState::Paused { reason } => ("paused", reason.as_ref(), None),
    };
    let marked = record.marked.as_ref().map_or(Ok(None), |marked| number(db, marked.as_str()))?;
    let sql =
        "INSERT INTO lanes (lane, owner, lease_until, state, reason, help, since, next_at, pause, is_asked, marked)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
               ON CONFLICT (lane) DO UPDATE SET owner = ?2, lease_until = ?3, state = ?4, reason = ?5, help = ?6,
                   since = ?7, next_at = ?8, pause = ?9, is_asked = ?10, marked = ?11";
    db.prepare_cached(sql)?.execute(params![
        lane.0,
        record.owner.as_deref().unwrap_or_default(),
        record.lease_until,
        state,
        reason,
        help,
        record.since,
        record.next_at,
        record.pause,
        record.is_asked,
        marked,
    ])?;
    Ok(())
}

/// Applies a change to the record of a lane, and stores it if it differs.
pub(super) fn update<T>(
    db: &Connection,
    lane: &Lane,
    change: impl FnOnce(&mut LaneRecord) -> T,
) -> rusqlite::Result<T> {
    let before = read(db, lane)?.unwrap_or_default();
    let mut after = before.clone();
    let result = change(&mut after);
    if after != before {
        write(db, lane, &after)?;
    }
    Ok(result)
}

pub(super) fn lease(
    db: &mut Database,
    lane: &Lane,
    owner: &str,
    time: Duration,
    now: Millis,
) -> rusqlite::Result<Lease> {
    let mut last_owner = None;
    let (lease, in_doubt) = update(db, lane, |record| {
        last_owner.clone_from(&record.owner);
        record.lease(owner, time, now)
    })?;
    if let Some(in_doubt) = in_doubt {
        mark_unknown(db, lane, &in_doubt, &last_owner.unwrap_or_default(), now)?;
    }
    Ok(lease)
}

/// Reclaims a lane from an owner that has ended.
pub(super) fn reclaim(db: &mut Database, lane: &Lane, owner: &str, now: Millis) -> rusqlite::Result<()> {
    match update(db, lane, |record| record.reclaim(owner))? {
        Some(in_doubt) => mark_unknown(db, lane, &in_doubt, owner, now),
        None => Ok(()),
    }
}

/// Reclaims all lanes from owners that have ended.
pub(super) fn reclaim_all(db: &mut Database, now: Millis) -> rusqlite::Result<()> {
    for (lane, record) in all(db)? {
        if let Some(owner) = record.owner {
            reclaim(db, &lane, &owner, now)?;
        }
    }
    Ok(())
}

/// Adds an attempt with the outcome `unknown` to the message that `owner` left in doubt.
fn mark_unknown(db: &mut Database, lane: &Lane, in_doubt: &InDoubt, owner: &str, now: Millis) -> rusqlite::Result<()> {
    let doubted = match in_doubt {
        InDoubt::Marked(id) => number(db, id.as_str())?,
        InDoubt::Oldest => queue::oldest(db, lane)?,
    };
    doubted.map_or(Ok(()), |id| queue::mark_unknown(db, id, owner, now))
}

/// Deletes the lanes that no channel uses, unless they are kept.
pub(super) fn delete_unused(db: &Connection, used: &BTreeMap<crate::event::ChannelName, Lane>) -> rusqlite::Result<()> {
    for (lane, record) in all(db)? {
        if !record.is_kept() && used.values().all(|used| *used != lane) {
            db.prepare_cached("DELETE FROM lanes WHERE lane = ?1")?.execute([&lane.0])?;
        }
    }
    Ok(())
}
