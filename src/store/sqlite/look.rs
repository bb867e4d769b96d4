//! SQL queries for operators.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::Value;

use super::compressed::unpack;
use super::former_ids::{FormerIds, number, numbers};
use super::lane;
use super::memory;
use super::record::{RecordedEvent, Records};
use super::state::Code;
use crate::chat::MessageRef;
use crate::event::{ChannelName, DeliveryId, EventId, RequestId, SourceName, Summary};
use crate::message::Style;
use crate::store::ids::first_of;
use crate::store::{
    AttemptDetail, AttemptOutcome, COUNTED, Counts, DeliveryDetail, DeliverySummary, EventSummary, Filter, Lane,
    LaneCounts, RejectedRequest, State,
};
use crate::time::Millis;

/// Returns the last rejected requests, newest last.
pub(super) fn rejected(db: &Connection, limit: usize) -> rusqlite::Result<Vec<RejectedRequest>> {
    let sql = "SELECT at, source, client, key, reason FROM
                   (SELECT * FROM rejected ORDER BY n DESC LIMIT ?1) ORDER BY n";
    let mut select = db.prepare_cached(sql)?;
    let rows = select.query_map([limit], |row| {
        Ok(RejectedRequest {
            at: row.get(0)?,
            source: row.get::<_, String>(1)?.into(),
            client: row.get(2)?,
            key: row.get(3)?,
            reason: row.get(4)?,
        })
    })?;
    rows.collect()
}

/// Returns the time of the last request of a source, or `since` if it is older. Scans the requests since then.
pub(super) fn last_request(db: &Connection, source: &SourceName, since: Millis) -> rusqlite::Result<Option<Millis>> {
    let mut named = db.prepare_cached("SELECT id FROM names WHERE name = ?1")?;
    let named: Option<i64> = named.query_row([source.as_str()], |row| row.get(0)).optional()?;
    let Some(source) = named else { return Ok(None) };
    let sql = "SELECT received_at FROM requests WHERE id >= ?1 AND source = ?2 ORDER BY id DESC LIMIT 1";
    let found = db.prepare_cached(sql)?.query_row(params![first_of(since), source], |row| row.get(0)).optional()?;
    Ok(Some(found.unwrap_or(since)))
}

/// SQL conditions, and the values of their parameters.
#[derive(Default)]
struct Where {
    conditions: Vec<Cow<'static, str>>,
    values: Vec<(&'static str, Box<dyn ToSql>)>,
}

impl Where {
    fn add(
        &mut self,
        name: &'static str,
        value: Option<impl ToSql + 'static>,
        condition: impl Into<Cow<'static, str>>,
    ) {
        if let Some(value) = value {
            self.conditions.push(condition.into());
            self.values.push((name, Box::new(value)));
        }
    }

    /// Adds the value of a parameter that another condition uses.
    fn bind(&mut self, name: &'static str, value: impl ToSql + 'static) {
        self.values.push((name, Box::new(value)));
    }

    /// Builds the conditions that events and deliveries share.
    fn of(db: &Connection, filter: &Filter) -> rusqlite::Result<Self> {
        let mut all = Self::default();
        let in_repository = "events.repository IN (SELECT id FROM names WHERE name = :repository COLLATE NOCASE)";
        all.add(":repository", filter.repository.clone(), in_repository);
        let kinds = (!filter.kinds.is_empty()).then(|| json_of(&filter.kinds));
        let of_kind = "events.kind IN (SELECT id FROM names WHERE name IN (SELECT value FROM json_each(:kind)))";
        all.add(":kind", kinds, of_kind);
        if let Some(request) = &filter.request {
            // Nothing has the number -1.
            let request = number(db, request.as_str())?.unwrap_or(-1);
            all.add(":request", Some(request), "events.id >= :request AND events.id < :next_request");
            all.bind(":next_request", next_request(db, request)?);
        }
        if let Some(key) = &filter.request_key {
            let of_key = json_of(&events_of_key(db, key)?);
            all.add(":key", Some(of_key), "events.id IN (SELECT value FROM json_each(:key))");
        }
        if let Some(page) = &filter.pull_request_url {
            let subjects = json_of(&subjects_of(db, page)?);
            all.add(":page", Some(subjects), "events.subject IN (SELECT value FROM json_each(:page))");
        }
        Ok(all)
    }

