//! Rate limits of messages.

use std::time::Duration;

use tokio::time::Instant;

/// Rate limits that all apply. Each allows a number of messages within a time; they may be sent in a burst.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pace(pub Vec<Limit>);

/// Maximum number of messages within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Number of messages.
    pub messages: u32,
    /// Time in which they may be sent.
    pub within: Duration,
}

impl Pace {
    /// Parses a limit such as `5/s`, `30/min` or `100/h`.
    pub fn parse(text: &str) -> Option<Self> {
        let (messages, unit) = text.split_once('/')?;
        let messages: u32 = messages.trim().parse().ok().filter(|&messages| messages > 0)?;
        let seconds = match unit.trim() {
            "s" => 1,
            "min" | "m" => 60,
            "h" => 3_600,
            _ => return None,
        };
        Some(Self(vec![Limit { messages, within: Duration::from_secs(seconds) }]))
    }
}

/// Enforces a pace. Each limit is a leaky bucket; a message is sent once all buckets have room.
#[derive(Clone, Debug)]
pub struct Pacer {
    /// Each limit, with the time at which its bucket is empty.
    buckets: Vec<(Limit, Instant)>,
    /// Nothing is sent before this time, because the chat asked for a pause.
    not_before: Instant,
}

impl Pacer {
    /// Creates a pacer with empty buckets.
    pub fn new(pace: &Pace) -> Self {
        let now = Instant::now();
        Self { buckets: pace.0.iter().map(|limit| (*limit, now)).collect(), not_before: now }
    }

    /// Returns the time at which the next message may be sent.
    pub fn ready_at(&self) -> Instant {
        let room = |(limit, empty): &(Limit, Instant)| {
            let burst = limit.within - limit.within / limit.messages;
            empty.checked_sub(burst).unwrap_or(*empty)
        };
        self.buckets.iter().map(room).fold(self.not_before, Instant::max)
    }

    /// Records that a message is sent.
    pub fn sent(&mut self) {
        let now = Instant::now();
        for (limit, empty) in &mut self.buckets {
            *empty = (*empty).max(now) + limit.within / limit.messages;
        }
    }

    /// Delays the next message by at least this time, as the chat asked.
    pub fn pause(&mut self, time: Duration) {
        self.not_before = self.not_before.max(Instant::now() + time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_is_parsed() {
        let limit = |messages, seconds| Some(Pace(vec![Limit { messages, within: Duration::from_secs(seconds) }]));
        assert_eq!(Pace::parse("5/s"), limit(5, 1));
        assert_eq!(Pace::parse("30 / min"), limit(30, 60));
        assert_eq!(Pace::parse("100/h"), limit(100, 3_600));
        for wrong in ["", "5", "0/s", "-1/s", "5/day", "x/s", "1.5/s"] {
            assert_eq!(Pace::parse(wrong), None, "{wrong}");
        }
    }

    /// Returns the time at which each of `count` messages is sent, in milliseconds from the first.
    async fn schedule(pace: Pace, count: usize) -> Vec<u128> {
        let (start, mut pacer, mut times) = (Instant::now(), Pacer::new(&pace), vec![]);
        for _ in 0..count {
            tokio::time::sleep_until(pacer.ready_at()).await;
            pacer.sent();
            times.push(start.elapsed().as_millis());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn burst_is_sent_at_once_and_the_rest_at_the_pace() {
        assert_eq!(schedule(Pace::parse("3/s").unwrap(), 5).await, [0, 0, 0, 334, 667]);
        assert_eq!(schedule(Pace::default(), 3).await, [0, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn all_rate_limits_apply() {
        let limit = |messages, seconds| Limit { messages, within: Duration::from_secs(seconds) };
        let times = schedule(Pace(vec![limit(2, 1), limit(4, 60)]), 6).await;
        assert_eq!(times, [0, 0, 500, 1000, 15_000, 30_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn requested_wait_comes_on_top() {
        let mut pacer = Pacer::new(&Pace::parse("10/s").unwrap());
        pacer.pause(Duration::from_secs(7));
        pacer.pause(Duration::from_secs(3));
        assert_eq!(pacer.ready_at() - Instant::now(), Duration::from_secs(7));
    }
}
