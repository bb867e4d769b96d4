//! Queued deliveries: how they are added, read, and finished.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::database::Database;
use super::former_ids::{FormerIds, number};
use super::lane;
use super::record::Records;
use super::state::{Code, DEAD, PENDING_ROUTING, QUEUED};
use crate::chat::MessageRef;
use crate::event::{ChannelName, DeliveryId, Ref};
use crate::message::Style;
use crate::store::{Attempt, Delivery, Finished, Lane, NewDelivery, NextState, State, StoredDecision, Turn, joined};
use crate::template::Context;
use crate::time::Millis;

/// What a new row has besides a [`NewDelivery`].
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) event: i64,
    pub(super) state: Code,
    pub(super) created_at: Millis,
    /// `true` if the delivery is not created together with its event.
    pub(super) is_added: bool,
}

/// Adds a delivery at the end of its lane; returns the id of the channel's name.
pub(super) fn insert(db: &mut Database, entry: &Entry, new: &NewDelivery) -> rusqlite::Result<i64> {
    let (channel, route) = (db.name(new.channel.as_str())?, db.name(&new.route)?);
    let template = new.template.as_deref().map(|name| db.name(name)).transpose()?;
    let style = new.style.map(|style| db.name(style.as_str())).transpose()?;
    let replay_of = new.replay_of.as_ref().map_or(Ok(None), |repeated| number(db, repeated.as_str()))?;
    let sql = "INSERT INTO deliveries
                   (id, event, state, channel, route, template, style, created_at, is_added, replay_of, more)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let Entry { id, event, state, created_at, is_added } = entry;
    let more = new.also.len();
    db.prepare_cached(sql)?
        .execute(params![id, event, state, channel, route, template, style, created_at, is_added, replay_of, more])?;
    for (n, event) in new.also.iter().enumerate() {
        let sql = "INSERT INTO delivery_events (delivery, n, event) VALUES (?1, ?2, ?3)";
        db.prepare_cached(sql)?.execute(params![id, n, number(db, event.as_str())?.unwrap_or_default()])?;
    }
    Ok(channel)
}

/// Adds deliveries of stored events at the end of their lanes, unless their event no longer exists. Returns their ids,
/// and the lanes with new messages.
pub(super) fn enqueue(
    db: &mut Database,
    deliveries: &[NewDelivery],
    created_at: Millis,
    now: Millis,
) -> rusqlite::Result<(Vec<DeliveryId>, BTreeSet<Lane>)> {
    let (mut ids, mut lanes) = (vec![], BTreeSet::new());
    for new in joined(deliveries.to_vec()) {
        let id = db.numbers.next(now);
        db.numbers.use_up_to(id);
        ids.push(DeliveryId::numbered(id));
        let Some(event) = number(db, new.event.as_str())? else { continue };
        if !db.prepare_cached("SELECT 1 FROM events WHERE id = ?1")?.exists([event])? {
            continue;
        }
        let channel = insert(db, &Entry { id, event, state: QUEUED, created_at, is_added: true }, &new)?;
        lanes.extend(db.lane_of(channel)?);
        if let Some(repeated) = &new.replay_of {
            // Only a parked one.
            let sql = "UPDATE deliveries SET state = ?3, reason = 'sent again as ' || ?2 WHERE id = ?1 AND state = 2
                       AND (SELECT lane FROM channels WHERE id = deliveries.channel) IS NULL";
            let row = params![number(db, repeated.as_str())?, ids.last().map(DeliveryId::as_str), DEAD];
            db.prepare_cached(sql)?.execute(row)?;
        }
    }
    Ok((ids, lanes))
}

/// Assigns lanes to channels. Messages need not be touched: they belong to their channel.
pub(super) fn assign(db: &mut Database, lanes: &BTreeMap<ChannelName, Lane>) -> rusqlite::Result<()> {
    db.unassign()?;
    for (channel, lane) in lanes {
        let id = db.name(channel.as_str())?;
        db.set_lane_of(id, lane)?;
    }
    lane::delete_unused(db, lanes)
}

/// Maximum size of the events that are read ahead for one lane, in bytes; a single event may be larger.
const MAX_HEAD_BYTES: usize = 256 * 1024;

/// Approximate size of a ref in a message's event, in bytes.
const BYTES_OF_REF: usize = 500;

