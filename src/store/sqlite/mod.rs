//! Embedded store: SQLite, in a file next to the config file.
//!
//! One thread writes (`writer`), and one waits for the disk (`sync`). A third moves the write-ahead log into the database
//! (`checkpoint`), so that no request waits for that. Readers have their own connections. A lock file keeps other
//! processes away, so the next start can reclaim the leases of a process that was killed.

mod accept;
mod backup;
mod checkpoint;
mod compressed;
mod database;
mod engine;
mod files;
mod former_ids;
mod lane;
mod look;
mod memory;
mod notes;
mod older;
mod pending_routing;
mod prune;
mod queue;
mod record;
mod schema;
mod state;
mod sync;
mod writer;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use thiserror::Error;
use tokio::sync::Semaphore;

use super::lane::Announcer;
use super::{
    Accepted, Arrivals, Assignment, Counts, Decide, Delivery, DeliveryDetail, DeliverySummary, EventSummary, Filter,
    Finished, Generation, History, Intake, Lane, LaneSignal, LaneState, Lanes, Lease, NewDelivery, NewRequest,
    RejectedRequest, Retention, RouteLater, Store, StoreError, Turn,
};
use crate::event::{DeliveryId, EventId, SourceName};
use crate::time::{Millis, SteadyClock};
use backup::CopyError;
use checkpoint::Checkpointer;
use compressed::pack;
use database::Database;
pub(super) use engine::{ABOUT, DEFAULT_URL, FORMS, SCHEME, locate};
use files::{Files, Reached};
use schema::SchemaError;
use writer::{Durability, Then, Writer};

/// Store in one file.
pub(super) struct SqliteStore {
    // Fields drop in this order: the connection of the checkpointer closes last, because it can write, and all of them
    // close before the lock is released.
    writer: Writer,
    readers: Arc<Readers>,
    _checkpointer: Checkpointer,
    announcer: Announcer,
    /// Number of the assigned configuration. Only one process uses the file, so it need not be stored.
    generation: Arc<AtomicU64>,
    clock: fn() -> Millis,
    /// Clock for the age of data, because the system's clock may be changed.
    steady: SteadyClock,
    /// Report of committed data that is missing in the database.
    lost: Option<String>,
    lock: File,
    /// The database, locked like the lock file, so that a link to it or a new lock file does not let a second process
    /// open it. It must be closed after all connections, because closing it releases SQLite's own locks.
    _database: File,
}

/// Reason why the file of a store cannot be opened.
#[derive(Debug, Error)]
enum OpenError {
    #[error("another process uses it")]
    InUse,
    #[error("{}: {error}", path.display())]
    LockFile { path: PathBuf, error: std::io::Error },
    #[error("it has an older version, and copying it before the upgrade failed: {0}")]
    CopyFailed(CopyError),
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
}

impl SqliteStore {
    /// Opens the file, or creates it with access for its owner only.
    fn open_at(path: &Path, clock: fn() -> Millis) -> Result<Self, StoreError> {
        Self::opened(path, clock).map_err(|error| {
            let path = path.display().to_string();
            match error {
                OpenError::InUse => StoreError::InUse { path },
                error => StoreError::Unusable { path, source: error.into() },
            }
        })
    }

    fn opened(path: &Path, clock: fn() -> Millis) -> Result<Self, OpenError> {
        let lock_path = sibling(path, "lock");
        let lock_file = |error| OpenError::LockFile { path: lock_path.clone(), error };
        let lock = private_file(&lock_path).map_err(lock_file)?;
        lock.try_lock().map_err(|_| OpenError::InUse)?;
        // Remove the address of the previous process.
        lock.set_len(0).map_err(lock_file)?;
        let file = private_file(path)?;
        file.try_lock().map_err(|_| OpenError::InUse)?;

        let db = connect(path)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        if let Some(found) = schema::older(&db)? {
            let copy = sibling(path, &format!("version-{found}"));
            backup::copy(&db, &copy).map_err(OpenError::CopyFailed)?;
            tracing::info!(copy = %copy.display(), "store copied before the upgrade");
        }
        let mut db = schema::migrate(db)?;
        let files = Files::of(path, &file)?;
        let (checkpointer, log) = Checkpointer::start(connect(path)?, &mut db).map_err(OpenError::Thread)?;
        let mut db = Database::new(db)?;
        // This process has the lock, so all earlier owners of lanes have ended.
        lane::reclaim_all(&mut db, clock())?;
        let mut reached = Reached::open(path)?;
        let lost = reached.compare(&mut db, clock());
        if let Some(lost) = &lost {
            tracing::error!(store = %path.display(), fault = %lost, "committed data is missing");
        }
        let readers = Arc::new(Readers::new(path));
        let writer = Writer::start(db, log, files, reached).map_err(OpenError::Thread)?;
        Ok(Self {
            writer,
            readers,
            _checkpointer: checkpointer,
            announcer: Announcer::default(),
            generation: Arc::default(),
            clock,
            steady: SteadyClock::start(clock()),
            lost,
            lock,
            _database: file,
        })
    }

