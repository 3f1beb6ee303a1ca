//! The open streams of this edge: a slab entry each.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

use mcp::{stateless::Tagged, task::TaskId};
use model::{PrincipalId, Sequence, SessionId};
use ports::ChangedLists;
use slab::Slab;
use stream_driver::sync::{AtomicBool, AtomicU8, AtomicU64, AtomicWaker, Mutex, RwLock};

use super::{
    format::{Ending, Format},
    inbox::{Came, MailStream},
    index::Index,
    interest::Interest,
    notices::{News, Notices, Wants},
    ring::Entry,
};
use crate::{
    auth::Principal,
    limits::VISITED_AT_ONCE,
    metrics::{EndedStreams, StreamKind},
};

/// One open stream. Its position lives in the body that hyper polls; here is what others tell it.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) kind: StreamKind,
    pub(crate) format: Format,
    /// The session that it belongs to, with a tag that rises with each of the session's streams.
    pub(crate) session: Option<(SessionId, u64)>,
    /// Who reads. Whatever the stream is asked to carry, it carries only what this principal may see.
    principal: Arc<Principal>,
    interest: RwLock<Arc<Interest>>,
    /// Where the stream is among the open ones, while it is.
    place: Mutex<Option<Place>>,
    interest_changed: AtomicBool,
    /// First sequence that has to be looked at, perhaps with [`UNSURE`]; 0 while there is none.
    pending: AtomicU64,
    beat: AtomicBool,
    ending: AtomicU8,
    /// When the stream is too old, in seconds of its hub.
    ends_at: u32,
    notices: Notices,
    /// A [`Came`].
    mail: AtomicU8,
    waker: AtomicWaker,
}

/// In a mark: nobody has compared the event with the stream. Sequences never come so far.
const UNSURE: u64 = 1 << 63;

/// Where a stream has to begin to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) first: Sequence,
    /// The first event was compared with the stream's interest, and is wanted.
    pub(crate) is_sure: bool,
}

impl Stream {
    pub(crate) fn new(
        kind: StreamKind,
        format: Format,
        session: Option<(SessionId, u64)>,
        principal: Arc<Principal>,
        interest: Interest,
        wants: Wants,
        ends_at: u32,
    ) -> Self {
        let interest = interest.seen_by(&principal);
        Self {
            kind,
            format,
            session,
            principal,
            interest: RwLock::new(Arc::new(interest)),
            place: Mutex::new(None),
            interest_changed: AtomicBool::new(false),
            pending: AtomicU64::new(0),
            beat: AtomicBool::new(false),
            ending: AtomicU8::new(0),
            ends_at,
            notices: Notices::new(wants),
            mail: AtomicU8::new(0),
            waker: AtomicWaker::new(),
        }
    }

    /// Everything after `position` has to be looked at.
    pub(crate) fn look_after(&self, position: Sequence) {
        self.mark(position.next().0 | UNSURE);
    }

    fn mark(&self, mark: u64) {
        // Already marked means already woken: whatever came first is where the stream begins to look.
        let marked = self
            .pending
            .compare_exchange(0, mark, Ordering::AcqRel, Ordering::Relaxed);
        if marked.is_ok() {
            self.waker.wake();
        }
    }

    /// What the stream wants from now on; an older revision than the present one is ignored.
    pub(crate) fn set_interest(&self, interest: Interest) {
        let interest = interest.seen_by(&self.principal);
        // One change at a time, and none of a stream that leaves.
        let place = self.place.lock();
        let old = self.interest();
        if interest.revision <= old.revision {
            return;
        }
        let (before, after) = (old.terms(), interest.terms());
        // Found under the new keys before it wants anything new, and under the old ones until it does not
        // want that any more: an event in between is compared with either.
        if let Some(place) = &*place {
            place
                .index
                .add(place.slot, after.difference(&before).cloned());
        }
        {
            let mut current = self.interest.write();
            *current = Arc::new(interest);
            // Under the lock: whoever sees that an event was compared with this interest sees the flag too.
            self.interest_changed.store(true, Ordering::Release);
        }
        if let Some(place) = &*place {
            place.index.remove(place.slot, before.difference(&after));
        }
        drop(place);
        self.waker.wake();
    }