    fn conditions(&self) -> String {
        if self.conditions.is_empty() { "true".to_owned() } else { self.conditions.join(" AND ") }
    }

    /// Counts the rows that match, up to a limit.
    fn count(mut self, db: &Connection, from: &str) -> rusqlite::Result<u64> {
        self.bind(":limit", COUNTED + 1);
        let sql = format!("SELECT count(*) FROM (SELECT 1 {from} WHERE {} LIMIT :limit)", self.conditions());
        let values: Vec<_> = self.values.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        db.prepare(&sql)?.query_row(&values[..], |row| row.get(0))
    }

    fn select<T>(
        mut self,
        db: &Connection,
        (select, order): (&str, &str),
        limit: usize,
        is_oldest_first: bool,
        of: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.bind(":limit", limit);
        let sql = format!("{select} WHERE {} ORDER BY {order} LIMIT :limit", self.conditions());
        let mut statement = db.prepare(&sql)?;
        let values: Vec<_> = self.values.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        let mut rows = statement.query_map(&values[..], of)?.collect::<rusqlite::Result<Vec<_>>>()?;
        if !is_oldest_first {
            rows.reverse();
        }
        Ok(rows)
    }
}

/// Returns the events of the requests that have this id on the host.
fn events_of_key(db: &Connection, key: &str) -> rusqlite::Result<Vec<i64>> {
    let mut select = db.prepare_cached("SELECT id FROM requests WHERE key_hash = ?1 AND key = ?2")?;
    let found = select.query_map(params![memory::hash(key), key], |row| row.get(0))?;
    let mut events = db.prepare_cached("SELECT id FROM events WHERE id >= ?1 AND id < ?2")?;
    let mut all = vec![];
    for request in found {
        let request = request?;
        let ids = events.query_map([request, next_request(db, request)?], |row| row.get(0))?;
        all.extend(ids.collect::<rusqlite::Result<Vec<i64>>>()?);
    }
    Ok(all)
}

/// Returns the subjects of the pull requests that have a page with this URL. The URL is in the records only, so the
/// newest event of each pull request of the repositories in the URL is read.
fn subjects_of(db: &Connection, page: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT subject, request, max(events.id) FROM events JOIN names ON names.id = repository
               WHERE subject GLOB 'pr:*' AND instr(lower(?1), lower(name)) > 0 GROUP BY subject";
    let mut select = db.prepare_cached(sql)?;
    let (mut rows, mut records, mut found) = (select.query([page])?, Records::default(), vec![]);
    while let Some(row) = rows.next()? {
        let event = records.event(db, row.get(1)?, row.get(2)?)?.map(RecordedEvent::value).unwrap_or_default();
        let url = event.pointer("/pull_request/url").and_then(Value::as_str);
        let is_below = |url: &str| {
            let start = page.get(..url.len()).is_some_and(|start| start.eq_ignore_ascii_case(url));
            start && matches!(page.as_bytes().get(url.len()), None | Some(b'/'))
        };
        if url.is_some_and(is_below) {
            found.push(row.get(0)?);
        }
    }
    Ok(found)
}

/// Returns a list as JSON, for `json_each`.
fn json_of<T: Serialize>(list: &[T]) -> String {
    serde_json::to_string(list).unwrap_or_default()
}

/// Returns the numbers of the filter's ids as JSON; `None` if it has none.
fn ids(db: &Connection, filter: &Filter) -> rusqlite::Result<Option<String>> {
    let found = numbers(db, filter.ids.iter().map(String::as_str))?;
    Ok((!filter.ids.is_empty()).then(|| json_of(&found)))
}

/// Returns the condition for the state of a delivery. Queued messages of a channel without a lane are parked. Codes are
/// literals, so that SQLite finds the partial indexes.
fn in_state(state: State) -> String {
    let in_state = format!("state = {}", Code::of(state).0);
    match state {
        State::Queued => format!("{in_state} AND (SELECT lane FROM channels WHERE id = channel) IS NOT NULL"),
        State::Parked => format!("{in_state} AND (SELECT lane FROM channels WHERE id = channel) IS NULL"),
        _ => in_state,
    }
}

/// Condition for the channel of a delivery.
const OF_CHANNEL: &str = "channel = (SELECT id FROM names WHERE name = :channel)";

fn channel(filter: &Filter) -> Option<String> {
    filter.channel.as_ref().map(|name| name.as_str().to_owned())
}

/// Condition for events with a message for which a condition holds.
fn has_message(condition: &str) -> String {
    format!(
        "events.id IN (SELECT event FROM deliveries WHERE {condition}
             UNION ALL SELECT delivery_events.event FROM delivery_events
             CROSS JOIN deliveries ON deliveries.id = delivery_events.delivery WHERE {condition})"
    )
}

