//! The embedded store: SQLite, in a file beside the config.
//!
//! One thread writes (`writer`), another moves what is in the write-ahead log into the database (`checkpoint`),
//! so that no request waits for that; readers have connections of their own. A lock file keeps a second Hookbell
//! away, so leases of a process that was killed end when the next one starts.

mod backup;
mod checkpoint;
mod files;
mod forget;
mod look;
mod query;
mod schema;
mod undecided;
mod writer;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::{
    Accepted, Change, Counts, Decide, Delivery, Filter, Finished, Keep, Lane, LaneState, Lease, Millis, NewDelivery,
    NewRequest, Refused, SeenDelivery, SeenEvent, Settle, Store, StoreError, Turn, WholeDelivery, now,
};
use crate::event::{ChannelName, DeliveryId, EventId};
pub use backup::{backup, check};
use checkpoint::Checkpointer;
use files::{Files, Reached};
use schema::SchemaError;
use writer::{Durability, Writer};

/// A store in one file.
pub struct SqliteStore {
    // Fields drop in this order: the writer ends before the checkpointer, and both before the lock is let go.
    writer: Writer,
    _checkpointer: Checkpointer,
    readers: Arc<Readers>,
    /// Deliveries that were committed and are not in the database any more.
    lost: Option<String>,
    lock: File,
    /// The database, locked like the lock file: a link to it, or a new lock file, must not lead a second process here.
    /// It must be closed after all connections, because closing it ends SQLite's own locks.
    _database: File,
}

impl SqliteStore {
    /// Opens the file, or makes it, readable for its owner alone.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let unusable = |reason: String| StoreError::Unusable { path: path.display().to_string(), reason };
        let database = |error: rusqlite::Error| unusable(error.to_string());
        let lock_path = beside(path, "lock");
        let lock = private_file(&lock_path).map_err(|error| unusable(format!("{}: {error}", lock_path.display())))?;
        if lock.try_lock().is_err() {
            return Err(StoreError::InUse { path: path.display().to_string() });
        }
        // What stands there is the address of who had it before.
        lock.set_len(0).map_err(|error| unusable(format!("{}: {error}", lock_path.display())))?;
        let file = private_file(path).map_err(|error| unusable(error.to_string()))?;
        if file.try_lock().is_err() {
            return Err(StoreError::InUse { path: path.display().to_string() });
        }

