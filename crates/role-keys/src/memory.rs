//! The stamps that a receiver has seen.

use std::collections::{HashSet, VecDeque};

use model::Timestamp;
use parking_lot::Mutex;

use crate::limits::{REMEMBERED_STAMPS, STAMP_WINDOW};

/// The stamps that one receiver has seen within the window, up to [`REMEMBERED_STAMPS`].
///
/// A receiver is one subscription, or one server: two subscriptions of a process get the same message, and
/// both may believe it.
#[derive(Debug, Default)]
pub struct StampMemory {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    nonces: HashSet<u64>,
    /// In the order in which they were seen.
    order: VecDeque<(Timestamp, u64)>,
}

impl StampMemory {
    /// Notes a nonce that arrived now; whether it is a new one.
    pub(crate) fn is_new(&self, nonce: u64, now: Timestamp) -> bool {
        let mut seen = self.seen.lock();
        seen.forget(now);
        if !seen.nonces.insert(nonce) {
            return false;
        }
        seen.order.push_back((now, nonce));
        true
    }
}

impl Seen {
    /// Forgets what is beyond the bound, and what its own time refuses by now: a stamp may be ahead of our
    /// clock by one window, and is valid for another.
    fn forget(&mut self, now: Timestamp) {
        while let Some((at, nonce)) = self.order.front().copied() {
            let is_over = now.since(at) > 2 * STAMP_WINDOW;
            if !is_over && self.order.len() < REMEMBERED_STAMPS {
                return;
            }
            self.order.pop_front();
            self.nonces.remove(&nonce);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_counts_once_while_its_time_would_be_accepted() {
        let (memory, begin) = (StampMemory::default(), Timestamp::default());
        assert!(memory.is_new(1, begin));
        assert!(!memory.is_new(1, begin.plus(2 * STAMP_WINDOW)));
        assert!(memory.is_new(2, begin.plus(3 * STAMP_WINDOW)));
        assert_eq!(memory.seen.lock().order.len(), 1, "the first is forgotten");
    }

    #[test]
    fn the_memory_is_bounded() {
        let (memory, now) = (StampMemory::default(), Timestamp::default());
        let count = REMEMBERED_STAMPS as u64 + 10;
        assert!((0..count).all(|nonce| memory.is_new(nonce, now)));
        let seen = memory.seen.lock();
        assert_eq!(seen.order.len(), REMEMBERED_STAMPS);
        assert_eq!(seen.nonces.len(), REMEMBERED_STAMPS);
        assert!(!seen.nonces.contains(&0) && seen.nonces.contains(&(count - 1)));
    }
}
