//! SQL queries for operators.

use std::collections::BTreeMap;

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::lane;
use super::query::{Shared, style, whole};
use crate::chat::MessageRef;
use crate::event::{ChannelName, DeliveryId, EventId, Summary};
use crate::store::{
    AttemptDetail, AttemptOutcome, COUNTED, Counts, DeliveryDetail, DeliverySummary, EventSummary, Filter, Lane,
    LaneCounts, RejectedRequest, State,
};

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

/// SQL conditions, and the values of their parameters.
#[derive(Default)]
struct Where {
    conditions: Vec<&'static str>,
    values: Vec<(&'static str, Box<dyn ToSql>)>,
}

impl Where {
    fn add(&mut self, name: &'static str, value: Option<impl ToSql + 'static>, condition: &'static str) {
        if let Some(value) = value {
            self.conditions.push(condition);
            self.values.push((name, Box::new(value)));
        }
    }

    /// Builds the conditions that events and deliveries share.
    fn of(filter: &Filter) -> Self {
        let mut all = Self::default();
        all.add(":repository", filter.repository.clone(), "events.repository = :repository COLLATE NOCASE");
        all.add(":kind", kinds(filter), "events.kind IN (SELECT value FROM json_each(:kind))");
        all.add(":request", filter.request.as_ref().map(|id| id.as_str().to_owned()), "events.request = :request");
        // The cheap conditions come first: the URL contains the name of the repository.
        all.add(
            ":page",
            filter.pull_request_url.clone(),
            "events.subject GLOB 'pr:*' AND instr(lower(:page), lower(events.repository)) > 0
                 AND (:page = json_extract(json, '$.pull_request.url')
                      OR :page LIKE json_extract(json, '$.pull_request.url') || '/%')",
        );
        all.add(":key", filter.request_key.clone(), "events.request IN (SELECT request FROM dedupe WHERE key = :key)");
        all
    }

    fn conditions(&self) -> String {
        if self.conditions.is_empty() { "true".to_owned() } else { self.conditions.join(" AND ") }
    }

    /// Counts the rows that match, up to a limit.
    fn count(mut self, db: &Connection, from: &str) -> rusqlite::Result<u64> {
        self.values.push((":limit", Box::new(COUNTED + 1)));
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
        self.values.push((":limit", Box::new(limit)));
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

fn kinds(filter: &Filter) -> Option<String> {
    (!filter.kinds.is_empty()).then(|| serde_json::to_string(&filter.kinds).unwrap_or_default())
}

fn ids(filter: &Filter) -> Option<String> {
    (!filter.ids.is_empty()).then(|| serde_json::to_string(&filter.ids).unwrap_or_default())
}

/// Builds the conditions for events.
fn where_events(filter: &Filter) -> Where {
    let mut all = Where::of(filter);
    all.add(":ids", ids(filter), "events.id IN (SELECT value FROM json_each(:ids))");
    all.add(":event", filter.event.as_ref().map(|event| event.as_str().to_owned()), "events.id = :event");
    all.add(":since", filter.since, "received_at >= :since");
    all.add(
        ":channel",
        filter.channel.as_ref().map(|name| name.as_str().to_owned()),
        "EXISTS (SELECT 1 FROM deliveries WHERE channel = :channel AND (deliveries.event = events.id
             OR id IN (SELECT delivery FROM delivery_events WHERE delivery_events.event = events.id)))",
    );
    all.add(
        ":state",
        filter.state.map(State::as_str),
        "EXISTS (SELECT 1 FROM deliveries WHERE state = :state AND (deliveries.event = events.id
             OR id IN (SELECT delivery FROM delivery_events WHERE delivery_events.event = events.id)))",
    );
    all
}

/// Returns the tables, newest request first, unless the filter names requests or events: otherwise SQLite would read
/// and sort them all.
fn from_events(filter: &Filter) -> &'static str {
    let named =
        filter.event.is_some() || !filter.ids.is_empty() || filter.request.is_some() || filter.request_key.is_some();
    if named {
        "FROM requests JOIN events ON events.request = requests.id"
    } else {
        "FROM requests CROSS JOIN events ON events.request = requests.id"
    }
}

