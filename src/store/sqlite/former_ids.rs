//! Ids as text. Rows of earlier versions keep the text that their ids had then.

use rusqlite::{Connection, OptionalExtension};

use crate::event::{DeliveryId, EventId, RequestId};

/// Prefixes of ids.
pub(super) const REQUEST: &str = "req_";
pub(super) const EVENT: &str = "evt_";
pub(super) const DELIVERY: &str = "dlv_";

/// Returns the number of an id; `None` if there can be no such row.
pub(super) fn number(db: &Connection, id: &str) -> rusqlite::Result<Option<i64>> {
    let number = match id.get(..4) {
        Some(REQUEST) => RequestId::from(id).number(),
        Some(EVENT) => EventId::from(id).number(),
        Some(DELIVERY) => DeliveryId::from(id).number(),
        _ => None,
    };
    match number {
        Some(number) => Ok(Some(number)),
        None => {
            let sql = "SELECT id FROM former_ids WHERE former = ?1";
            db.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()
        }
    }
}

/// Returns the numbers of ids, without those that can have no row.
pub(super) fn numbers<'a>(db: &Connection, ids: impl IntoIterator<Item = &'a str>) -> rusqlite::Result<Vec<i64>> {
    ids.into_iter().filter_map(|id| number(db, id).transpose()).collect()
}

/// Text forms of numbers.
#[derive(Clone, Copy)]
pub(super) struct FormerIds {
    /// `true` if any row has the id of an earlier version.
    is_any: bool,
}

impl FormerIds {
    pub(super) fn of(db: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT EXISTS (SELECT 1 FROM former_ids)";
        Ok(Self { is_any: db.prepare_cached(sql)?.query_row([], |row| row.get(0))? })
    }

    pub(super) fn request(self, db: &Connection, number: i64) -> rusqlite::Result<RequestId> {
        Ok(self.former(db, REQUEST, number)?.map_or_else(|| RequestId::numbered(number), Into::into))
    }

    pub(super) fn event(self, db: &Connection, number: i64) -> rusqlite::Result<EventId> {
        Ok(self.former(db, EVENT, number)?.map_or_else(|| EventId::numbered(number), Into::into))
    }

    pub(super) fn delivery(self, db: &Connection, number: i64) -> rusqlite::Result<DeliveryId> {
        Ok(self.former(db, DELIVERY, number)?.map_or_else(|| DeliveryId::numbered(number), Into::into))
    }

    fn former(self, db: &Connection, prefix: &str, number: i64) -> rusqlite::Result<Option<String>> {
        if !self.is_any {
            return Ok(None);
        }
        let sql = "SELECT former FROM former_ids WHERE prefix = ?1 AND id = ?2";
        db.prepare_cached(sql)?.query_row(rusqlite::params![prefix, number], |row| row.get(0)).optional()
    }
}
