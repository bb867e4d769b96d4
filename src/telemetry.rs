//! Logs: lines on standard error, each an event with fields. No field holds a secret.
//!
//! A thread of its own writes them, so that nothing waits for whoever reads the log, and nothing fails with it: lines that
//! cannot be written are dropped and counted.

use std::io::{IsTerminal, Stderr, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// The environment variable that sets how much is logged, in the words of
/// [`EnvFilter`]: `debug`, `hookbell=debug,warn`.
pub const LOG: &str = "HOOKBELL_LOG";

/// Lines that may wait to be written; further ones are dropped.
const MAX_QUEUED_LINES: usize = 4_096;

/// Writes that failed.
static FAILED: AtomicU64 = AtomicU64::new(0);

/// Lines that found no room in the queue.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Lines of the log that were lost since the start: because standard error is closed, full, or not read.
pub fn lost_lines() -> u64 {
    let dropped = DROPPED.get().map_or(0, ErrorCounter::dropped_lines);
    FAILED.load(Ordering::Relaxed) + u64::try_from(dropped).unwrap_or(u64::MAX)
}

/// Starts logging; lines that wait are written when the guard is dropped. A filter that cannot be understood is reported,
/// and the default used.
pub fn start() -> WorkerGuard {
    const DEFAULT: &str = "hookbell=info,warn";
    let wanted = std::env::var(LOG).ok();
    let filter = wanted.as_deref().map(EnvFilter::try_new);
    let (filter, wrong) = match filter {
        None => (EnvFilter::new(DEFAULT), None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(DEFAULT), Some(error)),
    };
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(MAX_QUEUED_LINES);
    let (writer, guard) = builder.thread_name("log").finish(Counting(std::io::stderr()));
    let _ = DROPPED.set(writer.error_counter());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        // Where a line cannot be written, a message about that cannot be either.
        .log_internal_errors(false)
        .compact();
    // A second start, in a test, keeps the first one's settings.
    let _ = subscriber.try_init();
    if let Some(error) = wrong {
        tracing::warn!(%error, "{LOG} is not a valid filter; logging as usual");
    }
    guard
}

/// Standard error, whose failures are counted.
struct Counting(Stderr);

impl Write for Counting {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if self.0.write_all(line).is_err() {
            FAILED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}
