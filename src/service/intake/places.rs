//! Memory and work budgets for verified requests that are queued for the store.
//!
//! One source must not block the others. If there are several, none can use all of the memory, and none can queue more
//! work for the writer than takes a fraction of a second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::event::SourceName;

/// Maximum number of queued requests with small bodies.
const REQUESTS: usize = 1_024;

/// Minimum memory counted for a request, in KB.
const MIN_KB: usize = 64;

/// Memory counted for an event, in KB: the event itself, its stored form, and its deliveries.
const EVENT_KB: usize = 6;

/// Maximum units of work that a source may queue for the writer. A unit is one event, or four memory subjects.
const WORK: usize = 512;

/// Budgets of all sources.
pub(super) struct Places {
    all: Arc<Semaphore>,
    sources: Mutex<BTreeMap<SourceName, Source>>,
}

#[derive(Clone)]
struct Source {
    memory: Arc<Semaphore>,
    work: Arc<Semaphore>,
}

/// Memory held by one request.
pub(super) struct Place {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    source: Source,
}

impl Places {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(REQUESTS * MIN_KB)), sources: Mutex::default() }
    }

    /// Reserves memory for a request of one of `sources` sources. Returns `None` if none is left.
    pub(super) fn take(&self, source: &SourceName, sources: usize, body: usize, events: usize) -> Option<Place> {
        let kb = (body / 1024 * 2 + events.saturating_sub(1) * EVENT_KB).max(MIN_KB);
        let kb = u32::try_from(kb).unwrap_or(u32::MAX);
        let source = {
            let mut known = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
            let memory = || if sources > 1 { REQUESTS * MIN_KB * 3 / 4 } else { REQUESTS * MIN_KB };
            let new = || Source { memory: Arc::new(Semaphore::new(memory())), work: Arc::new(Semaphore::new(WORK)) };
            known.entry(source.clone()).or_insert_with(new).clone()
        };
        let own = source.memory.clone().try_acquire_many_owned(kb).ok()?;
        let all = self.all.clone().try_acquire_many_owned(kb).ok()?;
        Some(Place { _all: all, _own: own, source })
    }
}

impl Place {
    /// Waits until the source's earlier requests leave room for this many events and subjects. Returns `None` after
    /// `longest`.
    pub(super) async fn turn(&self, events: usize, subjects: usize, longest: Duration) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from((events + subjects / 4).clamp(1, WORK)).unwrap_or(u32::MAX);
        timeout(longest, self.source.work.clone().acquire_many_owned(units)).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_source_leaves_memory_and_turns_to_the_others() {
        let (places, [one, other]) = (Places::new(), [SourceName::from("one"), SourceName::from("other")]);
        let taken: Vec<_> = std::iter::from_fn(|| places.take(&one, 2, 1_000, 1)).collect();
        assert_eq!(taken.len(), REQUESTS * 3 / 4);
        let place = places.take(&other, 2, 1_000, 1).unwrap();
        let large = taken[0].turn(1_000, 3_000, Duration::ZERO).await.unwrap();
        assert!(taken[1].turn(1, 4, Duration::from_secs(8)).await.is_none());
        assert!(place.turn(1, 4, Duration::ZERO).await.is_some());
        drop(large);
        assert!(taken[1].turn(1, 4, Duration::ZERO).await.is_some());
    }

    #[test]
    fn events_count_and_a_single_source_has_all() {
        let (places, one) = (Places::new(), SourceName::from("one"));
        let many: Vec<_> = std::iter::from_fn(|| places.take(&one, 1, 85_000, 1_000)).collect();
        assert_eq!(many.len(), 10, "64 MB at 6 MB each");
        drop(many);
        let all: Vec<_> = std::iter::from_fn(|| places.take(&one, 1, 1_000, 1)).collect();
        assert_eq!(all.len(), REQUESTS);
    }
}
