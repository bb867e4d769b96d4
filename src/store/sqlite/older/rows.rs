//! Moves rows of version 9 to the tables of version 11.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Position;
use crate::event::RequestId;
use crate::memory::digest_of_subject;
use crate::store::ids::{Numbers, nth};
use crate::store::sqlite::accept::{RequestRow, insert_event, insert_request};
use crate::store::sqlite::database::Database;
use crate::store::sqlite::former_ids::{DELIVERY, EVENT, REQUEST, number};
use crate::store::sqlite::memory::hash;
use crate::store::sqlite::record;
use crate::store::sqlite::state::Code;
use crate::store::{Lane, State};

/// Subjects of bodies, which requests have now.
const BODY: &str = "body:";

fn keep_id(db: &Connection, prefix: &str, id: i64, former: &str) -> rusqlite::Result<()> {
    // A damaged store may have an id twice.
    let sql = "INSERT OR IGNORE INTO former_ids (prefix, id, former) VALUES (?1, ?2, ?3)";
    db.prepare_cached(sql)?.execute(params![prefix, id, former])?;
    Ok(())
}

struct OldRequest {
    id: String,
    source: String,
    hook: Option<String>,
    received_at: i64,
    headers: String,
    body: Option<Vec<u8>>,
    receipt: String,
}

