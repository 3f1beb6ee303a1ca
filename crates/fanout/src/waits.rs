//! Calls that wait for an event. A call is in an index by its filters, as a stream is, and only an event that
//! matches them wakes it; until then it costs an event at most the comparisons of its share.

use std::{
    future::poll_fn,
    hash::{Hash, Hasher},
    ptr,
    sync::{Arc, atomic::Ordering},
    task::Poll,
};

use event_flow::matching::{MatchIndex, MatchTerm};
use futures_util::task::AtomicWaker;
use model::{EventFacts, FilterMatcher, FilterSet, PrincipalId, Sequence};
use stream_driver::sync::AtomicU64;

use crate::{
    budget::{MatchBound, MatchShare},
    hub::Hub,
    interest::StreamInterest,
    ring::{RingEntry, RingRead},
};

pub use crate::log_turns::WokenTurn;

/// No event has matched.
const UNMARKED: u64 = u64::MAX;

/// The calls of one edge that wait.
#[derive(Debug, Default)]
pub(crate) struct EventWaits {
    index: MatchIndex<WaitRef>,
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

/// The place of one call that waits; given back when it is dropped.
#[derive(Debug)]
pub struct EventWait {
    hub: Arc<Hub>,
    mark: WaitRef,
    filters: FilterSet,
    /// The filters' names mean what they meant at this position.
    began_at: Sequence,
    /// The terms in the index, with what the names mean by this revision of the directory. The filters in the form in
    /// which events are compared are made when there is an event: a call may wait for hours without one.
    names_revision: u64,
    terms: Box<[MatchTerm]>,
    /// The position up to which no event fits, and the generation of the log to which it belongs.
    examined: Option<(u32, Sequence)>,
    /// The resets that the call has seen.
    resets: u64,
    share: Option<MatchShare>,
}

impl Hub {
    /// A place for a call of `principal` that waits for an event matching `filters`, whose names mean what they meant at
    /// `began_at`. To be taken before the call reads the log for the first time, so that it misses no event.
    ///
    /// # Errors
    /// The bound on comparisons that the call would exceed.
    pub fn begin_wait(
        self: &Arc<Self>,
        principal: &PrincipalId,
        filters: &FilterSet,
        began_at: Sequence,
    ) -> Result<EventWait, MatchBound> {
        let share = self.take_match_share(principal, filters.cost())?;
        let (names_revision, terms) = self.compile(filters, began_at);
        let mark = WaitRef(Arc::new(WaitMark {
            first: AtomicU64::new(UNMARKED),
            waker: AtomicWaker::new(),
        }));
        let resets = self.waits.resets();
        self.waits.index.add(&mark, terms.iter().cloned());
        self.metrics.set_match_cost(self.streams.budget.total());
        Ok(EventWait {
            hub: Arc::clone(self),
            mark,
            filters: filters.clone(),
            began_at,
            names_revision,
            terms,
            examined: None,
            resets,
            share: Some(share),
        })
    }

    fn compile(&self, filters: &FilterSet, at: Sequence) -> (u64, Box<[MatchTerm]>) {
        let names = self.names.at(at);
        // First: a rename in between is followed once more.
        let revision = names.revision();
        let bound = names.bind(filters);
        let terms = StreamInterest::events(&bound, names).terms();
        (revision, terms.into_iter().collect())
    }

    /// The turn of a call that an event woke, for the work on its answer: one event may wake all calls of a
    /// client. Those of one principal take turns among themselves, and others do not wait behind them.
    pub async fn woken_turn(&self, principal: &PrincipalId) -> WokenTurn {
        self.log_turns.woken(principal).await
    }
}

impl EventWait {
    /// Goes on with what the filters named, if something was renamed.
    fn follow_names(&mut self) {
        if self.names_revision == self.hub.names.revision() {
            return;
        }
        let terms;
        (self.names_revision, terms) = self.hub.compile(&self.filters, self.began_at);
        let index = &self.hub.waits.index;
        let is_new = |term: &&MatchTerm| !self.terms.contains(*term);
        index.add(&self.mark, terms.iter().filter(is_new).cloned());
        let is_old = |term: &&MatchTerm| !terms.contains(*term);
        index.remove(&self.mark, self.terms.iter().filter(is_old));
        self.terms = terms;
        // What came since the rename was not compared with these.
        self.examined = None;
    }

