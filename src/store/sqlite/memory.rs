//! Last known states of subjects.

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use crate::memory::Memory;
use crate::time::Millis;

/// Returns a hash of a text, as the key of a row. The row has the text too.
pub(super) fn hash(text: &str) -> i64 {
    let digest = Sha256::digest(text.as_bytes());
    digest[..8].iter().fold(0, |hash, byte| hash << 8 | i64::from(*byte))
}

pub(super) fn read(db: &Connection, subjects: &[String]) -> rusqlite::Result<Memory> {
    let mut memory = Memory::new();
    let mut select = db.prepare_cached("SELECT state FROM memory WHERE hash = ?1 AND subject = ?2")?;
    for subject in subjects {
        let row = params![hash(subject), subject];
        let state = select.query_row(row, |row| Ok(serde_json::from_str(row.get_ref(0)?.as_str()?).ok())).optional()?;
        // A state that is not valid JSON counts as missing.
        if let Some(state) = state.flatten() {
            memory.insert(subject.clone(), state);
        }
    }
    Ok(memory)
}

pub(super) fn write(db: &Connection, memory: &Memory, at: Millis) -> rusqlite::Result<()> {
    let mut insert =
        db.prepare_cached("INSERT OR REPLACE INTO memory (hash, subject, state, at) VALUES (?1, ?2, ?3, ?4)")?;
    for (subject, state) in memory {
        insert.execute(params![hash(subject), subject, state.to_string(), at])?;
    }
    Ok(())
}

/// Deletes the states that did not change since `before`, of at most `limit` rows from `position` on. Returns the
/// position after them; the lowest one after the last row. No index finds old rows, because each change of a state would
/// have to change it too.
pub(super) fn sweep(db: &Connection, position: i64, limit: usize, before: Millis) -> rusqlite::Result<i64> {
    let sql = "SELECT max(hash), count(*) FROM (SELECT hash FROM memory WHERE hash > ?1 ORDER BY hash LIMIT ?2)";
    let (last, count): (Option<i64>, usize) =
        db.prepare_cached(sql)?.query_row(params![position, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(last) = last else { return Ok(i64::MIN) };
    let sql = "DELETE FROM memory WHERE hash > ?1 AND hash <= ?2 AND at < ?3";
    db.prepare_cached(sql)?.execute([position, last, before])?;
    Ok(if count < limit { i64::MIN } else { last })
}

/// Subject of a probe; no source has such a name.
const PROBE: &str = " probe";

/// Writes a probe of this size.
pub(super) fn insert_probe(db: &Connection, bytes: usize) -> rusqlite::Result<()> {
    let probe = Memory::from([(PROBE.to_owned(), "0".repeat(bytes).into())]);
    write(db, &probe, 0)
}

/// Deletes the probe.
pub(super) fn remove_probe(db: &Connection) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM memory WHERE hash = ?1")?.execute([hash(PROBE)]).map(|_| ())
}
