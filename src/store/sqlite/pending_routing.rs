//! Events that were stored while the routing configuration was invalid. Each is stored as a delivery without a channel,
//! in the order of all deliveries, until it is routed.

use rusqlite::params;

use super::database::Database;
use super::queue::{Entry, enqueue};
use super::record::Records;
use crate::store::{PendingEvent, RouteLater};
use crate::time::Millis;

/// Adds the row of an event. Its channel and its route have an empty name.
pub(super) fn insert(db: &mut Database, entry: &Entry) -> rusqlite::Result<()> {
    let nothing = db.name("")?;
    let sql = "INSERT INTO deliveries (id, event, state, channel, route, created_at) VALUES (?1, ?2, ?3, ?4, ?4, ?5)";
    let Entry { id, event, state, created_at, .. } = entry;
    db.prepare_cached(sql)?.execute(params![id, event, state, nothing, created_at])?;
    Ok(())
}

/// Routes the oldest events, at most `limit`; returns their number.
pub(super) fn route_pending(
    db: &mut Database,
    route_pending: &RouteLater,
    limit: usize,
    now: Millis,
) -> rusqlite::Result<usize> {
    let found = oldest(db, limit)?;
    let mut records = Records::default();
    let mut deliveries = vec![];
    for (id, request, event) in &found {
        let sql = "SELECT name, received_at FROM requests JOIN names ON names.id = source WHERE requests.id = ?1";
        let of = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?));
        let (source, received_at) = db.prepare_cached(sql)?.query_row([request], of)?;
        let json = records.event(db, *request, *event)?.map(super::record::RecordedEvent::value).unwrap_or_default();
        let pending = PendingEvent {
            event: db.former.event(db, *event)?,
            request: db.former.request(db, *request)?,
            source: source.into(),
            received_at,
            json,
        };
        let routed = route_pending(pending);
        deliveries.extend(routed.deliveries.into_iter().map(|delivery| (received_at, delivery)));
        records.decide(db, (*request, *event), &routed.decision)?;
        db.prepare_cached("DELETE FROM deliveries WHERE id = ?1")?.execute([id])?;
    }
    // The deliveries of one request have the same time, so that they may join.
    for chunk in deliveries.chunk_by(|(one, _), (other, _)| one == other) {
        let at = chunk.first().map_or(0, |(at, _)| *at);
        let of_request: Vec<_> = chunk.iter().map(|(_, delivery)| delivery.clone()).collect();
        enqueue(db, &of_request, at, now)?;
    }
    Ok(found.len())
}

/// Returns the ids of the oldest pending deliveries, with those of their request and event.
fn oldest(db: &Database, limit: usize) -> rusqlite::Result<Vec<(i64, i64, i64)>> {
    let sql = "SELECT deliveries.id, request, event FROM deliveries JOIN events ON events.id = deliveries.event
               WHERE state = 8 ORDER BY deliveries.id LIMIT ?1";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut select = db.prepare_cached(sql)?;
    select.query_map([limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
}