    /// Returns a check that a generation is that of the assigned configuration. It must run on the writer's thread.
    fn is_current(&self, generation: Generation) -> impl Fn() -> bool + Send + 'static {
        let assigned = self.generation.clone();
        move || generation >= Generation(assigned.load(Ordering::Acquire))
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
impl Intake for SqliteStore {
    async fn accept(
        &self,
        request: Arc<NewRequest>,
        generation: Generation,
        decide: Decide,
    ) -> Result<Accepted, StoreError> {
        let body = pack(&request.body);
        let (is_current, announcer, now) = (self.is_current(generation), self.announcer.clone(), (self.clock)());
        let accept = move |db: &mut Database| {
            is_current().then(|| accept::accept(db, &request, &body, &decide, now)).transpose()
        };
        let announce = move |accepted: &mut Option<(Accepted, Vec<LaneSignal>)>| {
            let signals = accepted.iter_mut().flat_map(|(_, signals)| std::mem::take(signals));
            signals.for_each(|signal| announcer.announce(signal));
        };
        let then = Then::Soon(announce);
        let accepted = self.writer.write_then("accept a request", Durability::Power, then, accept).await?;
        accepted.map(|(accepted, _)| accepted).ok_or(StoreError::Outdated)
    }

    async fn assign(&self, assignment: Assignment) -> Result<(), StoreError> {
        let (Assignment { generation, lanes, route_pending }, now) = (assignment, (self.clock)());
        let assign = move |db: &mut Database| {
            // First, so that the new deliveries find the lanes of their channels.
            queue::assign(db, &lanes)?;
            if let Some(route_pending) = &route_pending {
                pending_routing::route_pending(db, route_pending, usize::MAX, now)?;
            }
            Ok(())
        };
        let (assigned, announcer) = (self.generation.clone(), self.announcer.clone());
        let then = move |(): &mut ()| {
            assigned.store(generation.0, Ordering::Release);
            announcer.announce(LaneSignal::Any);
        };
        self.writer.write_then("assign lanes", Durability::Kill, Then::BeforeNextJob(then), assign).await
    }

    async fn route_pending(&self, route_pending: RouteLater, limit: usize) -> Result<bool, StoreError> {
        let (announcer, now) = (self.announcer.clone(), (self.clock)());
        let route_pending = move |db: &mut Database| pending_routing::route_pending(db, &route_pending, limit, now);
        let announce = move |routed: &mut usize| {
            if *routed > 0 {
                announcer.announce(LaneSignal::Any);
            }
        };
        let then = Then::Soon(announce);
        let routed = self.writer.write_then("route pending events", Durability::Kill, then, route_pending).await?;
        Ok(routed == limit)
    }

    async fn keep_config(&self, hash: &str, text: &str) -> Result<(), StoreError> {
        let (hash, text, now) = (hash.to_owned(), text.to_owned(), (self.clock)());
        let keep = move |db: &mut Database| notes::keep_config(db, &hash, &text, now);
        self.writer.write("store the rules", Durability::Power, keep).await
    }

    async fn remembered(&self, subject: &str) -> Result<Option<serde_json::Value>, StoreError> {
        let subjects = vec![subject.to_owned()];
        let memory = self.read("read memory", move |db| memory::read(db, &subjects)).await?;
        Ok(memory.into_values().next().filter(|state| !state.is_null()))
    }

    async fn add_rejected(&self, rejected: Vec<RejectedRequest>) -> Result<(), StoreError> {
        let add = move |db: &mut Database| notes::add_rejected(db, &rejected);
        self.writer.write("record a rejection", Durability::Kill, add).await
    }

    async fn is_ready(&self) -> Result<(), StoreError> {
        self.writer.write("write", Durability::Kill, |_| Ok(())).await
    }

