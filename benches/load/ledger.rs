//! Record of each numbered request: when it was due, acknowledged and delivered, and how often. Losses and repeats are
//! counted from it.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Maximum time for any step before the benchmark fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Nanoseconds since the ledger was created; 0 for never.
#[derive(Default)]
struct Entry {
    due: AtomicU64,
    acknowledged: AtomicU64,
    delivered: AtomicU64,
    times: AtomicU32,
}

/// The ledger of one run.
pub(crate) struct Ledger {
    opened: Instant,
    entries: Vec<Entry>,
    acknowledged: AtomicUsize,
    /// Requests with another response, or with none.
    refused: AtomicUsize,
    broken: AtomicUsize,
    delivered: AtomicUsize,
}

/// Totals of a ledger.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) acknowledged: usize,
    pub(crate) refused: usize,
    /// Requests without a response.
    pub(crate) broken: usize,
    /// Acknowledged requests that were never delivered.
    pub(crate) lost: usize,
    /// Deliveries beyond the first.
    pub(crate) repeats: usize,
}

impl Ledger {
    pub(crate) fn new(numbers: usize) -> Self {
        let entries = std::iter::repeat_with(Entry::default).take(numbers).collect();
        let count = AtomicUsize::default;
        let (acknowledged, refused, broken, delivered) = (count(), count(), count(), count());
        Self { opened: Instant::now(), entries, acknowledged, refused, broken, delivered }
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.duration_since(self.opened).as_nanos()).unwrap().max(1)
    }

    pub(crate) fn due(&self, n: usize, at: Instant) {
        self.entries[n].due.store(self.nanos(at), Relaxed);
    }

    pub(crate) fn acknowledge(&self, n: usize) {
        self.entries[n].acknowledged.store(self.nanos(Instant::now()), Relaxed);
        self.acknowledged.fetch_add(1, Relaxed);
    }

    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn break_off(&self) {
        self.broken.fetch_add(1, Relaxed);
    }

    pub(crate) fn deliver(&self, n: usize) {
        let Some(entry) = self.entries.get(n) else { return };
        if entry.times.fetch_add(1, Relaxed) == 0 {
            entry.delivered.store(self.nanos(Instant::now()), Relaxed);
            self.delivered.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Relaxed)
    }

    /// Number of finished requests, successful or not.
    pub(crate) fn over(&self) -> usize {
        self.acknowledged() + self.refused.load(Relaxed) + self.broken.load(Relaxed)
    }

    pub(crate) fn delivered(&self) -> usize {
        self.delivered.load(Relaxed)
    }

    /// Waits until `condition` holds.
    pub(crate) async fn wait_for(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            if Instant::now() > deadline {
                panic!("{what}: {} delivered, {:?}", self.delivered(), self.account());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Fails if a request was rejected, lost or repeated.
    pub(crate) fn expect_order(&self) {
        let account = self.account();
        let Account { refused, broken, lost, repeats, .. } = account;
        assert_eq!((refused, broken, lost, repeats), (0, 0, 0, 0), "{account:?}");
    }

    /// Waits until every acknowledged request is delivered.
    pub(crate) async fn wait_for_all(&self) {
        self.wait_for("not all was delivered", |ledger| {
            ledger.delivered() >= ledger.acknowledged() && ledger.account().lost == 0
        })
        .await;
    }

    pub(crate) fn account(&self) -> Account {
        let lost = |entry: &&Entry| entry.acknowledged.load(Relaxed) > 0 && entry.times.load(Relaxed) == 0;
        Account {
            acknowledged: self.acknowledged(),
            refused: self.refused.load(Relaxed),
            broken: self.broken.load(Relaxed),
            lost: self.entries.iter().filter(lost).count(),
            repeats: self.entries.iter().map(|entry| entry.times.load(Relaxed).saturating_sub(1) as usize).sum(),
        }
    }

    /// Time of the last delivery.
    pub(crate) fn last_delivered(&self) -> Instant {
        let last = self.entries.iter().map(|entry| entry.delivered.load(Relaxed)).max().unwrap_or(0);
        self.opened + Duration::from_nanos(last)
    }

    /// Latency from the due time to the acknowledgement, for requests from `first` on.
    pub(crate) fn to_acknowledged(&self, first: usize) -> Latency {
        self.latency(first, |entry| &entry.acknowledged)
    }

    /// Latency from the due time to the delivery, for requests from `first` on.
    pub(crate) fn to_delivered(&self, first: usize) -> Latency {
        self.latency(first, |entry| &entry.delivered)
    }

    fn latency(&self, first: usize, until: impl Fn(&Entry) -> &AtomicU64) -> Latency {
        let times = self.entries[first..].iter().filter_map(|entry| {
            let (due, until) = (entry.due.load(Relaxed), until(entry).load(Relaxed));
            (due > 0 && until > 0).then(|| until.saturating_sub(due))
        });
        Latency::of(times.collect())
    }
}

/// Distribution of a latency, in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Shares of the times up to 1 ms, 2 ms, 4 ms, …
    pub(crate) histogram: String,
}

impl Latency {
    /// Computes the distribution of times in nanoseconds.
    pub(crate) fn of(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let at = |share: f64| {
            let last = times.len().saturating_sub(1) as f64;
            times.get((last * share).round() as usize).map_or(f64::NAN, |nanos| *nanos as f64 / 1e6)
        };
        let (mut histogram, mut counted, mut limit) = (vec![], 0, 1);
        while counted < times.len() {
            let until = times.partition_point(|nanos| *nanos <= limit * 1_000_000);
            let share = (until - counted) as f64 / times.len() as f64 * 100.0;
            histogram.push(format!("≤ {limit} ms: {share:.1} %"));
            (counted, limit) = (until, limit * 2);
        }
        Self { p50: at(0.5), p99: at(0.99), histogram: histogram.join(", ") }
    }
}
