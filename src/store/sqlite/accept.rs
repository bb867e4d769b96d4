//! Acceptance of a request: everything in one transaction.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::compressed::unpacked_size;
use super::database::Database;
use super::former_ids::number;
use super::queue::{Entry, insert};
use super::state::{PENDING_ROUTING, QUEUED};
use super::{database, memory, record};
use crate::event::{DeliveryId, EventId};
use crate::memory::{BodyDigest, SameBody};
use crate::store::ids::{STEP, nth};
use crate::store::{
    Accepted, Decide, Decided, Delivery, Ids, Known, LaneSignal, NewEvent, NewRequest, Receipt, joined,
};
use crate::template::Context;
use crate::time::Millis;

/// Stores a request and what is decided about it, unless it is a duplicate. Also returns the signals to lanes. `body` is
/// the compressed body.
pub(super) fn accept(
    db: &mut Database,
    request: &NewRequest,
    body: &[u8],
    decide: &Decide,
    now: Millis,
) -> rusqlite::Result<(Accepted, Vec<LaneSignal>)> {
    if let Some(receipt) = received_before(db, request)? {
        return Ok((Accepted::Duplicate { receipt }, vec![]));
    }
    let first = db.numbers.next(now);
    let known = Known { memory: memory::read(db, &request.subjects)?, same_body: same_body(db, request)? };
    let decided = decide(&known, &Ids::from(first));
    if let Some(earlier) = decided.duplicate_of {
        let receipt = number(db, earlier.as_str())?.map_or(Ok(None), |id| receipt_of(db, id))?;
        return Ok((Accepted::Duplicate { receipt: receipt.unwrap_or_else(|| Receipt::empty(earlier)) }, vec![]));
    }
    let Decided { receipt, events, deliveries, memory, is_new, .. } = decided;
    let decisions = events.iter().map(|event| (&event.content, &event.decision));
    let row = RequestRow {
        source: request.source.as_str(),
        hook: request.hook.as_deref(),
        received_at: request.received_at,
        key: request.key.as_deref(),
        digest: request.digest.filter(|_| is_new),
        records: record::write(&request.headers, &receipt, decisions),
        body: Some(body),
    };
    let bytes = row.records.iter().map(|(_, record)| unpacked_size(record)).sum::<usize>();
    insert_request(db, first, row)?;
    for (n, NewEvent { kind, repository, subject, .. }) in events.iter().enumerate() {
        insert_event(db, (first, n), kind, repository.as_deref(), subject.as_deref())?;
    }
    memory::write(db, &memory, request.received_at)?;
    // Each event is built once, for all of its messages.
    let contexts: Vec<_> = events.iter().map(|event| Arc::new(Context::from(event.content.clone()))).collect();
    let created_at = request.received_at;
    let entry =
        |n, index, state| Entry { id: nth(first, n), event: nth(first, index), state, created_at, is_added: false };
    let (mut signals, mut count) = (vec![], 0);
    for new in joined(deliveries) {
        let index = index_of(first, &new.event);
        let entry = entry(count, index, QUEUED);
        let channel = insert(db, &entry, &new)?;
        count += 1;
        let Some(lane) = db.lane_of(channel)? else { continue };
        let context = contexts.get(index).filter(|_| new.also.is_empty());
        let message = context.map(|context| Delivery {
            id: DeliveryId::numbered(entry.id),
            event_id: new.event,
            channel: new.channel,
            template: new.template,
            style: new.style,
            event: context.clone(),
            size: bytes / events.len().max(1),
            created_at,
            attempts: 0,
            strikes: 0,
        });
        signals.push(LaneSignal::Arrived { lane, message: message.map(Arc::new) });
    }
    let pending = events.iter().enumerate().filter(|(_, event)| event.decision.pending_routing);
    for (index, _) in pending {
        super::pending_routing::insert(db, &entry(count, index, PENDING_ROUTING))?;
        count += 1;
    }
    db.numbers.use_up_to(nth(first, events.len().max(count).saturating_sub(1)));
    Ok((Accepted::Stored { receipt }, signals))
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
    let earlier = db.prepare_cached(sql)?.query_row(row, |row| row.get(0)).optional()?;
    earlier.map_or(Ok(None), |earlier| receipt_of(db, earlier))
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

/// Row of a request, with its records and its compressed body.
pub(super) struct RequestRow<'a> {
    pub(super) source: &'a str,
    pub(super) hook: Option<&'a str>,
    pub(super) received_at: Millis,
    pub(super) key: Option<&'a str>,
    pub(super) digest: Option<BodyDigest>,
    /// As [`record::write`] returns them.
    pub(super) records: Vec<(usize, Vec<u8>)>,
    pub(super) body: Option<&'a [u8]>,
}

/// Adds a request.
pub(super) fn insert_request(db: &mut Database, id: i64, row: RequestRow<'_>) -> rusqlite::Result<()> {
    let RequestRow { source, hook, received_at, key, digest, records, body } = row;
    let (source, mut records) = (db.name(source)?, records.into_iter());
    let (_, record) = records.next().unwrap_or_default();
    let sql = "INSERT INTO requests (id, received_at, source, hook, key, key_hash, digest, record)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let row = params![id, received_at, source, hook, key, key.map(memory::hash), digest, record];
    db.prepare_cached(sql)?.execute(row)?;
    for (index, record) in records {
        let sql = "INSERT INTO more_events (id, record) VALUES (?1, ?2)";
        db.prepare_cached(sql)?.execute(params![nth(id, index), record])?;
    }
    if let Some(body) = body {
        db.prepare_cached("INSERT INTO bodies (id, body) VALUES (?1, ?2)")?.execute(params![id, body])?;
    }
    Ok(())
}

/// Adds the `n`th event of a request, from 0.
pub(super) fn insert_event(
    db: &mut Database,
    (request, n): (i64, usize),
    kind: &str,
    repository: Option<&str>,
    subject: Option<&str>,
) -> rusqlite::Result<()> {
    let kind = db.name(kind)?;
    let repository = repository.map(|name| db.name(name)).transpose()?;
    let sql = "INSERT INTO events (id, request, kind, repository, subject) VALUES (?1, ?2, ?3, ?4, ?5)";
    db.prepare_cached(sql)?.execute(params![nth(request, n), request, kind, repository, subject])?;
    Ok(())
}
