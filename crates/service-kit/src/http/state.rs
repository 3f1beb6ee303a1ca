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

use super::{
    client_waits::ClientWaits,
    handover::{CarriedStream, HandoverState},
    sender::SenderKey,
};
use crate::limits::UNFINISHED_REQUEST_TIMEOUT;

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

/// What the server waits for where a connection may end for a new one. Of one sender's, those of a lesser kind end
/// first: without a request nothing is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum AwaitedPart {
    /// A request.
    Request = 1,
    /// The rest of a head.
    Head,
    /// That the client takes its answer, which is no stream.
    Taking,
    /// The rest of a body.
    Body,
}

/// State that the parts of a connection share.
pub(super) struct ConnectionState {
    pub(super) handover: HandoverState,
    /// The address of the other end.
    peer: SenderKey,
    /// The sender of the request that is worked on.
    sender: AtomicU64,
    phase: AtomicU8,
    /// Whether a request was answered since the wait for the next one was last looked at.
    has_answered: AtomicBool,
    /// Whether responses end the connection.
    closes: AtomicBool,
    /// Whether the next read that finds nothing asks the kernel itself.
    asks_kernel: AtomicBool,
    /// The [`AwaitedPart`] for whose lack it should end for a new connection; 0 for none.
    ends_for: AtomicU8,
    /// Since when it is in its phase, in microseconds after [`START`].
    since_micros: AtomicU64,
    /// Waits for the request's body.
    body_waits: ClientWaits,
    /// Since when the client takes nothing of what is written, in microseconds after [`START`]; 0 if it does.
    full_since_micros: AtomicU64,
    /// Waits for the client to take what is written.
    taking_waits: ClientWaits,
    /// Whether there was such a wait since the last answer was written.
    has_waited: AtomicBool,
    /// Of its task, for another one that asks it to end.
    waker: AtomicWaker,
}

/// Now, in microseconds after [`START`]; never 0.
fn now_micros() -> u64 {
    let since = Instant::now().saturating_duration_since(*START).as_micros();
    u64::try_from(since).unwrap_or(u64::MAX).max(1)
}

impl ConnectionState {
    /// A connection from this sender, on which nothing has arrived.
    pub(super) fn new(peer: SenderKey) -> Self {
        let state = Self {
            handover: HandoverState::default(),
            peer,
            sender: AtomicU64::new(peer.0),
            phase: AtomicU8::default(),
            has_answered: AtomicBool::default(),
            closes: AtomicBool::default(),
            asks_kernel: AtomicBool::default(),
            ends_for: AtomicU8::default(),
            since_micros: AtomicU64::default(),
            body_waits: ClientWaits::default(),
            full_since_micros: AtomicU64::default(),
            taking_waits: ClientWaits::default(),
            has_waited: AtomicBool::default(),
            waker: AtomicWaker::default(),
        };
        state.enter(RequestPhase::Idle);
        state
    }

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
        self.since_micros.store(now_micros(), Ordering::Relaxed);
    }

    fn since_micros(&self) -> u64 {
        self.since_micros.load(Ordering::Relaxed)
    }

    /// What the server waits for, and since when, if the connection may end for a new one: at once without a request,
    /// and otherwise when that has been too long.
    pub(super) fn awaits(&self, now: Instant) -> Option<(AwaitedPart, Instant)> {
        let (part, since) = match self.phase() {
            RequestPhase::Idle => (AwaitedPart::Request, self.since_micros()),
            RequestPhase::Head => (AwaitedPart::Head, self.since_micros()),
            RequestPhase::Body => {
                let waited = self.body_waits.waited_micros();
                let since = self.since_micros().saturating_sub(waited);
                (AwaitedPart::Body, since)
            }
            phase => {
                let since = self.full_since_micros.load(Ordering::Relaxed);
                // The rest of a stream that has ended is an answer like any other.
                let is_stream =
                    || phase != RequestPhase::Answered && self.handover.carries_stream();
                if since == 0 || is_stream() {
                    return None;
                }
                let waited = self.taking_waits.waited_micros();
                (AwaitedPart::Taking, since.saturating_sub(waited))
            }
        };
        let since = *START + Duration::from_micros(since);
        let may_end = part == AwaitedPart::Request
            || now.saturating_duration_since(since) >= UNFINISHED_REQUEST_TIMEOUT;
        may_end.then_some((part, since))
    }

    /// Asks its task to end, if it still waits for this part then. `false` if it has been asked before.
    pub(super) fn ask_to_end(&self, part: AwaitedPart) -> bool {
        let asked = self.ends_for.swap(part as u8, Ordering::AcqRel);
        self.waker.wake();
        asked != part as u8
    }

    /// What it waits for, if it has been asked to end for the lack of it.
    pub(super) fn asked_to_end(&self) -> Option<AwaitedPart> {
        let asked = self.ends_for.load(Ordering::Acquire);
        if asked == 0 {
            return None;
        }
        let awaited = self.awaits(Instant::now());
        let ends = awaited.filter(|(part, _)| *part as u8 == asked);
        if ends.is_none() {
            // Something has moved meanwhile.
            self.ends_for.store(0, Ordering::Relaxed);
        }
        ends.map(|(part, _)| part)
    }

    /// Of whom it is: of the sender of its request, otherwise of its other end.
    pub(super) fn sender(&self) -> SenderKey {
        SenderKey(self.sender.load(Ordering::Relaxed))
    }

    /// The sender of the request that is worked on is known.
    pub(super) fn set_sender(&self, sender: SenderKey) {
        self.sender.store(sender.0, Ordering::Relaxed);
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
        self.body_waits.forget();
        self.handover.carry(CarriedStream::Nothing);
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
    pub(super) fn body_progress(&self, bytes: usize) {
        if self.phase() == RequestPhase::Body {
            let waited = now_micros().saturating_sub(self.since_micros());
            self.body_waits.add(waited);
        }
        self.body_waits.moved(bytes);
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

    /// The client takes nothing of what is written.
    pub(super) fn is_full(&self) {
        self.has_waited.store(true, Ordering::Relaxed);
        if self.full_since_micros.load(Ordering::Relaxed) == 0 {
            self.full_since_micros
                .store(now_micros(), Ordering::Relaxed);
        }
    }

    /// The client has made room for bytes that were written.
    pub(super) fn written(&self, bytes: usize) {
        let since = self.full_since_micros.load(Ordering::Relaxed);
        if since != 0 {
            self.full_since_micros.store(0, Ordering::Relaxed);
            self.taking_waits.add(now_micros().saturating_sub(since));
        }
        self.taking_waits.moved(bytes);
    }

    /// Hyper has written everything that it holds.
    pub(super) fn flushed(&self) {
        self.handover.flushed();
        if self.phase() == RequestPhase::Answered {
            // A client that asks for the next answer before it takes this one owes the time of both.
            if !self.has_waited.swap(false, Ordering::Relaxed) {
                self.taking_waits.forget();
            }
            self.set_sender(self.peer);
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
mod tests;
