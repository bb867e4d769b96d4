//! What is asked of the database, in its words.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use crate::event::{ChannelName, SCHEMA_VERSION};
use crate::memory::Memory;
use crate::store::{
    Accepted, Decide, Decided, Delivery, Finished, Lane, Millis, NewRequest, Next, REFUSALS, Refused, Seen, now,
};

/// For how long bodies are remembered, in milliseconds: long enough to know one that a second webhook sends.
const BODIES_KEPT: Millis = 10 * 60_000;

pub(super) fn accept(db: &Connection, request: &NewRequest, body: &[u8], decide: Decide) -> rusqlite::Result<Accepted> {
    let hook = request.hook.as_deref().unwrap_or_default();
    if let Some(key) = &request.key {
        let seen = "SELECT requests.receipt FROM dedupe JOIN requests ON requests.id = dedupe.request
                    WHERE dedupe.source = ?1 AND dedupe.hook = ?2 AND dedupe.key = ?3";
        let mut seen = db.prepare_cached(seen)?;
        let receipt = seen.query_row(params![request.source.as_str(), hook, key], |row| row.get(0)).optional()?;
        if let Some(receipt) = receipt {
            return Ok(Accepted::Duplicate { receipt });
        }
    }
    let decided = decide(&remembered(db, &request.subjects)?);
    insert_request(db, request, body, &decided.receipt)?;
    if let Some(key) = &request.key {
        let sql = "INSERT INTO dedupe (source, hook, key, request, received_at) VALUES (?1, ?2, ?3, ?4, ?5)";
        let row = params![request.source.as_str(), hook, key, request.id.as_str(), request.received_at];
        db.prepare_cached(sql)?.execute(row)?;
    }
    insert_events(db, request, &decided)?;
    insert_deliveries(db, &decided, request.received_at)?;
    remember(db, &decided.memory, request.received_at)?;
    let lanes = decided.deliveries.into_iter().map(|delivery| delivery.lane).collect();
    Ok(Accepted::Stored { receipt: decided.receipt, lanes })
}

fn insert_request(db: &Connection, request: &NewRequest, body: &[u8], receipt: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO requests (id, source, hook, received_at, headers, body, receipt)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    db.prepare_cached(sql)?.execute(params![
        request.id.as_str(),
        request.source.as_str(),
        request.hook,
        request.received_at,
        request.headers.to_string(),
        body,
        receipt,
    ])?;
    Ok(())
}

fn insert_events(db: &Connection, request: &NewRequest, decided: &Decided) -> rusqlite::Result<()> {
    let sql = "INSERT INTO events (id, request, n, kind, repository, subject, schema, json, decision)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let mut insert = db.prepare_cached(sql)?;
    for (n, event) in decided.events.iter().enumerate() {
        insert.execute(params![
            event.id.as_str(),
            request.id.as_str(),
            n,
            event.kind,
            event.repository,
            event.subject,
            SCHEMA_VERSION,
            event.json,
            event.decision,
        ])?;
    }
    Ok(())
}

fn insert_deliveries(db: &Connection, decided: &Decided, due: Millis) -> rusqlite::Result<()> {
    let sql = "INSERT INTO deliveries (id, event, lane, channel, route, template, style, state, due)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'waiting', ?8)";
    let mut insert = db.prepare_cached(sql)?;
    for delivery in &decided.deliveries {
        insert.execute(params![
            delivery.id.as_str(),
            delivery.event.as_str(),
            delivery.lane.0,
            delivery.channel.as_str(),
            delivery.route,
            delivery.template,
            delivery.style,
            due,
        ])?;
    }
    Ok(())
}

fn remembered(db: &Connection, subjects: &[String]) -> rusqlite::Result<Memory> {
    let mut memory = Memory::new();
    let mut select = db.prepare_cached("SELECT state FROM memory WHERE subject = ?1")?;
    for subject in subjects {
        let state: Option<String> = select.query_row([subject], |row| row.get(0)).optional()?;
        // A state that is no JSON any more is as good as none.
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
    // A few at a time: there are no more new ones than there are requests.
    let sql = "DELETE FROM memory WHERE subject IN
                   (SELECT subject FROM memory WHERE subject GLOB 'body:*' AND at < ?1 LIMIT 4)";
    db.prepare_cached(sql)?.execute([at - BODIES_KEPT])?;
    Ok(())
}

pub(super) fn assign(db: &Connection, lanes: &BTreeMap<ChannelName, Lane>) -> rusqlite::Result<()> {
    let named: Vec<&str> = lanes.keys().map(ChannelName::as_str).collect();
    let named = serde_json::to_string(&named).unwrap_or_default();
    db.execute(
        "UPDATE deliveries SET state = 'parked'
         WHERE state = 'waiting' AND channel NOT IN (SELECT value FROM json_each(?1))",
        [named],
    )?;
    for (channel, lane) in lanes {
        db.execute(
            "UPDATE deliveries SET state = 'waiting', lane = ?2
             WHERE channel = ?1 AND state IN ('waiting', 'parked') AND (state = 'parked' OR lane <> ?2)",
            params![channel.as_str(), lane.0],
        )?;
    }
    Ok(())
}

pub(super) fn lease(db: &Connection, lane: &Lane, owner: &str, until: Millis, now: Millis) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO lanes (lane, owner, lease_until) VALUES (?1, ?2, ?3)
               ON CONFLICT (lane) DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until
               WHERE lanes.owner = excluded.owner OR lanes.lease_until <= ?4";
    Ok(db.prepare_cached(sql)?.execute(params![lane.0, owner, until, now])? == 1)
}

