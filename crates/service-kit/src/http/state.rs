//! State that the parts of a connection share. All of them run in the connection's task, one after the
//! other; the atomics only make that acceptable to the compiler.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::handover::HandoverState;

/// The progress of a connection's current request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum RequestPhase {
    /// No byte of a request has arrived.
    Idle,
    /// A part of a request's head has arrived.
    Head,
    /// The router has the request, and its response is not complete.
    Answering,
    /// Hyper has the whole response and has not written all of it.
    Answered,
}

/// State that the parts of a connection share.
#[derive(Default)]
pub(super) struct ConnectionState {
    pub(super) handover: HandoverState,
    phase: AtomicU8,
    /// Whether a request was answered since the wait for the next one was last looked at.
    has_answered: AtomicBool,
    /// Whether responses end the connection.
    closes: AtomicBool,
    /// Whether the next read that finds nothing asks the kernel itself.
    asks_kernel: AtomicBool,
}

impl ConnectionState {
    pub(super) fn phase(&self) -> RequestPhase {
        const ALL: [RequestPhase; 4] = [
            RequestPhase::Idle,
            RequestPhase::Head,
            RequestPhase::Answering,
            RequestPhase::Answered,
        ];
        ALL[usize::from(self.phase.load(Ordering::Relaxed)) % ALL.len()]
    }

    fn set_phase(&self, phase: RequestPhase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Bytes have arrived.
    pub(super) fn received(&self) {
        if self.phase() == RequestPhase::Idle {
            self.set_phase(RequestPhase::Head);
        }
    }

    /// The router has the request.
    pub(super) fn begin_answer(&self) {
        self.set_phase(RequestPhase::Answering);
    }

    /// Hyper has the whole response.
    pub(super) fn end_answer(&self) {
        self.set_phase(RequestPhase::Answered);
    }

    /// Hyper has written everything that it holds.
    pub(super) fn flushed(&self) {
        self.handover.flushed();
        if self.phase() == RequestPhase::Answered {
            self.set_phase(RequestPhase::Idle);
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
