//! Acceptance of a request: everything in one transaction.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::compressed::unpacked_size;
use super::database::Database;
use super::former_ids::number;
use super::queue::{Arrival, Entry, insert};
use super::state::{PENDING_ROUTING, QUEUED};
use super::{database, memory, record};
use crate::event::{DeliveryId, EventId};
use crate::memory::SameBody;
use crate::store::ids::{STEP, nth};
use crate::store::{Accepted, Decide, Decided, Delivery, Ids, Known, NewRequest, Receipt, joined};
use crate::template::Context;
use crate::time::Millis;

/// Stores a request and what is decided about it, unless it is a duplicate. Also returns the messages for lanes. `body`
/// is the compressed body.
pub(super) fn accept(
    db: &mut Database,
    request: &NewRequest,
    body: &[u8],
    decide: &Decide,
    now: Millis,
) -> rusqlite::Result<(Accepted, Vec<Arrival>)> {
    if let Some(receipt) = received_before(db, request)? {
        return Ok((Accepted::Duplicate { receipt }, vec![]));
    }
    let first = db.numbers.next(now);
    let known = Known { memory: memory::read(db, &request.subjects)?, same_body: same_body(db, request)? };
    let decided = decide(&known, &Ids::from(first));
    if let Some(earlier) = &decided.duplicate_of {
        let receipt = match number(db, earlier.as_str())? {
            Some(earlier) => receipt_of(db, earlier)?,
            None => None,
        };
        return Ok((
            Accepted::Duplicate { receipt: receipt.unwrap_or_else(|| Receipt::empty(earlier.clone())) },
            vec![],
        ));
    }
    let bytes = insert_request(db, first, request, body, &decided)?;
    insert_events(db, first, &decided)?;
    memory::write(db, &decided.memory, request.received_at)?;
    db.numbers.use_up_to(nth(first, decided.events.len().saturating_sub(1)));
    let Decided { receipt, events, deliveries, .. } = decided;
    // Each event is built once, for all of its messages.
    let contexts: Vec<_> = events.iter().map(|event| Arc::new(Context::from(event.content.clone()))).collect();
    let mut arrivals = vec![];
    let mut count = 0;
    for new in joined(deliveries) {
        let index = index_of(first, &new.event);
        let id = nth(first, count);
        let entry =
            Entry { id, event: nth(first, index), state: QUEUED, created_at: request.received_at, is_added: false };
        let channel = insert(db, &entry, &new)?;
        count += 1;
        let Some(lane) = db.lane_of(channel)? else { continue };
        let context = contexts.get(index).filter(|_| new.also.is_empty());
        let message = context.map(|context| Delivery {
            id: DeliveryId::numbered(id),
            event_id: new.event.clone(),
            channel: new.channel.clone(),
            template: new.template.clone(),
            style: new.style,
            event: context.clone(),
            size: bytes / events.len().max(1),
            created_at: request.received_at,
            attempts: 0,
            strikes: 0,
        });
        arrivals.push(Arrival { lane, message });
    }
    for (index, event) in events.iter().enumerate() {
        if event.decision.pending_routing {
            let state = PENDING_ROUTING;
            let id = nth(first, count);
            let entry = Entry { id, event: nth(first, index), state, created_at: request.received_at, is_added: false };
            super::pending_routing::insert(db, &entry)?;
            count += 1;
        }
    }
    db.numbers.use_up_to(nth(first, count.saturating_sub(1)));
    Ok((Accepted::Stored { receipt }, arrivals))
}

/// Returns the index of an event of the request whose ids begin with `first`.
fn index_of(first: i64, event: &EventId) -> usize {
    let index = event.number().map(|number| (number - first) / STEP);
    index.and_then(|index| usize::try_from(index).ok()).unwrap_or(usize::MAX)
}

/// Returns the receipt of the request that the host sent with the same id.
fn received_before(db: &Database, request: &NewRequest) -> rusqlite::Result<Option<Receipt>> {
    let Some(key) = &request.key else { return Ok(None) };
    let Some(source) = database::find_name(db, request.source.as_str())? else { return Ok(None) };
    let sql = "SELECT id FROM requests WHERE key_hash = ?1 AND key = ?2 AND source = ?3 AND coalesce(hook, '') = ?4";
    let row = params![memory::hash(key), key, source, request.hook.as_deref().unwrap_or_default()];
    match db.prepare_cached(sql)?.query_row(row, |row| row.get(0)).optional()? {
        Some(earlier) => receipt_of(db, earlier),
        None => Ok(None),
    }
}

fn receipt_of(db: &Database, request: i64) -> rusqlite::Result<Option<Receipt>> {
    let mut select = db.prepare_cached("SELECT record FROM requests WHERE id = ?1")?;
    let record: Option<Vec<u8>> = select.query_row([request], |row| row.get(0)).optional()?;
    record.map(|record| record::receipt(&record, || db.former.request(db, request))).transpose()
}

/// Returns the last new request with the same body.
fn same_body(db: &Database, request: &NewRequest) -> rusqlite::Result<Option<SameBody>> {
    let Some(digest) = &request.digest else { return Ok(None) };
    let sql = "SELECT id, hook, received_at FROM requests WHERE digest = ?1 ORDER BY id DESC LIMIT 1";
    let of = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?));
    let Some((id, hook, at)) = db.prepare_cached(sql)?.query_row([digest], of).optional()? else { return Ok(None) };
    Ok(Some(SameBody { request: db.former.request(db, id)?, hook, at }))
}

/// Adds a request, and returns the size of its records as JSON, in bytes.
fn insert_request(
    db: &mut Database,
    id: i64,
    request: &NewRequest,
    body: &[u8],
    decided: &Decided,
) -> rusqlite::Result<usize> {
    let source = db.name(request.source.as_str())?;
    let records = record::write(request, decided);
    let bytes = records.iter().map(|(_, record)| unpacked_size(record)).sum();
    let mut records = records.into_iter();
    let (_, record) = records.next().unwrap_or_default();
    let sql = "INSERT INTO requests (id, received_at, source, hook, key, key_hash, digest, record)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    db.prepare_cached(sql)?.execute(params![
        id,
        request.received_at,
        source,
        request.hook,
        request.key,
        request.key.as_deref().map(memory::hash),
        request.digest.filter(|_| decided.is_new),
        record,
    ])?;
    for (index, record) in records {
        let sql = "INSERT INTO more_events (id, record) VALUES (?1, ?2)";
        db.prepare_cached(sql)?.execute(params![nth(id, index), record])?;
    }
    db.prepare_cached("INSERT INTO bodies (id, body) VALUES (?1, ?2)")?.execute(params![id, body])?;
    Ok(bytes)
}

fn insert_events(db: &mut Database, request: i64, decided: &Decided) -> rusqlite::Result<()> {
    for (n, event) in decided.events.iter().enumerate() {
        let kind = db.name(event.kind)?;
        let repository = event.repository.as_deref().map(|name| db.name(name)).transpose()?;
        let sql = "INSERT INTO events (id, request, kind, repository, subject) VALUES (?1, ?2, ?3, ?4, ?5)";
        let row = params![nth(request, n), request, kind, repository, event.subject];
        db.prepare_cached(sql)?.execute(row)?;
    }
    Ok(())
}