pub(super) fn heads(db: &Connection, lane: &Lane, limit: usize, now: Millis) -> rusqlite::Result<Vec<Delivery>> {
    let sql = "SELECT deliveries.id, channel, template, events.json, attempts, due, backoff, style
               FROM deliveries JOIN events ON events.id = deliveries.event
               WHERE lane = ?1 AND state = 'waiting' ORDER BY seq LIMIT ?2";
    let mut select = db.prepare_cached(sql)?;
    let rows = select.query_map(params![lane.0, limit], |row| {
        let (due, backoff): (Millis, Millis) = (row.get(5)?, row.get(6)?);
        let wait = due.saturating_sub(now).clamp(0, backoff.max(0));
        Ok(Delivery {
            id: row.get::<_, String>(0)?.into(),
            channel: row.get::<_, String>(1)?.into(),
            template: row.get(2)?,
            style: row.get(7)?,
            event: serde_json::from_str(&row.get::<_, String>(3)?).unwrap_or(Value::Null),
            attempts: row.get(4)?,
            wait: Duration::from_millis(u64::try_from(wait).unwrap_or_default()),
        })
    })?;
    rows.collect()
}

pub(super) fn finish(
    db: &Connection,
    lane: &Lane,
    owner: &str,
    finished: &Finished,
    body: &[u8],
) -> rusqlite::Result<bool> {
    let held = "SELECT 1 FROM lanes WHERE lane = ?1 AND owner = ?2";
    if !db.prepare_cached(held)?.exists(params![lane.0, owner])? {
        return Ok(false);
    }
    let id = finished.delivery.as_str();
    let (state, message_id, after) = match &finished.next {
        Next::Delivered { message_id } => ("delivered", message_id.as_deref(), 0),
        Next::Accepted => ("accepted", None, 0),
        Next::Dead => ("dead", None, 0),
        Next::Retry { after } => ("waiting", None, *after),
    };
    let sql = "UPDATE deliveries SET state = ?2, message_id = ?3, due = ?4, backoff = ?5,
                   attempts = attempts + 1, body = ?6
               WHERE id = ?1 AND state = 'waiting' RETURNING attempts";
    let row = params![id, state, message_id, now().saturating_add(after), after, body];
    let attempts: Option<u32> = db.prepare_cached(sql)?.query_row(row, |row| row.get(0)).optional()?;
    // It was finished before; whoever says so twice is not wrong.
    let Some(n) = attempts else { return Ok(true) };
    let sql = "INSERT INTO attempts (delivery, n, at, took, outcome, said) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    db.prepare_cached(sql)?.execute(params![id, n, finished.at, finished.took, finished.outcome, finished.said])?;
    Ok(true)
}

pub(super) fn refuse(db: &Connection, refused: &[Refused]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO refusals (at, source, client, key, reason) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut insert = db.prepare_cached(sql)?;
    for refused in refused {
        insert.execute(params![refused.at, refused.source.as_str(), refused.client, refused.key, refused.reason])?;
    }
    let sql = "DELETE FROM refusals WHERE n <= (SELECT max(n) FROM refusals) - ?1";
    db.prepare_cached(sql)?.execute([REFUSALS])?;
    Ok(())
}

/// The newest last.
pub(super) fn refusals(db: &Connection, limit: usize) -> rusqlite::Result<Vec<Refused>> {
    let sql = "SELECT at, source, client, key, reason FROM
                   (SELECT * FROM refusals ORDER BY n DESC LIMIT ?1) ORDER BY n";
    let mut select = db.prepare(sql)?;
    let rows = select.query_map([limit], |row| {
        Ok(Refused {
            at: row.get(0)?,
            source: row.get::<_, String>(1)?.into(),
            client: row.get(2)?,
            key: row.get(3)?,
            reason: row.get(4)?,
        })
    })?;
    rows.collect()
}

/// The newest last.
pub(super) fn seen(db: &Connection, limit: usize) -> rusqlite::Result<Vec<Seen>> {
    let sql = "SELECT events.id, request, received_at, kind, repository, decision
               FROM requests JOIN events ON events.request = requests.id
               ORDER BY received_at DESC, request DESC, n DESC LIMIT ?1";
    let mut select = db.prepare(sql)?;
    let rows = select.query_map([limit], |row| {
        Ok(Seen {
            id: row.get::<_, String>(0)?.into(),
            request: row.get::<_, String>(1)?.into(),
            at: row.get(2)?,
            kind: row.get(3)?,
            repository: row.get(4)?,
            decision: serde_json::from_str(&row.get::<_, String>(5)?).unwrap_or(Value::Null),
        })
    })?;
    let mut newest_first = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    newest_first.reverse();
    Ok(newest_first)
}