        let mut db = connect(path).map_err(database)?;
        db.pragma_update(None, "journal_mode", "WAL").map_err(database)?;
        if let Some(found) = schema::older(&db).map_err(database)? {
            let copy = beside(path, &format!("version-{found}"));
            backup::copy(&db, &copy).map_err(|reason| {
                unusable(format!("it is of an older version, and could not be copied before it is changed: {reason}"))
            })?;
            tracing::info!(copy = %copy.display(), "the store is of an older version; this is a copy of it as it was");
        }
        schema::migrate(&mut db).map_err(|error| match error {
            SchemaError::Newer { found, known } => unusable(format!(
                "a newer Hookbell made it (its version is {found}, this program knows {known}); use that program, or another file"
            )),
            SchemaError::Database(error) => unusable(error.to_string()),
        })?;
        // The lock is ours alone, so whoever held a lane is gone.
        query::take_back(&db, now()).map_err(database)?;
        let mut reached = Reached::open(path).map_err(|error| unusable(error.to_string()))?;
        let lost = reached.compare(&db).map_err(database)?;
        if let Some(lost) = &lost {
            tracing::error!(store = %path.display(), "{lost}");
        }
        let files = Files::of(path, &file).map_err(|error| unusable(error.to_string()))?;
        let thread = |error: std::io::Error| unusable(format!("cannot start a thread: {error}"));
        let (checkpointer, log) = Checkpointer::start(connect(path).map_err(database)?, &mut db).map_err(thread)?;
        let readers = Arc::new(Readers::new(path));
        let writer = Writer::start(db, log, files, reached).map_err(thread)?;
        Ok(Self { writer, _checkpointer: checkpointer, readers, lost, lock, _database: file })
    }

    /// Writes where its user is reached, for those who find the store in use.
    pub fn reached_at(&self, address: &str) -> std::io::Result<()> {
        let mut lock = &self.lock;
        lock.set_len(0)?;
        lock.rewind()?;
        lock.write_all(address.as_bytes())
    }

    async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = self.readers.clone();
        let place = readers.places.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let work = move |db: &Connection| {
            let result = work(db);
            drop(place);
            result
        };
        let result = tokio::task::spawn_blocking(move || readers.with(work)).await;
        let result = result.map_err(|_| StoreError::Closed)?;
        result.map_err(|error| StoreError::Database { doing, source: error.into() })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, request: Arc<NewRequest>, decide: Decide) -> Result<Accepted, StoreError> {
        let body = lz4_flex::compress_prepend_size(&request.body);
        // The request comes back, because freeing it is not the writer's work either.
        let accept = move |db: &Connection| Ok((query::accept(db, &request, &body, decide)?, request, body));
        self.writer.write("take in a request", Durability::Power, accept).await.map(|(accepted, ..)| accepted)
    }

    async fn assign(&self, lanes: BTreeMap<ChannelName, Lane>, change: Change) -> Result<(), StoreError> {
        let assign = move |db: &Connection| {
            if let Some(settle) = change.settle {
                undecided::settle(db, &settle, usize::MAX)?;
            }
            query::assign(db, &lanes)
        };
        let then = change.then.unwrap_or_else(|| Box::new(|| {}));
        self.writer.write_then("assign lanes", Durability::Kill, assign, then).await
    }

    async fn settle(&self, settle: Settle, limit: usize) -> Result<bool, StoreError> {
        let settle = move |db: &Connection| undecided::settle(db, &settle, limit);
        self.writer.write("route what is undecided", Durability::Kill, settle).await
    }

    async fn keep_config(&self, hash: &str, text: &str, now: Millis) -> Result<(), StoreError> {
        let (hash, text) = (hash.to_owned(), text.to_owned());
        let keep = move |db: &Connection| query::keep_config(db, &hash, &text, now);
        self.writer.write("keep the rules", Durability::Power, keep).await
    }

    async fn config(&self, hash: &str) -> Result<Option<String>, StoreError> {
        let hash = hash.to_owned();
        self.read("read rules", move |db| look::config(db, &hash)).await
    }

    async fn lease(&self, lane: &Lane, owner: &str, until: Millis, now: Millis) -> Result<Lease, StoreError> {
        let (lane, owner) = (lane.clone(), owner.to_owned());
        let lease = move |db: &Connection| query::lease(db, &lane, &owner, until, now);
        self.writer.write("lease a lane", Durability::Kill, lease).await
    }

    async fn mark(&self, lane: &Lane, owner: &str, delivery: &DeliveryId) -> Result<(), StoreError> {
        let (lane, owner, delivery) = (lane.clone(), owner.to_owned(), delivery.clone());
        let mark = move |db: &Connection| query::mark(db, &lane, &owner, &delivery);
        self.writer.write("mark a message", Durability::Kill, mark).await
    }

    async fn release(&self, lane: &Lane, owner: &str) -> Result<(), StoreError> {
        let (lane, owner) = (lane.clone(), owner.to_owned());
        let release = move |db: &Connection| query::release(db, &lane, &owner);
        self.writer.write("give a lane back", Durability::Kill, release).await
    }

    async fn reclaim(&self, lane: &Lane, owner: &str, now: Millis) -> Result<(), StoreError> {
        let (lane, owner) = (lane.clone(), owner.to_owned());
        let reclaim = move |db: &Connection| query::reclaim(db, &lane, &owner, now);
        self.writer.write("reclaim a lane", Durability::Kill, reclaim).await
    }

    async fn remembered(&self, subject: &str) -> Result<Option<serde_json::Value>, StoreError> {
        let subjects = vec![subject.to_owned()];
        let memory = self.read("read memory", move |db| query::remembered(db, &subjects)).await?;
        Ok(memory.into_values().next().filter(|state| !state.is_null()))
    }

    async fn heads(&self, lane: &Lane, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let lane = lane.clone();
        self.read("read what waits", move |db| query::heads(db, &lane, limit)).await
    }

    async fn finish(&self, lane: &Lane, owner: &str, turn: Turn, now: Millis) -> Result<bool, StoreError> {
        let (lane, owner) = (lane.clone(), owner.to_owned());
        // Compressing is not the writer's work.
        let body =
            |finished: &Finished| Some(lz4_flex::compress_prepend_size(finished.attempt.as_ref()?.body.as_bytes()));
        let bodies: Vec<_> = turn.finished.iter().map(body).collect();
        let finish = move |db: &Connection| query::finish(db, &lane, &owner, &turn, &bodies, now);
        self.writer.write("finish a delivery", Durability::Kill, finish).await
    }

    async fn set_lane(&self, lane: &Lane, state: LaneState) -> Result<(), StoreError> {
        let lane = lane.clone();
        let set = move |db: &Connection| query::set_lane(db, &lane, &state, now());
        self.writer.write("open or close a lane", Durability::Power, set).await
    }

    async fn forget(&self, keep: Keep, now: Millis) -> Result<bool, StoreError> {
        let forget = move |db: &Connection| forget::step(db, keep, now);
        self.writer.write("forget what is old", Durability::Kill, forget).await
    }

    async fn refuse(&self, refused: Vec<Refused>) -> Result<(), StoreError> {
        let refuse = move |db: &Connection| query::refuse(db, &refused);
        self.writer.write("write down a refusal", Durability::Kill, refuse).await
    }

    async fn refusals(&self, limit: usize) -> Result<Vec<Refused>, StoreError> {
        self.read("read refusals", move |db| look::refusals(db, limit)).await
    }

    async fn count_events(&self, filter: Filter) -> Result<u64, StoreError> {
        self.read("count events", move |db| look::count_events(db, &filter)).await
    }

    async fn count_deliveries(&self, filter: Filter) -> Result<u64, StoreError> {
        self.read("count deliveries", move |db| look::count_deliveries(db, &filter)).await
    }

    async fn events(&self, filter: Filter) -> Result<Vec<SeenEvent>, StoreError> {
        self.read("read events", move |db| look::events(db, &filter)).await
    }

    async fn deliveries(&self, filter: Filter) -> Result<Vec<SeenDelivery>, StoreError> {
        self.read("read deliveries", move |db| look::deliveries(db, &filter)).await
    }

    async fn delivery(&self, id: &DeliveryId) -> Result<Option<WholeDelivery>, StoreError> {
        let id = id.clone();
        self.read("read a delivery", move |db| look::delivery(db, &id)).await
    }

    async fn event_json(&self, id: &EventId) -> Result<Option<serde_json::Value>, StoreError> {
        let id = id.clone();
        self.read("read an event", move |db| look::event_json(db, &id)).await
    }

    async fn is_ready(&self) -> Result<(), StoreError> {
        self.writer.write("write", Durability::Kill, |_| Ok(())).await
    }

    async fn probe(&self, bytes: usize) -> Result<(), StoreError> {
        let insert = move |db: &Connection| query::insert_probe(db, bytes);
        self.writer.write("write", Durability::Power, insert).await?;
        self.writer.write("write", Durability::Power, query::remove_probe).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.writer.rest().await
    }

    fn faults(&self) -> Vec<String> {
        let panics = self.writer.panics();
        let panicked = (panics > 0).then(|| format!("the thread that writes to the store panicked {panics} times"));
        self.lost.iter().cloned().chain(panicked).collect()
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.read("count what waits", look::counts).await
    }

    async fn enqueue(&self, deliveries: Vec<NewDelivery>, now: Millis) -> Result<(), StoreError> {
        let enqueue = move |db: &Connection| query::enqueue(db, deliveries.clone(), now);
        self.writer.write("add deliveries", Durability::Power, enqueue).await
    }

    async fn give_up(&self, ids: Vec<DeliveryId>, why: &str) -> Result<Vec<DeliveryId>, StoreError> {
        let why = why.to_owned();
        let give_up = move |db: &Connection| query::give_up(db, &ids, &why);
        self.writer.write("give deliveries up", Durability::Power, give_up).await
    }
}