/// Returns the events that match, newest last.
pub(super) fn events(db: &Connection, filter: &Filter) -> rusqlite::Result<Vec<EventSummary>> {
    let select = format!(
        "SELECT events.id, request, source, received_at, kind, repository, decision, json, same {}",
        from_events(filter)
    );
    let mut shared = Shared::default();
    let order = "received_at DESC, request DESC, n DESC";
    where_events(filter).select(db, (&select, order), filter.limit, false, |row| {
        Ok(EventSummary {
            id: row.get::<_, String>(0)?.into(),
            request: row.get::<_, String>(1)?.into(),
            source: row.get::<_, String>(2)?.into(),
            at: row.get(3)?,
            kind: row.get(4)?,
            repository: row.get(5)?,
            summary: Summary::of(&whole(row.get_ref(7)?.as_str()?, shared.json(db, row.get(8)?)?)),
            decision: serde_json::from_str(&row.get::<_, String>(6)?).unwrap_or_default(),
        })
    })
}

pub(super) fn count_events(db: &Connection, filter: &Filter) -> rusqlite::Result<u64> {
    where_events(filter).count(db, from_events(filter))
}

const DELIVERIES: &str =
    "SELECT deliveries.id, seq, event, kind, repository, channel, route, template, style, state, reason,
        template_error, created_at, deliveries.attempts, last.outcome, last.response, message_id, replay_of, more, json, same
    FROM deliveries JOIN events ON events.id = deliveries.event
    LEFT JOIN attempts AS last ON last.delivery = deliveries.id AND last.n = deliveries.attempts";

/// Returns the deliveries that match, newest last.
pub(super) fn deliveries(db: &Connection, filter: &Filter) -> rusqlite::Result<Vec<DeliverySummary>> {
    let order = if filter.oldest { "seq" } else { "seq DESC" };
    let mut shared = Shared::default();
    let row = |row: &Row<'_>| delivery_row(db, &mut shared, row);
    where_deliveries(filter).select(db, (DELIVERIES, order), filter.limit, filter.oldest, row)
}

pub(super) fn count_deliveries(db: &Connection, filter: &Filter) -> rusqlite::Result<u64> {
    where_deliveries(filter).count(db, "FROM deliveries JOIN events ON events.id = deliveries.event")
}

/// Builds the conditions for deliveries.
fn where_deliveries(filter: &Filter) -> Where {
    let mut all = Where::of(filter);
    all.add(":ids", ids(filter), "deliveries.id IN (SELECT value FROM json_each(:ids))");
    all.add(
        ":event",
        filter.event.as_ref().map(|event| event.as_str().to_owned()),
        "(deliveries.event = :event
             OR deliveries.id IN (SELECT delivery FROM delivery_events WHERE delivery_events.event = :event))",
    );
    all.add(":since", filter.since, "created_at >= :since");
    all.add(":channel", filter.channel.as_ref().map(|name| name.as_str().to_owned()), "channel = :channel");
    all.add(":before", filter.before, "seq < :before");
    all.add(
        ":state",
        filter.state.map(State::as_str),
        match filter.state {
            // Repeats the conditions of the partial indexes, so that SQLite uses them.
            Some(State::Queued | State::Parked) => "state = :state AND state IN ('queued', 'parked')",
            Some(State::PendingRouting) => "state = 'pending_routing' AND state = :state",
            Some(State::Dead | State::Suspect | State::Skipped) => {
                "state = :state AND state IN ('dead', 'suspect', 'skipped')"
            }
            _ => "state = :state",
        },
    );
    if filter.unrepeated {
        all.conditions.push("NOT EXISTS (SELECT 1 FROM deliveries AS again WHERE again.replay_of = deliveries.id)");
    }
    all
}

fn delivery_row(db: &Connection, shared: &mut Shared, row: &Row<'_>) -> rusqlite::Result<DeliverySummary> {
    Ok(DeliverySummary {
        id: row.get::<_, String>(0)?.into(),
        seq: row.get(1)?,
        event: row.get::<_, String>(2)?.into(),
        kind: row.get(3)?,
        repository: row.get(4)?,
        summary: Summary::of(&whole(row.get_ref(19)?.as_str()?, shared.json(db, row.get(20)?)?)),
        channel: row.get::<_, String>(5)?.into(),
        route: row.get(6)?,
        template: row.get(7)?,
        style: style(row, 8)?,
        // The table allows no other states.
        state: State::parse(&row.get::<_, String>(9)?).unwrap_or(State::Dead),
        reason: row.get(10)?,
        template_error: row.get(11)?,
        created_at: row.get(12)?,
        attempts: row.get(13)?,
        outcome: row.get_ref(14)?.as_str_or_null()?.map(AttemptOutcome::parse),
        response: row.get(15)?,
        message_id: row.get::<_, Option<String>>(16)?.map(MessageRef::new),
        replay_of: row.get::<_, Option<String>>(17)?.map(DeliveryId::from),
        more: row.get(18)?,
    })
}

