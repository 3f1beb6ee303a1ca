//! One open stream, as others see it: what it wants, and what it has been told.

use std::sync::{Arc, atomic::Ordering};

use mcp::{tagged::Tagged, task::TaskId};
use model::{Sequence, SessionId};
use ports::ChangedLists;
use stream_driver::sync::{AtomicBool, AtomicU8, AtomicU64, AtomicWaker, Mutex, RwLock};

use super::{
    format::{Ending, Format},
    inbox::{Came, MailStream},
    index::Index,
    interest::Interest,
    notices::{News, Notices, Wants},
};
use crate::{auth::Principal, metrics::StreamKind};

/// One open stream. Its position lives in its feed; here is what others tell it.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) kind: StreamKind,
    pub(crate) format: Format,
    /// The session that it belongs to, with a tag that rises with each of the session's streams.
    pub(crate) session: Option<(SessionId, u64)>,
    /// Who reads. Whatever the stream is asked to carry, it carries only what this principal may see.
    pub(super) principal: Arc<Principal>,
    pub(super) interest: RwLock<Arc<Interest>>,
    /// Where the stream is among the open ones, while it is.
    place: Mutex<Option<Place>>,
    interest_changed: AtomicBool,
    /// First sequence that has to be looked at, perhaps with [`UNSURE`]; 0 while there is none.
    pending: AtomicU64,
    beat: AtomicBool,
    ending: AtomicU8,
    /// When the stream is too old, in seconds of its hub.
    ends_at: u32,
    pub(super) notices: Notices,
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

    pub(super) fn mark(&self, mark: u64) {
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

    pub(super) fn take_place(&self, index: &Arc<Index>, slot: usize) {
        let mut place = self.place.lock();
        index.add(slot, self.interest().terms());
        *place = Some(Place {
            index: Arc::clone(index),
            slot,
        });
    }

    pub(super) fn leave_place(&self) {
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