/// Builds the conditions for events.
fn where_events(db: &Connection, filter: &Filter) -> rusqlite::Result<Where> {
    let mut all = Where::of(db, filter)?;
    all.add(":ids", ids(db, filter)?, "events.id IN (SELECT value FROM json_each(:ids))");
    if let Some(event) = &filter.event {
        all.add(":event", Some(number(db, event.as_str())?.unwrap_or(-1)), "events.id = :event");
    }
    all.add(":since", filter.since.map(first_of), "events.id >= :since");
    all.add(":channel", channel(filter), has_message(OF_CHANNEL));
    if let Some(state) = filter.state {
        all.conditions.push(has_message(&in_state(state)).into());
    }
    Ok(all)
}

/// Returns the events that match, newest last.
pub(super) fn events(db: &Connection, filter: &Filter) -> rusqlite::Result<Vec<EventSummary>> {
    let select = "SELECT events.id, events.request, source.name, received_at, kind.name, repository.name
                  FROM events JOIN requests ON requests.id = events.request
                  JOIN names AS source ON source.id = requests.source JOIN names AS kind ON kind.id = events.kind
                  LEFT JOIN names AS repository ON repository.id = events.repository";
    let (mut records, former) = (Records::default(), FormerIds::of(db)?);
    where_events(db, filter)?.select(db, (select, "events.id DESC"), filter.limit, false, |row| {
        let (id, request) = (row.get(0)?, row.get(1)?);
        let event = records.event(db, request, id)?;
        Ok(EventSummary {
            id: former.event(db, id)?,
            request: former.request(db, request)?,
            source: row.get::<_, String>(2)?.into(),
            at: row.get(3)?,
            kind: row.get(4)?,
            repository: row.get(5)?,
            summary: event.map(|event| Summary::of(&event.value())).unwrap_or_default(),
            decision: event.map(RecordedEvent::decision).unwrap_or_default(),
        })
    })
}

pub(super) fn count_events(db: &Connection, filter: &Filter) -> rusqlite::Result<u64> {
    where_events(db, filter)?.count(db, "FROM events")
}

