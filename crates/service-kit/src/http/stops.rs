//! The steps in which a connection stops, and its wait for a request.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    recent::RecentRequests,
    state::{ConnectionState, RequestPhase},
};

/// The signals that stop a listener and its connections, in the order in which they come.
pub(super) struct StopSignals {
    pub(super) draining: CancellationToken,
    pub(super) stop_accepting: CancellationToken,
    pub(super) closed: CancellationToken,
}

/// How far a connection has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopStep {
    /// Not at all.
    Serving,
    /// The process drains: requests are served, and each response is the connection's last.
    LastAnswers,
    /// The listener has closed: a request that has begun is served, and idle connections close.
    LastRequests,
    /// The hard stop.
    Closed,
}

/// The current step, and the wait for the next one.
pub(super) struct StopWatch {
    step: StopStep,
    next: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl StopWatch {
    pub(super) fn new(signals: &StopSignals) -> Self {
        Self {
            step: StopStep::Serving,
            next: Box::pin(signals.draining.clone().cancelled_owned()),
        }
    }

    /// The next step that begins, in order; none is left out.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, signals: &StopSignals) -> Poll<StopStep> {
        if self.step == StopStep::Closed {
            return Poll::Ready(StopStep::Closed);
        }
        ready!(self.next.as_mut().poll(cx));
        let next = match self.step {
            StopStep::Serving => {
                self.step = StopStep::LastAnswers;
                &signals.stop_accepting
            }
            StopStep::LastAnswers => {
                self.step = StopStep::LastRequests;
                &signals.closed
            }
            StopStep::LastRequests | StopStep::Closed => {
                self.step = StopStep::Closed;
                return Poll::Ready(self.step);
            }
        };
        self.next.set(next.clone().cancelled_owned());
        Poll::Ready(self.step)
    }

    pub(super) fn step(&self) -> StopStep {
        self.step
    }
}

/// Bounds of the wait for a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestWaits {
    /// Until the first byte.
    pub(super) idle: Duration,
    /// From the first byte to the end of the head.
    pub(super) head: Duration,
    /// Until the first byte, once the listener has closed: a request may be on its way. Without a request
    /// on any other connection in the meantime.
    pub(super) last: Duration,
}

/// The wait for a request; without a timer while none is awaited.
pub(super) struct RequestTimer {
    phase: RequestPhase,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl RequestTimer {
    pub(super) fn new() -> Self {
        Self {
            phase: RequestPhase::Idle,
            sleep: None,
        }
    }

    /// The listener has closed: a connection that is idle now waits only as long as one that becomes
    /// idle from now on.
    pub(super) fn shorten(&mut self, waits: RequestWaits) {
        if let (RequestPhase::Idle, Some(sleep)) = (self.phase, &mut self.sleep) {
            let shorter = waits.idle.saturating_sub(waits.last);
            let deadline = sleep.deadline();
            let deadline = deadline.checked_sub(shorter).unwrap_or(deadline);
            sleep.as_mut().reset(deadline.max(Instant::now()));
        }
    }

    /// Resolves when the connection has waited too long in its phase, which is the result.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        state: &ConnectionState,
        waits: RequestWaits,
        recent: &RecentRequests,
        step: StopStep,
    ) -> Poll<RequestPhase> {
        let phase = state.phase();
        let ends = phase == RequestPhase::Idle && step == StopStep::LastRequests;
        let wait = match phase {
            RequestPhase::Idle if ends => recent.longest_wait().min(waits.last),
            RequestPhase::Idle => waits.idle,
            RequestPhase::Head => waits.head,
            RequestPhase::Body
            | RequestPhase::Reading
            | RequestPhase::Answering
            | RequestPhase::Answered => {
                self.sleep = None;
                return Poll::Pending;
            }
        };
        let begins = state.take_answered() || self.phase != phase;
        self.phase = phase;
        let timer = match &mut self.sleep {
            Some(timer) => {
                if begins {
                    timer.as_mut().reset(Instant::now() + wait);
                }
                timer
            }
            None => self.sleep.insert(Box::pin(sleep(wait))),
        };
        loop {
            ready!(timer.as_mut().poll(cx));
            let longer = match ends {
                true => recent.longer_wait(waits.last),
                false => None,
            };
            match longer {
                Some(longer) => timer.as_mut().reset(Instant::now() + longer),
                None => return Poll::Ready(phase),
            }
        }
    }
}
