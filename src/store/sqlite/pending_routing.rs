//! Events that were stored while the routing configuration was invalid. Each is stored as a delivery without a channel,
//! in the order of all deliveries, until it is routed.

use rusqlite::{Connection, params};

use super::query::{Shared, enqueue, json_of, whole};
use crate::store::{Decided, Ids, PendingEvent, RouteLater};
use crate::time::Millis;

pub(super) fn add(db: &Connection, ids: &Ids, decided: &Decided, now: Millis) -> rusqlite::Result<()> {
    let sql = "INSERT INTO deliveries (id, event, lane, channel, route, state, created_at)
               VALUES (?1, ?2, '', '', '', 'pending_routing', ?3)";
    let pending = decided.events.iter().filter(|event| event.decision.pending_routing);
    for (n, event) in pending.enumerate() {
        let id = ids.delivery(decided.deliveries.len() + n);
        db.prepare_cached(sql)?.execute(params![id.as_str(), event.id.as_str(), now])?;
    }
    Ok(())
}

/// Routes the oldest events, at most `limit`; returns their number.
pub(super) fn route_pending(db: &Connection, route_pending: &RouteLater, limit: usize) -> rusqlite::Result<usize> {
    let sql = "SELECT seq, events.id, source, received_at, json, same, request FROM deliveries
               JOIN events ON events.id = deliveries.event JOIN requests ON requests.id = events.request
               WHERE state = 'pending_routing' ORDER BY seq LIMIT ?1";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut select = db.prepare_cached(sql)?;
    let mut shared = Shared::default();
    let found = select.query_map([limit], |row| {
        let pending_routing = PendingEvent {
            event: row.get::<_, String>(1)?.into(),
            request: row.get::<_, String>(6)?.into(),
            source: row.get::<_, String>(2)?.into(),
            received_at: row.get(3)?,
            json: whole(row.get_ref(4)?.as_str()?, shared.json(db, row.get(5)?)?),
        };
        Ok((row.get::<_, i64>(0)?, pending_routing))
    })?;
    let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
    let count = found.len();
    let mut deliveries = vec![];
    for (seq, pending_routing) in found {
        let (event, at) = (pending_routing.event.clone(), pending_routing.received_at);
        let routed_later = route_pending(pending_routing, &Ids::fresh());
        deliveries.extend(routed_later.deliveries.into_iter().map(|delivery| (at, delivery)));
        db.prepare_cached("UPDATE events SET decision = ?2 WHERE id = ?1")?
            .execute([event.as_str(), &json_of(&routed_later.decision)])?;
        db.prepare_cached("DELETE FROM deliveries WHERE seq = ?1")?.execute([seq])?;
    }
    // The deliveries of one request have the same time, so that they may join.
    for chunk in deliveries.chunk_by(|(one, _), (other, _)| one == other) {
        let at = chunk.first().map_or(0, |(at, _)| *at);
        enqueue(db, chunk.iter().map(|(_, delivery)| delivery.clone()).collect(), at)?;
    }
    Ok(count)
}
