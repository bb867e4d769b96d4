//! SQL statements of the service.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::lane;
use super::pending_routing;
use crate::chat::MessageRef;
use crate::event::{ChannelName, DeliveryId, EventId, Ref, RequestId, SCHEMA_VERSION};
use crate::memory::Memory;
use crate::message::Style;
use crate::store::{
    Accepted, Attempt, Decide, Decided, Delivery, Duplicate, Finished, Ids, Lane, MAX_REJECTED, NewDelivery,
    NewRequest, NextState, Receipt, RejectedRequest, StoredDecision, Turn, joined,
};
use crate::time::Millis;

pub(super) fn accept(
    db: &Connection,
    request: &NewRequest,
    body: &[u8],
    ids: &Ids,
    decide: &Decide,
) -> rusqlite::Result<Accepted> {
    let hook = request.hook.as_deref().unwrap_or_default();
    if let Some(key) = &request.key {
        // A join would be planned again each time.
        let seen = "SELECT id, receipt FROM requests
                    WHERE id = (SELECT request FROM dedupe WHERE source = ?1 AND hook = ?2 AND key = ?3)";
        let mut seen = db.prepare_cached(seen)?;
        if let Some(receipt) = seen.query_row(params![request.source.as_str(), hook, key], receipt).optional()? {
            return Ok(Accepted::Duplicate { receipt });
        }
    }
    let mut memory = remembered(db, &request.subjects)?;
    let mut decided = decide(&memory, ids);
    if let Some(Duplicate { request: earlier, subject }) = &decided.duplicate_of {
        let mut select = db.prepare_cached("SELECT id, receipt FROM requests WHERE id = ?1")?;
        if let Some(receipt) = select.query_row([earlier.as_str()], receipt).optional()? {
            return Ok(Accepted::Duplicate { receipt });
        }
        memory.remove(subject);
        decided = decide(&memory, ids);
    }
    let id = ids.request();
    insert_request(db, &id, request, body, &decided.receipt)?;
    if let Some(key) = &request.key {
        let sql = "INSERT INTO dedupe (source, hook, key, request, received_at) VALUES (?1, ?2, ?3, ?4, ?5)";
        let row = params![request.source.as_str(), hook, key, id.as_str(), request.received_at];
        db.prepare_cached(sql)?.execute(row)?;
    }
    insert_events(db, &id, &decided)?;
    pending_routing::add(db, ids, &decided, request.received_at)?;
    remember(db, &decided.memory, request.received_at)?;
    let lanes = decided.deliveries.iter().map(|delivery| delivery.lane.clone()).collect();
    enqueue(db, decided.deliveries, request.received_at)?;
    Ok(Accepted::Stored { receipt: decided.receipt, lanes })
}

/// Reads the columns `id` and `receipt`. Of a receipt that cannot be read, only the id of the request is left.
fn receipt(row: &Row<'_>) -> rusqlite::Result<Receipt> {
    let id: String = row.get(0)?;
    Ok(serde_json::from_str(row.get_ref(1)?.as_str()?).unwrap_or_else(|_| Receipt::empty(id.into())))
}

fn insert_request(
    db: &Connection,
    id: &RequestId,
    request: &NewRequest,
    body: &[u8],
    receipt: &Receipt,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO requests (id, source, hook, received_at, headers, body, receipt)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    db.prepare_cached(sql)?.execute(params![
        id.as_str(),
        request.source.as_str(),
        request.hook,
        request.received_at,
        request.headers.to_string(),
        body,
        serde_json::to_string(receipt).unwrap_or_default(),
    ])?;
    Ok(())
}

fn insert_events(db: &Connection, request: &RequestId, decided: &Decided) -> rusqlite::Result<()> {
    let sql = "INSERT INTO events (id, request, n, kind, repository, subject, schema, json, decision, same)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let mut insert = db.prepare_cached(sql)?;
    for (n, event) in decided.events.iter().enumerate() {
        insert.execute(params![
            event.id.as_str(),
            request.as_str(),
            n,
            event.kind,
            event.repository,
            event.subject,
            SCHEMA_VERSION,
            event.json,
            json_of(&event.decision),
            event.same.as_ref().map(EventId::as_str),
        ])?;
    }
    Ok(())
}

