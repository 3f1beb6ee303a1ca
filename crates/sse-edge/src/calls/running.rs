//! The calls of sessions that run on this edge. A cancellation arrives as a separate POST, on any
//! edge.

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{future::BoxFuture, task::AtomicWaker};
use mcp::RequestId;
use model::SessionId;
use parking_lot::Mutex;

use crate::{
    error::EdgeError,
    limits::{CALL_BYTES, MAX_CALLS, MAX_CALLS_PER_SESSION},
};

/// The running calls. The calls of a client that disconnects keep running, so the number of
/// connections does not bound them.
#[derive(Debug, Default)]
pub(crate) struct RunningCalls(Arc<Mutex<CallTable>>);

#[derive(Debug, Default)]
struct CallTable {
    /// The calls of each session, which are few.
    sessions: HashMap<SessionId, Vec<RunningEntry>>,
    calls: usize,
    /// Bytes that the calls keep.
    bytes: usize,
    next: u64,
}

#[derive(Debug)]
struct RunningEntry {
    request: RequestId,
    number: u64,
    end: Option<CallEnd>,
    /// Tells the call of its end; a token would be several times as large.
    ended: Arc<AtomicWaker>,
}

impl RunningEntry {
    /// Ends the call; the first reason counts.
    fn end(&mut self, why: CallEnd) {
        if self.end.is_none() {
            self.end = Some(why);
            self.ended.wake();
        }
    }
}

/// The reason why a call ends without its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallEnd {
    /// The client no longer wants the answer.
    Cancelled,
    /// Its session has ended: the client is told.
    SessionEnded,
}

/// A running call; it is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct RunningCall {
    /// In memory once for all running calls of the session.
    pub(crate) session: SessionId,
    number: u64,
    bytes: usize,
    ended: Arc<AtomicWaker>,
    table: Arc<Mutex<CallTable>>,
}

impl RunningCalls {
    /// Adds a call, which keeps this many bytes of its request and of its session's record.
    ///
    /// # Errors
    /// The session or the edge has reached its maximum number of calls, or of bytes that they keep; or the session already runs
    /// a call with this id, which a client must not do (JSON-RPC ids are unique within a session).
    pub(crate) fn begin(
        &self,
        session: &SessionId,
        request: &RequestId,
        bytes: usize,
    ) -> Result<RunningCall, EdgeError> {
        let mut table = self.0.lock();
        if table.calls >= MAX_CALLS || table.bytes.saturating_add(bytes) > CALL_BYTES {
            return Err(EdgeError::TooManyCalls);
        }
        table.next += 1;
        let number = table.next;
        let ended = Arc::new(AtomicWaker::new());
        let running = table.sessions.get(session).map_or(&[][..], Vec::as_slice);
        if running.len() >= MAX_CALLS_PER_SESSION {
            return Err(EdgeError::TooManyCalls);
        }
        if running.iter().any(|entry| entry.request == *request) {
            return Err(EdgeError::Parameter {
                field: "id".to_owned(),
                reason: "a request with this id is still running".to_owned(),
            });
        }
        // The id that the session's other calls have, so that it is in memory once.
        let known = table.sessions.get_key_value(session);
        let session = known.map_or(session, |(known, _)| known).clone();
        let calls = table.sessions.entry(session.clone()).or_default();
        // Most sessions have one.
        calls.reserve_exact(usize::from(calls.is_empty()));
        calls.push(RunningEntry {
            request: request.clone(),
            number,
            end: None,
            ended: Arc::clone(&ended),
        });
        table.calls += 1;
        table.bytes += bytes;
        Ok(RunningCall {
            session,
            number,
            bytes,
            ended,
            table: Arc::clone(&self.0),
        })
    }

    /// Cancels a call; returns whether it runs here.
    pub(crate) fn cancel(&self, session: &SessionId, request: &RequestId) -> bool {
        let mut table = self.0.lock();
        let calls = table.sessions.get_mut(session);
        let found = calls.and_then(|calls| calls.iter_mut().find(|call| call.request == *request));
        found.is_some_and(|entry| {
            entry.end(CallEnd::Cancelled);
            true
        })
    }

    /// Cancels all calls of a session that ended.
    pub(crate) fn cancel_all(&self, session: &SessionId) {
        let mut table = self.0.lock();
        let calls = table.sessions.get_mut(session);
        for entry in calls.into_iter().flatten() {
            entry.end(CallEnd::SessionEnded);
        }
    }
}

impl RunningCall {
    /// Runs the work, unless the call is ended before.
    ///
    /// # Errors
    /// The reason why it was.
    pub(crate) async fn run<T>(&self, mut work: BoxFuture<'_, T>) -> Result<T, CallEnd> {
        poll_fn(|cx| match self.poll_end(cx) {
            Poll::Ready(end) => Poll::Ready(Err(end)),
            Poll::Pending => work.as_mut().poll(cx).map(Ok),
        })
        .await
    }

    /// The reason why the call was ended, once it was.
    pub(crate) fn poll_end(&self, cx: &Context<'_>) -> Poll<CallEnd> {
        // Before the look, so that an end in between is not missed.
        self.ended.register(cx.waker());
        self.end().map_or(Poll::Pending, Poll::Ready)
    }

