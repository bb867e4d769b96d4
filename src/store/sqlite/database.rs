//! The connection that writes, with what it remembers between transactions.

use std::collections::HashMap;
use std::ops::Deref;

use rusqlite::{Connection, OptionalExtension};

use super::former_ids::FormerIds;
use crate::store::Lane;
use crate::store::ids::Numbers;

/// Maximum number of remembered names.
const MAX_NAMES: usize = 10_000;

/// The connection that writes.
pub(super) struct Database {
    db: Connection,
    pub(super) numbers: Numbers,
    /// Numbers as of the last commit.
    committed: Numbers,
    pub(super) former: FormerIds,
    names: HashMap<String, i64>,
    lanes: HashMap<i64, Option<Lane>>,
    /// Hash of the last subject that was looked at for its age. The search starts over when the program does.
    pub(super) swept: i64,
}

impl Deref for Database {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.db
    }
}

impl Database {
    pub(super) fn new(db: Connection) -> rusqlite::Result<Self> {
        let (numbers, former) = (Numbers::above(highest(&db)?), FormerIds::of(&db)?);
        Ok(Self {
            db,
            numbers,
            committed: numbers,
            former,
            names: HashMap::new(),
            lanes: HashMap::new(),
            swept: i64::MIN,
        })
    }

    /// Returns the connection alone.
    pub(super) fn into_connection(self) -> Connection {
        self.db
    }

    /// Keeps what the last transaction changed.
    pub(super) fn committed(&mut self) {
        self.committed = self.numbers;
    }

    /// Forgets what the last transaction changed.
    pub(super) fn rolled_back(&mut self) {
        self.numbers = self.committed;
        self.names.clear();
        self.lanes.clear();
    }

    /// Returns the id of a name, which is stored if it is new.
    pub(super) fn name(&mut self, name: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.names.get(name) {
            return Ok(*id);
        }
        let id = match find_name(&self.db, name)? {
            Some(id) => id,
            None => self.db.prepare_cached("INSERT INTO names (name) VALUES (?1)")?.insert([name])?,
        };
        if self.names.len() >= MAX_NAMES {
            self.names.clear();
        }
        self.names.insert(name.to_owned(), id);
        Ok(id)
    }

    /// Returns the lane of a channel, by the id of the channel's name; `None` if its messages are parked.
    pub(super) fn lane_of(&mut self, channel: i64) -> rusqlite::Result<Option<Lane>> {
        if let Some(lane) = self.lanes.get(&channel) {
            return Ok(lane.clone());
        }
        let sql = "SELECT lane FROM channels WHERE id = ?1";
        let lane = self.db.prepare_cached(sql)?.query_row([channel], |row| row.get::<_, Option<String>>(0));
        let lane = lane.optional()?.flatten().map(Lane);
        self.lanes.insert(channel, lane.clone());
        Ok(lane)
    }

    /// Stores the lane of a channel.
    pub(super) fn set_lane_of(&mut self, channel: i64, lane: &Lane) -> rusqlite::Result<()> {
        let sql = "INSERT INTO channels (id, lane) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET lane = ?2";
        self.db.prepare_cached(sql)?.execute(rusqlite::params![channel, lane.0])?;
        self.lanes.insert(channel, Some(lane.clone()));
        Ok(())
    }

    /// Takes the lanes from all channels.
    pub(super) fn unassign(&mut self) -> rusqlite::Result<()> {
        self.lanes.clear();
        self.db.prepare_cached("UPDATE channels SET lane = NULL")?.execute([]).map(|_| ())
    }
}

/// Returns the id of a name; `None` if no row uses it.
pub(super) fn find_name(db: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    let mut select = db.prepare_cached("SELECT id FROM names WHERE name = ?1")?;
    select.query_row([name], |row| row.get(0)).optional()
}

/// Returns the highest number that was ever used.
pub(super) fn highest(db: &Connection) -> rusqlite::Result<i64> {
    let sql =
        "SELECT max(highest, coalesce((SELECT max(id) FROM requests), 0), coalesce((SELECT max(id) FROM events), 0),
                   coalesce((SELECT max(id) FROM deliveries), 0)) FROM deleted";
    db.query_row(sql, [], |row| row.get(0))
}