const DELIVERIES: &str =
    "SELECT deliveries.id, deliveries.event, events.request, kind.name, repository.name, channel.name,
        route.name, template.name, style.name, state,
        (SELECT lane FROM channels WHERE id = deliveries.channel) IS NOT NULL, reason, template_error, created_at,
        deliveries.attempts, outcome.name, last.response, last.message_id, replay_of, more
    FROM deliveries CROSS JOIN events ON events.id = deliveries.event
    JOIN names AS kind ON kind.id = events.kind
    LEFT JOIN names AS repository ON repository.id = events.repository
    JOIN names AS channel ON channel.id = deliveries.channel
    JOIN names AS route ON route.id = deliveries.route
    LEFT JOIN names AS template ON template.id = deliveries.template
    LEFT JOIN names AS style ON style.id = deliveries.style
    LEFT JOIN attempts AS last ON last.delivery = deliveries.id AND last.n = deliveries.attempts
    LEFT JOIN names AS outcome ON outcome.id = last.outcome";

/// Returns the deliveries that match, newest last.
pub(super) fn deliveries(db: &Connection, filter: &Filter) -> rusqlite::Result<Vec<DeliverySummary>> {
    let order = if filter.oldest { "deliveries.id" } else { "deliveries.id DESC" };
    let (mut records, former) = (Records::default(), FormerIds::of(db)?);
    let row = |row: &Row<'_>| delivery_row(db, &mut records, former, row);
    where_deliveries(db, filter)?.select(db, (DELIVERIES, order), filter.limit, filter.oldest, row)
}

pub(super) fn count_deliveries(db: &Connection, filter: &Filter) -> rusqlite::Result<u64> {
    let from = "FROM deliveries CROSS JOIN events ON events.id = deliveries.event";
    where_deliveries(db, filter)?.count(db, from)
}

/// Builds the conditions for deliveries.
fn where_deliveries(db: &Connection, filter: &Filter) -> rusqlite::Result<Where> {
    let mut all = Where::of(db, filter)?;
    all.add(":ids", ids(db, filter)?, "deliveries.id IN (SELECT value FROM json_each(:ids))");
    let of_events = match (&filter.event, &filter.request) {
        (Some(event), _) => Some(of_event(db, event)?),
        (None, Some(request)) => Some(of_request(db, request)?),
        (None, None) => of_few_events(db, filter)?,
    };
    let of_events = of_events.map(|found| json_of(&found));
    all.add(":events", of_events, "deliveries.id IN (SELECT value FROM json_each(:events))");
    // A replay is newer than the time of its event.
    all.add(":since", filter.since.map(first_of), "deliveries.id >= :since");
    all.add(":channel", channel(filter), OF_CHANNEL);
    if let Some(before) = &filter.before {
        all.add(":before", Some(number(db, before.as_str())?.unwrap_or(-1)), "deliveries.id < :before");
    }
    if let Some(state) = filter.state {
        all.conditions.push(in_state(state).into());
    }
    if filter.unrepeated {
        let condition = "NOT EXISTS (SELECT 1 FROM deliveries AS again WHERE again.replay_of = deliveries.id)";
        all.conditions.push(condition.into());
    }
    Ok(all)
}

/// Maximum number of events whose deliveries are looked up one by one. Otherwise all deliveries are looked at.
const FEW: usize = 1_000;

/// Returns the deliveries of the events that match, if the filter is about events and few match.
fn of_few_events(db: &Connection, filter: &Filter) -> rusqlite::Result<Option<Vec<i64>>> {
    let all = Where::of(db, filter)?;
    if all.conditions.is_empty() {
        return Ok(None);
    }
    let select = "SELECT events.id, events.request FROM events";
    let of = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get(1)?));
    let found = all.select(db, (select, "events.id"), FEW + 1, true, of)?;
    if found.len() > FEW {
        return Ok(None);
    }
    let mut deliveries = vec![];
    for (event, request) in found {
        deliveries.extend(of_range(db, request, event..event + 1)?);
    }
    Ok(Some(deliveries))
}

/// Returns the deliveries of an event.
fn of_event(db: &Connection, event: &EventId) -> rusqlite::Result<Vec<i64>> {
    let Some(event) = number(db, event.as_str())? else { return Ok(vec![]) };
    let mut select = db.prepare_cached("SELECT request FROM events WHERE id = ?1")?;
    match select.query_row([event], |row| row.get(0)).optional()? {
        Some(request) => of_range(db, request, event..event + 1),
        None => Ok(vec![]),
    }
}

