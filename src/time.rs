//! Times in milliseconds, and message ages that are independent of changes to the system clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Time in milliseconds since 1970.
pub type Millis = i64;

/// Returns the current time of the system clock.
pub fn now() -> Millis {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Converts a duration to milliseconds.
pub fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

/// Converts a time to a [`jiff::Timestamp`].
pub fn timestamp(at: Millis) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at).unwrap_or_default()
}

/// Minimum change of the system clock that is reported, in milliseconds; a smaller one may be rounding.
const JUMP: Millis = 60_000;

/// System time at the start of the service, and a monotonic clock since then.
#[derive(Clone, Copy, Debug)]
pub struct SteadyClock {
    started_at: Millis,
    started: Instant,
}

impl SteadyClock {
    /// Starts the clock at this system time, in milliseconds since 1970.
    pub fn start(at: Millis) -> Self {
        Self { started_at: at, started: Instant::now() }
    }

    /// Time in milliseconds since 1970, as if the system clock had not been changed since the start.
    fn steady(&self) -> Millis {
        self.started_at.saturating_add(millis(self.started.elapsed()))
    }

    /// Returns the time for computing ages, in milliseconds since 1970. Setting the system clock forward does not
    /// increase ages.
    pub fn for_ages(&self, system: Millis) -> Millis {
        system.min(self.steady())
    }

    /// Returns the change of the system clock since the start, in milliseconds; `None` for up to one minute, which may
    /// be rounding.
    pub fn jump(&self, system: Millis) -> Option<Millis> {
        let jump = system.saturating_sub(self.steady());
        (jump.abs() > JUMP).then_some(jump)
    }
}

/// Logs changes of the system clock. Never returns.
pub async fn watch(clock: SteadyClock) {
    const INTERVAL: Duration = Duration::from_secs(10);
    let mut known = None;
    loop {
        tokio::time::sleep(INTERVAL).await;
        let jump = clock.jump(now());
        let moved = jump.unwrap_or_default().abs_diff(known.unwrap_or_default());
        if moved > JUMP.unsigned_abs() {
            let seconds = jump.unwrap_or_default() / 1000;
            tracing::warn!(seconds, "system clock changed since the start; message ages use the monotonic clock");
            known = jump;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn clock_set_forward_expires_nothing() {
        let clock = SteadyClock::start(1_000_000);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!((clock.for_ages(1_010_000), clock.jump(1_010_000)), (1_010_000, None));
        let day = 86_400_000;
        assert_eq!((clock.for_ages(1_010_000 + day), clock.jump(1_010_000 + day)), (1_010_000, Some(day)));
        assert_eq!((clock.for_ages(10_000), clock.jump(10_000)), (10_000, Some(-1_000_000)));
    }
}