/// Adds deliveries at the end of their lanes.
pub(super) fn enqueue(db: &Connection, deliveries: Vec<NewDelivery>, now: Millis) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO deliveries (id, event, lane, channel, route, template, style, state, created_at, replay_of, more)
               SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, 'queued', ?8, ?9, ?10
               WHERE EXISTS (SELECT 1 FROM events WHERE id = ?2)";
    let mut insert = db.prepare_cached(sql)?;
    let sql =
        "UPDATE deliveries SET state = 'dead', reason = 'sent again as ' || ?2 WHERE id = ?1 AND state = 'parked'";
    let mut end = db.prepare_cached(sql)?;
    for delivery in joined(deliveries) {
        insert.execute(params![
            delivery.id.as_str(),
            delivery.event.as_str(),
            delivery.lane.0,
            delivery.channel.as_str(),
            delivery.route,
            delivery.template,
            delivery.style.map(Style::as_str),
            now,
            delivery.replay_of.as_ref().map(DeliveryId::as_str),
            delivery.also.len(),
        ])?;
        for (n, event) in delivery.also.iter().enumerate() {
            let sql = "INSERT INTO delivery_events (delivery, n, event) VALUES (?1, ?2, ?3)";
            db.prepare_cached(sql)?.execute(params![delivery.id.as_str(), n, event.as_str()])?;
        }
        if let Some(repeated) = &delivery.replay_of {
            end.execute([repeated.as_str(), delivery.id.as_str()])?;
        }
    }
    Ok(())
}

pub(super) fn remembered(db: &Connection, subjects: &[String]) -> rusqlite::Result<Memory> {
    let mut memory = Memory::new();
    let mut select = db.prepare_cached("SELECT state FROM memory WHERE subject = ?1")?;
    for subject in subjects {
        let state: Option<String> = select.query_row([subject], |row| row.get(0)).optional()?;
        // A state that is not valid JSON counts as missing.
        if let Some(state) = state.and_then(|text| serde_json::from_str(&text).ok()) {
            memory.insert(subject.clone(), state);
        }
    }
    Ok(memory)
}

fn remember(db: &Connection, memory: &Memory, at: Millis) -> rusqlite::Result<()> {
    let sql = "INSERT INTO memory (subject, state, at) VALUES (?1, ?2, ?3)
               ON CONFLICT (subject) DO UPDATE SET state = excluded.state, at = excluded.at";
    let mut upsert = db.prepare_cached(sql)?;
    for (subject, state) in memory {
        upsert.execute(params![subject, state.to_string(), at])?;
    }
    Ok(())
}

pub(super) fn assign(db: &Connection, lanes: &BTreeMap<ChannelName, Lane>) -> rusqlite::Result<()> {
    for (channel, lane, state) in unfinished(db)? {
        let now = lanes.get(&ChannelName::from(channel.as_str()));
        let (to_lane, to_state) = now.map_or((lane.as_str(), "parked"), |now| (now.0.as_str(), "queued"));
        if (to_lane, to_state) != (lane.as_str(), state.as_str()) {
            db.execute(
                "UPDATE deliveries SET lane = ?4, state = ?5
                 WHERE state IN ('queued', 'parked') AND channel = ?1 AND lane = ?2 AND state = ?3",
                [&channel, &lane, &state, to_lane, to_state],
            )?;
        }
    }
    lane::delete_unused(db, lanes)
}

pub(super) fn keep_config(db: &Connection, hash: &str, text: &str, now: Millis) -> rusqlite::Result<()> {
    let sql = "INSERT INTO configs (hash, text, at) VALUES (?1, ?2, ?3) ON CONFLICT (hash) DO UPDATE SET at = ?3";
    db.prepare_cached(sql)?.execute(params![hash, text, now])?;
    Ok(())
}

