//! The only thread that writes. It runs all queued jobs in one transaction, so that concurrent requests share a commit.
//! If a job fails, the transaction is rolled back, and its jobs run again one by one: a savepoint for each would cost all
//! of them, to help the rare failure.
//!
//! A commit survives a kill of the process. Jobs that must also survive a power cut end after a sync (`sync`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Log;
use super::database::Database;
use super::files::{Files, Reached};
use super::sync::{Committed, Syncer};
use crate::store::StoreError;

/// Maximum number of jobs in a transaction. More would add latency and gain nothing.
const MAX_BATCH: usize = 64;

/// Maximum number of queued jobs; further callers wait until there is room.
const MAX_QUEUE: usize = 1_024;

/// Reason why a job failed.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Write that runs in a transaction with others.
pub(super) trait Job: Send {
    /// Required durability.
    fn durability(&self) -> Durability;

    /// Returns `true` if later jobs must see the effect of its commit.
    fn ends_batch(&self) -> bool;

    /// Runs within a transaction. It may run again, if that transaction is rolled back.
    fn run(&mut self, db: &mut Database) -> rusqlite::Result<()>;

    /// Ends the job after its commit, or with the reason why it failed.
    fn end(self: Box<Self>, result: Result<(), Failure>);
}

/// Job of a caller that waits for its result.
struct Call<T, Work, Then> {
    doing: &'static str,
    durability: Durability,
    ends_batch: bool,
    work: Work,
    then: Then,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, Work, Then> Job for Call<T, Work, Then>
where
    T: Send,
    Work: FnMut(&mut Database) -> rusqlite::Result<T> + Send,
    Then: FnOnce(&mut T) + Send,
{
    fn durability(&self) -> Durability {
        self.durability
    }

    fn ends_batch(&self) -> bool {
        self.ends_batch
    }

    fn run(&mut self, db: &mut Database) -> rusqlite::Result<()> {
        self.value = Some((self.work)(db)?);
        Ok(())
    }

    fn end(self: Box<Self>, result: Result<(), Failure>) {
        let Self { doing, then, value, reply, .. } = *self;
        let result = match (result, value) {
            (Ok(()), Some(mut value)) => {
                then(&mut value);
                Ok(value)
            }
            (Ok(()), None) => Err(StoreError::Closed),
            (Err(source), _) => Err(StoreError::Database { doing, source }),
        };
        // The caller may no longer wait for the result; the write is kept.
        let _ = reply.send(result);
    }
}

/// Command to the thread.
enum Order {
    Write(Box<dyn Job>),
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
    pub(super) fn start(db: Database, log: Log, files: Files, reached: Reached) -> std::io::Result<Self> {
        let (orders, queue) = mpsc::channel(MAX_QUEUE);
        let panics = Arc::new(AtomicU64::default());
        let syncer = Syncer::start(files.log().to_owned(), reached)?;
        let mut thread = Thread { db, log, files, syncer, panics: panics.clone() };
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

    /// Runs `work` within a transaction, and returns after its commit. It may run more than once; the last time counts.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        durability: Durability,
        work: impl FnMut(&mut Database) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(doing, durability, work, |_| (), false).await
    }

    /// Runs `work` as [`write`](Self::write) does, and `then` with its result after the commit, even if the caller no
    /// longer waits.
    pub(super) async fn write_then<T: Send + 'static>(
        &self,
        doing: &'static str,
        durability: Durability,
        then: Then<impl FnOnce(&mut T) + Send + 'static>,
        work: impl FnMut(&mut Database) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        match then {
            Then::Soon(then) => self.call(doing, durability, work, then, false).await,
            Then::BeforeNextJob(then) => self.call(doing, durability, work, then, true).await,
        }
    }

