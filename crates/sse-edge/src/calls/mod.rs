//! The support of running calls: the client may be asked questions, may cancel, and may disconnect
//! and reconnect, each time on another edge.
//!
//! | module | idea |
//! | --- | --- |
//! | [`asking`] | questions to the client, in both eras |
//! | [`continuation`] | going on with a call whose edge is gone |
//! | [`edge_lease`] | the lease that stands for all calls of this edge |
//! | [`hidden`] | entries of such a stream that are for edges and not for clients |
//! | [`hints`] | hints that a stream of a mailbox has new messages |
//! | [`keeping`] | what the mailbox keeps of such a stream, now or later |
//! | [`parked`] | a call that waits, without the call |
//! | [`parked_sessions`] | the calls of sessions that wait on this edge |
//! | [`posted`] | which edge runs the calls whose answers go into a stream of the mailbox |
//! | [`posted_watch`] | answers in place of those of an edge that is gone |
//! | [`question`] | the ids of questions, and which answers are taken |
//! | [`record`] | the answer to one POST as a stream that can be resumed on any edge |
//! | [`resume`] | that stream, read from the mailbox |
//! | [`running`] | the calls that run here, so that a cancellation finds them |
//! | [`stream_name`] | the name of that stream, and the ids of its events |
//! | [`unanswered`] | the answers in place of one that a call does not have |
//! | [`unstored`] | what of it the mailbox does not have yet |
//! | [`watched_edges`] | whether the edges are still there that run calls which are read here |
//! | [`withheld`] | answers that show more than their reader may see |

pub(crate) mod asking;
pub(crate) mod continuation;
pub(crate) mod edge_lease;
mod hidden;
pub(crate) mod hints;
mod keeping;
pub(crate) mod parked;
pub(crate) mod parked_sessions;
pub(crate) mod posted;
pub(crate) mod posted_watch;
pub(crate) mod question;
pub(crate) mod record;
pub(crate) mod resume;
pub(crate) mod running;
pub(crate) mod stream_name;
pub(crate) mod unanswered;
mod unstored;
pub(crate) mod watched_edges;
pub(crate) mod withheld;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use edge_records::PostedCallRecords;
use http::StatusCode;
use mcp::{HttpRefusal, RequestId};
use model::{IdSource, PrincipalId, SessionId, StreamId};
use ports::{Leases, Mailbox, MailboxError, MailboxLimits};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::question::AnswerGate;
use crate::{
    answer_budget::{AnswerBudget, AnswerBytes},
    error::EdgeError,
    limits::CALL_DEADLINE,
    metrics::AnswerMetrics,
};

/// The answer to a call: a JSON-RPC message, and its HTTP status if no stream has begun.
#[derive(Debug)]
pub(crate) struct CallAnswer {
    pub(crate) status: StatusCode,
    pub(crate) message: AnswerBytes,
}

impl CallAnswer {
    pub(crate) fn of(id: &RequestId, outcome: Result<Bytes, HttpRefusal>) -> Self {
        match outcome {
            Ok(message) => Self {
                status: StatusCode::OK,
                message: message.into(),
            },
            Err(refusal) => Self {
                status: refusal.status,
                message: refusal.for_request(id).body().into(),
            },
        }
    }

    /// The answer within the budget of its principal, or the error in its place.
    pub(crate) async fn within(
        self,
        budget: &Arc<AnswerBudget>,
        principal: &PrincipalId,
        id: Option<&RequestId>,
    ) -> Self {
        match budget.admit(principal, self.message.len()).await {
            Ok(permit) => Self {
                message: AnswerBytes::new(self.message.bytes().clone(), permit),
                ..self
            },
            Err(full) => {
                let refusal = HttpRefusal::new(StatusCode::SERVICE_UNAVAILABLE, full.into());
                let refusal = match id {
                    Some(id) => refusal.for_request(id),
                    None => refusal,
                };
                Self {
                    status: refusal.status,
                    message: refusal.body().into(),
                }
            }
        }
    }
}

/// The state shared by the calls of one edge.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) running: running::RunningCalls,
    pub(crate) hints: hints::MailboxHints,
    pub(crate) mailbox: Arc<dyn Mailbox>,
    pub(super) locks: Arc<dyn Leases>,
    /// Says that this edge runs its calls.
    pub(crate) edge_lease: edge_lease::EdgeLease,
    /// Which edges run posted calls.
    posted: PostedCallRecords,
    /// Those that this edge runs.
    posted_claims: Arc<posted::claims::PostedClaims>,
    /// The edges that run the calls which are read here.
    pub(crate) watched: watched_edges::WatchedEdges,
    answers: AnswerGate,
    pub(crate) metrics: AnswerMetrics,
}

impl Calls {
    pub(crate) fn new(
        mailbox: Arc<dyn Mailbox>,
        posted: PostedCallRecords,
        (locks, lease): (Arc<dyn Leases>, Duration),
        ids: Arc<dyn IdSource>,
        metrics: AnswerMetrics,
    ) -> Self {
        Self {
            running: running::RunningCalls::default(),
            hints: hints::MailboxHints::default(),
            mailbox,
            posted,
            posted_claims: Arc::default(),
            edge_lease: edge_lease::EdgeLease::new(Arc::clone(&locks), ids, lease),
            watched: watched_edges::WatchedEdges::new(Arc::clone(&locks), lease),
            locks,
            answers: AnswerGate::default(),
            metrics,
        }
    }

    /// Looks after the records of the posted calls that run here, until the process stops.
    pub(crate) async fn keep_posted_claims(&self, closed: CancellationToken) {
        let stores = (&self.posted, &self.edge_lease);
        self.posted_claims.watch(stores, closed).await;
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
