//! A call of a tool that waits, without the call: its arguments, its client and what it waits for. When something
//! happens it is made again, as an edge does with the calls of another one that is gone.

use std::{
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use access::PresentRights;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use mcp::{
    ProtocolVersion, RequestId,
    notification::{LogFilter, ProgressReporter},
};
use mcp_server::{
    cpu_turns::CpuAccount,
    item_queue::QueueReceiver,
    output::{CallOutput, CallOutputItem},
    repeatable::RepeatableCall,
    waiting::WaitingCall,
};
use tokio::time::{Instant, sleep_until};

use super::{CallAnswer, running::RunningCall};
use crate::{limits::PARKED_CHECK_INTERVAL, request_line::RequestLine};

/// What the work of a call came to.
#[derive(Debug)]
pub(crate) enum WorkEnd {
    /// Its answer.
    Answered(CallAnswer),
    /// Nothing: the client cancelled the call.
    Cancelled,
    /// It waits; only if its caller parks.
    Waits(Box<ParkedCall>),
}

impl WorkEnd {
    /// The answer of a call that does not park.
    pub(crate) fn into_answer(self) -> Option<CallAnswer> {
        match self {
            Self::Answered(answer) => Some(answer),
            Self::Cancelled | Self::Waits(_) => None,
        }
    }
}

/// The work of a call.
pub(crate) type CallWork = BoxFuture<'static, WorkEnd>;

/// Makes calls again.
pub(crate) trait MakeAgain: fmt::Debug + Send + Sync {
    /// The work of a call whose wait is over, with a way to what it sends before its answer.
    fn make_again(self: Arc<Self>, call: ParkedCall, output: CallOutput) -> CallWork;
}

/// A call that waits.
pub(crate) struct ParkedCall {
    pub(crate) waiting: Box<WaitingCall>,
    pub(crate) request: RequestId,
    /// What the call may see, and saw.
    pub(crate) rights: PresentRights,
    pub(crate) version: ProtocolVersion,
    pub(crate) log: LogFilter,
    pub(crate) line: RequestLine,
    /// The account in whose turns it runs.
    pub(crate) account: Option<CpuAccount>,
    /// Its place among the calls of its session, if it has one.
    pub(crate) running: Option<RunningCall>,
    pub(crate) maker: Arc<dyn MakeAgain>,
}

impl fmt::Debug for ParkedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParkedCall")
            .field("request", &self.request)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

impl ParkedCall {
    /// What it is made again from.
    pub(crate) fn call(&self) -> Arc<RepeatableCall> {
        Arc::clone(&self.waiting.call)
    }

    /// Whether its client asked for progress: such a client waits for long.
    pub(crate) fn reports(&self) -> bool {
        self.waiting.call.progress_token.is_some()
    }

    /// The time at which it has its answer, whatever has happened.
    pub(crate) fn ends_at(&self) -> Instant {
        self.waiting.wait.ends_at()
    }

    /// Ready when the call has to be made again: something may fit, the time is over, the call was ended, its token is
    /// no longer valid, or the edge drains. The end of its time and of its token wake nobody.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_ended = |running: &RunningCall| running.poll_end(cx).is_ready();
        if self.running.as_ref().is_some_and(is_ended) || Instant::now() >= self.ends_at() {
            return Poll::Ready(());
        }
        match self.rights.now() {
            Ok(reader) => self.waiting.wait.poll_due(&reader, cx),
            Err(_) => Poll::Ready(()),
        }
    }

    /// Waits as [`Self::poll_due`] says, and looks at the time and the token itself.
    pub(crate) async fn due(&mut self) {
        loop {
            let looks_at = self.ends_at().min(Instant::now() + PARKED_CHECK_INTERVAL);
            tokio::select! {
                biased;
                () = poll_fn(|cx| self.poll_due(cx)) => return,
                () = sleep_until(looks_at) => {}
            }
        }
    }

    /// How far the wait is, as a frame for a client that asked for it.
    pub(crate) fn progress(&self) -> Option<Bytes> {
        let message = self.progress_message()?;
        Some(mcp::sse::message(None, &message))
    }

    /// The same as a message.
    pub(crate) fn progress_message(&self) -> Option<Bytes> {
        let token = self.waiting.call.progress_token.clone()?;
        let reader = self.rights.now().ok()?;
        let report = self.waiting.wait.report(&reader)?;
        // A wait only goes on, so the first report of a reporter is higher than the last one of another.
        let (waited, most) = (report.waited_seconds, Some(report.most_seconds));
        ProgressReporter::new(token).report(waited, most, Some(&report.text))
    }

    /// The work of making it again, and what that sends before its answer.
    pub(crate) fn again(self) -> (CallWork, QueueReceiver<CallOutputItem>) {
        let token = self.waiting.call.progress_token.clone();
        let (output, messages) = CallOutput::filtered(token, self.log);
        let maker = Arc::clone(&self.maker);
        (maker.make_again(self, output), messages)
    }
}