    /// The reason why the call was ended, if it was.
    fn end(&self) -> Option<CallEnd> {
        let table = self.table.lock();
        let mut calls = table.sessions.get(&self.session).into_iter().flatten();
        calls.find(|call| call.number == self.number)?.end
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        let Some(calls) = table.sessions.get_mut(&self.session) else {
            return;
        };
        let Some(place) = calls.iter().position(|call| call.number == self.number) else {
            return;
        };
        calls.swap_remove(place);
        if calls.is_empty() {
            table.sessions.remove(&self.session);
        }
        table.calls -= 1;
        table.bytes -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &str) -> SessionId {
        SessionId::new(name).unwrap()
    }

    #[test]
    fn a_call_is_found_under_its_session_and_id_until_it_is_done() {
        let running = RunningCalls::default();
        let (one, two) = (session("1"), session("2"));
        let id = RequestId::Integer(7);
        let call = running.begin(&one, &id, 0).unwrap();
        assert!(!running.cancel(&two, &id));
        assert!(!running.cancel(&one, &RequestId::Text("7".into())));
        assert!(running.cancel(&one, &id));
        assert_eq!(call.end(), Some(CallEnd::Cancelled));
        drop(call);
        assert!(!running.cancel(&one, &id));
        assert!(running.0.lock().sessions.is_empty());
        assert_eq!(running.0.lock().calls, 0);
    }

    #[test]
    fn the_id_of_a_session_is_in_memory_once_for_all_its_calls() {
        let running = RunningCalls::default();
        let begin = |id| running.begin(&session("1"), &RequestId::Integer(id), 0);
        let (one, other) = (begin(1).unwrap(), begin(2).unwrap());
        assert!(std::ptr::eq(one.session.as_str(), other.session.as_str()));
    }

    #[test]
    fn a_session_runs_so_many_calls_and_no_two_under_one_id() {
        let running = RunningCalls::default();
        let one = session("1");
        let calls: Vec<_> = (0..MAX_CALLS_PER_SESSION)
            .map(|n| running.begin(&one, &RequestId::Integer(i64::try_from(n).unwrap()), 0))
            .collect();
        assert!(calls.iter().all(Result::is_ok));
        let more = running.begin(&one, &RequestId::Integer(-1), 0);
        assert!(matches!(more, Err(EdgeError::TooManyCalls)));
        let other = running
            .begin(&session("2"), &RequestId::Integer(0), 0)
            .unwrap();
        drop(calls);
        let again = running.begin(&session("2"), &RequestId::Integer(0), 0);
        assert!(matches!(again, Err(EdgeError::Parameter { .. })));
        drop(other);
    }

    /// A wait keeps some hundred bytes, so that as many as fit in number fit; large ones have a bound in bytes.
    #[test]
    fn what_calls_keep_has_a_bound_and_is_given_back() {
        let running = RunningCalls::default();
        let begin = |n: usize, bytes| {
            let session = session(&(n / MAX_CALLS_PER_SESSION).to_string());
            running.begin(
                &session,
                &RequestId::Integer(i64::try_from(n).unwrap()),
                bytes,
            )
        };
        let waits: Vec<_> = (0..MAX_CALLS).map(|n| begin(n, 2 << 10)).collect();
        assert!(waits.iter().all(Result::is_ok) && waits.len() >= 10_000);
        assert!(matches!(begin(MAX_CALLS, 0), Err(EdgeError::TooManyCalls)));
        drop(waits);
        let large = CALL_BYTES / 4;
        let calls: Vec<_> = (0..4).map(|n| begin(n, large)).collect();
        assert!(calls.iter().all(Result::is_ok));
        assert!(matches!(begin(4, 1), Err(EdgeError::TooManyCalls)));
        drop(calls);
        assert!(begin(4, large).is_ok());
        assert_eq!(running.0.lock().bytes, 0);
    }

    #[test]
    fn the_end_of_a_session_cancels_its_calls_alone() {
        let running = RunningCalls::default();
        let mine = running
            .begin(&session("1"), &RequestId::Integer(0), 0)
            .unwrap();
        let other = running
            .begin(&session("2"), &RequestId::Integer(0), 0)
            .unwrap();
        running.cancel_all(&session("1"));
        assert_eq!(mine.end(), Some(CallEnd::SessionEnded));
        assert_eq!(other.end(), None);
    }

    #[tokio::test]
    async fn the_work_of_a_call_ends_with_the_call() {
        let running = RunningCalls::default();
        let (one, id) = (session("1"), RequestId::Integer(0));
        let call = running.begin(&one, &id, 0).unwrap();
        assert_eq!(call.run(Box::pin(async { 7 })).await, Ok(7));
        // Also if it is ended before it runs.
        assert!(running.cancel(&one, &id));
        let ended = call.run(Box::pin(std::future::pending::<()>())).await;
        assert_eq!(ended, Err(CallEnd::Cancelled));
        running.cancel_all(&one);
        assert_eq!(
            call.end(),
            Some(CallEnd::Cancelled),
            "the first reason counts"
        );
    }
}
