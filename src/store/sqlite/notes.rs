//! Rules that decisions refer to, and rejected requests.

use rusqlite::{Connection, params};

use crate::store::{MAX_REJECTED, RejectedRequest};
use crate::time::Millis;

pub(super) fn keep_config(db: &Connection, hash: &str, text: &str, now: Millis) -> rusqlite::Result<()> {
    let sql = "INSERT INTO configs (hash, text, at) VALUES (?1, ?2, ?3) ON CONFLICT (hash) DO UPDATE SET at = ?3";
    db.prepare_cached(sql)?.execute(params![hash, text, now])?;
    Ok(())
}

pub(super) fn add_rejected(db: &Connection, rejected: &[RejectedRequest]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO rejected (at, source, client, key, reason) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut insert = db.prepare_cached(sql)?;
    for request in rejected {
        insert.execute(params![request.at, request.source.as_str(), request.client, request.key, request.reason])?;
    }
    let sql = "DELETE FROM rejected WHERE n <= (SELECT max(n) FROM rejected) - ?1";
    db.prepare_cached(sql)?.execute([MAX_REJECTED])?;
    Ok(())
}
