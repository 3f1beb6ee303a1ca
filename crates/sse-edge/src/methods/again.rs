//! A call in hand: what it came to, and how it is made again when its wait is over.

use std::sync::Arc;

use bytes::Bytes;
use mcp::{Era, HttpRefusal, RequestId, envelope};
use mcp_server::{
    Caller,
    caller::CallClient,
    cpu_turns::CpuAccount,
    output::CallOutput,
    waiting::{CallReply, WaitingCall},
};

use crate::{
    calls::{
        CallAnswer,
        parked::{CallWork, MakeAgain, ParkedCall, WorkEnd},
        running::{CallEnd, RunningCall},
    },
    edge::Edge,
    error::EdgeError,
    request_line::RequestLine,
};

/// What a call came to, or why it was ended before.
pub(crate) type CallOutcomeOrEnd = Result<Result<CallReply, HttpRefusal>, CallEnd>;

/// A call on its way.
pub(crate) struct CallInHand {
    pub(crate) edge: Arc<Edge>,
    pub(crate) caller: Caller,
    pub(crate) id: RequestId,
    /// Its place among the calls of its session, if it has one.
    pub(crate) running: Option<RunningCall>,
    pub(crate) line: RequestLine,
}

impl CallInHand {
    /// The end of the call: its answer within the budget of its principal, or what is left of it while it waits.
    pub(crate) async fn end(self, came: CallOutcomeOrEnd) -> WorkEnd {
        let outcome = match came {
            Ok(Ok(CallReply::Waits(waiting))) => {
                return WorkEnd::Waits(Box::new(self.park(waiting)));
            }
            Ok(Ok(CallReply::Message(message))) => Ok(message),
            Ok(Err(refusal)) => self.refused(refusal),
            Err(CallEnd::SessionEnded) => Ok(envelope::error(
                Some(&self.id),
                &EdgeError::SessionGone.into(),
            )),
            Err(CallEnd::Cancelled) => return WorkEnd::Cancelled,
        };
        let answer = CallAnswer::of(&self.id, outcome);
        let principal = &self.caller.principal.id;
        WorkEnd::Answered(
            answer
                .within(&self.edge.answers, principal, Some(&self.id))
                .await,
        )
    }

    /// In the handshake era an error is an answer like others.
    fn refused(&self, refusal: HttpRefusal) -> Result<Bytes, HttpRefusal> {
        match self.caller.version.era() {
            Era::Handshake => Ok(envelope::error(Some(&self.id), &refusal.error)),
            Era::Stateless => Err(refusal),
        }
    }

    fn park(self, waiting: Box<WaitingCall>) -> ParkedCall {
        ParkedCall {
            waiting,
            request: self.id,
            rights: self.caller.rights,
            version: self.caller.version,
            log: self.caller.output.log_filter(),
            line: self.line,
            account: CpuAccount::current(),
            running: self.running,
            maker: self.edge,
        }
    }
}

impl MakeAgain for Edge {
    fn make_again(self: Arc<Self>, call: ParkedCall, output: CallOutput) -> CallWork {
        let ParkedCall {
            waiting,
            request: id,
            rights,
            version,
            line,
            running,
            ..
        } = call;
        let client = CallClient::default();
        let trace = waiting.trace().or(line.trace);
        let fresh = self.caller(rights.principal(), version, client, trace, output);
        let caller = Caller {
            rights,
            since: waiting.call.since,
            began: waiting.call.began,
            ran_before: waiting.wait.waited(),
            waits_until: Some(waiting.wait.ends_at()),
            parks: true,
            earlier: Some(waiting.wait.position()),
            ..fresh
        };
        let call = CallInHand {
            edge: self,
            caller,
            id,
            running,
            line,
        };
        Box::pin(async move {
            let registry = &call.edge.registry;
            let made = Box::pin(registry.call_again(&call.caller, &call.id, waiting));
            let came = match &call.running {
                Some(running) => running.run(made).await,
                None => Ok(made.await),
            };
            call.end(came).await
        })
    }
}
