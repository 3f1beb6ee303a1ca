//! State that the parts of a connection share. Nearly all of them run in the connection's task, one after the
//! other; the atomics only make that acceptable to the compiler. A task of its own may read the request's body while
//! the router answers, so changes of the phase by the body are exchanges.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    task::Waker,
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::handover::HandoverState;

/// The time from which phases are counted, in microseconds.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The progress of a connection's current request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum RequestPhase {
    /// No byte of a request has arrived.
    Idle,
    /// A part of a request's head has arrived.
    Head,
    /// The router waits for more of the request's body, and has not answered yet.
    Body,
    /// The router has the request, and may still ask for more of its body. It does not do so while the request waits for
    /// a turn or for memory, which is no fault of the client.
    Reading,
    /// The router has all of the request that it wants, and its response is not complete.
    Answering,
    /// Hyper has the whole response and has not written all of it.
    Answered,
}

/// State that the parts of a connection share.
pub(super) struct ConnectionState {
    pub(super) handover: HandoverState,
    phase: AtomicU8,
    /// Whether a request was answered since the wait for the next one was last looked at.
    has_answered: AtomicBool,
    /// Whether responses end the connection.
    closes: AtomicBool,
    /// Whether the next read that finds nothing asks the kernel itself.
    asks_kernel: AtomicBool,
    /// The phase in which it should end for a new connection, plus one; 0 for none.
    ends_in: AtomicU8,
    /// Since when it is in its phase, in microseconds after [`START`].
    since_micros: AtomicU64,
    /// Of its task, for another one that asks it to end.
    waker: AtomicWaker,
}

impl Default for ConnectionState {
    fn default() -> Self {
        let state = Self {
            handover: HandoverState::default(),
            phase: AtomicU8::default(),
            has_answered: AtomicBool::default(),
            closes: AtomicBool::default(),
            asks_kernel: AtomicBool::default(),
            ends_in: AtomicU8::default(),
            since_micros: AtomicU64::default(),
            waker: AtomicWaker::default(),
        };
        state.enter(RequestPhase::Idle);
        state
    }
}

impl ConnectionState {
    pub(super) fn phase(&self) -> RequestPhase {
        const ALL: [RequestPhase; 6] = [
            RequestPhase::Idle,
            RequestPhase::Head,
            RequestPhase::Body,
            RequestPhase::Reading,
            RequestPhase::Answering,
            RequestPhase::Answered,
        ];
        ALL[usize::from(self.phase.load(Ordering::Relaxed)) % ALL.len()]
    }

    /// The time since when it is in its phase.
    pub(super) fn since(&self) -> Instant {
        *START + Duration::from_micros(self.since_micros.load(Ordering::Relaxed))
    }

    pub(super) fn enter(&self, phase: RequestPhase) {
        self.begin_phase();
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Enters a phase from another one, if that is the present one.
    fn change(&self, from: RequestPhase, to: RequestPhase) {
        if self.phase() == from {
            self.begin_phase();
            let order = Ordering::Relaxed;
            // Otherwise the other side was faster.
            let _ = self
                .phase
                .compare_exchange(from as u8, to as u8, order, order);
        }
    }

    fn begin_phase(&self) {
        let since = Instant::now().saturating_duration_since(*START).as_micros();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.since_micros.store(since, Ordering::Relaxed);
    }

    /// Asks its task to end, if it is still in this phase then. `false` if it has been asked before.
    pub(super) fn ask_to_end(&self, phase: RequestPhase) -> bool {
        let asked = self.ends_in.swap(phase as u8 + 1, Ordering::AcqRel);
        self.waker.wake();
        asked != phase as u8 + 1
    }

    /// The phase, if it has been asked to end in it.
    pub(super) fn asked_to_end(&self) -> Option<RequestPhase> {
        let (asked, phase) = (self.ends_in.load(Ordering::Acquire), self.phase());
        if asked == phase as u8 + 1 {
            return Some(phase);
        }
        if asked != 0 {
            // Something has arrived meanwhile.
            self.ends_in.store(0, Ordering::Relaxed);
        }
        None
    }

    /// Its task is woken when it is asked to end.
    pub(super) fn wake_when_asked(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Bytes have arrived.
    pub(super) fn received(&self) {
        if self.phase() == RequestPhase::Idle {
            self.enter(RequestPhase::Head);
        }
    }

    /// The router has the request.
    pub(super) fn begin_answer(&self, has_body: bool) {
        self.enter(match has_body {
            true => RequestPhase::Reading,
            false => RequestPhase::Answering,
        });
    }

    /// The router has asked for more of the body, which has not arrived.
    pub(super) fn await_body(&self) {
        self.change(RequestPhase::Reading, RequestPhase::Body);
    }

    /// A part of the body has arrived.
    pub(super) fn body_progress(&self) {
        self.change(RequestPhase::Body, RequestPhase::Reading);
    }

    /// The body of the request has arrived, or the router does not wait for it any more.
    pub(super) fn end_body(&self) {
        while let phase @ (RequestPhase::Body | RequestPhase::Reading) = self.phase() {
            self.change(phase, RequestPhase::Answering);
        }
    }

    /// Hyper has the whole response.
    pub(super) fn end_answer(&self) {
        self.enter(RequestPhase::Answered);
    }

    /// Hyper has written everything that it holds.
    pub(super) fn flushed(&self) {
        self.handover.flushed();
        if self.phase() == RequestPhase::Answered {
            self.enter(RequestPhase::Idle);
            self.has_answered.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a request was answered since the last call: the wait for the next one begins anew.
    pub(super) fn take_answered(&self) -> bool {
        self.has_answered.swap(false, Ordering::Relaxed)
    }

    /// From now on each response says that it is the connection's last.
    pub(super) fn close_with_next_answer(&self) {
        self.closes.store(true, Ordering::Relaxed);
    }

    pub(super) fn closes(&self) -> bool {
        self.closes.load(Ordering::Relaxed)
    }

    /// If the next read finds nothing, it asks the kernel itself: bytes may have arrived that the runtime
    /// has not reported yet.
    pub(super) fn ask_kernel(&self) {
        self.asks_kernel.store(true, Ordering::Relaxed);
    }

    pub(super) fn take_asks_kernel(&self) -> bool {
        self.asks_kernel.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_awaited_only_while_the_router_wants_more_of_it() {
        let state = ConnectionState::default();
        state.begin_answer(true);
        assert_eq!(state.phase(), RequestPhase::Reading, "not asked for yet");
        state.await_body();
        let since = state.since();
        state.await_body();
        assert_eq!((state.phase(), state.since()), (RequestPhase::Body, since));
        state.body_progress();
        assert_eq!(state.phase(), RequestPhase::Reading, "worked on");
        state.await_body();
        state.end_body();
        assert_eq!(state.phase(), RequestPhase::Answering);
        // As on a connection of lines, whose input goes on beside its answer.
        state.await_body();
        state.body_progress();
        assert_eq!(state.phase(), RequestPhase::Answering);
        state.begin_answer(false);
        state.await_body();
        assert_eq!(state.phase(), RequestPhase::Answering, "there is none");
    }
}
