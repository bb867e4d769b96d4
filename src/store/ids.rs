//! Numbers of requests, events and deliveries. A number is the time of its creation in milliseconds, a counter, and the
//! number of the node, so that it grows with time, is never used twice, and is unique among several nodes.

use crate::event::{EventId, RequestId};
use crate::time::Millis;

/// Bits for the node.
const NODE_BITS: u32 = 7;

/// Bits for what follows the time.
const BELOW_TIME: u32 = NODE_BITS + 14;

/// Distance of two consecutive numbers of one node.
pub(super) const STEP: i64 = 1 << NODE_BITS;

/// Returns the lowest number of a time.
pub(super) fn first_of(time: Millis) -> i64 {
    time.clamp(0, i64::MAX >> BELOW_TIME) << BELOW_TIME
}

/// Returns the time of a number.
pub(super) const fn time_of(number: i64) -> Millis {
    number >> BELOW_TIME
}

/// Source of new numbers, for node 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    last: i64,
}

impl Numbers {
    /// Creates a source whose numbers are above `last`.
    pub(super) const fn above(last: i64) -> Self {
        Self { last }
    }

    /// Returns the next number without using it. If the clock is behind the last number, it is the one after that.
    pub(super) fn next(&self, now: Millis) -> i64 {
        // The last number may come from another node.
        let after = (self.last & !(STEP - 1)).saturating_add(STEP);
        first_of(now).max(after)
    }

    /// Uses the numbers up to this one.
    pub(super) fn use_up_to(&mut self, number: i64) {
        self.last = self.last.max(number);
    }

    /// Returns the last used number.
    pub(super) const fn last(&self) -> i64 {
        self.last
    }
}

/// Ids for the results of one request. The same number always gets the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    first: i64,
}

impl Ids {
    pub(super) const fn from(first: i64) -> Self {
        Self { first }
    }

    /// Returns the id of the request.
    pub fn request(&self) -> RequestId {
        RequestId::numbered(self.first)
    }

    /// Returns the id of the request's event with this index, from 0.
    pub fn event(&self, n: usize) -> EventId {
        EventId::numbered(nth(self.first, n))
    }
}

/// Returns the number that is `n` after `first`.
pub(super) fn nth(first: i64, n: usize) -> i64 {
    first.saturating_add(STEP.saturating_mul(i64::try_from(n).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_clock_and_never_go_back() {
        let now = 1_795_000_000_000;
        let mut numbers = Numbers::default();
        let mut take = |now| {
            let number = numbers.next(now);
            numbers.use_up_to(number);
            number
        };
        let (one, two, back, later) = (take(now), take(now), take(now - 3_600_000), take(now + 1));
        assert_eq!((one, two, back), (first_of(now), one + STEP, one + 2 * STEP));
        assert_eq!((later, time_of(later), time_of(back)), (first_of(now + 1), now + 1, now));
        assert_eq!(Numbers::above(one + 5).next(now), one + STEP, "another node used the last one");
        // So many in a millisecond continue in the next one.
        assert_eq!(time_of(nth(one, 1 << 14)), now + 1);
    }
}
