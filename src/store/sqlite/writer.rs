//! The only thread that writes. It runs all queued jobs in one transaction, so that concurrent requests share a commit
//! and its wait for the disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Log;
use super::files::{Files, Reached};
use crate::store::StoreError;

/// Maximum number of jobs in a transaction. More would add latency and gain nothing.
const MAX_BATCH: usize = 64;

/// Maximum number of queued jobs; further callers wait until there is room.
const MAX_QUEUE: usize = 1_024;

/// Job that runs in its own savepoint, or gets the reason why there is no transaction. Returns the action that follows
/// the transaction.
type Work = Box<dyn FnOnce(Result<&Connection, &str>) -> Epilogue + Send>;
type Epilogue = Box<dyn FnOnce(Result<(), &str>)>;

struct Job {
    durability: Durability,
    work: Work,
    /// `true` if later jobs must see the effect of its commit.
    ends_batch: bool,
}

/// Command to the thread.
enum Order {
    Write(Job),
    /// Move all of the write-ahead log into the database, before the service ends.
    Rest(oneshot::Sender<rusqlite::Result<()>>),
}

/// Writer thread, and its queue.
pub(super) struct Writer {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    panics: Arc<AtomicU64>,
}

/// Pause after the thread panicked.
const PANIC_PAUSE: Duration = Duration::from_secs(1);

/// Required durability of a write.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Durability {
    /// The write survives a power cut.
    Power,
    /// The write survives a kill of the process.
    Kill,
}

/// What follows a commit.
pub(super) enum Then<F> {
    /// It may follow later jobs of the same transaction.
    Soon(F),
    /// It comes before any later job.
    BeforeNextJob(F),
}

impl Writer {
    pub(super) fn start(db: Connection, log: Log, files: Files, reached: Reached) -> std::io::Result<Self> {
        let (orders, queue) = mpsc::channel(MAX_QUEUE);
        let panics = Arc::new(AtomicU64::default());
        let mut thread = Thread { db, log, files, reached, synchronous: None, panics: panics.clone() };
        let run = move || thread.run(queue);
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(run)?;
        Ok(Self { orders: Some(orders), thread: Some(thread), panics })
    }

    /// Returns the number of panics of the thread; it continues after each.
    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Moves all of the write-ahead log into the database, after all jobs that were queued before.
    pub(super) async fn rest(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let orders = self.orders.as_ref().ok_or(StoreError::Closed)?;
        orders.send(Order::Rest(reply)).await.map_err(|_| StoreError::Closed)?;
        let rested = answer.await.map_err(|_| StoreError::Closed)?;
        rested.map_err(|error| StoreError::Database { doing: "empty the write-ahead log", source: error.into() })
    }

