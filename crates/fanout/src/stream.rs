//! One open stream as the other components see it: its interest, and the marks set for it.

use std::{
    hash::{Hash, Hasher},
    ptr,
    sync::{Arc, atomic::Ordering},
};

use event_flow::matching::MatchIndex;
use instruments::TraceSpan;
use mcp::task::TaskId;
use model::{EventFacts, Sequence, SessionId, Timestamp, TraceContext};
use ports::ListChanges;
use stream_driver::sync::{AtomicBool, AtomicU8, AtomicU64, AtomicWaker, Mutex, RwLock};

use super::{
    announcement::Announcement,
    audience::ClientLabels,
    budget::MatchShare,
    format::{StreamEnd, StreamFormat},
    inbox::{MailStream, PendingMail},
    interest::StreamInterest,
    news::{NewsSelection, PendingNews, StreamNews},
    timeline::SetBackRange,
};
use crate::metrics::StreamKind;
use access::{NameDirectory, Principal};

/// One open stream. Its position is in its feed; this is the part that other components write to.
#[derive(Debug)]
pub(crate) struct OpenStream {
    pub(crate) kind: StreamKind,
    pub(crate) format: StreamFormat,
    /// The session that it belongs to, with a tag that increases with each of the session's
    /// streams.
    pub(crate) session: Option<(SessionId, u64)>,
    /// The reader. The stream carries only what this principal may see, regardless of its interest.
    pub(super) principal: Arc<Principal>,
    /// The recorded request that opened the stream.
    opened_by: Option<Box<TraceContext>>,
    pub(super) interest: RwLock<Arc<StreamInterest>>,
    /// The stream's place among the open ones, while it is open.
    place: Mutex<Option<Place>>,
    interest_changed: AtomicBool,
    /// The store of the session went back, and the client has not been told yet.
    went_back: AtomicBool,
    /// First sequence to examine, possibly with [`UNSURE`]; 0 while there is none.
    pending: AtomicU64,
    beat: AtomicBool,
    /// A heartbeat that the client sees is due.
    named_beat: AtomicBool,
    ending: AtomicU8,
    /// When it was opened.
    pub(super) opened_at: Timestamp,
    /// What is known of the client of its session.
    labels: Mutex<Option<Arc<ClientLabels>>>,
    /// The time at which the stream reaches its maximum age, in seconds of its hub.
    ends_at: u32,
    pub(super) news: PendingNews,
    /// The bits of a [`PendingMail`].
    mail: AtomicU8,
    /// One more than the newest subscription that an event id of the stream covers; 0 before the first id.
    covered: AtomicU64,
    /// The value of `covered` at the last check.
    covered_at_check: AtomicU64,
    waker: AtomicWaker,
}

/// When a stream was opened, and when it ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamLife {
    pub(crate) opened_at: Timestamp,
    /// In seconds of its hub.
    pub(crate) ends_at: u32,
}

/// Set in a mark if the event has not been compared with the stream. Sequences never become this
/// large.
const UNSURE: u64 = 1 << 63;

/// The position from which a stream has to examine events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PendingMark {
    pub(crate) first: Sequence,
    /// The first event was compared with the stream's interest, and is wanted.
    pub(crate) is_sure: bool,
}

impl OpenStream {
    pub(crate) fn new(
        kind: StreamKind,
        format: StreamFormat,
        session: Option<(SessionId, u64)>,
        principal: Arc<Principal>,
        interest: StreamInterest,
        wants: NewsSelection,
        life: StreamLife,
    ) -> Self {
        let interest = interest.seen_by(&principal);
        Self {
            kind,
            format,
            session,
            principal,
            opened_by: TraceSpan::current().context().map(Box::new),
            interest: RwLock::new(Arc::new(interest)),
            place: Mutex::new(None),
            interest_changed: AtomicBool::new(false),
            went_back: AtomicBool::new(false),
            pending: AtomicU64::new(0),
            beat: AtomicBool::new(false),
            named_beat: AtomicBool::new(false),
            opened_at: life.opened_at,
            labels: Mutex::new(None),
            ending: AtomicU8::new(0),
            ends_at: life.ends_at,
            news: PendingNews::new(wants),
            mail: AtomicU8::new(0),
            covered: AtomicU64::new(0),
            covered_at_check: AtomicU64::new(0),
            waker: AtomicWaker::new(),
        }
    }

    /// Says of the span of a write which stream it is of.
    pub(crate) fn describe_write(&self, span: &TraceSpan, sequence: Sequence) {
        span.set("forgewire.stream.kind", self.kind.as_str());
        let sequence = i64::try_from(sequence.0).unwrap_or(i64::MAX);
        span.set("forgewire.sequence", sequence);
        if let Some(request) = &self.opened_by {
            span.link(**request);
        }
    }

