//! The one thread that writes. It takes what waits for it in one transaction, so that concurrent requests share
//! a commit, and with it the wait for the disk.

use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::store::StoreError;

/// How many jobs share a transaction at most. More costs latency and gains nothing.
const LARGEST_BATCH: usize = 64;

/// How many jobs may wait for the thread; those who would queue behind them wait to queue.
const LONGEST_QUEUE: usize = 1_024;

/// Something to write, run in a savepoint of its own. It returns what to do once the transaction is over.
type Work = Box<dyn FnOnce(&Connection) -> Epilogue + Send>;
type Epilogue = Box<dyn FnOnce(Result<(), &str>)>;

struct Job {
    durable: bool,
    work: Work,
}

/// The thread, and the way to it.
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// How well a write must survive.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Durability {
    /// A power cut.
    Power,
    /// A kill of the process.
    Kill,
}

impl Writer {
    pub(super) fn start(db: Connection) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(LONGEST_QUEUE);
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || run(&db, queue))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `work` within a transaction, and returns once that is committed.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        durability: Durability,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let work = move |db: &Connection| -> Epilogue {
            let result = in_savepoint(db, work);
            Box::new(move |committed: Result<(), &str>| {
                let result = match (result, committed) {
                    (Ok(value), Ok(())) => Ok(value),
                    (Ok(_), Err(reason)) => Err(StoreError::Database { doing, source: reason.into() }),
                    (Err(error), _) => Err(StoreError::Database { doing, source: error.into() }),
                };
                // Whoever asked may have gone away; what is written stays written.
                let _ = reply.send(result);
            })
        };
        let job = Job { durable: durability == Durability::Power, work: Box::new(work) };
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Writer {
    /// Waits until all that was handed over is written.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(db: &Connection, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < LARGEST_BATCH
            && let Ok(job) = queue.try_recv()
        {
            batch.push(job);
        }
        write(db, batch);
    }
}

fn write(db: &Connection, batch: Vec<Job>) {
    // In WAL mode FULL waits for the disk at each commit, NORMAL does not (<https://sqlite.org/pragma.html#pragma_synchronous>).
    let synchronous = if batch.iter().any(|job| job.durable) { "FULL" } else { "NORMAL" };
    let mut epilogues = vec![];
    let committed = db
        .pragma_update(None, "synchronous", synchronous)
        .and_then(|()| db.execute_batch("BEGIN IMMEDIATE"))
        .and_then(|()| {
            epilogues.extend(batch.into_iter().map(|job| (job.work)(db)));
            db.execute_batch("COMMIT")
        });
    if committed.is_err() && !db.is_autocommit() {
        // Where this fails too, the next BEGIN says so; the first error is the one to tell.
        let _ = db.execute_batch("ROLLBACK");
    }
    let failure = committed.err().map(|error| error.to_string());
    for epilogue in epilogues {
        epilogue(failure.as_deref().map_or(Ok(()), Err));
    }
}

/// What fails of a batch must not take the rest with it.
fn in_savepoint<T>(db: &Connection, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    db.prepare_cached("SAVEPOINT job")?.execute([])?;
    match work(db) {
        Ok(value) => {
            db.prepare_cached("RELEASE job")?.execute([])?;
            Ok(value)
        }
        Err(error) => {
            // Some errors (a full disk) have rolled the whole transaction back already.
            if !db.is_autocommit() {
                let _ = db.execute_batch("ROLLBACK TO job; RELEASE job");
            }
            Err(error)
        }
    }
}
