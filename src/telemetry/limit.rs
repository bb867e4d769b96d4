//! Limit on log lines that untrusted clients or a failing disk could otherwise cause without bound.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Maximum number of lines of one kind within [`WINDOW`].
const LINES: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// Limit for one kind of log line.
#[derive(Default)]
pub(crate) struct LogLimit(Mutex<Option<Window>>);

struct Window {
    since: Instant,
    logged: u32,
    skipped: u64,
}

impl LogLimit {
    /// Logs a line if the limit allows it. `line` receives the number of lines that were skipped before it, if any.
    pub(crate) fn log(&self, line: impl FnOnce(Option<u64>)) {
        let skipped = {
            let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let expired = window.as_ref().is_none_or(|window| now - window.since >= WINDOW);
            if expired {
                let skipped = window.as_ref().map_or(0, |window| window.skipped);
                *window = Some(Window { since: now, logged: 0, skipped });
            }
            match window.as_mut() {
                Some(window) if window.logged < LINES => {
                    window.logged += 1;
                    Some(std::mem::take(&mut window.skipped))
                }
                Some(window) => {
                    window.skipped += 1;
                    None
                }
                None => None,
            }
        };
        if let Some(skipped) = skipped {
            line(Some(skipped).filter(|skipped| *skipped > 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn log_lines_are_limited_and_skipped_ones_counted() {
        let (limit, mut lines) = (LogLimit::default(), vec![]);
        for _ in 0..1_000 {
            limit.log(|skipped| lines.push(skipped.unwrap_or(0)));
        }
        assert_eq!(lines, vec![0; 20]);
        tokio::time::advance(WINDOW).await;
        for _ in 0..2 {
            limit.log(|skipped| lines.push(skipped.unwrap_or(0)));
        }
        assert_eq!(lines[20..], [980, 0]);
    }
}