    async fn probe(&self, bytes: usize) -> Result<(), StoreError> {
        let insert = move |db: &mut Database| memory::insert_probe(db, bytes);
        self.writer.write("write", Durability::Power, insert).await?;
        self.writer.write("write", Durability::Power, |db| memory::remove_probe(db)).await
    }
}

#[async_trait]
impl Lanes for SqliteStore {
    async fn lease(&self, lane: &Lane, owner: &str, time: Duration) -> Result<Lease, StoreError> {
        let (lane, owner, now) = (lane.clone(), owner.to_owned(), (self.clock)());
        let lease = move |db: &mut Database| lane::lease(db, &lane, &owner, time, now);
        self.writer.write("lease a lane", Durability::Kill, lease).await
    }

    async fn mark(&self, lane: &Lane, owner: &str, delivery: &DeliveryId) -> Result<(), StoreError> {
        let (lane, owner, delivery) = (lane.clone(), owner.to_owned(), delivery.clone());
        let mark = move |db: &mut Database| lane::update(db, &lane, |record| record.mark(&owner, &delivery));
        self.writer.write("mark a message", Durability::Kill, mark).await
    }

    async fn release(&self, lane: &Lane, owner: &str) -> Result<(), StoreError> {
        let (lane, owner) = (lane.clone(), owner.to_owned());
        let release = move |db: &mut Database| lane::update(db, &lane, |record| record.release(&owner));
        self.writer.write("release a lane", Durability::Kill, release).await
    }

    async fn reclaim(&self, lane: &Lane, owner: &str) -> Result<(), StoreError> {
        let (lane, owner, now) = (lane.clone(), owner.to_owned(), (self.clock)());
        let reclaim = move |db: &mut Database| lane::reclaim(db, &lane, &owner, now);
        self.writer.write("reclaim a lane", Durability::Kill, reclaim).await
    }

    async fn heads(&self, lane: &Lane, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let lane = lane.clone();
        self.read("read queued messages", move |db| queue::heads(db, &lane, limit)).await
    }

    async fn finish(&self, lane: &Lane, owner: &str, turn: Arc<Turn>) -> Result<bool, StoreError> {
        let (lane, owner, now) = (lane.clone(), owner.to_owned(), (self.clock)());
        // Compresses here rather than on the writer thread.
        let body = |finished: &Finished| Some(pack(finished.attempt.as_ref()?.body.as_bytes()));
        let bodies: Vec<_> = turn.finished.iter().map(body).collect();
        let finish = move |db: &mut Database| queue::finish(db, &lane, &owner, &turn, &bodies, now);
        self.writer.write("finish a delivery", Durability::Kill, finish).await
    }

    async fn set_lane(&self, lane: &Lane, state: LaneState) -> Result<(), StoreError> {
        let (announcer, now) = (self.announcer.clone(), (self.clock)());
        let (lane, changed) = (lane.clone(), LaneSignal::Changed(lane.clone()));
        let set = move |db: &mut Database| lane::update(db, &lane, |record| record.set(state.clone(), now));
        let announce = move |(): &mut ()| announcer.announce(changed);
        self.writer.write_then("open or close a lane", Durability::Power, Then::Soon(announce), set).await
    }

    fn arrivals(&self) -> Arrivals {
        self.announcer.listen()
    }
}

#[async_trait]
impl History for SqliteStore {
    async fn config(&self, hash: &str) -> Result<Option<String>, StoreError> {
        let hash = hash.to_owned();
        self.read("read rules", move |db| look::config(db, &hash)).await
    }

    async fn rejected(&self, limit: usize) -> Result<Vec<RejectedRequest>, StoreError> {
        self.read("read rejected requests", move |db| look::rejected(db, limit)).await
    }

    async fn last_request(&self, source: &SourceName, since: Millis) -> Result<Option<Millis>, StoreError> {
        let source = source.clone();
        self.read("find the last request", move |db| look::last_request(db, &source, since)).await
    }

    async fn count_events(&self, filter: Filter) -> Result<u64, StoreError> {
        self.read("count events", move |db| look::count_events(db, &filter)).await
    }

    async fn count_deliveries(&self, filter: Filter) -> Result<u64, StoreError> {
        self.read("count deliveries", move |db| look::count_deliveries(db, &filter)).await
    }

    async fn events(&self, filter: Filter) -> Result<Vec<EventSummary>, StoreError> {
        self.read("read events", move |db| look::events(db, &filter)).await
    }

    async fn deliveries(&self, filter: Filter) -> Result<Vec<DeliverySummary>, StoreError> {
        self.read("read deliveries", move |db| look::deliveries(db, &filter)).await
    }