/// Returns the queued messages of a lane, oldest first: those of its channels, merged by id.
pub(super) fn heads(db: &Connection, lane: &Lane, limit: usize) -> rusqlite::Result<Vec<Delivery>> {
    let sql =
        "SELECT deliveries.id, deliveries.event, events.request, channel.name, template.name, style.name, created_at,
                   attempts, strikes, more
               FROM deliveries JOIN events ON events.id = deliveries.event
               JOIN names AS channel ON channel.id = deliveries.channel
               LEFT JOIN names AS template ON template.id = deliveries.template
               LEFT JOIN names AS style ON style.id = deliveries.style
               WHERE deliveries.id = ?1";
    let mut select = db.prepare_cached(sql)?;
    let (mut heads, mut bytes, mut records, former) = (vec![], 0, Records::default(), FormerIds::of(db)?);
    for id in first_ids(db, lane, limit)? {
        let read = select.query_row([id], |row| {
            let (event, request) = (row.get(1)?, row.get(2)?);
            let Some(found) = records.event(db, request, event)? else { return Ok(None) };
            let (mut size, mut content) = (found.json().len(), found.value());
            if row.get::<_, usize>(9)? > 0 {
                let json = found.json().to_owned();
                let refs = refs(db, &mut records, id, &json)?;
                size += refs.len() * BYTES_OF_REF;
                content["refs"] = serde_json::to_value(refs).unwrap_or_default();
            }
            Ok(Some(Delivery {
                id: former.delivery(db, id)?,
                event_id: former.event(db, event)?,
                channel: row.get::<_, String>(3)?.into(),
                template: row.get(4)?,
                style: row.get_ref(5)?.as_str_or_null()?.and_then(Style::parse),
                event: Arc::new(Context::new(content)),
                size,
                created_at: row.get(6)?,
                attempts: row.get(7)?,
                strikes: row.get(8)?,
            }))
        });
        let Some(head) = read.optional()?.flatten() else { continue };
        bytes += head.size;
        if bytes > MAX_HEAD_BYTES && !heads.is_empty() {
            break;
        }
        heads.push(head);
    }
    Ok(heads)
}

/// Returns the ids of the oldest queued messages of a lane.
fn first_ids(db: &Connection, lane: &Lane, limit: usize) -> rusqlite::Result<Vec<i64>> {
    let mut channels = db.prepare_cached("SELECT id FROM channels WHERE lane = ?1")?;
    let mut select =
        db.prepare_cached("SELECT id FROM deliveries WHERE state = 2 AND channel = ?1 ORDER BY id LIMIT ?2")?;
    let mut ids: Vec<i64> = vec![];
    for channel in channels.query_map([&lane.0], |row| row.get::<_, i64>(0))? {
        let of_channel = select.query_map(params![channel?, limit], |row| row.get(0))?;
        ids.extend(of_channel.collect::<rusqlite::Result<Vec<i64>>>()?);
    }
    ids.sort_unstable();
    ids.truncate(limit);
    Ok(ids)
}

/// Returns the id of the oldest queued message of a lane.
pub(super) fn oldest(db: &Connection, lane: &Lane) -> rusqlite::Result<Option<i64>> {
    Ok(first_ids(db, lane, 1)?.first().copied())
}

/// Returns the refs in a delivery's message: the ref of its own event, and those of the further events.
fn refs(db: &Connection, records: &mut Records, delivery: i64, first: &str) -> rusqlite::Result<Vec<Ref>> {
    let sql = "SELECT request, event FROM delivery_events JOIN events ON events.id = delivery_events.event
               WHERE delivery = ?1 ORDER BY delivery_events.n";
    let mut refs: Vec<_> = Ref::of_event_json(first).into_iter().collect();
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query([delivery])?;
    while let Some(row) = rows.next()? {
        let found = records.event(db, row.get(0)?, row.get(1)?)?;
        refs.extend(found.and_then(|event| Ref::of_event_json(event.json())));
    }
    Ok(refs)
}

/// Stores the results of a turn. `bodies` are the bodies that its attempts sent, compressed.
pub(super) fn finish(
    db: &mut Database,
    lane: &Lane,
    owner: &str,
    turn: &Turn,
    bodies: &[Option<Vec<u8>>],
    now: Millis,
) -> rusqlite::Result<bool> {
    if !lane::update(db, lane, |record| record.finish(owner, turn, now))? {
        return Ok(false);
    }
    for (finished, body) in turn.finished.iter().zip(bodies) {
        finish_one(db, owner, finished, body.as_deref())?;
    }
    Ok(true)
}