/// Returns the deliveries of the events of a request.
fn of_request(db: &Connection, request: &RequestId) -> rusqlite::Result<Vec<i64>> {
    let Some(request) = number(db, request.as_str())? else { return Ok(vec![]) };
    of_range(db, request, request..next_request(db, request)?)
}

/// Returns the id of the next request; the events of a request are below it.
fn next_request(db: &Connection, request: i64) -> rusqlite::Result<i64> {
    let sql = "SELECT min(id) FROM requests WHERE id > ?1";
    Ok(db.prepare_cached(sql)?.query_row([request], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(i64::MAX))
}

/// Returns the deliveries of events of a request: those that were created with them, which are below the next request;
/// those that were added later; and messages of other events that are also about these.
fn of_range(db: &Connection, request: i64, events: Range<i64>) -> rusqlite::Result<Vec<i64>> {
    let sql = "SELECT id FROM deliveries WHERE id >= ?1 AND id < ?2 AND event >= ?3 AND event < ?4
               UNION SELECT id FROM deliveries WHERE is_added = 1 AND event >= ?3 AND event < ?4
               UNION SELECT delivery FROM delivery_events WHERE event >= ?3 AND event < ?4";
    let mut select = db.prepare_cached(sql)?;
    let ids = [request, next_request(db, request)?, events.start, events.end];
    select.query_map(ids, |row| row.get(0))?.collect()
}

fn delivery_row(
    db: &Connection,
    records: &mut Records,
    former: FormerIds,
    row: &Row<'_>,
) -> rusqlite::Result<DeliverySummary> {
    let event = row.get(1)?;
    let found = records.event(db, row.get(2)?, event)?;
    Ok(DeliverySummary {
        id: former.delivery(db, row.get(0)?)?,
        event: former.event(db, event)?,
        kind: row.get(3)?,
        repository: row.get(4)?,
        summary: found.map(|event| Summary::of(&event.value())).unwrap_or_default(),
        channel: row.get::<_, String>(5)?.into(),
        route: row.get(6)?,
        template: row.get(7)?,
        style: row.get_ref(8)?.as_str_or_null()?.and_then(Style::parse),
        state: row.get::<_, Code>(9)?.state(row.get(10)?),
        reason: row.get(11)?,
        template_error: row.get(12)?,
        created_at: row.get(13)?,
        attempts: row.get(14)?,
        outcome: row.get_ref(15)?.as_str_or_null()?.map(AttemptOutcome::parse),
        response: row.get(16)?,
        message_id: row.get::<_, Option<String>>(17)?.map(MessageRef::new),
        replay_of: row.get::<_, Option<i64>>(18)?.map(|id| former.delivery(db, id)).transpose()?,
        more: row.get(19)?,
    })
}

pub(super) fn delivery(db: &Connection, id: &DeliveryId) -> rusqlite::Result<Option<DeliveryDetail>> {
    let (Some(id), former) = (number(db, id.as_str())?, FormerIds::of(db)?) else { return Ok(None) };
    let mut select = db.prepare_cached(&format!("{DELIVERIES} WHERE deliveries.id = ?1"))?;
    let row = |row: &Row<'_>| delivery_row(db, &mut Records::default(), former, row);
    let Some(delivery) = select.query_row([id], row).optional()? else { return Ok(None) };
    let sql = "SELECT n, at, duration_ms, outcome.name, status, response, node.name, body FROM attempts
               JOIN names AS outcome ON outcome.id = outcome LEFT JOIN names AS node ON node.id = node
               WHERE delivery = ?1 ORDER BY n";
    let mut select = db.prepare_cached(sql)?;
    let (mut rows, mut attempt_log, mut sent) = (select.query([id])?, vec![], None);
    while let Some(row) = rows.next()? {
        attempt_log.push(AttemptDetail {
            n: row.get(0)?,
            at: row.get(1)?,
            duration_ms: row.get(2)?,
            outcome: AttemptOutcome::parse(row.get_ref(3)?.as_str()?),
            status: row.get(4)?,
            response: row.get(5)?,
            node: row.get(6)?,
        });
        if let Some(body) = row.get_ref(7)?.as_blob_or_null()? {
            sent = unpack(body).map(|body| String::from_utf8_lossy(&body).into_owned());
        }
    }
    let mut also = db.prepare_cached("SELECT event FROM delivery_events WHERE delivery = ?1 ORDER BY n")?;
    let also = also.query_map([id], |row| former.event(db, row.get(0)?))?;
    let also = also.collect::<rusqlite::Result<_>>()?;
    Ok(Some(DeliveryDetail { delivery, also, attempt_log, sent }))
}

pub(super) fn event_json(db: &Connection, id: &EventId) -> rusqlite::Result<Option<Value>> {
    let Some(id) = number(db, id.as_str())? else { return Ok(None) };
    let mut select = db.prepare_cached("SELECT request FROM events WHERE id = ?1")?;
    let Some(request) = select.query_row([id], |row| row.get(0)).optional()? else { return Ok(None) };
    let mut records = Records::default();
    Ok(records.event(db, request, id)?.map(RecordedEvent::value).filter(|event| !event.is_null()))
}

/// Returns the rules with this hash.
pub(super) fn config(db: &Connection, hash: &str) -> rusqlite::Result<Option<String>> {
    db.prepare_cached("SELECT text FROM configs WHERE hash = ?1")?.query_row([hash], |row| row.get(0)).optional()
}

pub(super) fn counts(db: &Connection) -> rusqlite::Result<Counts> {
    let mut lanes: BTreeMap<Lane, LaneCounts> = BTreeMap::new();
    let mut ended = BTreeMap::new();
    let sql = "SELECT lane, queued, created_at, name FROM
                   (SELECT channel, count(*) AS queued, min(id) AS first FROM deliveries WHERE state = 2 GROUP BY channel)
                   AS queue JOIN deliveries ON deliveries.id = first JOIN names ON names.id = queue.channel
                   LEFT JOIN channels ON channels.id = queue.channel";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (queued, oldest): (u64, _) = (row.get(1)?, row.get(2)?);
        match row.get::<_, Option<String>>(0)?.map(Lane) {
            Some(lane) => {
                let counts = lanes.entry(lane).or_default();
                counts.queued += queued;
                counts.oldest = Some(counts.oldest.map_or(oldest, |other| oldest.min(other)));
            }
            None => {
                ended.insert((ChannelName::from(row.get::<_, String>(3)?), State::Parked), queued);
            }
        }
    }
    for (lane, record) in lane::all(db)? {
        let next_at = (record.pause > 0).then_some(record.next_at);
        let known = lanes.entry(lane).or_default();
        *known = LaneCounts { state: record.state, since: record.since, next_at, ..known.clone() };
    }
    // A delivery that was sent again counts as the new delivery; 5 is the code of `skipped`.
    let sql = "SELECT name, state, count(*) FROM deliveries JOIN names ON names.id = channel
                   WHERE (state = 5 OR state = 6 OR state = 7)
                   AND (state = 5 OR NOT EXISTS (SELECT 1 FROM deliveries AS again WHERE again.replay_of = deliveries.id))
               GROUP BY channel, state";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query(params![])?;
    while let Some(row) = rows.next()? {
        let state = row.get::<_, Code>(1)?.state(true);
        ended.insert((ChannelName::from(row.get::<_, String>(0)?), state), row.get(2)?);
    }
    let sql = "SELECT count(*) FROM deliveries WHERE state = 8";
    let pending_routing = db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(Counts { lanes, ended, pending_routing })
}
