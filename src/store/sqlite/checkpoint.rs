//! The thread that moves the write-ahead log into the database, so that the writer never does.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

/// How many pages (of 4 KB) the log may hold before the thread sets to work.
const ENOUGH_PAGES: i32 = 1_000;

/// The thread. It ends when the connection that it watches is closed.
pub(super) struct Checkpointer(Option<JoinHandle<()>>);

impl Checkpointer {
    /// Watches the log of `writer`, and works on `db`.
    pub(super) fn start(db: Connection, writer: &mut Connection) -> std::io::Result<Self> {
        let (due, wakes): (SyncSender<()>, _) = sync_channel(1);
        let thread = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || {
            for () in wakes {
                let done = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                if let Err(error) = done {
                    tracing::warn!(%error, "could not move the write-ahead log into the database");
                }
            }
        })?;
        // A hook of our own replaces SQLite's, which would do the work within the commit.
        let hook = move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            if pages >= ENOUGH_PAGES {
                // A wake-up that is already due serves for this one too.
                let _ = due.try_send(());
            }
            Ok(())
        };
        writer.wal_hook(Some(hook)).map_err(std::io::Error::other)?;
        Ok(Self(Some(thread)))
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}
