//! The calls of sessions that run on this edge. A cancellation arrives as a separate POST, on any
//! edge.

use std::{collections::HashMap, sync::Arc};

use mcp::RequestId;
use model::SessionId;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

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
    sessions: HashMap<SessionId, HashMap<RequestId, RunningEntry>>,
    calls: usize,
    /// Bytes that the calls keep.
    bytes: usize,
    next: u64,
}

#[derive(Debug)]
struct RunningEntry {
    number: u64,
    cancelled: CancellationToken,
    session_ended: CancellationToken,
}

/// A running call; it is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct RunningCall {
    session: SessionId,
    request: RequestId,
    number: u64,
    bytes: usize,
    /// Cancelled when the client no longer wants the answer, or its session has ended.
    pub(crate) cancelled: CancellationToken,
    /// Cancelled before that when the session has ended: then the client is told.
    pub(crate) session_ended: CancellationToken,
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
        let (cancelled, session_ended) = (CancellationToken::new(), CancellationToken::new());
        let calls = table.sessions.entry(session.clone()).or_default();
        if calls.len() >= MAX_CALLS_PER_SESSION {
            return Err(EdgeError::TooManyCalls);
        }
        if calls.contains_key(request) {
            return Err(EdgeError::Parameter {
                field: "id".to_owned(),
                reason: "a request with this id is still running".to_owned(),
            });
        }
        let entry = RunningEntry {
            number,
            cancelled: cancelled.clone(),
            session_ended: session_ended.clone(),
        };
        calls.insert(request.clone(), entry);
        table.calls += 1;
        table.bytes += bytes;
        Ok(RunningCall {
            session: session.clone(),
            request: request.clone(),
            number,
            bytes,
            cancelled,
            session_ended,
            table: Arc::clone(&self.0),
        })
    }

    /// Cancels a call; returns whether it runs here.
    pub(crate) fn cancel(&self, session: &SessionId, request: &RequestId) -> bool {
        let table = self.0.lock();
        let found = table
            .sessions
            .get(session)
            .and_then(|calls| calls.get(request));
        found.is_some_and(|entry| {
            entry.cancelled.cancel();
            true
        })
    }

    /// Cancels all calls of a session that ended.
    pub(crate) fn cancel_all(&self, session: &SessionId) {
        let table = self.0.lock();
        let calls = table.sessions.get(session);
        for (_, entry) in calls.into_iter().flatten() {
            entry.session_ended.cancel();
            entry.cancelled.cancel();
        }
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        let Some(calls) = table.sessions.get_mut(&self.session) else {
            return;
        };
        if calls
            .get(&self.request)
            .is_some_and(|entry| entry.number == self.number)
        {
            calls.remove(&self.request);
            if calls.is_empty() {
                table.sessions.remove(&self.session);
            }
            table.calls -= 1;
            table.bytes -= self.bytes;
        }
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
        assert!(call.cancelled.is_cancelled() && !call.session_ended.is_cancelled());
        drop(call);
        assert!(!running.cancel(&one, &id));
        assert!(running.0.lock().sessions.is_empty());
        assert_eq!(running.0.lock().calls, 0);
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
        assert!(mine.cancelled.is_cancelled() && !other.cancelled.is_cancelled());
        assert!(mine.session_ended.is_cancelled());
    }
}