pub(super) fn delivery(db: &Connection, id: &DeliveryId) -> rusqlite::Result<Option<DeliveryDetail>> {
    let mut select = db.prepare_cached(&format!("{DELIVERIES} WHERE deliveries.id = ?1"))?;
    let Some(delivery) =
        select.query_row([id.as_str()], |row| delivery_row(db, &mut Shared::default(), row)).optional()?
    else {
        return Ok(None);
    };
    let sql = "SELECT n, at, duration_ms, outcome, status, response, node FROM attempts WHERE delivery = ?1 ORDER BY n";
    let mut select = db.prepare_cached(sql)?;
    let attempt_log = select.query_map([id.as_str()], |row| {
        Ok(AttemptDetail {
            n: row.get(0)?,
            at: row.get(1)?,
            duration_ms: row.get(2)?,
            outcome: AttemptOutcome::parse(row.get_ref(3)?.as_str()?),
            status: row.get(4)?,
            response: row.get(5)?,
            node: row.get(6)?,
        })
    })?;
    let attempt_log = attempt_log.collect::<rusqlite::Result<_>>()?;
    let sent = "SELECT body FROM deliveries WHERE id = ?1";
    let sent: Option<Vec<u8>> = db.prepare_cached(sent)?.query_row([id.as_str()], |row| row.get(0))?;
    let sent = sent.and_then(|body| lz4_flex::decompress_size_prepended(&body).ok());
    let sent = sent.map(|body| String::from_utf8_lossy(&body).into_owned());
    let also = "SELECT event FROM delivery_events WHERE delivery = ?1 ORDER BY n";
    let mut also = db.prepare_cached(also)?;
    let also = also.query_map([id.as_str()], |row| row.get::<_, String>(0).map(EventId::from))?;
    let also = also.collect::<rusqlite::Result<_>>()?;
    Ok(Some(DeliveryDetail { delivery, also, attempt_log, sent }))
}

pub(super) fn event_json(db: &Connection, id: &EventId) -> rusqlite::Result<Option<Value>> {
    let mut select = db.prepare_cached("SELECT json, same FROM events WHERE id = ?1")?;
    let found = select.query_row([id.as_str()], |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).optional()?;
    let Some((json, same)) = found else { return Ok(None) };
    Ok(Some(whole(&json, Shared::default().json(db, same)?)).filter(|event| !event.is_null()))
}

/// Returns the rules with this hash.
pub(super) fn config(db: &Connection, hash: &str) -> rusqlite::Result<Option<String>> {
    db.prepare_cached("SELECT text FROM configs WHERE hash = ?1")?.query_row([hash], |row| row.get(0)).optional()
}

pub(super) fn counts(db: &Connection) -> rusqlite::Result<Counts> {
    let mut lanes: BTreeMap<Lane, LaneCounts> = BTreeMap::new();
    let sql = "SELECT waiting.lane, waiting, created_at FROM
                   (SELECT lane, count(*) AS waiting, min(seq) AS first FROM deliveries WHERE state = 'queued' GROUP BY lane)
                   AS waiting JOIN deliveries ON seq = first";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let counts = LaneCounts { queued: row.get(1)?, oldest: row.get(2)?, ..LaneCounts::default() };
        lanes.insert(Lane(row.get(0)?), counts);
    }
    for (lane, record) in lane::all(db)? {
        let next_at = (record.pause > 0).then_some(record.next_at);
        let known = lanes.entry(lane).or_default();
        *known = LaneCounts { state: record.state, since: record.since, next_at, ..known.clone() };
    }
    let mut ended = BTreeMap::new();
    for sql in [
        // A delivery that was sent again counts as the new delivery.
        "SELECT channel, state, count(*) FROM deliveries WHERE state IN ('dead', 'suspect', 'skipped')
             AND (state = 'skipped' OR NOT EXISTS (SELECT 1 FROM deliveries AS again WHERE again.replay_of = deliveries.id))
             GROUP BY channel, state",
        "SELECT channel, state, count(*) FROM deliveries WHERE state IN ('queued', 'parked') AND state = 'parked' GROUP BY channel",
    ] {
        let mut select = db.prepare_cached(sql)?;
        let mut rows = select.query(params![])?;
        while let Some(row) = rows.next()? {
            let Some(state) = State::parse(row.get_ref(1)?.as_str()?) else { continue };
            ended.insert((ChannelName::from(row.get::<_, String>(0)?), state), row.get(2)?);
        }
    }
    let sql = "SELECT count(*) FROM deliveries WHERE state = 'pending_routing'";
    let pending_routing = db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(Counts { lanes, ended, pending_routing })
}