    /// Everything after `position` has to be examined.
    pub(crate) fn rescan_after(&self, position: Sequence) {
        self.mark(position.next().0 | UNSURE);
    }

    pub(super) fn mark(&self, mark: u64) {
        // Already marked means already woken: the earliest mark is where the stream starts to
        // examine.
        let marked = self
            .pending
            .compare_exchange(0, mark, Ordering::AcqRel, Ordering::Relaxed);
        if marked.is_ok() {
            self.waker.wake();
        }
    }

    /// Replaces the stream's interest; a revision older than the present one is ignored.
    pub(crate) fn set_interest(&self, interest: StreamInterest) {
        self.offer_interest(interest, |revision, present| revision > present);
    }

    /// Replaces the stream's interest with the one of an older revision, to which the store went back, and
    /// tells the client.
    pub(crate) fn put_back(&self, interest: StreamInterest) {
        self.offer_interest(interest, |_, _| true);
        self.report_set_back();
    }

    fn offer_interest(&self, interest: StreamInterest, replaces: impl FnOnce(u64, u64) -> bool) {
        let interest = interest.seen_by(&self.principal);
        // One change at a time, and none once the stream is closing.
        let mut place = self.place.lock();
        let old = self.interest();
        if !replaces(interest.revision, old.revision) {
            return;
        }
        self.replace_interest(place.as_mut(), &old, interest);
        drop(place);
        self.waker.wake();
    }

    /// The log was put back to an earlier state.
    pub(crate) fn set_back(&self, range: &SetBackRange) {
        let mut place = self.place.lock();
        let old = self.interest();
        if let Some(moved) = old.moved_by(range) {
            self.replace_interest(place.as_mut(), &old, moved);
        }
        drop(place);
        self.rescan_after(range.resumes_after);
        // A mark from before may be there already.
        self.waker.wake();
    }

    /// Follows the renames since its interest was made: it goes on with what it named.
    pub(crate) fn follow_names(&self, names: &NameDirectory) {
        // Nearly always nothing was renamed.
        if self.interest().is_following(names) {
            return;
        }
        let mut place = self.place.lock();
        let old = self.interest();
        if let Some(followed) = old.following(names) {
            self.replace_interest(place.as_mut(), &old, followed);
        }
    }

    fn replace_interest(
        &self,
        mut place: Option<&mut Place>,
        old: &StreamInterest,
        interest: StreamInterest,
    ) {
        let share = place.as_mut().map(|place| &mut place.share);
        if share.is_some_and(|share| share.change(interest.cost()).is_err()) {
            // The session subscribed on another edge, which did not know of the other streams here. Its client
            // is refused here with the reason, or resumes on an edge with room.
            self.end(StreamEnd::TooManyFilters);
            return;
        }
        let (before, after) = (old.terms(), interest.terms());
        // The stream is indexed under the new keys before its interest changes, and under the old
        // ones until it has changed: an event in between is compared with one of the two.
        if let Some(place) = &place {
            let added = after.difference(&before).cloned();
            place.index.add(&place.stream, added);
        }
        {
            let mut current = self.interest.write();
            *current = Arc::new(interest);
            // Before the old keys leave the index: a thread that sees that an event was compared without
            // them sees the flag too.
            self.interest_changed.store(true, Ordering::Release);
        }
        if let Some(place) = &place {
            let removed = before.difference(&after);
            place.index.remove(&place.stream, removed);
        }
    }

    /// Takes a place in the index, until [`Self::leave_place`].
    pub(super) fn take_place(self: &Arc<Self>, index: &Arc<StreamIndex>, share: MatchShare) {
        let mut place = self.place.lock();
        let stream = StreamRef(Arc::clone(self));
        index.add(&stream, self.interest().terms());
        *place = Some(Place {
            index: Arc::clone(index),
            stream,
            share,
        });
    }

    pub(super) fn leave_place(&self) {
        if let Some(place) = self.place.lock().take() {
            place.index.remove(&place.stream, &self.interest().terms());
        }
    }

    /// Whether the reader may see the event.
    pub(super) fn sees(&self, event: &EventFacts) -> bool {
        self.principal.sees.allows(event)
    }

    /// The stream sends an event id that covers the subscriptions up to this one.
    pub(crate) fn record_event_id(&self, newest_subscription: u64) {
        self.covered
            .store(newest_subscription.saturating_add(1), Ordering::Release);
    }

    /// The newest subscription covered by an event id that was sent before the last call; the stream has
    /// been open since, so its client has that id. `None` if there is none.
    pub(crate) fn check_covered(&self) -> Option<u64> {
        let covered = self.covered.load(Ordering::Acquire);
        self.covered_at_check
            .swap(covered, Ordering::AcqRel)
            .checked_sub(1)
    }