    fn take_place(&self, index: &Arc<Index>, slot: usize) {
        let mut place = self.place.lock();
        index.add(slot, self.interest().terms());
        *place = Some(Place {
            index: Arc::clone(index),
            slot,
        });
    }

    fn leave_place(&self) {
        if let Some(place) = self.place.lock().take() {
            place.index.remove(place.slot, &self.interest().terms());
        }
    }

    /// Tells the stream to end; the first reason stays.
    pub(crate) fn end(&self, ending: Ending) {
        let first =
            self.ending
                .compare_exchange(0, ending as u8 + 1, Ordering::AcqRel, Ordering::Relaxed);
        if first.is_ok() {
            self.waker.wake();
        }
    }

    /// The wheel has come by at this second of the hub: a heartbeat, or the end of a stream that is old.
    pub(crate) fn turn(&self, second: u32) {
        if second < self.ends_at {
            self.beat();
        } else {
            self.end(Ending::MaxAge);
        }
    }

    /// Who reads.
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whether the reader's token is still good.
    pub(crate) fn may_read(&self) -> bool {
        self.principal.stands()
    }

    /// Lists changed that clients can read.
    pub(crate) fn lists_changed(&self, lists: ChangedLists) {
        if self.notices.lists_changed(lists) {
            self.waker.wake();
        }
    }

    /// A task changed that the stream may follow.
    pub(crate) fn task_changed(&self, id: &TaskId, how: &Tagged) {
        if self.notices.task_changed(id, how) {
            self.waker.wake();
        }
    }

    /// Something may have come into a stream of the session's mailbox.
    pub(crate) fn mail_came(&self, mail: MailStream) {
        self.mail.fetch_or(mail.bit(), Ordering::AcqRel);
        self.waker.wake();
    }

    pub(crate) fn beat(&self) {
        self.beat.store(true, Ordering::Release);
        self.waker.wake();
    }

    // What the body asks.

    pub(crate) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    pub(crate) fn take_pending(&self) -> Option<Pending> {
        // A plain load first: an idle poll (heartbeat) writes nothing.
        if self.pending.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mark = self.pending.swap(0, Ordering::AcqRel);
        Some(Pending {
            first: Sequence(mark & !UNSURE),
            is_sure: mark & UNSURE == 0,
        })
    }

    pub(crate) fn take_mail(&self) -> Came {
        Came(match self.mail.load(Ordering::Acquire) {
            0 => 0,
            _ => self.mail.swap(0, Ordering::AcqRel),
        })
    }

    pub(crate) fn take_news(&self) -> Option<News> {
        self.notices.take()
    }

    pub(crate) fn take_beat(&self) -> bool {
        self.beat.load(Ordering::Acquire) && self.beat.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn interest(&self) -> Arc<Interest> {
        Arc::clone(&self.interest.read())
    }

    pub(crate) fn take_changed_interest(&self) -> Option<Arc<Interest>> {
        let changed = self.interest_changed.load(Ordering::Acquire)
            && self.interest_changed.swap(false, Ordering::AcqRel);
        changed.then(|| self.interest())
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        let code = usize::from(self.ending.load(Ordering::Acquire));
        Ending::ALL.get(code.checked_sub(1)?).copied()
    }
}

/// Where a stream is among the open ones.
#[derive(Debug)]
struct Place {
    index: Arc<Index>,
    slot: usize,
}

/// All of them, and who holds the stream of which session.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    slab: RwLock<Slab<Arc<Stream>>>,
    index: Arc<Index>,
    /// The streams themselves, not their slots: a slot is given to somebody else at any moment.
    by_session: RwLock<HashMap<SessionId, Arc<Stream>>>,
    /// Who follows which task.
    by_task: RwLock<HashMap<TaskId, Vec<Arc<Stream>>>>,
    /// Slots of the streams that carry answers: they look for them without a hint too.
    answering: Mutex<HashSet<usize>>,
    /// Every event up to here has been compared with every stream.
    marked_through: AtomicU64,
    ended: EndedStreams,
}