fn finish_one(db: &mut Database, owner: &str, finished: &Finished, body: Option<&[u8]>) -> rusqlite::Result<()> {
    let Some(id) = number(db, finished.delivery.as_str())? else { return Ok(()) };
    let (state, message, reason, strike) = match &finished.next {
        NextState::Delivered { message } => (State::Delivered, message.as_ref().map(MessageRef::as_str), None, false),
        NextState::Accepted => (State::Accepted, None, None, false),
        NextState::Skipped { why } => (State::Skipped, None, Some(why.as_str()), false),
        NextState::Dead { why } => (State::Dead, None, why.as_deref(), false),
        NextState::Suspect { why } => (State::Suspect, None, Some(why.as_str()), false),
        NextState::Queued { strike } => (State::Queued, None, None, *strike),
    };
    let code = Code::of(state);
    let tried = finished.attempt.is_some();
    let sql = "UPDATE deliveries SET state = ?2, reason = ?3, strikes = strikes + ?4, attempts = attempts + ?5,
                   template_error = coalesce(?6, template_error)
               WHERE id = ?1 AND state = 2";
    let row = params![id, code, reason, strike, tried, finished.template_error];
    let was_queued = db.prepare_cached(sql)?.execute(row)? > 0;
    let Some(Attempt { at, duration_ms, outcome, status, response, .. }) = &finished.attempt else { return Ok(()) };
    if !was_queued {
        // The delivery was dropped in the meantime; the result of the attempt still counts.
        let sql = "UPDATE deliveries SET attempts = attempts + 1, state = CASE WHEN ?2 THEN ?3 ELSE state END
                   WHERE id = ?1";
        db.prepare_cached(sql)?.execute(params![id, finished.next.is_sent(), code])?;
    }
    let Some(n) = attempts(db, id)? else { return Ok(()) };
    let (outcome, node) = (db.name(outcome.as_str())?, db.name(owner)?);
    let sql = "INSERT INTO attempts (delivery, n, at, duration_ms, outcome, status, response, node, message_id, body)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    db.prepare_cached(sql)?.execute(params![id, n, at, duration_ms, outcome, status, response, node, message, body])?;
    Ok(())
}

/// Returns the number of attempts of a delivery. A query of its own: `RETURNING` would make SQLite fill a table in memory.
fn attempts(db: &Connection, id: i64) -> rusqlite::Result<Option<u32>> {
    db.prepare_cached("SELECT attempts FROM deliveries WHERE id = ?1")?.query_row([id], |row| row.get(0)).optional()
}

/// Ends deliveries; returns those that had not ended, and their lanes.
pub(super) fn give_up(
    db: &mut Database,
    ids: &[DeliveryId],
    why: &str,
) -> rusqlite::Result<(Vec<DeliveryId>, BTreeSet<Lane>)> {
    let (mut given_up, mut lanes) = (vec![], BTreeSet::new());
    for id in ids {
        let Some(number) = number(db, id.as_str())? else { continue };
        let sql = "SELECT deliveries.channel, state, event, request FROM deliveries
                   JOIN events ON events.id = deliveries.event
                   WHERE deliveries.id = ?1 AND state IN (?2, ?3)";
        let found = db.prepare_cached(sql)?.query_row(params![number, QUEUED, PENDING_ROUTING], |row| {
            Ok((row.get(0)?, row.get::<_, Code>(1)?, row.get(2)?, row.get(3)?))
        });
        let Some((channel, state, event, request)) = found.optional()? else { continue };
        if state == PENDING_ROUTING {
            // A dropped event is never routed automatically.
            let dropped = Some(format!("{why} before it was routed"));
            let decision = StoredDecision { dropped, ..StoredDecision::default() };
            Records::default().decide(db, (request, event), &decision)?;
        }
        let sql = "UPDATE deliveries SET state = ?2, reason = ?3 WHERE id = ?1";
        db.prepare_cached(sql)?.execute(params![number, DEAD, why])?;
        given_up.push(id.clone());
        lanes.extend(db.lane_of(channel)?);
    }
    Ok((given_up, lanes))
}

/// Adds an attempt with the outcome `unknown` to a queued message that `owner` left in doubt.
pub(super) fn mark_unknown(db: &mut Database, id: i64, owner: &str, now: Millis) -> rusqlite::Result<()> {
    let sql = "UPDATE deliveries SET attempts = attempts + 1 WHERE id = ?1 AND state = 2";
    if db.prepare_cached(sql)?.execute([id])? == 0 {
        return Ok(());
    }
    let Some(n) = attempts(db, id)? else { return Ok(()) };
    let response = "the process ended while this message may have been in flight; the chat may show it twice";
    let (outcome, node) = (db.name("unknown")?, db.name(owner)?);
    let sql = "INSERT INTO attempts (delivery, n, at, duration_ms, outcome, response, node)
               VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6)";
    db.prepare_cached(sql)?.execute(params![id, n, now, outcome, response, node])?;
    Ok(())
}
