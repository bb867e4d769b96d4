//! Wait between attempts.

use std::time::Duration;

/// Wait after the first failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Maximum wait.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// Returns the wait after this number of failed attempts. It doubles from one second to five minutes, with jitter, so
/// that lanes that failed together do not retry together. `jitter` is between 0 and 1.
pub fn backoff(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(MAX_WAIT);
    doubled.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_five_minutes() {
        let seconds = |failures| backoff(failures, 1.0).as_secs();
        assert_eq!([1, 2, 3, 4, 9, 10, 1_000_000].map(seconds), [1, 2, 4, 8, 256, 300, 300]);
    }

    #[test]
    fn jitter_is_at_most_half() {
        assert_eq!(backoff(5, 0.0), Duration::from_secs(8));
        assert_eq!(backoff(5, 1.0), Duration::from_secs(16));
    }
}
