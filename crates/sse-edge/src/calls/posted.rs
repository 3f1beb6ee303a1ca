//! Calls that were posted beside a stream (HTTP+SSE, `/mcp/sse`). Their answers go into a stream of the session's mailbox
//! from whichever edge runs them, so a client would wait for ever if that edge is killed.
//!
//! A journal in the mailbox, which no client reads, says which edge runs a call, before it runs, and what to tell the
//! client if that edge is lost. Before an answer is stored, it says that the call has ended: of several edges that say so,
//! the first one answers, and nobody is answered twice.

pub(super) mod journal;

use std::{future::pending, sync::Arc};

use bytes::Bytes;
use fanout::inbox::MailStream;
use model::{Classified, LeaseName, Sequence, SessionId, StreamId};
use ports::{MailboxError, MailboxPage};
use tokio::{
    sync::watch::Receiver,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::journal::{Journal, JournalEntry};
use super::{Calls, edge_lease::EdgeLeaseError};
use crate::{
    error::EdgeError,
    limits::{CALL_DEADLINE, CALL_OUTCOME_PATIENCE, CALL_REFRESH, CALL_STORE_PAUSE},
};

/// Entries of calls that are over which a journal keeps: it is trimmed beyond.
const KEPT_ENTRIES: usize = 16;
/// Entries beyond which the calls that this edge runs say so again, since a journal can only be trimmed up to the first
/// call that has not ended, and takes its places from the other messages of the mailbox.
const LONG_JOURNAL_ENTRIES: usize = 64;

/// The name of the journal among the streams of a mailbox.
pub(crate) fn journal_name() -> StreamId {
    StreamId::new("posted").expect("letters")
}

/// A posted call that this edge runs.
#[derive(Debug)]
pub(crate) struct PostedCall {
    calls: Arc<Calls>,
    session: SessionId,
    /// Its name in the journal.
    name: String,
    to: MailStream,
    /// What the client is told if this edge is lost.
    lost: Bytes,
    run: Option<PostedRun>,
}

/// Why the journal does not say that a call runs.
#[derive(Debug, thiserror::Error)]
enum JournalFailure {
    #[error(transparent)]
    Lease(#[from] EdgeLeaseError),
    #[error(transparent)]
    Mailbox(#[from] EdgeError),
}

/// What the journal says of a call.
#[derive(Debug)]
struct PostedRun {
    edge: LeaseName,
    names: Receiver<Option<LeaseName>>,
    again: Receiver<Option<SessionId>>,
    refreshes_at: Instant,
}

impl PostedCall {
    /// Says in the journal that this edge runs a call, whose answer goes to `to`. While the store gives no lease or takes no
    /// entry, nobody can tell that this edge is lost, and the call runs all the same.
    pub(crate) async fn begin(
        calls: &Arc<Calls>,
        session: &SessionId,
        name: String,
        (to, lost): (MailStream, Bytes),
    ) -> Self {
        let mut call = Self {
            calls: Arc::clone(calls),
            session: session.clone(),
            name,
            to,
            lost,
            run: None,
        };
        match call.say_first().await {
            Ok(run) => call.run = Some(run),
            Err(error) => {
                debug!(%error, %session, "a posted call runs without its entry in the journal");
            }
        }
        call
    }

    async fn say_first(&self) -> Result<PostedRun, JournalFailure> {
        let lease = &self.calls.edge_lease;
        let edge = lease.name().await?;
        let run = PostedRun {
            names: lease.names(),
            again: self.calls.posted_again.subscribe(),
            refreshes_at: Instant::now() + CALL_REFRESH,
            edge,
        };
        self.append(&self.running(&run.edge)).await?;
        Ok(run)
    }

    /// Waits until the journal has to be told again that this edge runs the call: its entry is old, keeps the journal long,
    /// or names a lease that was lost.
    pub(crate) async fn is_due(&mut self) {
        let Some(run) = &mut self.run else {
            return pending().await;
        };
        loop {
            tokio::select! {
                biased;
                Ok(()) = run.names.changed() => return,
                Ok(()) = run.again.changed() => {
                    if run.again.borrow_and_update().as_ref() == Some(&self.session) {
                        return;
                    }
                }
                () = sleep_until(run.refreshes_at) => return,
            }
        }
    }

    /// Tells the journal again, unless another edge has answered by now.
    pub(crate) async fn say_again(&mut self) {
        let Some(run) = &mut self.run else {
            return;
        };
        run.refreshes_at = Instant::now() + CALL_REFRESH;
        let Ok(edge) = self.calls.edge_lease.name().await else {
            // The lease is taken later, and then this is due again.
            return;
        };
        let journal = read(&self.calls, &self.session).await;
        if journal.is_ok_and(|journal| !journal.has_ended(&self.name))
            && self.append(&self.running(&edge)).await.is_ok()
            && let Some(run) = &mut self.run
        {
            run.edge = edge;
        }
    }

    /// Says in the journal that the call has ended; returns whether its answer is this edge's to give. While the store does
    /// not answer, it tries again until `closed`, as for the answer itself.
    pub(crate) async fn end(self, closed: CancellationToken) -> bool {
        let Some(run) = &self.run else {
            return true;
        };
        let until = Instant::now() + CALL_OUTCOME_PATIENCE;
        let ended = JournalEntry::Ended {
            call: self.name.clone(),
            by: run.edge.clone(),
        };
        loop {
            match self.end_as(&ended).await {
                Ok(journal) => return journal.is_ended_by(&self.name, &run.edge),
                Err(error) => {
                    let is_over = Instant::now() >= until || closed.is_cancelled();
                    if is_over || !error.class().is_retryable() {
                        return true;
                    }
                }
            }
            tokio::select! {
                biased;
                () = closed.cancelled() => {}
                () = sleep(CALL_STORE_PAUSE) => {}
            }
        }
    }

    async fn end_as(&self, ended: &JournalEntry) -> Result<Journal, EdgeError> {
        self.append(ended).await?;
        let journal = read(&self.calls, &self.session).await?;
        trim(&self.calls, &self.session, &journal).await;
        let lease = &self.calls.edge_lease;
        if journal.len() > LONG_JOURNAL_ENTRIES
            && journal.open().any(|open| lease.is_own(&open.edge))
        {
            let session = Some(self.session.clone());
            self.calls.posted_again.send_replace(session);
        }
        Ok(journal)
    }

    fn running(&self, edge: &LeaseName) -> JournalEntry {
        JournalEntry::RunBy {
            call: self.name.clone(),
            edge: edge.clone(),
            to: self.to.name(),
            lost: String::from_utf8_lossy(&self.lost).into_owned(),
        }
    }

    async fn append(&self, entry: &JournalEntry) -> Result<Sequence, EdgeError> {
        let (session, entry) = (&self.session, entry.encode());
        self.calls.append(session, &journal_name(), entry).await
    }
}

/// The journal of a session's calls.
pub(super) async fn read(calls: &Calls, session: &SessionId) -> Result<Journal, EdgeError> {
    let name = journal_name();
    let mailbox = &calls.mailbox;
    let most = MailboxPage::MAX_MESSAGES;
    let read = mailbox.read_after(session, &name, Sequence::START, most);
    match timeout(CALL_DEADLINE, read).await? {
        Ok(page) => Ok(Journal::of(&page)),
        Err(MailboxError::Missing) => Err(EdgeError::SessionGone),
        Err(error) => Err(error.into()),
    }
}

/// Removes what is over from a journal, once that is worth an operation of the store.
pub(super) async fn trim(calls: &Calls, session: &SessionId, journal: &Journal) {
    if journal.over() <= KEPT_ENTRIES {
        return;
    }
    let name = journal_name();
    let trim = calls
        .mailbox
        .trim(session, &name, journal.is_over_through());
    // What cannot be removed now is removed with later entries, or by its age.
    let _ = timeout(CALL_DEADLINE, trim).await;
}

#[cfg(test)]
mod tests;