/// Returns the channels with unfinished messages, with their lanes and states. The query skips from one combination to
/// the next in the index, so a million messages cost no more than one.
fn unfinished(db: &Connection) -> rusqlite::Result<Vec<(String, String, String)>> {
    let sql = "SELECT channel, lane, state FROM deliveries
               WHERE state IN ('queued', 'parked') AND (channel, lane, state) > (?1, ?2, ?3)
               ORDER BY channel, lane, state LIMIT 1";
    let mut select = db.prepare(sql)?;
    let mut found: Vec<(String, String, String)> = vec![];
    loop {
        let last = found.last().cloned().unwrap_or_default();
        let next = select.query_row([last.0, last.1, last.2], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        match next.optional()? {
            Some(next) => found.push(next),
            None => return Ok(found),
        }
    }
}

/// Memory subject of a probe; no source has such a name.
const PROBE: &str = " probe";

/// Writes a probe of this size.
pub(super) fn insert_probe(db: &Connection, bytes: usize) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO memory (subject, state, at) VALUES (?1, ?2, 0)";
    db.prepare_cached(sql)?.execute([PROBE, &"0".repeat(bytes)]).map(|_| ())
}

/// Deletes the probe.
pub(super) fn remove_probe(db: &Connection) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM memory WHERE subject = ?1")?.execute([PROBE]).map(|_| ())
}

/// Actor and repository that the events of one request share, of the last request that was read.
#[derive(Default)]
pub(super) struct Shared(Option<(String, String)>);

impl Shared {
    /// Returns the JSON of the event that stores them.
    pub(super) fn json(&mut self, db: &Connection, same: Option<String>) -> rusqlite::Result<Option<&str>> {
        let Some(same) = same else { return Ok(None) };
        if self.0.as_ref().is_none_or(|(known, _)| *known != same) {
            let mut select = db.prepare_cached("SELECT json FROM events WHERE id = ?1")?;
            let json = select.query_row([&same], |row| row.get(0)).optional()?;
            self.0 = json.map(|json| (same, json));
        }
        Ok(self.0.as_ref().map(|(_, json)| json.as_str()))
    }
}

/// Returns an event as templates see it, from its JSON and that of the event that stores its actor and repository.
pub(super) fn whole(json: &str, same: Option<&str>) -> Value {
    let mut event: Value = serde_json::from_str(json).unwrap_or(Value::Null);
    if let Some(same) = same
        && let Ok(same) = serde_json::from_str::<Value>(same)
    {
        for part in ["actor", "repository"] {
            event[part] = same[part].clone();
        }
    }
    event
}