    async fn call<T: Send + 'static>(
        &self,
        doing: &'static str,
        durability: Durability,
        work: impl FnMut(&mut Database) -> rusqlite::Result<T> + Send + 'static,
        then: impl FnOnce(&mut T) + Send + 'static,
        ends_batch: bool,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let call = Call { doing, durability, ends_batch, work, then, value: None, reply };
        let orders = self.orders.as_ref().ok_or(StoreError::Closed)?;
        orders.send(Order::Write(Box::new(call))).await.map_err(|_| StoreError::Closed)?;
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
    db: Database,
    log: Log,
    files: Files,
    syncer: Syncer,
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
                self.roll_back();
                std::thread::sleep(PANIC_PAUSE);
            }
        }
    }

    fn commit(&mut self, batch: Vec<Box<dyn Job>>) {
        let size = batch.len();
        self.write(batch);
        self.log.keep_small(&self.db);
        #[expect(clippy::cast_precision_loss, reason = "64 at most")]
        metrics::histogram!("hookbell_commit_batch").record(size as f64);
    }

    /// Writes a batch in one transaction; if that fails, each job in its own.
    fn write(&mut self, mut batch: Vec<Box<dyn Job>>) {
        let began = Instant::now();
        if batch.len() > 1 && self.transaction(&mut batch).is_ok() {
            self.end(batch, began);
            return;
        }
        for mut job in batch {
            let began = Instant::now();
            match self.transaction(std::slice::from_mut(&mut job)) {
                Ok(()) => self.end(vec![job], began),
                Err(failure) => job.end(Err(failure)),
            }
        }
    }

    /// Ends committed jobs: at once, or after the sync.
    fn end(&self, jobs: Vec<Box<dyn Job>>, began: Instant) {
        let (jobs, ended): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.durability() == Durability::Power);
        ended.into_iter().for_each(|job| job.end(Ok(())));
        if jobs.is_empty() {
            metrics::histogram!("hookbell_commit_seconds").record(began.elapsed());
        } else {
            self.syncer.add(Committed { jobs, number: self.db.numbers.last(), began });
        }
    }

    /// Runs jobs in one transaction. If one fails, none has an effect.
    fn transaction(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), Failure> {
        if let Some(fault) = self.files.fault().or_else(|| self.syncer.fault()) {
            return Err(fault.into());
        }
        let result = self.run_all(jobs);
        if result.is_ok() {
            self.db.committed();
        } else {
            self.roll_back();
        }
        result
    }

    fn run_all(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), Failure> {
        statement(&self.db, "BEGIN IMMEDIATE")?;
        for job in jobs {
            // A panic must fail this job only, because all jobs share the thread.
            catch_unwind(AssertUnwindSafe(|| job.run(&mut self.db))).map_err(|_| "the job panicked")??;
        }
        Ok(statement(&self.db, "COMMIT")?)
    }

    /// Ends a failed transaction. After some errors (a full disk) SQLite has ended it already.
    fn roll_back(&mut self) {
        if !self.db.is_autocommit() {
            // If this fails too, the next BEGIN reports it; the first error is the one to return.
            let _ = self.db.execute_batch("ROLLBACK");
        }
        self.db.rolled_back();
    }
}

/// Returns the jobs that share a transaction with `first`: those queued behind it, up to a job whose commit later jobs
/// must see. Also returns an order that was taken from the queue and follows the batch.
fn batch(first: Box<dyn Job>, queue: &mut mpsc::Receiver<Order>) -> (Vec<Box<dyn Job>>, Option<Order>) {
    let mut batch = vec![first];
    while batch.len() < MAX_BATCH
        && batch.last().is_some_and(|job| !job.ends_batch())
        && let Ok(order) = queue.try_recv()
    {
        match order {
            Order::Write(job) => batch.push(job),
            rest @ Order::Rest(_) => return (batch, Some(rest)),
        }
    }
    (batch, None)
}

fn statement(db: &Database, sql: &str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use rusqlite::Connection;

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
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("file");
            let file = super::super::private_file(&path).unwrap();
            let mut db = Connection::open(&path).unwrap();
            db.pragma_update(None, "journal_mode", "WAL").unwrap();
            db.execute_batch(include_str!("schema.sql")).unwrap();
            db.execute_batch(tables).unwrap();
            let (checkpointer, log) = Checkpointer::start(Connection::open_in_memory().unwrap(), &mut db).unwrap();
            let (files, reached) = (Files::of(&path, &file).unwrap(), Reached::open(&path).unwrap());
            let writer = Writer::start(Database::new(db).unwrap(), log, files, reached).unwrap();
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
        let insert = |sql: &'static str| move |db: &mut Database| db.execute(sql, []);
        let note = |what: &'static str| {
            let done = done.clone();
            move |_: &mut usize| done.lock().unwrap().push(what)
        };
        let seen = done.clone();
        let look = move |_: &mut Database| Ok(seen.lock().unwrap().clone());
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
        let insert = |db: &mut Database| db.execute("INSERT INTO a VALUES (1)", []);
        // A panic of the job itself would fail only the job; the action that follows it panics in the thread.
        let lost =
            writer.write_then("panic", Durability::Kill, Then::Soon(|_: &mut usize| panic!("a defect")), insert).await;
        assert!(matches!(lost, Err(StoreError::Closed)), "{lost:?}");
        assert_eq!(writer.write("go on", Durability::Kill, insert).await.unwrap(), 1);
        assert_eq!(writer.panics(), 1);
    }
}
