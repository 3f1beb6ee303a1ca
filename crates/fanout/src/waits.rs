//! Calls that wait for an event. A call is in an index by its filters, as a stream is, and only an event that
//! matches them wakes it; until then it costs an event at most the comparisons of its share.

mod place;
mod shared_filters;

use std::{
    hash::{Hash, Hasher},
    ptr,
    sync::{Arc, atomic::Ordering},
};

use event_flow::matching::MatchIndex;
use futures_util::task::AtomicWaker;
use model::Sequence;
use stream_driver::sync::AtomicU64;

use self::shared_filters::SharedFilters;
use crate::ring::RingEntry;

pub use self::place::EventWait;
pub use crate::log_turns::WokenTurn;

/// No event has matched.
const UNMARKED: u64 = u64::MAX;

/// The calls of one edge that wait.
#[derive(Debug, Default)]
pub(crate) struct EventWaits {
    index: MatchIndex<WaitRef>,
    filters: SharedFilters,
    /// Rises when the ring begins anew: what a call has examined may be gone.
    resets: AtomicU64,
    /// The last event for which all calls that it matches were woken.
    settled: AtomicU64,
}

/// The work of waking calls for one event.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WakeWork {
    /// The calls that the event woke.
    pub(crate) calls: usize,
    /// The comparisons of filters.
    pub(crate) comparisons: usize,
}

/// The first event that matched a call since it last looked.
#[derive(Debug)]
struct WaitMark {
    first: AtomicU64,
    waker: AtomicWaker,
}

/// A call in the index.
#[derive(Debug, Clone)]
struct WaitRef(Arc<WaitMark>);

impl PartialEq for WaitRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for WaitRef {}

impl Hash for WaitRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        ptr::hash(Arc::as_ptr(&self.0), state);
    }
}

impl EventWaits {
    /// Wakes the calls whose filters match an event that is in the ring.
    pub(crate) fn wake(&self, entry: &RingEntry) -> WakeWork {
        let mut work = WakeWork::default();
        if self.index.is_empty() {
            return work;
        }
        let sequence = entry.sequence.0;
        work.comparisons = self.index.visit(entry.matched(), |WaitRef(mark)| {
            mark.first.fetch_min(sequence, Ordering::AcqRel);
            mark.waker.wake();
            work.calls += 1;
        });
        work
    }

    /// All calls that the event matches have been woken.
    pub(crate) fn settle(&self, sequence: Sequence) {
        self.settled.store(sequence.0, Ordering::Release);
    }

    /// Sequences begin anew or go back; called before anything of that is visible.
    pub(crate) fn unsettle(&self) {
        self.settle(Sequence::START);
    }

    /// Wakes all calls: the ring has begun anew.
    pub(crate) fn wake_all(&self) {
        self.resets.fetch_add(1, Ordering::AcqRel);
        self.index.for_each(|WaitRef(mark)| mark.waker.wake());
    }

    fn resets(&self) -> u64 {
        self.resets.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }
}

#[cfg(test)]
mod tests;