/// No place for another stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Streams {
    /// None yet; those that end by our doing are counted there.
    pub(crate) fn new(ended: EndedStreams) -> Self {
        Self {
            ended,
            ..Self::default()
        }
    }

    /// Adds a stream; an older one of the same session on this edge ends.
    pub(crate) fn insert(&self, stream: &Arc<Stream>, max_streams: usize) -> Result<usize, Full> {
        let slot = {
            let mut slab = self.slab.write();
            if slab.len() >= max_streams {
                return Err(Full);
            }
            slab.insert(Arc::clone(stream))
        };
        stream.take_place(&self.index, slot);
        for task in stream.notices.wanted_tasks() {
            let mut by_task = self.by_task.write();
            let followers = by_task.entry(task.clone()).or_default();
            followers.push(Arc::clone(stream));
        }
        if let Some((session, _)) = &stream.session {
            let older = self
                .by_session
                .write()
                .insert(session.clone(), Arc::clone(stream));
            if let Some(older) = older {
                older.end(Ending::TakenOver);
            }
        }
        Ok(slot)
    }

    pub(crate) fn remove(&self, slot: usize) {
        self.answering.lock().remove(&slot);
        let leaving = self.slab.read().get(slot).cloned();
        // Before the slot is given to somebody else.
        if let Some(stream) = leaving {
            stream.leave_place();
        }
        let Some(stream) = self.slab.write().try_remove(slot) else {
            return;
        };
        if let Some(ending) = stream.ending() {
            self.ended.count(ending);
        }
        for task in stream.notices.wanted_tasks() {
            let mut by_task = self.by_task.write();
            if let Some(followers) = by_task.get_mut(task) {
                followers.retain(|follower| !Arc::ptr_eq(follower, &stream));
                if followers.is_empty() {
                    by_task.remove(task);
                }
            }
        }
        if let Some((session, _)) = &stream.session {
            let mut by_session = self.by_session.write();
            if by_session
                .get(session)
                .is_some_and(|holder| Arc::ptr_eq(holder, &stream))
            {
                by_session.remove(session);
            }
        }
    }

    /// Wakes every stream that wants the event; returns how many.
    pub(crate) fn mark(&self, entry: &Entry) -> usize {
        let slab = self.slab.read();
        let mut marked = 0;
        self.index.visit(entry, |slot, is_sure| {
            if let Some(stream) = slab.get(slot)
                && (is_sure || stream.interest.read().wants(entry))
            {
                stream.mark(entry.sequence.0);
                marked += 1;
            }
        });
        self.marked_through
            .store(entry.sequence.0, Ordering::Release);
        marked
    }

    pub(crate) fn marked_through(&self) -> Sequence {
        Sequence(self.marked_through.load(Ordering::Acquire))
    }

    /// Another log begins, or goes on elsewhere: no event after `position` has been compared.
    pub(crate) fn restart(&self, position: Sequence) {
        self.marked_through.store(position.0, Ordering::Release);
    }

    pub(crate) fn of_session(&self, session: &SessionId) -> Option<Arc<Stream>> {
        self.by_session.read().get(session).cloned()
    }

    pub(crate) fn of_task(&self, task: &TaskId) -> Vec<Arc<Stream>> {
        self.by_task.read().get(task).cloned().unwrap_or_default()
    }

    /// Whose streams follow a task here.
    pub(crate) fn followers(&self, task: &TaskId) -> BTreeSet<PrincipalId> {
        let streams = self.of_task(task);
        let owners = streams.iter().map(|stream| stream.principal.id.clone());
        owners.collect()
    }

    /// All tasks that are followed here.
    pub(crate) fn tasks(&self) -> Vec<TaskId> {
        self.by_task.read().keys().cloned().collect()
    }

    #[cfg(test)]
    pub(crate) fn of_slot(&self, slot: usize) -> Option<Arc<Stream>> {
        self.slab.read().get(slot).cloned()
    }

    pub(crate) fn sessions(&self) -> Vec<SessionId> {
        self.by_session.read().keys().cloned().collect()
    }

    /// Visits the streams whose slot falls into slice `slice` of `slices`; one that is open all the while
    /// is visited once.
    ///
    /// No lock is held while a stream is visited: waking thousands takes milliseconds, and whoever opens
    /// one would wait for them, with all events behind that.
    pub(crate) fn for_slice(&self, slice: usize, slices: usize, visit: impl Fn(&Stream)) {
        let mut taken = Vec::new();
        let mut next = slice;
        loop {
            let last = {
                let slab = self.slab.read();
                // The slots that were ever used, and at most as many again.
                let end = slab.capacity();
                while next < end && taken.len() < VISITED_AT_ONCE {
                    taken.extend(slab.get(next).cloned());
                    next += slices;
                }
                next >= end
            };
            taken
                .drain(..)
                .for_each(|stream: Arc<Stream>| visit(&stream));
            if last {
                return;
            }
        }
    }

    /// The stream in this slot carries what POSTs are answered with, until it is removed.
    pub(crate) fn carry_answers(&self, slot: usize) {
        self.answering.lock().insert(slot);
    }

    /// Makes the streams that carry answers, and whose slot falls into slice `slice` of `slices`, look
    /// for them.
    pub(crate) fn look_for_answers(&self, slice: usize, slices: usize) {
        let answering = self.answering.lock();
        let in_slice = answering.iter().filter(|slot| *slot % slices == slice);
        let slab = self.slab.read();
        let streams = in_slice.filter_map(|slot| slab.get(*slot));
        streams.for_each(|stream| stream.mail_came(MailStream::Answers));
    }

    pub(crate) fn end_all(&self, ending: Ending) {
        self.for_slice(0, 1, |stream| stream.end(ending));
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.read().len()
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    fn stream() -> Arc<Stream> {
        Arc::new(Stream::new(
            StreamKind::Events,
            Format::Events,
            None,
            Arc::new(Principal::anonymous()),
            Interest::events(model::FilterSet::default()),
            Wants::default(),
            u32::MAX,
        ))
    }

    #[test]
    fn every_stream_falls_into_one_slice_also_where_others_have_left_holes() {
        let streams = Streams::default();
        let all: Vec<_> = (0..2000).map(|_| stream()).collect();
        for stream in &all {
            streams.insert(stream, 2000).unwrap();
        }
        for slot in (0..2000).filter(|slot| slot % 3 == 0 || *slot > 1500) {
            streams.remove(slot);
        }
        for slices in [1, 64] {
            let visits = Mutex::new(HashMap::<*const Stream, usize>::new());
            for slice in 0..slices {
                let visit = |stream: &Stream| {
                    *visits.lock().entry(std::ptr::from_ref(stream)).or_default() += 1;
                };
                streams.for_slice(slice, slices, visit);
            }
            let visits = visits.into_inner();
            assert_eq!(visits.len(), 1000);
            assert!(visits.values().all(|count| *count == 1));
        }
    }

    #[test]
    fn while_streams_are_visited_others_come_and_go() {
        let streams = Streams::default();
        for _ in 0..2 * VISITED_AT_ONCE {
            streams.insert(&stream(), usize::MAX).unwrap();
        }
        streams.for_slice(0, 1, |_| {
            // Would wait for ever for a lock that is held here.
            let slot = streams.insert(&stream(), usize::MAX).unwrap();
            streams.remove(slot);
        });
        assert_eq!(streams.len(), 2 * VISITED_AT_ONCE);
    }

    #[test]
    fn the_first_reason_to_end_is_the_one_that_counts() {
        let mut registry = service_kit::metrics::Registry::default();
        let metrics = crate::metrics::Metrics::new(&mut registry);
        let streams = Streams::new(metrics.ended_streams.clone());
        for ending in Ending::ALL {
            let stream = stream();
            let slot = streams.insert(&stream, 10).unwrap();
            stream.end(ending);
            stream.end(Ending::Drain);
            assert_eq!(stream.ending(), Some(ending));
            streams.remove(slot);
        }
        let slot = streams.insert(&stream(), 10).unwrap();
        streams.remove(slot);
        let text = service_kit::metrics::encode(&registry).unwrap();
        for ending in Ending::ALL {
            let line = format!(
                "forgewire_edge_ended_streams_total{{reason=\"{}\"}} 1\n",
                ending.as_str()
            );
            assert!(text.contains(&line), "{line} is missing in:\n{text}");
        }
    }
}
