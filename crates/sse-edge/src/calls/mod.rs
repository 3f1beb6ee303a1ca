//! The support of running calls: the client may be asked questions, may cancel, and may disconnect
//! and reconnect, each time on another edge.
//!
//! | module | idea |
//! | --- | --- |
//! | [`asking`] | questions to the client, in both eras |
//! | [`hints`] | hints that a stream of a mailbox has new messages |
//! | [`record`] | the answer to one POST as a stream that can be resumed on any edge |
//! | [`resume`] | that stream, read from the mailbox |
//! | [`running`] | the calls that run here, so that a cancellation finds them |

pub(crate) mod asking;
pub(crate) mod hints;
pub(crate) mod record;
pub(crate) mod resume;
pub(crate) mod running;

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use mcp::{HttpRefusal, RequestId};
use model::{SessionId, StreamId};
use ports::{Mailbox, MailboxError, MailboxLimits, SessionLock};
use tokio::time::timeout;

use crate::{error::EdgeError, limits::CALL_DEADLINE};

/// The answer to a call: a JSON-RPC message, and its HTTP status if no stream has begun.
#[derive(Debug, Clone)]
pub(crate) struct CallAnswer {
    pub(crate) status: StatusCode,
    pub(crate) message: Bytes,
}

impl CallAnswer {
    pub(crate) fn of(id: &RequestId, outcome: Result<Bytes, HttpRefusal>) -> Self {
        match outcome {
            Ok(message) => Self {
                status: StatusCode::OK,
                message,
            },
            Err(refusal) => Self {
                status: refusal.status,
                message: refusal.for_request(id).body(),
            },
        }
    }
}

/// The state shared by the calls of one edge.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) running: running::RunningCalls,
    pub(crate) hints: hints::MailboxHints,
    pub(crate) mailbox: Arc<dyn Mailbox>,
    pub(super) locks: Arc<dyn SessionLock>,
}

impl Calls {
    pub(crate) fn new(mailbox: Arc<dyn Mailbox>, locks: Arc<dyn SessionLock>) -> Self {
        Self {
            running: running::RunningCalls::default(),
            hints: hints::MailboxHints::default(),
            mailbox,
            locks,
        }
    }

    /// Puts a message into a session's mailbox, within a deadline.
    pub(crate) async fn append(
        &self,
        session: &SessionId,
        stream: &StreamId,
        message: Bytes,
    ) -> Result<model::Sequence, EdgeError> {
        let limits = MailboxLimits::default();
        let append = self.mailbox.append(session, stream, message, limits);
        let appended = timeout(CALL_DEADLINE, append).await?;
        self.hints.wake(session, stream);
        match appended {
            Ok(sequence) => Ok(sequence),
            // The mailbox ends with its session.
            Err(MailboxError::Missing) => Err(EdgeError::SessionGone),
            Err(error) => Err(error.into()),
        }
    }

    /// Closes a stream of a session's mailbox, within a deadline.
    pub(crate) async fn close(
        &self,
        session: &SessionId,
        stream: &StreamId,
    ) -> Result<(), EdgeError> {
        let closed = timeout(CALL_DEADLINE, self.mailbox.close_stream(session, stream)).await?;
        self.hints.wake(session, stream);
        match closed {
            // The streams end with their session.
            Ok(()) | Err(MailboxError::Missing) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
