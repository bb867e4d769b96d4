//! Moving the write-ahead log into the database: by a thread of its own, so that the writer does not; and by the writer
//! where the log has become too large, because it begins anew only when all of it is moved and nobody adds to it.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

/// How many pages (of 4 KB) the log may hold before the thread sets to work. Seldom and much: commits wait for the disk
/// while it works, and a page that was written often is moved once.
const ENOUGH_PAGES: i32 = 8_000;

/// How many pages the log may hold before the writer waits until all of them are moved. A large log is slow to look
/// things up in, and takes room on the disk.
const TOO_MANY_PAGES: i32 = 16_000;

/// The thread. It ends when the connection that it watches is closed.
pub(super) struct Checkpointer(Option<JoinHandle<()>>);

/// The log, as the writer sees it.
pub(super) struct Log {
    pages: Arc<AtomicI32>,
    /// Held by whoever moves pages: two at once only get into each other's way.
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
        })?;
        let pages = log.pages.clone();
        // A hook of our own replaces SQLite's, which would do the work within the commit.
        let hook = move |_: &mut rusqlite::hooks::Wal, in_log: i32| {
            pages.store(in_log, Ordering::Relaxed);
            if in_log >= ENOUGH_PAGES {
                // A wake-up that is already due serves for this one too.
                let _ = due.try_send(());
            }
            Ok(())
        };
        writer.wal_hook(Some(hook)).map_err(std::io::Error::other)?;
        Ok((Self(Some(thread)), log))
    }
}

impl Log {
    /// Between two commits: where the log is too large, moves all of it, so that the next commit begins it anew. Whoever
    /// reads meanwhile is not waited for; then it is tried again after the next commit.
    pub(super) fn keep_small(&self, writer: &Connection) {
        if self.pages.load(Ordering::Relaxed) >= TOO_MANY_PAGES {
            let _turn = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
            checkpoint(writer);
        }
    }
}

impl Log {
    /// Moves all of the log, and empties it.
    pub(super) fn empty(&self, writer: &Connection) -> rusqlite::Result<()> {
        let _turn = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }
}

fn checkpoint(db: &Connection) {
    // PASSIVE waits for nobody (<https://sqlite.org/pragma.html#pragma_wal_checkpoint>).
    if let Err(error) = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        tracing::warn!(%error, "could not move the write-ahead log into the database");
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}
