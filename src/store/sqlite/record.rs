//! Records: what is stored of a request, besides what is searched. They are compressed JSON.

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::compressed::{pack_with, unpack_with};
use crate::event::RequestId;
use crate::store::ids::{STEP, nth};
use crate::store::{Receipt, StoredDecision};

/// Size of the events in a record, in bytes of JSON, above which further events go to the next one. To read one event,
/// its whole record is decompressed.
const ENOUGH: usize = 64 * 1024;

/// Text with the names of fields that records have, and no values. It shortens records by a third. Stored records depend
/// on it: it must never change.
const DICTIONARY: &[u8] = include_bytes!("record.dictionary");

/// Record of a request, or of its further events.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Box<RawValue>>,
    events: Vec<RecordedEvent>,
}

/// Event in a record.
#[derive(Serialize, Deserialize)]
pub(super) struct RecordedEvent {
    /// The event, as templates see it.
    event: Box<RawValue>,
    decision: Box<RawValue>,
}

impl RecordedEvent {
    /// Returns the JSON of the event.
    pub(super) fn json(&self) -> &str {
        self.event.get()
    }

    /// Returns the event; `null` if it cannot be read.
    pub(super) fn value(&self) -> Value {
        serde_json::from_str(self.json()).unwrap_or_default()
    }

    /// Returns the decision; an empty one if it cannot be read.
    pub(super) fn decision(&self) -> StoredDecision {
        serde_json::from_str(self.decision.get()).unwrap_or_default()
    }
}

impl Record {
    fn parse(record: &[u8]) -> Option<Self> {
        serde_json::from_slice(&unpack_with(record, DICTIONARY)?).ok()
    }

    fn pack(&self) -> Vec<u8> {
        pack_with(&serde_json::to_vec(self).unwrap_or_default(), DICTIONARY)
    }
}

/// Writes the records of a request, each with the index of its first event. The first is that of the request. An event
/// comes with its decision.
pub(super) fn write<E: Serialize, D: Serialize>(
    headers: &impl Serialize,
    receipt: &impl Serialize,
    events: impl IntoIterator<Item = (E, D)>,
) -> Vec<(usize, Vec<u8>)> {
    let mut out = Vec::with_capacity(8 * 1024);
    add(&mut out, r#"{"headers":"#, headers);
    add(&mut out, r#","receipt":"#, receipt);
    out.extend_from_slice(br#","events":["#);
    let (mut records, mut first, mut start) = (vec![], 0, out.len());
    for (n, (event, decision)) in events.into_iter().enumerate() {
        if n > first && out.len() - start > ENOUGH {
            records.push((first, closed(&mut out)));
            out.extend_from_slice(br#"{"events":["#);
            (first, start) = (n, out.len());
        }
        add(&mut out, if n > first { r#",{"event":"# } else { r#"{"event":"# }, &event);
        add(&mut out, r#","decision":"#, &decision);
        out.push(b'}');
    }
    records.push((first, closed(&mut out)));
    records
}

/// Adds a value behind its key.
fn add(out: &mut Vec<u8>, key: &str, value: &impl Serialize) {
    out.extend_from_slice(key.as_bytes());
    // These types serialize to memory without an error.
    let _ = serde_json::to_writer(out, value);
}

fn closed(out: &mut Vec<u8>) -> Vec<u8> {
    out.extend_from_slice(b"]}");
    let record = pack_with(out, DICTIONARY);
    out.clear();
    record
}

/// Returns the receipt of a request. Of a receipt that cannot be read, only the id of the request is left.
pub(super) fn receipt(record: &[u8], id: impl FnOnce() -> rusqlite::Result<RequestId>) -> rusqlite::Result<Receipt> {
    let receipt = Record::parse(record).and_then(|record| serde_json::from_str(record.receipt?.get()).ok());
    receipt.map_or_else(|| id().map(Receipt::empty), Ok)
}

/// Place of a record: a request, or the first of further events.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Request(i64),
    More(i64),
}

/// Reads events. Keeps the last record, because the events of one request are usually read together.
#[derive(Default)]
pub(super) struct Records {
    last: Option<(Place, Record)>,
}

impl Records {
    /// Returns an event of a request.
    pub(super) fn event(
        &mut self,
        db: &Connection,
        request: i64,
        event: i64,
    ) -> rusqlite::Result<Option<&RecordedEvent>> {
        let Some((first, _)) = self.find(db, request, event)? else { return Ok(None) };
        let index = usize::try_from((event - first) / STEP).unwrap_or(usize::MAX);
        Ok(self.last.as_ref().and_then(|(_, record)| record.events.get(index)))
    }

    /// Replaces the decision on an event of a request.
    pub(super) fn decide(
        &mut self,
        db: &Connection,
        (request, event): (i64, i64),
        decision: &StoredDecision,
    ) -> rusqlite::Result<()> {
        let Some((first, place)) = self.find(db, request, event)? else { return Ok(()) };
        let index = usize::try_from((event - first) / STEP).unwrap_or(usize::MAX);
        let Some((_, record)) = &mut self.last else { return Ok(()) };
        let (Some(event), Ok(decision)) = (record.events.get_mut(index), serde_json::value::to_raw_value(decision))
        else {
            return Ok(());
        };
        event.decision = decision;
        let (sql, id) = match place {
            Place::Request(id) => ("UPDATE requests SET record = ?2 WHERE id = ?1", id),
            Place::More(id) => ("UPDATE more_events SET record = ?2 WHERE id = ?1", id),
        };
        db.prepare_cached(sql)?.execute(rusqlite::params![id, record.pack()])?;
        Ok(())
    }

    /// Reads the record of an event; returns the event with which it begins.
    fn find(&mut self, db: &Connection, request: i64, event: i64) -> rusqlite::Result<Option<(i64, Place)>> {
        let holds = |first: i64, record: &Record| (first..nth(first, record.events.len())).contains(&event);
        if let Some((place @ (Place::Request(first) | Place::More(first)), record)) = &self.last
            && holds(*first, record)
        {
            return Ok(Some((*first, *place)));
        }
        let mut select = db.prepare_cached("SELECT record FROM requests WHERE id = ?1")?;
        let record = select.query_row([request], |row| Ok(Record::parse(row.get_ref(0)?.as_blob()?))).optional()?;
        if let Some(record) = record.flatten().filter(|record| holds(request, record)) {
            self.last = Some((Place::Request(request), record));
            return Ok(Some((request, Place::Request(request))));
        }
        let sql = "SELECT id, record FROM more_events WHERE id > ?1 AND id <= ?2 ORDER BY id DESC LIMIT 1";
        let mut select = db.prepare_cached(sql)?;
        let more = select
            .query_row([request, event], |row| Ok((row.get(0)?, Record::parse(row.get_ref(1)?.as_blob()?))))
            .optional()?;
        let Some((first, Some(record))) = more else { return Ok(None) };
        self.last = Some((Place::More(first), record));
        Ok(Some((first, Place::More(first))))
    }
}
