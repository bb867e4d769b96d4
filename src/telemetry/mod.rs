//! Logging to standard error: one line per event, with fields. No field contains a secret.
//!
//! A separate thread writes the lines, so that a slow or closed standard error cannot block or stop the service. Lines
//! that cannot be written are dropped and counted.

mod limit;

use std::io::{Stderr, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::text::shows_colour;
pub(crate) use limit::LogLimit;

/// Environment variable for the log filter, in the syntax of [`EnvFilter`]: `debug`, `hookbell=debug,warn`.
pub const LOG: &str = "HOOKBELL_LOG";

/// Maximum number of queued lines; further lines are dropped.
const MAX_QUEUED_LINES: usize = 4_096;

/// Number of failed writes.
static FAILED: AtomicU64 = AtomicU64::new(0);

/// Counter of lines dropped because the queue was full.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Returns the number of log lines lost since the start because standard error is closed, full or not read.
pub fn lost_lines() -> u64 {
    let dropped = DROPPED.get().map_or(0, ErrorCounter::dropped_lines);
    FAILED.load(Ordering::Relaxed) + u64::try_from(dropped).unwrap_or(u64::MAX)
}

/// Starts logging. Queued lines are written when the guard is dropped. An invalid filter is reported and replaced by
/// the default.
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
        .with_ansi(shows_colour(&std::io::stderr()))
        .with_target(false)
        // If a line cannot be written, an error about it cannot be written either.
        .log_internal_errors(false)
        .compact();
    // In tests, a second start keeps the settings of the first.
    let _ = subscriber.try_init();
    if let Some(error) = wrong {
        tracing::warn!(%error, "{LOG} is not a valid filter; using the default");
    }
    guard
}

/// Standard error that counts failed writes.
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
