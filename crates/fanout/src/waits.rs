//! Calls that wait for an event. A call is in an index by its filters, as a stream is, and only an event that
//! matches them wakes it; until then it costs an event at most the comparisons of its share.

use std::{
    collections::HashSet,
    hash::{Hash, Hasher},
    ptr,
    sync::{Arc, atomic::Ordering},
};

use event_flow::matching::{MatchIndex, MatchTerm};
use model::{EventFacts, FilterMatcher, FilterSet, PrincipalId, Sequence};
use stream_driver::sync::AtomicU64;
use tokio::sync::{Notify, watch};

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
    resets: watch::Sender<u64>,
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
    woken: Notify,
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
            mark.woken.notify_one();
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
        self.resets.send_modify(|resets| *resets += 1);
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
    /// The filters with what their names mean, of this revision of the directory.
    matcher: FilterMatcher,
    names_revision: u64,
    terms: HashSet<MatchTerm>,
    /// The position up to which no event fits, and the generation of the log to which it belongs.
    examined: Option<(u32, Sequence)>,
    resets: watch::Receiver<u64>,
    share: Option<MatchShare>,
}

impl Hub {
    /// A place for a call of `principal` that waits for an event matching `filters`. To be taken before the
    /// call reads the log for the first time, so that it misses no event.
    ///
    /// # Errors
    /// The bound on comparisons that the call would exceed.
    pub fn begin_wait(
        self: &Arc<Self>,
        principal: &PrincipalId,
        filters: &FilterSet,
    ) -> Result<EventWait, MatchBound> {
        let share = self.take_match_share(principal, filters.cost())?;
        let began_at = self.ring.head();
        let (matcher, names_revision, terms) = self.compile(filters, began_at);
        let mark = WaitRef(Arc::new(WaitMark {
            first: AtomicU64::new(UNMARKED),
            woken: Notify::new(),
        }));
        let resets = self.waits.resets.subscribe();
        self.waits.index.add(&mark, terms.iter().cloned());
        self.metrics.set_match_cost(self.streams.budget.total());
        Ok(EventWait {
            hub: Arc::clone(self),
            mark,
            filters: filters.clone(),
            began_at,
            matcher,
            names_revision,
            terms,
            examined: None,
            resets,
            share: Some(share),
        })
    }

    fn compile(
        &self,
        filters: &FilterSet,
        at: Sequence,
    ) -> (FilterMatcher, u64, HashSet<MatchTerm>) {
        let names = self.names.at(at);
        // First: a rename in between is followed once more.
        let revision = names.revision();
        let bound = names.bind(filters);
        let terms = StreamInterest::events(&bound, names).terms();
        (FilterMatcher::of(&bound), revision, terms)
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
        (self.matcher, self.names_revision, terms) = self.hub.compile(&self.filters, self.began_at);
        let index = &self.hub.waits.index;
        index.add(&self.mark, terms.difference(&self.terms).cloned());
        index.remove(&self.mark, self.terms.difference(&terms));
        self.terms = terms;
        // What came since the rename was not compared with these.
        self.examined = None;
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
            || self.resets.has_changed().unwrap_or(true);
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
            let is_reset = self.resets.has_changed().unwrap_or(false);
            self.resets.mark_unchanged();
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
                let matcher = &self.matcher;
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
            let woken = self.mark.0.woken.notified();
            tokio::select! {
                () = woken => {}
                changed = self.resets.changed() => {
                    // Not marked as seen: the loop asks.
                    self.resets.mark_changed();
                    if changed.is_err() {
                        return reached;
                    }
                }
                () = draining.cancelled() => return reached,
            }
        }
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
        self.hub.waits.index.remove(&self.mark, &self.terms);
        self.share = None;
        let cost = self.hub.streams.budget.total();
        self.hub.metrics.set_match_cost(cost);
    }
}

#[cfg(test)]
mod tests;
