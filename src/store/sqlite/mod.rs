//! The embedded store: SQLite, in a file beside the config.
//!
//! One thread writes (`writer`), another moves what is in the write-ahead log into the database (`checkpoint`),
//! so that no request waits for that; readers have connections of their own. A lock file keeps a second Hookbell
//! away, so leases of a process that was killed end when the next one starts.

mod checkpoint;
mod forget;
mod query;
mod schema;
mod writer;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags};

use super::{
    Accepted, Decide, Delivery, Finished, Keep, Lane, Millis, NewRequest, Refused, Seen, Store, StoreError, now,
};
use crate::event::ChannelName;
use checkpoint::Checkpointer;
use schema::SchemaError;
use writer::{Durability, Writer};

/// A store in one file.
pub struct SqliteStore {
    // Fields drop in this order: the writer ends before the checkpointer, and both before the lock is let go.
    writer: Writer,
    _checkpointer: Checkpointer,
    readers: Arc<Readers>,
    _lock: File,
}

impl SqliteStore {
    /// Opens the file, or makes it, readable for its owner alone.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let unusable = |reason: String| StoreError::Unusable { path: path.display().to_string(), reason };
        let database = |error: rusqlite::Error| unusable(error.to_string());
        let lock_path = beside(path, "lock");
        let lock = private_file(&lock_path).map_err(|error| unusable(format!("{}: {error}", lock_path.display())))?;
        if lock.try_lock().is_err() {
            return Err(unusable("another Hookbell is using it; stop that one first".to_owned()));
        }
        private_file(path).map_err(|error| unusable(error.to_string()))?;

        let mut db = connect(path).map_err(database)?;
        db.pragma_update(None, "journal_mode", "WAL").map_err(database)?;
        schema::migrate(&mut db).map_err(|error| match error {
            SchemaError::Newer { found, known } => unusable(format!(
                "a newer Hookbell made it (its version is {found}, this program knows {known}); use that program, or another file"
            )),
            SchemaError::Database(error) => unusable(error.to_string()),
        })?;
        // The lock is ours alone, so whoever held a lane is gone.
        db.execute("DELETE FROM lanes", []).map_err(database)?;
        let thread = |error: std::io::Error| unusable(format!("cannot start a thread: {error}"));
        let checkpointer = Checkpointer::start(connect(path).map_err(database)?, &mut db).map_err(thread)?;
        let readers = Arc::new(Readers { path: path.to_owned(), idle: Mutex::new(vec![]) });
        Ok(Self { writer: Writer::start(db).map_err(thread)?, _checkpointer: checkpointer, readers, _lock: lock })
    }

    async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = self.readers.clone();
        let result = tokio::task::spawn_blocking(move || readers.with(work)).await;
        let result = result.map_err(|_| StoreError::Closed)?;
        result.map_err(|error| StoreError::Database { doing, source: error.into() })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, request: NewRequest, decide: Decide) -> Result<Accepted, StoreError> {
        let body = lz4_flex::compress_prepend_size(&request.body);
        let accept = move |db: &Connection| query::accept(db, &request, &body, decide);
        self.writer.write("take in a request", Durability::Power, accept).await
    }

    async fn assign(&self, lanes: BTreeMap<ChannelName, Lane>) -> Result<(), StoreError> {
        let assign = move |db: &Connection| query::assign(db, &lanes);
        self.writer.write("assign lanes", Durability::Kill, assign).await
    }

    async fn lease(&self, lane: &Lane, owner: &str, until: Millis) -> Result<bool, StoreError> {
        let (lane, owner) = (lane.clone(), owner.to_owned());
        let lease = move |db: &Connection| query::lease(db, &lane, &owner, until, now());
        self.writer.write("lease a lane", Durability::Kill, lease).await
    }

    async fn heads(&self, lane: &Lane, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let lane = lane.clone();
        self.read("read what waits", move |db| query::heads(db, &lane, limit, now())).await
    }

    async fn finish(&self, lane: &Lane, owner: &str, finished: Finished) -> Result<bool, StoreError> {
        let (lane, owner) = (lane.clone(), owner.to_owned());
        let body = lz4_flex::compress_prepend_size(finished.body.as_bytes());
        let finish = move |db: &Connection| query::finish(db, &lane, &owner, &finished, &body);
        self.writer.write("finish a delivery", Durability::Kill, finish).await
    }

    async fn forget(&self, keep: Keep, now: Millis) -> Result<bool, StoreError> {
        let forget = move |db: &Connection| forget::step(db, keep, now);
        self.writer.write("forget what is old", Durability::Kill, forget).await
    }

    async fn refuse(&self, refused: Vec<Refused>) -> Result<(), StoreError> {
        let refuse = move |db: &Connection| query::refuse(db, &refused);
        self.writer.write("write down a refusal", Durability::Kill, refuse).await
    }
}

/// A store that is only looked at, whether a Hookbell works on it or not.
pub struct Glance(Connection, PathBuf);

impl Glance {
    /// Opens a file that is there.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let unusable = |reason: String| StoreError::Unusable { path: path.display().to_string(), reason };
        if !path.exists() {
            return Err(unusable("it is not there yet: start Hookbell once, it makes one".to_owned()));
        }
        let db = read_only(path).map_err(|error| unusable(error.to_string()))?;
        match schema::version(&db) {
            Ok(version) if version == schema::STEPS.len() => Ok(Self(db, path.to_owned())),
            Ok(_) => Err(unusable("another version of Hookbell made it: start this one once".to_owned())),
            Err(error) => Err(unusable(error.to_string())),
        }
    }

    /// The last requests that were refused, the newest last.
    pub fn refusals(&self, limit: usize) -> Result<Vec<Refused>, StoreError> {
        self.told(query::refusals(&self.0, limit))
    }

    /// The last events, the newest last.
    pub fn events(&self, limit: usize) -> Result<Vec<Seen>, StoreError> {
        self.told(query::seen(&self.0, limit))
    }

    fn told<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        let unusable = |error: rusqlite::Error| StoreError::Unusable {
            path: self.1.display().to_string(),
            reason: error.to_string(),
        };
        result.map_err(unusable)
    }
}

/// Connections that only read. There are as many as ever read at once.
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
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
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    // The default of 2 MB is for programs that read a lot.
    db.pragma_update(None, "cache_size", -1_024)?;
    Ok(db)
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
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
