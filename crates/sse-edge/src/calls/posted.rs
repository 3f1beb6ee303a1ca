//! Calls that were posted beside a stream (HTTP+SSE, `/mcp/sse`). Their answers go into a stream of the session's mailbox
//! from whichever edge runs them, so a client would wait for ever if that edge is killed.
//!
//! A record says which edge runs a call, before it runs, and what to tell the client if that edge is lost. Once the answer is
//! stored, it says that the call has ended. In this order, because a client that gets two answers to an id takes the
//! first, and one that gets none waits for ever. Two come only if the edge is lost between the two, or if it stores its
//! answer while it does not know yet that it counts as lost.

pub(super) mod claims;

use std::{future::pending, sync::Arc};

use bytes::Bytes;
use edge_records::{PostedCallClaim, PostedCallName, PostedCallState};
use fanout::inbox::MailStream;
use model::{Classified, ErrorClass, LeaseName, StreamId};
use ports::{RecordsError, Revision};
use tokio::{
    sync::watch::Receiver,
    time::{Instant, error::Elapsed, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::claims::HeldClaim;
use super::{Calls, edge_lease::EdgeLeaseError};
use crate::limits::{CALL_DEADLINE, CALL_OUTCOME_PATIENCE, CALL_REFRESH, CALL_STORE_PAUSE};

/// The name under which edges tell each other that a session has posted calls. Nothing is stored in a stream of this name.
pub(crate) fn posted_news_name() -> StreamId {
    StreamId::new("posted").expect("letters")
}

/// A posted call that this edge runs.
#[derive(Debug)]
pub(crate) struct PostedCall {
    calls: Arc<Calls>,
    name: PostedCallName,
    to: MailStream,
    /// What the client is told if this edge is lost.
    lost: Bytes,
    names: Receiver<Option<LeaseName>>,
    losses: Receiver<()>,
    refreshes_at: Instant,
    word: LastWord,
}

/// What the record of a call said last.
#[derive(Debug)]
enum LastWord {
    /// Nothing: the store did not take it.
    None,
    /// That the edge with this lease runs it.
    RunBy {
        edge: LeaseName,
        revision: Revision,
        _held: HeldClaim,
    },
    /// That another edge has answered.
    Answered,
}

/// Why a record does not say what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostedCallError {
    #[error(transparent)]
    Lease(#[from] EdgeLeaseError),
    #[error("the record of a posted call cannot be stored")]
    Records(#[from] RecordsError),
    #[error("the store of posted calls did not answer in time")]
    Timeout(#[from] Elapsed),
}

impl Classified for PostedCallError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Records(error) => error.class(),
            Self::Lease(EdgeLeaseError::Store(failure)) => failure.class(),
            Self::Lease(_) | Self::Timeout(_) => ErrorClass::Transient,
        }
    }
}

impl PostedCall {
    /// Says that this edge runs a call, whose answer goes to `to`. While the store gives no lease or takes no record, nobody
    /// can tell that this edge is lost, and the call runs all the same.
    pub(crate) async fn begin(
        calls: &Arc<Calls>,
        name: PostedCallName,
        (to, lost): (MailStream, Bytes),
    ) -> Self {
        let mut call = Self {
            calls: Arc::clone(calls),
            name,
            to,
            lost,
            names: calls.edge_lease.names(),
            losses: calls.posted_claims.losses(),
            refreshes_at: Instant::now(),
            word: LastWord::None,
        };
        call.say().await;
        call
    }

    /// Waits until the record has to say again that this edge runs the call: it is old, or names a lease that was lost.
    pub(crate) async fn is_due(&mut self) {
        if matches!(self.word, LastWord::Answered) {
            return pending().await;
        }
        loop {
            tokio::select! {
                biased;
                Ok(()) = self.names.changed() => {
                    let name = self.names.borrow_and_update().clone();
                    if !name.is_some_and(|name| self.is_run_by(&name)) {
                        return;
                    }
                }
                Ok(()) = self.losses.changed() => return,
                () = sleep_until(self.refreshes_at) => return,
            }
        }
    }

    fn is_run_by(&self, name: &LeaseName) -> bool {
        matches!(&self.word, LastWord::RunBy { edge, .. } if edge == name)
    }

    /// Says so, unless another edge has answered by now.
    pub(crate) async fn say(&mut self) {
        let Err(error) = self.try_to_say().await else {
            return;
        };
        if let PostedCallError::Records(RecordsError::NoRoom { .. }) = error {
            warn!(%error, session = %self.name.session, "another edge cannot know of a posted call");
        } else {
            debug!(%error, session = %self.name.session, "another edge may not know of a posted call");
        }
    }

    async fn try_to_say(&mut self) -> Result<(), PostedCallError> {
        self.refreshes_at = Instant::now() + CALL_DEADLINE;
        let edge = self.calls.edge_lease.name().await?;
        let state = PostedCallState {
            edge: edge.clone(),
            to: self.to.name(),
            lost: String::from_utf8_lossy(&self.lost).into_owned(),
        };
        let (last, _turn) = match &self.word {
            // All calls of this edge may have to say it at once.
            LastWord::RunBy { revision, .. } => (
                Some(*revision),
                self.calls.edge_lease.claims.acquire().await.ok(),
            ),
            LastWord::None | LastWord::Answered => (None, None),
        };
        let claim = self.calls.posted.claim(&self.name, &state, last);
        self.word = match timeout(CALL_DEADLINE, claim).await?? {
            PostedCallClaim::Own(revision) => {
                let _held = self.calls.posted_claims.hold(self.name.clone());
                LastWord::RunBy {
                    edge,
                    revision,
                    _held,
                }
            }
            PostedCallClaim::Answered => LastWord::Answered,
        };
        self.refreshes_at = Instant::now() + CALL_REFRESH;
        Ok(())
    }

    /// Whether the answer is this edge's to give: another one may have answered after this edge had lost its lease. While
    /// the store does not say, it is asked again until `closed`, and then this edge answers.
    pub(crate) async fn may_answer(&mut self, closed: &CancellationToken) -> bool {
        let until = Instant::now() + CALL_OUTCOME_PATIENCE;
        loop {
            match &self.word {
                LastWord::None => return true,
                LastWord::Answered => return false,
                LastWord::RunBy { edge, .. } if self.calls.edge_lease.holds(edge) => return true,
                LastWord::RunBy { .. } => {}
            }
            if let Err(error) = self.try_to_say().await
                && !may_try_again(&error, until, closed).await
            {
                return true;
            }
        }
    }

    /// Says that the call has ended, after its answer is stored. While the store does not answer, it tries again until
    /// `closed`, as for the answer itself.
    pub(crate) async fn end(self, closed: &CancellationToken) {
        let LastWord::RunBy { revision, .. } = self.word else {
            return;
        };
        let until = Instant::now() + CALL_OUTCOME_PATIENCE;
        while let Err(error) = self.calls.end_posted(&self.name, revision, true).await
            && may_try_again(&error, until, closed).await
        {}
    }
}

impl Calls {
    /// Says that a posted call has ended: by its own edge, or in the place of that.
    pub(super) async fn end_posted(
        &self,
        name: &PostedCallName,
        last: Revision,
        by_its_edge: bool,
    ) -> Result<(), PostedCallError> {
        let end = self.posted.end(name, last, by_its_edge);
        Ok(timeout(CALL_DEADLINE, end).await??)
    }
}

/// Pauses before another attempt; false if it would not help, or its time is over.
async fn may_try_again(
    error: &PostedCallError,
    until: Instant,
    closed: &CancellationToken,
) -> bool {
    if !error.class().is_retryable() || Instant::now() >= until || closed.is_cancelled() {
        return false;
    }
    tokio::select! {
        biased;
        () = closed.cancelled() => {}
        () = sleep(CALL_STORE_PAUSE) => {}
    }
    true
}

#[cfg(test)]
mod tests;
