//! A call of a tool that waits for something to happen is gone while it waits: what remains is what it waits for, and
//! the form from which it is made again, on this edge or on another one.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use access::Principal;
use bytes::Bytes;
use mcp::tool::CallToolParams;
use model::{Sequence, TraceContext};
use tokio::time::Instant;

use crate::{call_metrics::ObservedCall, rates::AdmissionPermit, repeatable::RepeatableCall};

/// What a call waits for.
pub trait CallWait: fmt::Debug + Send + Sync {
    /// Ready when the call has to be made again: something may fit that `reader` sees, or the edge drains. The time at
    /// which the wait ends is not its affair.
    fn poll_due(&mut self, reader: &Principal, cx: &mut Context<'_>) -> Poll<()>;

    /// The time at which the call has its answer, whatever has happened.
    fn ends_at(&self) -> Instant;

    /// How long the call has waited, on all edges.
    fn waited(&self) -> Duration;

    /// How long the call waits at most, on all edges.
    fn most_seconds(&self) -> u32;

    /// How far the wait is, for a client that asked for progress; `None` if `reader` may not be told, or the time is over.
    fn report(&self, reader: &Principal) -> Option<WaitReport>;

    /// The position from which the call goes on, on this edge.
    fn position(&self) -> WaitPosition;
}

/// How far a wait is.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitReport {
    /// Seconds that the call has waited.
    pub waited_seconds: f64,
    /// Seconds that it may wait in all.
    pub most_seconds: f64,
    /// The position, in words.
    pub text: String,
}

/// The position up to which nothing fits a call that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitPosition {
    /// The log to which the position belongs, as this edge counts them.
    pub generation: u32,
    /// The position.
    pub examined: Sequence,
    /// The position at which names in the call's arguments meant what they mean for it.
    pub names_at: Sequence,
}

/// A call of a tool that waits.
#[derive(Debug)]
pub struct WaitingCall {
    /// What it is made again from, here and elsewhere.
    pub call: Arc<RepeatableCall>,
    /// What it waits for.
    pub wait: Box<dyn CallWait>,
    /// Its place among the calls of its principal that may wait.
    pub(crate) admitted: AdmissionPermit,
    /// The time at which its tool was called first.
    pub(crate) began: std::time::Instant,
    pub(crate) observed: Option<Box<ObservedCall>>,
}

/// What a call came to.
#[derive(Debug)]
pub enum CallReply {
    /// A JSON-RPC message.
    Message(Bytes),
    /// The call waits; only if its caller [parks](crate::Caller::parks).
    Waits(Box<WaitingCall>),
}

impl WaitingCall {
    /// The trace of what the call does.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        self.observed.as_ref()?.trace()
    }

    /// The arguments with which its tool is called again.
    pub(crate) fn params(&self) -> CallToolParams {
        CallToolParams {
            name: self.call.tool.clone(),
            arguments: self.call.arguments.clone(),
        }
    }

    pub(crate) fn observed_by(mut self: Box<Self>, observed: Box<ObservedCall>) -> Box<Self> {
        self.observed = Some(observed);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten thousand of them are ten thousand times this, and what they point to.
    #[test]
    fn what_is_left_of_a_call_is_small() {
        assert!(
            size_of::<WaitingCall>() <= 72,
            "{}",
            size_of::<WaitingCall>()
        );
        assert!(
            size_of::<RepeatableCall>() <= 112,
            "{}",
            size_of::<RepeatableCall>()
        );
    }
}