/// Where the user of a store is reached, as far as it has said so.
pub fn user_of(path: &Path) -> Option<String> {
    let address = crate::text_file::read_text(&beside(path, "lock"), 1_024).ok()?;
    Some(address.trim().to_owned()).filter(|address| !address.is_empty())
}

/// Connections that only read. There are as many as ever read at once, up to [`READERS`].
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    places: Arc<Semaphore>,
}

/// How many may read at once; more would each hold a cache and a thread, and gain nothing.
const READERS: usize = 8;

impl Readers {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::default(), places: Arc::new(Semaphore::new(READERS)) }
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let db = match idle {
            Some(db) => db,
            None => read_only(&self.path)?,
        };
        let result = work(&db);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
        result
    }
}

fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.pragma_update(None, "cache_size", -512)?;
    Ok(db)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    // More statements than rusqlite keeps by itself.
    db.set_prepared_statement_cache_capacity(64);
    // Names of requests and commits are spread over their tables, so a small cache would be read and written again and
    // again. It is in KB, negative, and taken as it is needed (<https://sqlite.org/pragma.html#pragma_cache_size>).
    db.pragma_update(None, "cache_size", -16_384)?;
    // A log that had to grow beyond this gives the room back.
    db.pragma_update(None, "journal_size_limit", 128 * 1024 * 1024)?;
    // What a savepoint would undo is kept in memory; a file of it costs more writes than all the rest.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(db)
}

pub(crate) fn beside(path: &Path, extension: &str) -> PathBuf {
    with_suffix(path, &format!(".{extension}"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens a file for writing, or makes one that only its owner may read. SQLite gives the files that it makes
/// beside a database the same permissions.
fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests;
