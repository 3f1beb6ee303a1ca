//! The place of one call that waits.

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use model::{EventFacts, FilterSet, PrincipalId, Sequence};
use stream_driver::sync::AtomicU64;

use super::{UNMARKED, WaitMark, WaitRef, shared_filters::WaitFilters};
use crate::{
    budget::{MatchBound, MatchShare},
    hub::Hub,
    log_turns::WokenTurn,
    ring::RingRead,
};

/// The place of one call that waits; given back when it is dropped.
#[derive(Debug)]
pub struct EventWait {
    pub(super) hub: Arc<Hub>,
    mark: WaitRef,
    pub(super) filters: Arc<WaitFilters>,
    /// The filters' names mean what they meant at this position.
    began_at: Sequence,
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
        let filters = WaitFilters::compile(&self.names, filters, began_at);
        let filters = self.waits.filters.share(filters);
        let mark = WaitRef(Arc::new(WaitMark {
            first: AtomicU64::new(UNMARKED),
            waker: AtomicWaker::new(),
        }));
        let resets = self.waits.resets();
        let terms = filters.terms.iter().cloned();
        self.waits.index.add(&mark, terms);
        self.metrics.set_match_cost(self.streams.budget.total());
        Ok(EventWait {
            hub: Arc::clone(self),
            mark,
            filters,
            began_at,
            examined: None,
            resets,
            share: Some(share),
        })
    }

    /// The turn of a call that an event woke, for the work on its answer: one event may wake all calls of a
    /// client. Those of one principal take turns among themselves, and others do not wait behind them.
    pub async fn woken_turn(&self, principal: &PrincipalId) -> WokenTurn {
        self.log_turns.woken(principal).await
    }

    /// Whether the edge drains: calls that wait end, or go on elsewhere.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Makes every call that waits see that the edge drains.
    pub(crate) fn wake_waits(&self) {
        self.waits.wake_all();
    }
}

impl EventWait {
    /// The hub whose events it waits for.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The position at which the names of its filters meant what they mean for it.
    #[must_use]
    pub fn began_at(&self) -> Sequence {
        self.began_at
    }

    /// Goes on with what the filters named, if something was renamed.
    fn follow_names(&mut self) {
        let waits = &self.hub.waits;
        if self.filters.names_revision == self.hub.names.revision() {
            return;
        }
        let new = self.filters.compile_again(&self.hub.names, self.began_at);
        let new = waits.filters.share(new);
        let old = std::mem::replace(&mut self.filters, new);
        let is_new = |term: &&_| !old.terms.contains(*term);
        let added = self.filters.terms.iter().filter(is_new).cloned();
        waits.index.add(&self.mark, added);
        let is_old = |term: &&_| !self.filters.terms.contains(*term);
        waits
            .index
            .remove(&self.mark, old.terms.iter().filter(is_old));
        waits.filters.give_back(&old);
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
            || self.filters.names_revision != self.hub.names.revision()
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
        let mut drained = std::pin::pin!(draining.cancelled());
        poll_fn(|cx| {
            // The waker is registered with the token too, however the drain is told to the calls.
            let _ = drained.as_mut().poll(cx);
            self.poll_next(generation, position, &fits, cx)
        })
        .await
    }

    /// As [`Self::next`], for a call of which only this is left. A drain wakes it as well.
    pub fn poll_next(
        &mut self,
        generation: u32,
        position: Sequence,
        fits: impl Fn(&EventFacts) -> bool,
        cx: &Context<'_>,
    ) -> Poll<Sequence> {
        // Before the look, so that what happens in between is not missed.
        self.mark.0.waker.register(cx.waker());
        match self.look(generation, position, fits) {
            (reached, true) => Poll::Ready(reached),
            (reached, false) if self.hub.is_draining() => Poll::Ready(reached),
            (_, false) => Poll::Pending,
        }
    }

    /// The position up to which nothing fits, and whether the wait is over.
    fn look(
        &mut self,
        generation: u32,
        position: Sequence,
        fits: impl Fn(&EventFacts) -> bool,
    ) -> (Sequence, bool) {
        self.follow_names();
        let resets = self.hub.waits.resets();
        let is_reset = std::mem::replace(&mut self.resets, resets) != resets;
        let marked = self.mark.0.first.swap(UNMARKED, Ordering::AcqRel);
        let examined = self.examined.filter(|(of, _)| *of == generation);
        let reached = examined.map_or(position, |(_, through)| through.max(position));
        if self.hub.generation() != generation {
            return (reached, true);
        }
        let from = match examined {
            // What was not marked since then matches nothing.
            Some(_) if !is_reset => Sequence(marked.saturating_sub(1)).max(reached),
            _ => reached,
        };
        if examined.is_some() && !is_reset && marked == UNMARKED {
            return (reached, false);
        }
        let fits = |event: &EventFacts| fits(event) && self.filters.matches(event);
        match self.hub.first_fitting(from, &fits) {
            Some((through, false)) => {
                self.examined = Some((generation, through));
                (through, false)
            }
            // The call reads on from here; what comes after its answer is examined anew.
            Some((through, true)) => {
                self.examined = None;
                (through, true)
            }
            None => {
                self.examined = None;
                (reached, true)
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
        let waits = &self.hub.waits;
        waits.index.remove(&self.mark, self.filters.terms.iter());
        waits.filters.give_back(&self.filters);
        self.share = None;
        let cost = self.hub.streams.budget.total();
        self.hub.metrics.set_match_cost(cost);
    }
}
