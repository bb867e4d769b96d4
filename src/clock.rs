//! Ages that do not jump when the system's clock does.

use std::time::Duration;

use tokio::time::Instant;

use crate::store::{Millis, now};

/// A difference between the clocks that is reported.
const JUMP: Millis = 60_000;

/// The system's time when the service started, and the time since then by a clock that only runs forward.
#[derive(Clone, Copy, Debug)]
pub struct SteadyClock {
    started_at: Millis,
    started: Instant,
}

impl SteadyClock {
    /// Starts at this time of the system.
    pub fn start(at: Millis) -> Self {
        Self { started_at: at, started: Instant::now() }
    }

    /// The time, in milliseconds since 1970, as if the system's clock had not been set since the start.
    fn steady(&self) -> Millis {
        self.started_at.saturating_add(Millis::try_from(self.started.elapsed().as_millis()).unwrap_or(Millis::MAX))
    }

    /// The time by which ages are judged: where the system's clock was set forward, nothing becomes old by that.
    pub fn for_ages(&self, system: Millis) -> Millis {
        system.min(self.steady())
    }

    /// By how much the system's clock was set since the start; none where it may be rounding.
    pub fn jump(&self, system: Millis) -> Option<Millis> {
        let jump = system.saturating_sub(self.steady());
        (jump.abs() > JUMP).then_some(jump)
    }
}

/// Logs when the system's clock is set. It never ends by itself.
pub async fn watch(clock: SteadyClock) {
    const INTERVAL: Duration = Duration::from_secs(10);
    let mut known = None;
    loop {
        tokio::time::sleep(INTERVAL).await;
        let jump = clock.jump(now());
        let moved = jump.unwrap_or_default().abs_diff(known.unwrap_or_default());
        if moved > JUMP.unsigned_abs() {
            let seconds = jump.unwrap_or_default() / 1000;
            tracing::warn!(
                seconds,
                "the system's clock was set since the service started; ages of messages are measured without it"
            );
            known = jump;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_forward_makes_nothing_old() {
        let clock = SteadyClock::start(1_000_000);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!((clock.for_ages(1_010_000), clock.jump(1_010_000)), (1_010_000, None));
        let day = 86_400_000;
        assert_eq!((clock.for_ages(1_010_000 + day), clock.jump(1_010_000 + day)), (1_010_000, Some(day)));
        assert_eq!((clock.for_ages(10_000), clock.jump(10_000)), (10_000, Some(-1_000_000)));
    }
}