    /// The filters with what their names mean now.
    fn matcher(&self) -> FilterMatcher {
        let names = self.hub.names.at(self.began_at);
        FilterMatcher::of(&names.bind(&self.filters))
    }

    /// A position up to which nothing fits, if the last look at the ring reached its end and no event has matched
    /// since: a call that waits for long goes on from here elsewhere, though what it began with is no longer kept.
    #[must_use]
    pub fn examined_through(&self, generation: u32) -> Option<Sequence> {
        let (of, examined) = self.examined?;
        // Before the mark: an event marks the calls that it matches, and is settled then.
        let settled = Sequence(self.hub.waits.settled.load(Ordering::Acquire));
        let is_marked = self.mark.0.first.load(Ordering::Acquire) != UNMARKED;
        let is_other = of != generation
            || self.hub.generation() != generation
            || self.names_revision != self.hub.names.revision()
            || self.resets != self.hub.waits.resets();
        (!is_marked && !is_other).then(|| examined.max(settled))
    }

    /// Waits until an event after `position` matches the filters and fits, until one may have fitted but has left the ring, until the
    /// log is no longer that of `generation`, as it was when the position was reached, or until the edge drains.
    /// Returns the position up to which nothing fits. Safe to drop and to call again.
    pub async fn next(
        &mut self,
        generation: u32,
        position: Sequence,
        fits: impl Fn(&EventFacts) -> bool + Send,
    ) -> Sequence {
        let draining = self.hub.draining.clone();
        loop {
            self.follow_names();
            let resets = self.hub.waits.resets();
            let is_reset = std::mem::replace(&mut self.resets, resets) != resets;
            let marked = self.mark.0.first.swap(UNMARKED, Ordering::AcqRel);
            let examined = self.examined.filter(|(of, _)| *of == generation);
            let reached = examined.map_or(position, |(_, through)| through.max(position));
            if self.hub.generation() != generation {
                return reached;
            }
            let from = match examined {
                // What was not marked since then matches nothing.
                Some(_) if !is_reset => Sequence(marked.saturating_sub(1)).max(reached),
                _ => reached,
            };
            if examined.is_none() || is_reset || marked != UNMARKED {
                let matcher = self.matcher();
                let fits = |event: &EventFacts| fits(event) && matcher.matches(event);
                match self.hub.first_fitting(from, &fits) {
                    Some((through, false)) => self.examined = Some((generation, through)),
                    // The call reads on from here; what comes after its answer is examined anew.
                    Some((through, true)) => {
                        self.examined = None;
                        return through;
                    }
                    None => {
                        self.examined = None;
                        return reached;
                    }
                }
            }
            tokio::select! {
                biased;
                () = self.woken() => {}
                () = draining.cancelled() => return reached,
            }
        }
    }

    /// Waits until an event has matched, or the ring has begun anew, since the call last looked. Safe to drop and to
    /// call again.
    fn woken(&self) -> impl Future<Output = ()> {
        let (mark, waits) = (&self.mark.0, &self.hub.waits);
        poll_fn(move |cx| {
            // Before the look, so that what happens in between is not missed.
            mark.waker.register(cx.waker());
            let is_marked = mark.first.load(Ordering::Acquire) != UNMARKED;
            match is_marked || waits.resets() != self.resets {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
    }
}

impl Hub {
    /// The position before the first event after `from` that fits, or the end of the ring and `false`; `None`
    /// if the ring does not reach back to `from`.
    fn first_fitting(
        &self,
        from: Sequence,
        fits: &impl Fn(&EventFacts) -> bool,
    ) -> Option<(Sequence, bool)> {
        let (mut before, mut found) = (from, false);
        let read = self.ring.read(from, usize::MAX, |entry| {
            found = fits(&entry.event.facts);
            if !found {
                before = entry.sequence;
            }
            !found
        });
        match read {
            RingRead::Behind => None,
            RingRead::Read { .. } if found => Some((before, true)),
            RingRead::Read { through, .. } => Some((through, false)),
        }
    }
}

impl Drop for EventWait {
    fn drop(&mut self) {
        self.hub.waits.index.remove(&self.mark, self.terms.iter());
        self.share = None;
        let cost = self.hub.streams.budget.total();
        self.hub.metrics.set_match_cost(cost);
    }
}

#[cfg(test)]
mod tests;
