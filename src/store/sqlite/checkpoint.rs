//! Moves the write-ahead log into the database. A separate thread does it, so that the writer need not wait. The writer
//! does it if the log is too large, because the log starts from its beginning again only when all of it is moved and no
//! one appends to it.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

/// Number of pages (of 4 KB) in the log at which the thread starts. The number is high, so that it runs rarely: commits
/// wait for the disk while it works, and a page that was written often is moved only once.
const ENOUGH_PAGES: i32 = 8_000;

/// Number of pages in the log at which the writer waits until all of them are moved. A large log slows down reads, and
/// takes space on the disk.
const TOO_MANY_PAGES: i32 = 16_000;

/// Checkpoint thread. It ends when the connection that it watches is closed, and returns its own connection, which closes
/// after that one: only the last connection to close moves the log into the database, and two that close at the same
/// time can each take the other for the last one (<https://sqlite.org/wal.html>).
pub(super) struct Checkpointer(Option<JoinHandle<Connection>>);

/// Write-ahead log, as the writer sees it.
pub(super) struct Log {
    pages: Arc<AtomicI32>,
    /// Held while pages are moved: two checkpoints at the same time only block each other.
    moving: Arc<Mutex<()>>,
}

impl Checkpointer {
    /// Watches the log of `writer`, and works on `db`.
    pub(super) fn start(db: Connection, writer: &mut Connection) -> std::io::Result<(Self, Log)> {
        let log = Log { pages: Arc::default(), moving: Arc::default() };
        let (due, wakes): (SyncSender<()>, _) = sync_channel(1);
        let moving = log.moving.clone();
        let thread = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || {
            for () in wakes {
                let _turn = moving.lock().unwrap_or_else(PoisonError::into_inner);
                checkpoint(&db);
            }
            db
        })?;
        let pages = log.pages.clone();
        // This hook replaces SQLite's own, which would move the pages within the commit.
        let hook = move |_: &mut rusqlite::hooks::Wal, in_log: i32| {
            pages.store(in_log, Ordering::Relaxed);
            if in_log >= ENOUGH_PAGES {
                // A pending wake-up is enough.
                let _ = due.try_send(());
            }
            Ok(())
        };
        writer.wal_hook(Some(hook)).map_err(std::io::Error::other)?;
        Ok((Self(Some(thread)), log))
    }
}

impl Log {
    /// Moves all of the log between two commits, if it is too large, so that the next commit starts it from its
    /// beginning. It does not wait for readers; if there are any, it tries again after the next commit.
    pub(super) fn keep_small(&self, writer: &Connection) {
        if self.pages.load(Ordering::Relaxed) >= TOO_MANY_PAGES {
            let _turn = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
            checkpoint(writer);
        }
    }
}

impl Log {
    /// Moves all of the log, and truncates it.
    pub(super) fn empty(&self, writer: &Connection) -> rusqlite::Result<()> {
        let _turn = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }
}

fn checkpoint(db: &Connection) {
    // PASSIVE does not wait for readers or writers (<https://sqlite.org/pragma.html#pragma_wal_checkpoint>).
    if let Err(error) = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        tracing::warn!(%error, "checkpoint of the write-ahead log failed");
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}
