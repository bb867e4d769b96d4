//! The one thread that writes. It takes what waits for it in one transaction, so that concurrent requests share
//! a commit, and with it the wait for the disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Log;
use crate::store::StoreError;

/// How many jobs share a transaction at most. More costs latency and gains nothing.
const LARGEST_BATCH: usize = 64;

/// How many jobs may wait for the thread; those who would queue behind them wait to queue.
const LONGEST_QUEUE: usize = 1_024;

/// Something to write, run in a savepoint of its own, or told why there is no transaction to run it in. It returns
/// what to do once the transaction is over.
type Work = Box<dyn FnOnce(Result<&Connection, &str>) -> Epilogue + Send>;
type Epilogue = Box<dyn FnOnce(Result<(), &str>)>;

struct Job {
    durability: Durability,
    work: Work,
    /// What comes behind it must see what it does when it is committed.
    ends_batch: bool,
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
    pub(super) fn start(db: Connection, log: Log) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(LONGEST_QUEUE);
        let thread =
            std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || run(&db, &log, queue))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `work` within a transaction, and returns once that is committed.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        durability: Durability,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.job(doing, durability, work, None).await
    }

    /// The same, and once it is committed, and before anything else is run, `then`.
    pub(super) async fn write_then<T: Send + 'static>(
        &self,
        doing: &'static str,
        durability: Durability,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        then: Box<dyn FnOnce() + Send>,
    ) -> Result<T, StoreError> {
        self.job(doing, durability, work, Some(then)).await
    }

    async fn job<T: Send + 'static>(
        &self,
        doing: &'static str,
        durability: Durability,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        then: Option<Box<dyn FnOnce() + Send>>,
    ) -> Result<T, StoreError> {
        let ends_batch = then.is_some();
        let (reply, answer) = oneshot::channel();
        let work = move |db: Result<&Connection, &str>| -> Epilogue {
            let result = match db {
                Ok(db) => in_savepoint(db, work).map_err(Into::into),
                Err(reason) => Err(reason.into()),
            };
            Box::new(move |committed: Result<(), &str>| {
                let result = match (result, committed) {
                    (Ok(value), Ok(())) => {
                        then.into_iter().for_each(|then| then());
                        Ok(value)
                    }
                    (Ok(_), Err(reason)) => Err(StoreError::Database { doing, source: reason.into() }),
                    (Err(source), _) => Err(StoreError::Database { doing, source }),
                };
                // Whoever asked may have gone away; what is written stays written.
                let _ = reply.send(result);
            })
        };
        let job = Job { durability, work: Box::new(work), ends_batch };
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

fn run(db: &Connection, log: &Log, mut queue: mpsc::Receiver<Job>) {
    let mut synchronous = None;
    while let Some(first) = queue.blocking_recv() {
        let batch = batch(first, &mut queue);
        let (began, size) = (std::time::Instant::now(), batch.len());
        write(db, batch, &mut synchronous);
        log.keep_small(db);
        metrics::histogram!("hookbell_commit_seconds").record(began.elapsed());
        #[expect(clippy::cast_precision_loss, reason = "64 at most")]
        metrics::histogram!("hookbell_commit_batch").record(size as f64);
    }
}

/// What shares a transaction with a job: what waits behind it, up to one that what follows must see.
fn batch(first: Job, queue: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let mut batch = vec![first];
    while batch.len() < LARGEST_BATCH
        && batch.last().is_some_and(|job| !job.ends_batch)
        && let Ok(job) = queue.try_recv()
    {
        batch.push(job);
    }
    batch
}

/// Writes a batch in one transaction. Everybody is told the same of it: that it is committed, or why it is not.
fn write(db: &Connection, batch: Vec<Job>, synchronous: &mut Option<Durability>) {
    let mut failure = begin(db, &batch, synchronous).err().map(|error| error.to_string());
    let mut epilogues = vec![];
    for job in batch {
        let db_or_reason = failure.as_deref().map_or(Ok(db), Err);
        epilogues.push((job.work)(db_or_reason));
        // Some errors (a full disk) roll all of the transaction back, also what went well before; what would run now
        // would run outside any.
        if failure.is_none() && db.is_autocommit() {
            failure = Some("a write failed, and took the others of its transaction with it".to_owned());
        }
    }
    if failure.is_none() {
        failure = statement(db, "COMMIT").err().map(|error| error.to_string());
    }
    if !db.is_autocommit() {
        // Where this fails too, the next BEGIN says so; the first error is the one to tell.
        let _ = db.execute_batch("ROLLBACK");
    }
    for epilogue in epilogues {
        epilogue(failure.as_deref().map_or(Ok(()), Err));
    }
}

fn begin(db: &Connection, batch: &[Job], synchronous: &mut Option<Durability>) -> rusqlite::Result<()> {
    let durable = batch.iter().any(|job| job.durability == Durability::Power);
    let wanted = if durable { Durability::Power } else { Durability::Kill };
    if *synchronous != Some(wanted) {
        // In WAL mode FULL waits for the disk at each commit, NORMAL does not (<https://sqlite.org/pragma.html#pragma_synchronous>).
        let level = if durable { "FULL" } else { "NORMAL" };
        db.pragma_update(None, "synchronous", level)?;
        *synchronous = Some(wanted);
    }
    statement(db, "BEGIN IMMEDIATE")
}

fn statement(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([]).map(|_| ())
}

/// What fails of a batch must not take the rest with it, if that can be helped.
fn in_savepoint<T>(db: &Connection, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    db.prepare_cached("SAVEPOINT job")?.execute([])?;
    // A panic is this job's alone; the thread is everybody's.
    let result = catch_unwind(AssertUnwindSafe(|| work(db)))
        .unwrap_or_else(|_| Err(rusqlite::Error::ToSqlConversionFailure("it panicked".into())))
        .and_then(|value| db.prepare_cached("RELEASE job")?.execute([]).map(|_| value));
    if result.is_err() && !db.is_autocommit() && db.execute_batch("ROLLBACK TO job; RELEASE job").is_err() {
        // The savepoint cannot be undone alone, so all of the transaction must be.
        let _ = db.execute_batch("ROLLBACK");
    }
    result
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::checkpoint::Checkpointer;
    use super::*;

    #[tokio::test]
    async fn what_follows_a_write_is_done_only_once_it_is_committed_and_before_the_next() {
        let mut db = Connection::open_in_memory().unwrap();
        // A commit fails where a row's other end is missing.
        db.execute_batch(
            "PRAGMA foreign_keys = ON; CREATE TABLE a (n INTEGER PRIMARY KEY);
             CREATE TABLE b (a INTEGER REFERENCES a (n) DEFERRABLE INITIALLY DEFERRED)",
        )
        .unwrap();
        let (_checkpointer, log) = Checkpointer::start(Connection::open_in_memory().unwrap(), &mut db).unwrap();
        let writer = Writer::start(db, log).unwrap();
        let done = Arc::new(Mutex::new(vec![]));
        let insert = |sql: &'static str| move |db: &Connection| db.execute(sql, []);
        let note = |what: &'static str| -> Box<dyn FnOnce() + Send> {
            let done = done.clone();
            Box::new(move || done.lock().unwrap().push(what))
        };
        let seen = done.clone();
        let look = move |_: &Connection| Ok(seen.lock().unwrap().clone());
        let (lost, kept, seen) = tokio::join!(
            writer.write_then("lose", Durability::Kill, insert("INSERT INTO b VALUES (7)"), note("lost")),
            writer.write_then("keep", Durability::Kill, insert("INSERT INTO a VALUES (7)"), note("kept")),
            writer.write("look", Durability::Kill, look),
        );
        assert!(lost.is_err() && kept.is_ok(), "{lost:?} {kept:?}");
        assert_eq!(seen.unwrap(), ["kept"]);
    }
}