/// Reads a style; `None` if the channel's applies.
pub(super) fn style(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Style>> {
    Ok(row.get_ref(column)?.as_str_or_null()?.and_then(Style::parse))
}

/// Maximum size of the events that are read ahead for one lane, in bytes; a single event may be larger.
const MAX_HEAD_BYTES: usize = 256 * 1024;

pub(super) fn heads(db: &Connection, lane: &Lane, limit: usize) -> rusqlite::Result<Vec<Delivery>> {
    let sql =
        "SELECT deliveries.id, event, channel, template, style, events.json, created_at, attempts, strikes, same, more
               FROM deliveries JOIN events ON events.id = deliveries.event
               WHERE lane = ?1 AND state = 'queued' ORDER BY seq LIMIT ?2";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query(params![lane.0, limit])?;
    let (mut heads, mut bytes, mut shared) = (vec![], 0, Shared::default());
    while let Some(row) = rows.next()? {
        let json = row.get_ref(5)?.as_str()?;
        let same = shared.json(db, row.get(9)?)?;
        let id: String = row.get(0)?;
        let mut event = whole(json, same);
        let mut size = json.len() + same.map_or(0, str::len);
        if row.get::<_, usize>(10)? > 0 {
            let refs = refs(db, &id, json)?;
            size += refs.len() * BYTES_OF_REF;
            event["refs"] = serde_json::to_value(refs).unwrap_or_default();
        }
        bytes += size;
        if bytes > MAX_HEAD_BYTES && !heads.is_empty() {
            break;
        }
        heads.push(Delivery {
            id: id.into(),
            event_id: row.get::<_, String>(1)?.into(),
            channel: row.get::<_, String>(2)?.into(),
            template: row.get(3)?,
            style: style(row, 4)?,
            event,
            size,
            created_at: row.get(6)?,
            attempts: row.get(7)?,
            strikes: row.get(8)?,
        });
    }
    Ok(heads)
}

/// Approximate size of a ref in a message's event, in bytes.
const BYTES_OF_REF: usize = 500;

/// Returns the refs in a delivery's message: the ref of its own event, and those of the further events.
fn refs(db: &Connection, delivery: &str, first: &str) -> rusqlite::Result<Vec<Ref>> {
    let sql = "SELECT json FROM delivery_events JOIN events ON events.id = delivery_events.event
               WHERE delivery = ?1 ORDER BY delivery_events.n";
    let mut refs: Vec<_> = Ref::of_event_json(first).into_iter().collect();
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query([delivery])?;
    while let Some(row) = rows.next()? {
        refs.extend(Ref::of_event_json(row.get_ref(0)?.as_str()?));
    }
    Ok(refs)
}

/// Stores the results of a turn. `bodies` are the bodies that its attempts sent, compressed.
pub(super) fn finish(
    db: &Connection,
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

fn finish_one(db: &Connection, owner: &str, finished: &Finished, body: Option<&[u8]>) -> rusqlite::Result<()> {
    let id = finished.delivery.as_str();
    let (state, message_id, why, strike) = match &finished.next {
        NextState::Delivered { message } => ("delivered", message.as_ref().map(MessageRef::as_str), None, false),
        NextState::Accepted => ("accepted", None, None, false),
        NextState::Skipped { why } => ("skipped", None, Some(why.as_str()), false),
        NextState::Dead { why } => ("dead", None, why.as_deref(), false),
        NextState::Suspect { why } => ("suspect", None, Some(why.as_str()), false),
        NextState::Queued { strike } => ("queued", None, None, *strike),
    };
    let tried = finished.attempt.is_some();
    let sql = "UPDATE deliveries SET state = ?2, message_id = ?3, reason = ?4, strikes = strikes + ?5,
                   attempts = attempts + ?6, body = coalesce(?7, body), template_error = coalesce(?8, template_error)
               WHERE id = ?1 AND state = 'queued' RETURNING attempts";
    let row = params![id, state, message_id, why, strike, tried, body, finished.template_error];
    let attempts: Option<u32> = db.prepare_cached(sql)?.query_row(row, |row| row.get(0)).optional()?;
    let Some(Attempt { at, duration_ms, outcome, status, response, .. }) = &finished.attempt else { return Ok(()) };
    let n = match attempts {
        Some(n) => n,
        // The delivery was dropped in the meantime; the result of the attempt still counts.
        None => {
            let sql = "UPDATE deliveries SET attempts = attempts + 1, body = ?2, message_id = ?4,
                           state = CASE WHEN ?3 IN ('delivered', 'accepted') THEN ?3 ELSE state END
                       WHERE id = ?1 RETURNING attempts";
            match db
                .prepare_cached(sql)?
                .query_row(params![id, body, state, message_id], |row| row.get(0))
                .optional()?
            {
                Some(n) => n,
                None => return Ok(()),
            }
        }
    };
    let sql = "INSERT INTO attempts (delivery, n, at, duration_ms, outcome, status, response, node)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    db.prepare_cached(sql)?.execute(params![id, n, at, duration_ms, outcome.as_str(), status, response, owner])?;
    Ok(())
}

/// Ends deliveries; returns those that had not ended, and their lanes.
pub(super) fn give_up(
    db: &Connection,
    ids: &[DeliveryId],
    why: &str,
) -> rusqlite::Result<(Vec<DeliveryId>, BTreeSet<Lane>)> {
    // A dropped event is never routed automatically.
    let sql = "UPDATE events SET decision = ?2
               WHERE id = (SELECT event FROM deliveries WHERE id = ?1 AND state = 'pending_routing')";
    let mut decide = db.prepare_cached(sql)?;
    let dropped = StoredDecision { dropped: Some(format!("{why} before it was routed")), ..StoredDecision::default() };
    let dropped = json_of(&dropped);
    let sql = "UPDATE deliveries SET state = 'dead', reason = ?2
               WHERE id = ?1 AND state IN ('queued', 'parked', 'pending_routing') RETURNING lane";
    let mut update = db.prepare_cached(sql)?;
    let (mut given_up, mut lanes) = (vec![], BTreeSet::new());
    for id in ids {
        decide.execute([id.as_str(), &dropped])?;
        if let Some(lane) = update.query_row([id.as_str(), why], |row| row.get(0)).optional()? {
            given_up.push(id.clone());
            lanes.insert(Lane(lane));
        }
    }
    Ok((given_up, lanes))
}

/// Returns a decision as it is stored.
pub(super) fn json_of(decision: &StoredDecision) -> String {
    serde_json::to_string(decision).unwrap_or_default()
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
