//! Calls that were posted beside a stream (HTTP+SSE, `/mcp/sse`). Their answers go into a stream of the session's mailbox
//! from whichever edge runs them, so a client would wait for ever if that edge is killed.
//!
//! A journal in the mailbox, which no client reads, says which edge runs a call, before it runs, and what to tell the
//! client if that edge is lost. Once the answer is stored, it says that the call has ended. In this order, because a
//! client that gets two answers ignores the second, whose id it no longer knows, and one that gets none waits for ever.
//! Two come only if the edge is lost between the two and the client has read the first, or if it stores its answer while
//! it does not know yet that it counts as lost.

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
use super::{Calls, edge_lease::EdgeLeaseError, hints::HintReceiver};
use crate::{
    error::EdgeError,
    limits::{CALL_DEADLINE, CALL_OUTCOME_PATIENCE, CALL_REFRESH, CALL_STORE_PAUSE},
};

/// Messages of a mailbox after which its journal is trimmed: not with each call, since that reads all of it.
const TRIM_INTERVAL: u64 = 32;

/// The name of the journal among the streams of a mailbox.
pub(crate) fn journal_name() -> StreamId {
    StreamId::new("posted").expect("letters")
}

/// The name under which the calls of a session hear that its journal has become long ([`Journal::is_long`]). Nothing is
/// stored in a stream of this name.
pub(crate) fn long_journal_name() -> StreamId {
    StreamId::new("posted-long").expect("letters and a dash")
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
    /// The place of its first entry.
    at: Sequence,
    names: Receiver<Option<LeaseName>>,
    /// Hints that the journal is long.
    long: HintReceiver,
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
        Ok(PostedRun {
            names: lease.names(),
            long: self.calls.hints.watch(&self.session, &long_journal_name()),
            refreshes_at: Instant::now() + CALL_REFRESH,
            at: self.append(&self.running(&edge)).await?,
            edge,
        })
    }

    /// Waits until the journal may have to be told again that this edge runs the call: its entry is old, keeps the journal
    /// long, or names a lease that was lost.
    pub(crate) async fn is_due(&mut self) {
        let Some(run) = &mut self.run else {
            return pending().await;
        };
        tokio::select! {
            biased;
            Ok(()) = run.names.changed() => {}
            () = run.long.next_hint() => {}
            () = sleep_until(run.refreshes_at) => {}
        }
    }

    /// Tells the journal again where that is needed, unless another edge has answered by now.
    pub(crate) async fn say_again(&mut self) {
        let Some(run) = &self.run else {
            return;
        };
        let is_old = Instant::now() >= run.refreshes_at;
        let told = self.say_if_needed(run, is_old).await;
        let run = self.run.as_mut().expect("it was there");
        match told {
            Ok(Some(edge)) => {
                run.edge = edge;
                run.refreshes_at = Instant::now() + CALL_REFRESH;
            }
            Ok(None) if is_old => run.refreshes_at = Instant::now() + CALL_REFRESH,
            Ok(None) => {}
            Err(error) => {
                debug!(%error, session = %self.session, "the journal of posted calls cannot be told again now");
                run.refreshes_at = Instant::now() + CALL_DEADLINE;
            }
        }
    }

    /// Returns the lease that the journal names from now on, if it was told.
    async fn say_if_needed(
        &self,
        run: &PostedRun,
        is_old: bool,
    ) -> Result<Option<LeaseName>, JournalFailure> {
        let edge = self.calls.edge_lease.name().await?;
        let journal = read(&self.calls, &self.session).await?;
        let is_needed = is_old || edge != run.edge || journal.is_long();
        if journal.has_ended(&self.name) || !is_needed {
            return Ok(None);
        }
        self.append(&self.running(&edge)).await?;
        Ok(Some(edge))
    }

    /// Whether the answer is this edge's to give: another one may have answered after this edge had lost its lease. While
    /// the store does not say, it is asked again until `closed`, and then this edge answers.
    pub(crate) async fn may_answer(&self, closed: &CancellationToken) -> bool {
        let Some(run) = &self.run else {
            return true;
        };
        let until = Instant::now() + CALL_OUTCOME_PATIENCE;
        while !self.calls.edge_lease.holds(&run.edge) {
            match read(&self.calls, &self.session).await {
                Ok(journal) => return !journal.has_ended(&self.name),
                Err(error) if !error.class().is_retryable() => return true,
                Err(_) if Instant::now() >= until || closed.is_cancelled() => return true,
                Err(_) => pause(closed).await,
            }
        }
        true
    }

    /// Says in the journal that the call has ended, after its answer is stored, and keeps the journal short; returns whether
    /// calls of other edges keep it long, which then have to hear of it ([`long_journal_name`]). While the store does not
    /// answer, it tries again until `closed`, as for the answer itself.
    pub(crate) async fn end(self, closed: &CancellationToken) -> bool {
        let Some(run) = &self.run else {
            return false;
        };
        let until = Instant::now() + CALL_OUTCOME_PATIENCE;
        let ended = JournalEntry::Ended {
            call: self.name.clone(),
            by: run.edge.clone(),
        };
        let at = loop {
            match self.append(&ended).await {
                Ok(at) => break at,
                Err(error) if !error.class().is_retryable() => return false,
                Err(_) if Instant::now() >= until || closed.is_cancelled() => return false,
                Err(_) => pause(closed).await,
            }
        };
        if at.0 / TRIM_INTERVAL == run.at.0 / TRIM_INTERVAL {
            return false;
        }
        let Ok(journal) = read(&self.calls, &self.session).await else {
            return false;
        };
        trim(&self.calls, &self.session, &journal).await;
        if !journal.is_long() {
            return false;
        }
        self.calls.hints.wake(&self.session, &long_journal_name());
        let lease = &self.calls.edge_lease;
        journal.open().any(|open| !lease.is_own(&open.edge))
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

/// Removes what is over from a journal.
pub(super) async fn trim(calls: &Calls, session: &SessionId, journal: &Journal) {
    if let Some(through) = journal.is_over_through() {
        let name = journal_name();
        let trim = calls.mailbox.trim(session, &name, through);
        // What cannot be removed now is removed with later entries, or by its age.
        let _ = timeout(CALL_DEADLINE, trim).await;
    }
}

async fn pause(closed: &CancellationToken) {
    tokio::select! {
        biased;
        () = closed.cancelled() => {}
        () = sleep(CALL_STORE_PAUSE) => {}
    }
}

#[cfg(test)]
mod tests;