    /// Runs `work` within a transaction, and returns after its commit.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        durability: Durability,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.job(doing, durability, work, |_| (), false).await
    }

    /// Runs `work` as [`write`](Self::write) does, and `then` with its result after the commit, even if the caller no
    /// longer waits.
    pub(super) async fn write_then<T: Send + 'static>(
        &self,
        doing: &'static str,
        durability: Durability,
        then: Then<impl FnOnce(&T) + Send + 'static>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        match then {
            Then::Soon(then) => self.job(doing, durability, work, then, false).await,
            Then::BeforeNextJob(then) => self.job(doing, durability, work, then, true).await,
        }
    }

    async fn job<T: Send + 'static>(
        &self,
        doing: &'static str,
        durability: Durability,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        then: impl FnOnce(&T) + Send + 'static,
        ends_batch: bool,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let work = move |db: Result<&Connection, &str>| -> Epilogue {
            let result = match db {
                Ok(db) => in_savepoint(db, work).map_err(Into::into),
                Err(reason) => Err(reason.into()),
            };
            Box::new(move |committed: Result<(), &str>| {
                let result = match (result, committed) {
                    (Ok(value), Ok(())) => {
                        then(&value);
                        Ok(value)
                    }
                    (Ok(_), Err(reason)) => Err(StoreError::Database { doing, source: reason.into() }),
                    (Err(source), _) => Err(StoreError::Database { doing, source }),
                };
                // The caller may no longer wait for the result; the write is kept.
                let _ = reply.send(result);
            })
        };
        let job = Job { durability, work: Box::new(work), ends_batch };
        let orders = self.orders.as_ref().ok_or(StoreError::Closed)?;
        orders.send(Order::Write(job)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Writer {
    /// Waits until all queued jobs are written.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// State of the thread.
struct Thread {
    db: Connection,
    log: Log,
    files: Files,
    reached: Reached,
    synchronous: Option<Durability>,
    panics: Arc<AtomicU64>,
}

impl Thread {
    fn run(&mut self, mut queue: mpsc::Receiver<Order>) {
        let mut next = None;
        while let Some(order) = next.take().or_else(|| queue.blocking_recv()) {
            let turn = catch_unwind(AssertUnwindSafe(|| match order {
                Order::Write(job) => {
                    let (batch, behind) = batch(job, &mut queue);
                    next = behind;
                    self.commit(batch);
                }
                Order::Rest(reply) => {
                    let _ = reply.send(self.log.empty(&self.db));
                }
            }));
            // The panic of a job is caught where it runs. After any other panic, the callers of the batch get an error,
            // and the thread continues.
            if turn.is_err() {
                self.panics.fetch_add(1, Ordering::Relaxed);
                metrics::counter!("hookbell_panics_total", "task" => "store").increment(1);
                tracing::error!("store writer panicked; it continues");
                if !self.db.is_autocommit() {
                    let _ = self.db.execute_batch("ROLLBACK");
                }
                std::thread::sleep(PANIC_PAUSE);
            }
        }
    }

    fn commit(&mut self, batch: Vec<Job>) {
        let (began, size) = (std::time::Instant::now(), batch.len());
        self.write(batch);
        self.log.keep_small(&self.db);
        metrics::histogram!("hookbell_commit_seconds").record(began.elapsed());
        #[expect(clippy::cast_precision_loss, reason = "64 at most")]
        metrics::histogram!("hookbell_commit_batch").record(size as f64);
    }

    /// Writes a batch in one transaction. All jobs get the same result: it is committed, or the reason why it is not.
    fn write(&mut self, batch: Vec<Job>) {
        let durable = batch.iter().any(|job| job.durability == Durability::Power);
        let mut failure = self.files.fault();
        if failure.is_none() {
            failure = begin(&self.db, durable, &mut self.synchronous).err().map(|error| error.to_string());
        }
        let db = &self.db;
        let mut epilogues = vec![];
        for job in batch {
            let db_or_reason = failure.as_deref().map_or(Ok(db), Err);
            epilogues.push((job.work)(db_or_reason));
            // Some errors (a full disk) roll back the whole transaction, including earlier jobs; the next job would run
            // outside of any transaction.
            if failure.is_none() && db.is_autocommit() {
                failure = Some("another write in the same transaction failed and rolled it back".to_owned());
            }
        }
        if failure.is_none() {
            failure = statement(db, "COMMIT").err().map(|error| error.to_string());
        }
        if !db.is_autocommit() {
            // If this fails too, the next BEGIN reports it; the first error is the one to return.
            let _ = db.execute_batch("ROLLBACK");
        }
        if failure.is_none() && durable {
            self.reached.keep(db);
        }
        for epilogue in epilogues {
            epilogue(failure.as_deref().map_or(Ok(()), Err));
        }
    }
}

/// Returns the jobs that share a transaction with `first`: those queued behind it, up to a job whose commit later jobs
/// must see. Also returns an order that was taken from the queue and follows the batch.
fn batch(first: Job, queue: &mut mpsc::Receiver<Order>) -> (Vec<Job>, Option<Order>) {
    let mut batch = vec![first];
    while batch.len() < MAX_BATCH
        && batch.last().is_some_and(|job| !job.ends_batch)
        && let Ok(order) = queue.try_recv()
    {
        match order {
            Order::Write(job) => batch.push(job),
            rest @ Order::Rest(_) => return (batch, Some(rest)),
        }
    }
    (batch, None)
}

fn begin(db: &Connection, durable: bool, synchronous: &mut Option<Durability>) -> rusqlite::Result<()> {
    let wanted = if durable { Durability::Power } else { Durability::Kill };
    if *synchronous != Some(wanted) {
        // In WAL mode FULL waits for the disk at each commit, NORMAL does not
        // (<https://sqlite.org/pragma.html#pragma_synchronous>).
        let level = if durable { "FULL" } else { "NORMAL" };
        db.pragma_update(None, "synchronous", level)?;
        *synchronous = Some(wanted);
    }
    statement(db, "BEGIN IMMEDIATE")
}

fn statement(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([]).map(|_| ())
}

/// Runs a job in a savepoint, so that its failure does not affect the other jobs of the batch, if possible.
fn in_savepoint<T>(db: &Connection, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    db.prepare_cached("SAVEPOINT job")?.execute([])?;
    // A panic must fail this job only, because all jobs share the thread.
    let result = catch_unwind(AssertUnwindSafe(|| work(db)))
        .unwrap_or_else(|_| Err(rusqlite::Error::ToSqlConversionFailure("the job panicked".into())))
        .and_then(|value| db.prepare_cached("RELEASE job")?.execute([]).map(|_| value));
    if result.is_err() && !db.is_autocommit() && db.execute_batch("ROLLBACK TO job; RELEASE job").is_err() {
        // The savepoint cannot be rolled back alone, so the whole transaction is rolled back.
        let _ = db.execute_batch("ROLLBACK");
    }
    result
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::checkpoint::Checkpointer;
    use super::*;

    /// Writer, with the objects that must outlive it.
    struct Fixture {
        writer: Writer,
        _checkpointer: Checkpointer,
        _directory: tempfile::TempDir,
    }

    impl Fixture {
        /// Creates a writer of a database with these tables.
        fn of(tables: &str) -> Self {
            let mut db = Connection::open_in_memory().unwrap();
            db.execute_batch(tables).unwrap();
            let (checkpointer, log) = Checkpointer::start(Connection::open_in_memory().unwrap(), &mut db).unwrap();
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("file");
            let file = super::super::private_file(&path).unwrap();
            let (files, reached) = (Files::of(&path, &file).unwrap(), Reached::open(&path).unwrap());
            let writer = Writer::start(db, log, files, reached).unwrap();
            Self { writer, _checkpointer: checkpointer, _directory: directory }
        }
    }

    #[tokio::test]
    async fn follow_up_runs_after_commit_and_before_the_next_write() {
        // The commit fails if a referenced row is missing.
        let Fixture { writer, .. } = &Fixture::of(
            "PRAGMA foreign_keys = ON; CREATE TABLE a (n INTEGER PRIMARY KEY);
             CREATE TABLE b (a INTEGER REFERENCES a (n) DEFERRABLE INITIALLY DEFERRED)",
        );
        let done = Arc::new(Mutex::new(vec![]));
        let insert = |sql: &'static str| move |db: &Connection| db.execute(sql, []);
        let note = |what: &'static str| {
            let done = done.clone();
            move |_: &usize| done.lock().unwrap().push(what)
        };
        let seen = done.clone();
        let look = move |_: &Connection| Ok(seen.lock().unwrap().clone());
        let (lost, kept, seen) = tokio::join!(
            writer.write_then(
                "lose",
                Durability::Kill,
                Then::BeforeNextJob(note("lost")),
                insert("INSERT INTO b VALUES (7)")
            ),
            writer.write_then(
                "keep",
                Durability::Kill,
                Then::BeforeNextJob(note("kept")),
                insert("INSERT INTO a VALUES (7)")
            ),
            writer.write("look", Durability::Kill, look),
        );
        assert!(lost.is_err() && kept.is_ok(), "{lost:?} {kept:?}");
        assert_eq!(seen.unwrap(), ["kept"]);
    }

    #[tokio::test]
    async fn writer_thread_counts_a_panic_and_continues() {
        let Fixture { writer, .. } = &Fixture::of("CREATE TABLE a (n INTEGER)");
        let insert = |db: &Connection| db.execute("INSERT INTO a VALUES (1)", []);
        // A panic of the job itself would fail only the job; the action that follows it panics in the thread.
        let lost =
            writer.write_then("panic", Durability::Kill, Then::Soon(|_: &usize| panic!("a defect")), insert).await;
        assert!(matches!(lost, Err(StoreError::Closed)), "{lost:?}");
        assert_eq!(writer.write("go on", Durability::Kill, insert).await.unwrap(), 1);
        assert_eq!(writer.panics(), 1);
    }
}