/// Moves requests with their events, in the order of their receipt.
pub(super) fn requests(db: &mut Database, last: &Position, limit: usize) -> rusqlite::Result<Option<Position>> {
    let sql = "SELECT id, source, hook, received_at, headers, body, receipt FROM old_requests
               WHERE (received_at, id) > (?1, ?2) ORDER BY received_at, id LIMIT ?3";
    let found: Vec<OldRequest> = db
        .prepare_cached(sql)?
        .query_map(params![last.time, last.key, limit], |row| {
            Ok(OldRequest {
                id: row.get(0)?,
                source: row.get(1)?,
                hook: row.get(2)?,
                received_at: row.get(3)?,
                headers: row.get(4)?,
                body: row.get(5)?,
                receipt: row.get(6)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    for request in &found {
        one_request(db, request)?;
    }
    Ok(found.last().map(|request| Position { time: request.received_at, key: request.id.clone() }))
}

struct OldEvent {
    id: String,
    kind: String,
    repository: Option<String>,
    subject: Option<String>,
    json: String,
    decision: String,
    same: Option<String>,
}

fn one_request(db: &mut Database, request: &OldRequest) -> rusqlite::Result<()> {
    let first = db.numbers.next(request.received_at);
    keep_id(db, REQUEST, first, &request.id)?;
    let sql =
        "SELECT id, kind, repository, subject, json, decision, same FROM old_events WHERE request = ?1 ORDER BY n";
    let mut events: Vec<OldEvent> = db
        .prepare_cached(sql)?
        .query_map([&request.id], |row| {
            Ok(OldEvent {
                id: row.get(0)?,
                kind: row.get(1)?,
                repository: row.get(2)?,
                subject: row.get(3)?,
                json: row.get(4)?,
                decision: row.get(5)?,
                same: row.get(6)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    // Events of one request shared their actor and repository.
    let shared = events.first().map(|event| event.json.clone()).unwrap_or_default();
    for event in events.iter_mut().skip(1).filter(|event| event.same.is_some()) {
        event.json = whole(&event.json, &shared);
    }
    for (n, event) in events.iter().enumerate() {
        keep_id(db, EVENT, nth(first, n), &event.id)?;
        insert_event(db, (first, n), &event.kind, event.repository.as_deref(), event.subject.as_deref())?;
    }
    db.numbers.use_up_to(nth(first, events.len().saturating_sub(1)));
    let sql = "SELECT key FROM old_dedupe WHERE request = ?1";
    let key: Option<String> = db.prepare_cached(sql)?.query_row([&request.id], |row| row.get(0)).optional()?;
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned());
    let events = events.iter().map(|event| (raw(&event.json), raw(&event.decision)));
    let row = RequestRow {
        source: &request.source,
        hook: request.hook.as_deref(),
        received_at: request.received_at,
        key: key.as_deref(),
        // From the memory, later.
        digest: None,
        records: record::write(&raw(&request.headers), &raw(&request.receipt), events),
        body: request.body.as_deref(),
    };
    insert_request(db, first, row)
}

/// Adds to an event the actor and repository that the first event of its request stored.
fn whole(json: &str, first: &str) -> String {
    let (Ok(mut event), Ok(first)) = (serde_json::from_str::<Value>(json), serde_json::from_str::<Value>(first)) else {
        return json.to_owned();
    };
    for part in ["actor", "repository"] {
        event[part] = first[part].clone();
    }
    event.to_string()
}

struct OldDelivery {
    seq: i64,
    id: String,
    event: String,
    lane: String,
    channel: String,
    route: String,
    template: Option<String>,
    style: Option<String>,
    state: String,
    created_at: i64,
    attempts: i64,
    strikes: i64,
    reason: Option<String>,
    template_error: Option<String>,
    replay_of: Option<String>,
    more: i64,
    message_id: Option<String>,
    body: Option<Vec<u8>>,
}

/// Moves deliveries with their attempts, in the order in which lanes send them.
pub(super) fn deliveries(db: &mut Database, last: &Position, limit: usize) -> rusqlite::Result<Option<Position>> {
    let sql =
        "SELECT seq, id, event, lane, channel, route, template, style, state, created_at, attempts, strikes, reason,
                   template_error, replay_of, more, message_id, body
               FROM old_deliveries WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let found: Vec<OldDelivery> = db
        .prepare_cached(sql)?
        .query_map(params![last.time, limit], |row| {
            Ok(OldDelivery {
                seq: row.get(0)?,
                id: row.get(1)?,
                event: row.get(2)?,
                lane: row.get(3)?,
                channel: row.get(4)?,
                route: row.get(5)?,
                template: row.get(6)?,
                style: row.get(7)?,
                state: row.get(8)?,
                created_at: row.get(9)?,
                attempts: row.get(10)?,
                strikes: row.get(11)?,
                reason: row.get(12)?,
                template_error: row.get(13)?,
                replay_of: row.get(14)?,
                more: row.get(15)?,
                message_id: row.get(16)?,
                body: row.get(17)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let highest = "SELECT coalesce(max(id), 0) FROM deliveries";
    let mut numbers = Numbers::above(db.query_row(highest, [], |row| row.get(0))?);
    for delivery in &found {
        let id = numbers.next(delivery.created_at);
        numbers.use_up_to(id);
        one_delivery(db, id, delivery)?;
    }
    Ok(found.last().map(|delivery| Position { time: delivery.seq, key: String::new() }))
}

fn one_delivery(db: &mut Database, id: i64, delivery: &OldDelivery) -> rusqlite::Result<()> {
    let Some(event) = number(db, &delivery.event)? else { return Ok(()) };
    keep_id(db, DELIVERY, id, &delivery.id)?;
    let (channel, route) = (db.name(&delivery.channel)?, db.name(&delivery.route)?);
    let state = State::parse(&delivery.state).unwrap_or(State::Dead);
    if state == State::Queued {
        db.set_lane_of(channel, &Lane(delivery.lane.clone()))?;
    }
    let template = delivery.template.as_deref().map(|name| db.name(name)).transpose()?;
    let style = delivery.style.as_deref().map(|name| db.name(name)).transpose()?;
    let replay_of = delivery.replay_of.as_deref().map_or(Ok(None), |repeated| number(db, repeated))?;
    let sql =
        "INSERT INTO deliveries (id, event, state, attempts, strikes, channel, route, template, style, created_at,
                   is_added, replay_of, more, reason, template_error)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1, ?11, ?12, ?13, ?14)";
    let OldDelivery { created_at, attempts, strikes, more, reason, template_error, message_id, body, .. } = delivery;
    let code = Code::of(state);
    db.prepare_cached(sql)?.execute(params![
        id,
        event,
        code,
        attempts,
        strikes,
        channel,
        route,
        template,
        style,
        created_at,
        replay_of,
        more,
        reason,
        template_error
    ])?;
    let sql = "SELECT n, event FROM old_delivery_events WHERE delivery = ?1";
    let further = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let further: Vec<_> =
        db.prepare_cached(sql)?.query_map([&delivery.id], further)?.collect::<rusqlite::Result<_>>()?;
    for (n, event) in further {
        let Some(event) = number(db, &event)? else { continue };
        let sql = "INSERT INTO delivery_events (delivery, n, event) VALUES (?1, ?2, ?3)";
        db.prepare_cached(sql)?.execute(params![id, n, event])?;
    }
    let sql = "SELECT outcome, node, n FROM old_attempts WHERE delivery = ?1";
    let named = |row: &rusqlite::Row<'_>| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, i64>(2)?))
    };
    let named: Vec<_> = db.prepare_cached(sql)?.query_map([&delivery.id], named)?.collect::<rusqlite::Result<_>>()?;
    for (outcome, node, n) in named {
        let (outcome, node) = (db.name(&outcome)?, node.map(|node| db.name(&node)).transpose()?);
        // The message and its reference belong to the last attempt.
        let last = (n == *attempts).then_some((message_id.as_ref(), body.as_ref()));
        let (message_id, body) = last.unwrap_or_default();
        let sql =
            "INSERT INTO attempts (delivery, n, at, duration_ms, outcome, status, response, node, message_id, body)
                   SELECT ?1, n, at, duration_ms, ?2, status, response, ?3, ?4, ?5 FROM old_attempts
                   WHERE delivery = ?6 AND n = ?7";
        db.prepare_cached(sql)?.execute(params![id, outcome, node, message_id, body, delivery.id, n])?;
    }
    Ok(())
}

/// Moves the states of subjects.
pub(super) fn memory(db: &mut Database, last: &Position, limit: usize) -> rusqlite::Result<Option<Position>> {
    let sql = "SELECT subject, state, at FROM old_memory WHERE subject > ?1 ORDER BY subject LIMIT ?2";
    let found: Vec<(String, String, i64)> = db
        .prepare_cached(sql)?
        .query_map(params![last.key, limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (subject, state, at) in &found {
        if subject.starts_with(BODY) {
            body(db, subject, state)?;
        } else {
            let sql = "INSERT OR REPLACE INTO memory (hash, subject, state, at) VALUES (?1, ?2, ?3, ?4)";
            db.prepare_cached(sql)?.execute(params![hash(subject), subject, state, at])?;
        }
    }
    Ok(found.into_iter().last().map(|(subject, ..)| Position { time: 0, key: subject }))
}

/// Moves the digest of a body to its request.
fn body(db: &Database, subject: &str, state: &str) -> rusqlite::Result<()> {
    let state: Value = serde_json::from_str(state).unwrap_or_default();
    let Some(request) = state["request"].as_str().map(RequestId::from) else { return Ok(()) };
    if let Some(request) = number(db, request.as_str())? {
        let sql = "UPDATE requests SET digest = ?2 WHERE id = ?1";
        db.prepare_cached(sql)?.execute(params![request, digest_of_subject(subject)])?;
    }
    Ok(())
}

/// Moves what is small: lanes, rules, and rejected requests.
pub(super) fn others(db: &mut Database, _: &Position, _: usize) -> rusqlite::Result<Option<Position>> {
    db.execute_batch(
        "INSERT INTO lanes (lane, owner, lease_until, state, reason, help, since, next_at, pause, is_asked, marked)
             SELECT lane, owner, lease_until, state, reason, help, since, next_at, pause, is_asked,
                 (SELECT id FROM former_ids WHERE former = marked) FROM old_lanes;
         INSERT INTO configs SELECT hash, text, at FROM old_configs;
         INSERT INTO rejected (n, at, source, client, key, reason)
             SELECT n, at, source, client, key, reason FROM old_rejected;",
    )?;
    Ok(None)
}
