//! The open streams of this edge: a slab entry each.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
};

use futures_util::task::AtomicWaker;
use mcp::{stateless::Tagged, task::TaskId};
use model::{PrincipalId, Sequence, SessionId};
use parking_lot::{Mutex, RwLock};
use ports::ChangedLists;
use slab::Slab;

use super::{
    format::{Ending, Format},
    inbox::{Came, MailStream},
    index::Index,
    interest::Interest,
    notices::{News, Notices, Wants},
    ring::Entry,
};
use crate::{auth::Principal, metrics::StreamKind};

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
    /// First sequence that has to be looked at; 0 while there is none.
    pending: AtomicU64,
    beat: AtomicBool,
    ending: AtomicU8,
    notices: Notices,
    /// A [`Came`].
    mail: AtomicU8,
    waker: AtomicWaker,
}

impl Stream {
    pub(crate) fn new(
        kind: StreamKind,
        format: Format,
        session: Option<(SessionId, u64)>,
        principal: Arc<Principal>,
        interest: Interest,
        wants: Wants,
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
            notices: Notices::new(wants),
            mail: AtomicU8::new(0),
            waker: AtomicWaker::new(),
        }
    }

    /// Everything after `position` has to be looked at.
    pub(crate) fn look_after(&self, position: Sequence) {
        self.mark(position.next());
    }

    fn mark(&self, sequence: Sequence) {
        // Already marked means already woken: whatever came first is where the stream begins to look.
        let marked =
            self.pending
                .compare_exchange(0, sequence.0, Ordering::AcqRel, Ordering::Relaxed);
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
        let (before, after) = (old.keys(), interest.keys());
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
        index.add(slot, self.interest().keys());
        *place = Some(Place {
            index: Arc::clone(index),
            slot,
        });
    }

    fn leave_place(&self) {
        if let Some(place) = self.place.lock().take() {
            place.index.remove(place.slot, &self.interest().keys());
        }
    }

    pub(crate) fn end(&self, ending: Ending) {
        let code = match ending {
            Ending::Drain => 1,
            Ending::TakenOver => 2,
            Ending::SessionEnded => 3,
            Ending::LogReplaced => 4,
            Ending::Revoked => 5,
        };
        let _ = self
            .ending
            .compare_exchange(0, code, Ordering::AcqRel, Ordering::Relaxed);
        self.waker.wake();
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

    pub(crate) fn take_pending(&self) -> Option<Sequence> {
        // A plain load first: an idle poll (heartbeat) writes nothing.
        if self.pending.load(Ordering::Acquire) == 0 {
            return None;
        }
        Some(Sequence(self.pending.swap(0, Ordering::AcqRel)))
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
        match self.ending.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Ending::Drain),
            2 => Some(Ending::TakenOver),
            3 => Some(Ending::SessionEnded),
            4 => Some(Ending::LogReplaced),
            _ => Some(Ending::Revoked),
        }
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
}

/// No place for another stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Streams {
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
        self.index.visit(entry, |slot| {
            if let Some(stream) = slab.get(slot)
                && stream.interest.read().wants(entry)
            {
                stream.mark(entry.sequence);
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

    /// Visits the streams whose slot falls into slice `slice` of `slices`.
    pub(crate) fn for_slice(&self, slice: usize, slices: usize, visit: impl Fn(&Stream)) {
        let slab = self.slab.read();
        let in_slice = slab.iter().filter(|(slot, _)| slot % slices == slice);
        in_slice.for_each(|(_, stream)| visit(stream));
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