    /// Makes the stream end; the first reason is kept.
    pub(crate) fn end(&self, ending: StreamEnd) {
        let first =
            self.ending
                .compare_exchange(0, ending as u8 + 1, Ordering::AcqRel, Ordering::Relaxed);
        if first.is_ok() {
            self.waker.wake();
        }
    }

    /// Called by the wheel at this second of the hub: a heartbeat, or the end of a stream that has
    /// reached its maximum age.
    pub(crate) fn on_tick(&self, second: u32) {
        if second < self.ends_at {
            self.beat();
        } else {
            self.end(StreamEnd::MaxAge);
        }
    }

    /// The reader.
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whether the reader's token still has the rights under which the stream was opened.
    pub(crate) fn may_read(&self) -> bool {
        self.principal.is_valid()
    }

    /// Ends the stream if its reader's token has not.
    pub(crate) fn end_if_revoked(&self) {
        if !self.may_read() {
            self.end(match self.principal.present() {
                Ok(_) => StreamEnd::RightsChanged,
                Err(_) => StreamEnd::Revoked,
            });
        }
    }

    /// Records that lists which clients can read changed.
    pub(crate) fn notify_lists(&self, lists: ListChanges) {
        if self.news.notify_lists(lists) {
            self.waker.wake();
        }
    }

    /// Records that a task which the stream may follow has changed.
    pub(crate) fn notify_task(&self, id: &TaskId) {
        if self.news.notify_task(id) {
            self.waker.wake();
        }
    }

    /// A stream of the session's mailbox may have something new.
    pub(crate) fn notify_mail(&self, mail: MailStream) {
        self.mail.fetch_or(mail.bit(), Ordering::AcqRel);
        self.waker.wake();
    }

    /// The client has to learn that the store of its session went back to an earlier state.
    pub(crate) fn report_set_back(&self) {
        self.went_back.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// A heartbeat that the client sees is due.
    pub(crate) fn beat_by_name(&self) {
        self.named_beat.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Replaces what is known of the client.
    pub(crate) fn set_labels(&self, labels: ClientLabels) {
        *self.labels.lock() = Some(Arc::new(labels));
    }

    pub(crate) fn labels(&self) -> Option<Arc<ClientLabels>> {
        self.labels.lock().clone()
    }

    /// Records a message to many clients.
    pub(crate) fn announce(&self, announcement: &Arc<Announcement>) {
        self.news.announce(announcement);
        self.waker.wake();
    }

    pub(crate) fn beat(&self) {
        self.beat.store(true, Ordering::Release);
        self.waker.wake();
    }

    // Called by the feed.

    pub(crate) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    pub(crate) fn take_pending(&self) -> Option<PendingMark> {
        // A plain load first: an idle poll (heartbeat) writes nothing.
        if self.pending.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mark = self.pending.swap(0, Ordering::AcqRel);
        Some(PendingMark {
            first: Sequence(mark & !UNSURE),
            is_sure: mark & UNSURE == 0,
        })
    }

    pub(crate) fn take_mail(&self) -> PendingMail {
        PendingMail(match self.mail.load(Ordering::Acquire) {
            0 => 0,
            _ => self.mail.swap(0, Ordering::AcqRel),
        })
    }

    pub(crate) fn take_news(&self) -> Option<StreamNews> {
        self.news.take()
    }

    pub(crate) fn take_set_back(&self) -> bool {
        self.went_back.load(Ordering::Acquire) && self.went_back.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn take_named_beat(&self) -> bool {
        self.named_beat.load(Ordering::Acquire) && self.named_beat.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn take_beat(&self) -> bool {
        self.beat.load(Ordering::Acquire) && self.beat.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn interest(&self) -> Arc<StreamInterest> {
        Arc::clone(&self.interest.read())
    }

    pub(crate) fn take_changed_interest(&self) -> Option<Arc<StreamInterest>> {
        let changed = self.interest_changed.load(Ordering::Acquire)
            && self.interest_changed.swap(false, Ordering::AcqRel);
        changed.then(|| self.interest())
    }

    pub(crate) fn ending(&self) -> Option<StreamEnd> {
        let code = usize::from(self.ending.load(Ordering::Acquire));
        StreamEnd::ALL.get(code.checked_sub(1)?).copied()
    }
}

/// An open stream in the index, and not its slot, which another stream may have by the time at which an event
/// has been compared.
#[derive(Debug, Clone)]
pub(crate) struct StreamRef(pub(super) Arc<OpenStream>);

impl PartialEq for StreamRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for StreamRef {}

impl Hash for StreamRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        ptr::hash(Arc::as_ptr(&self.0), state);
    }
}

/// The index of the open streams.
pub(crate) type StreamIndex = MatchIndex<StreamRef>;

/// The place of a stream among the open ones. It holds the stream, until the stream leaves it.
#[derive(Debug)]
struct Place {
    index: Arc<StreamIndex>,
    stream: StreamRef,
    share: MatchShare,
}
