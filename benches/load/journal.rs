//! The smallest durable store: one thread with a file, which writes all queued bodies together, so that they share one
//! sync of the disk. As SQLite, and as a plain file.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};

/// Maximum number of bodies per commit.
const MAX_BATCH: usize = 64;

/// Handle of the thread.
#[derive(Clone)]
pub(crate) struct Journal(mpsc::UnboundedSender<(Job, oneshot::Sender<i64>)>);

enum Job {
    /// Stores a body. The caller gets its number once it is on disk.
    Keep(Vec<u8>),
    /// Marks the message of this number as delivered. This survives a kill, so it need not be synced.
    Done(i64),
}

impl Journal {
    /// SQLite, in WAL mode.
    pub(crate) fn sqlite(path: &Path) -> Self {
        let db = database(path);
        Self::start(move |batch| {
            let durable = batch.iter().any(|(job, _)| matches!(job, Job::Keep(_)));
            db.pragma_update(None, "synchronous", if durable { "FULL" } else { "NORMAL" }).unwrap();
            db.execute_batch("BEGIN IMMEDIATE").unwrap();
            let numbers = batch.iter().map(|(job, _)| match job {
                Job::Keep(body) => keep(&db, body),
                Job::Done(number) => done(&db, *number),
            });
            let numbers = numbers.collect();
            db.execute_batch("COMMIT").unwrap();
            numbers
        })
    }

    /// An append-only file.
    pub(crate) fn file(path: &Path) -> Self {
        let (mut file, mut bytes) = (File::create_new(path).unwrap(), vec![]);
        Self::start(move |batch| {
            bytes.clear();
            for (job, _) in batch {
                if let Job::Keep(body) = job {
                    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
                    bytes.extend_from_slice(body);
                }
            }
            file.write_all(&bytes).unwrap();
            file.sync_data().unwrap();
            vec![0; batch.len()]
        })
    }

    fn start(mut write: impl FnMut(&[(Job, oneshot::Sender<i64>)]) -> Vec<i64> + Send + 'static) -> Self {
        let (jobs, mut queue) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut batch = vec![];
            while queue.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
                let numbers = write(&batch);
                for ((_, reply), number) in batch.drain(..).zip(numbers) {
                    let _ = reply.send(number);
                }
            }
        });
        Self(jobs)
    }

    async fn ask(&self, job: Job) -> i64 {
        let (reply, answer) = oneshot::channel();
        self.0.send((job, reply)).unwrap_or_else(|_| panic!("the journal's thread has ended"));
        answer.await.unwrap()
    }

    pub(crate) async fn keep(&self, body: Vec<u8>) -> i64 {
        self.ask(Job::Keep(body)).await
    }

    pub(crate) async fn done(&self, number: i64) {
        self.ask(Job::Done(number)).await;
    }
}

/// Opens a database with one table.
pub(crate) fn database(path: &Path) -> Connection {
    let db = Connection::open(path).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    let table =
        "CREATE TABLE requests (number INTEGER PRIMARY KEY, body BLOB NOT NULL, done INTEGER NOT NULL DEFAULT 0)";
    db.execute_batch(table).unwrap();
    db
}

pub(crate) fn keep(db: &Connection, body: &[u8]) -> i64 {
    db.prepare_cached("INSERT INTO requests (body) VALUES (?)").unwrap().insert(params![body]).unwrap()
}

pub(crate) fn done(db: &Connection, number: i64) -> i64 {
    let mut update = db.prepare_cached("UPDATE requests SET done = 1 WHERE number = ?").unwrap();
    update.execute(params![number]).unwrap();
    number
}
