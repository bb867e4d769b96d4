//! Waits for the disk, on a thread of its own: meanwhile the writer runs the next transaction, and the transactions that
//! are committed meanwhile share the next wait. A slower disk makes larger groups, so nothing has to be configured.

use std::fs::File;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use super::files::Reached;
use super::writer::Job;

/// Committed jobs that must survive a power cut.
pub(super) struct Committed {
    pub(super) jobs: Vec<Box<dyn Job>>,
    /// Highest number that is committed.
    pub(super) number: i64,
    pub(super) began: Instant,
}

/// Sync thread.
pub(super) struct Syncer {
    committed: Option<Sender<Committed>>,
    thread: Option<JoinHandle<()>>,
    fault: Arc<OnceLock<String>>,
}

impl Syncer {
    /// Starts the thread, for the write-ahead log at this path.
    pub(super) fn start(log: PathBuf, reached: Reached) -> std::io::Result<Self> {
        let (committed, queue) = channel();
        let fault = Arc::new(OnceLock::new());
        let mut thread = Thread { log, file: None, reached, fault: fault.clone() };
        let run = move || thread.run(&queue);
        let thread = std::thread::Builder::new().name("store-sync".to_owned()).spawn(run)?;
        Ok(Self { committed: Some(committed), thread: Some(thread), fault })
    }

    /// Ends jobs once they are on disk.
    pub(super) fn add(&self, committed: Committed) {
        let sent = self.committed.as_ref().map(|sender| sender.send(committed));
        if let Some(Err(refused)) = sent {
            end(refused.0, Some("the sync thread has ended"));
        }
    }

    /// Returns the reason why nothing may be acknowledged: after a failed sync, the kernel may have dropped what was
    /// written (<https://lwn.net/Articles/752063/>). Only a restart reads what is really on disk.
    pub(super) fn fault(&self) -> Option<String> {
        self.fault.get().cloned()
    }
}

impl Drop for Syncer {
    /// Waits until all jobs have ended.
    fn drop(&mut self) {
        self.committed = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Thread {
    log: PathBuf,
    file: Option<File>,
    reached: Reached,
    fault: Arc<OnceLock<String>>,
}

impl Thread {
    fn run(&mut self, queue: &Receiver<Committed>) {
        while let Ok(first) = queue.recv() {
            let group: Vec<_> = std::iter::once(first).chain(queue.try_iter()).collect();
            if let Err(error) = self.sync() {
                let path = self.log.display();
                let fault =
                    format!("`{path}` cannot be written to disk ({error}); check the disk, and restart Hookbell");
                tracing::error!(fault, "nothing more is stored");
                let _ = self.fault.set(fault);
            }
            let fault = self.fault.get().map(String::as_str);
            if let Some(last) = group.last().filter(|_| fault.is_none()) {
                self.reached.keep(last.number);
            }
            for committed in group {
                metrics::histogram!("hookbell_commit_seconds").record(committed.began.elapsed());
                end(committed, fault);
            }
        }
    }

    fn sync(&mut self) -> std::io::Result<()> {
        // The first commit creates the file. It is never replaced: see `Files`.
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(&self.log)?),
        };
        file.sync_data()
    }
}

fn end(committed: Committed, fault: Option<&str>) {
    for job in committed.jobs {
        job.end(fault.map_or(Ok(()), |fault| Err(fault.into())));
    }
}