    async fn delivery(&self, id: &DeliveryId) -> Result<Option<DeliveryDetail>, StoreError> {
        let id = id.clone();
        self.read("read a delivery", move |db| look::delivery(db, &id)).await
    }

    async fn event_json(&self, id: &EventId) -> Result<Option<serde_json::Value>, StoreError> {
        let id = id.clone();
        self.read("read an event", move |db| look::event_json(db, &id)).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.read("count messages", look::counts).await
    }

    async fn enqueue(
        &self,
        deliveries: Vec<NewDelivery>,
        generation: Generation,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let (is_current, announcer, now) = (self.is_current(generation), self.announcer.clone(), (self.clock)());
        let enqueue =
            move |db: &mut Database| is_current().then(|| queue::enqueue(db, &deliveries, now, now)).transpose();
        let announce = move |added: &mut Option<(Vec<DeliveryId>, BTreeSet<Lane>)>| {
            let lanes = added.iter_mut().flat_map(|(_, lanes)| std::mem::take(lanes));
            lanes.for_each(|lane| announcer.announce(LaneSignal::Arrived { lane, message: None }));
        };
        let then = Then::Soon(announce);
        let added = self.writer.write_then("add deliveries", Durability::Power, then, enqueue).await?;
        added.map(|(ids, _)| ids).ok_or(StoreError::Outdated)
    }

    async fn give_up(&self, ids: Vec<DeliveryId>, why: &str) -> Result<Vec<DeliveryId>, StoreError> {
        let (why, announcer) = (why.to_owned(), self.announcer.clone());
        let give_up = move |db: &mut Database| queue::give_up(db, &ids, &why);
        let announce = move |(_, lanes): &mut (Vec<DeliveryId>, BTreeSet<Lane>)| {
            lanes.iter().for_each(|lane| announcer.announce(LaneSignal::Changed(lane.clone())));
        };
        let (given_up, _) =
            self.writer.write_then("drop deliveries", Durability::Power, Then::Soon(announce), give_up).await?;
        Ok(given_up)
    }

    async fn prune(&self, keep: Retention) -> Result<bool, StoreError> {
        let now = self.steady.for_ages((self.clock)());
        let prune = move |db: &mut Database| prune::step(db, keep, now);
        self.writer.write("delete expired data", Durability::Kill, prune).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn close(&self) -> Result<(), StoreError> {
        self.writer.rest().await
    }

    fn faults(&self) -> Vec<String> {
        let panics = self.writer.panics();
        let panicked = (panics > 0).then(|| format!("the writer thread of the store panicked {panics} times"));
        self.lost.iter().cloned().chain(panicked).collect()
    }

    /// Writes the address to the lock file.
    fn set_address(&self, address: &str) -> std::io::Result<()> {
        let mut lock = &self.lock;
        lock.set_len(0)?;
        lock.rewind()?;
        lock.write_all(address.as_bytes())
    }
}

/// Read-only connections. As many are opened as read at the same time, up to [`READERS`].
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    places: Arc<Semaphore>,
}

/// Maximum number of concurrent readers; more would each need a cache and a thread, and gain nothing.
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
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.pragma_update(None, "cache_size", -512)?;
    Ok(db)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(Duration::from_secs(5))?;
    // Otherwise SQLite compiles some statements again for each value of a parameter, to see whether a partial index fits
    // (<https://sqlite.org/queryplanner-ng.html#qpstab>).
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // More statements than rusqlite caches by default.
    db.set_prepared_statement_cache_capacity(64);
    // The rows of `memory` and the indexes of `requests` are in no order of time, so a cache much smaller than this would
    // read their pages again and again; the system's cache has the rest. A negative size is in KB, and allocated as needed
    // (<https://sqlite.org/pragma.html#pragma_cache_size>).
    db.pragma_update(None, "cache_size", -4_096)?;
    // A commit does not wait for the disk: `sync` does. Checkpoints and the start of the log still do
    // (<https://sqlite.org/pragma.html#pragma_synchronous>).
    db.pragma_update(None, "synchronous", "NORMAL")?;
    // A log that grew beyond this size is truncated.
    db.pragma_update(None, "journal_size_limit", 128 * 1024 * 1024)?;
    Ok(db)
}

fn sibling(path: &Path, extension: &str) -> PathBuf {
    with_suffix(path, &format!(".{extension}"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens a file for writing, or creates it with access for its owner only. SQLite gives the files that it creates next
/// to a database the same permissions.
fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
pub(super) mod tests;
