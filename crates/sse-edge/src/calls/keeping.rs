//! What the mailbox keeps of the stream of a call. What it does not take now waits here and is stored later, in
//! order: while the call runs, and for a while after its end.

use std::{sync::Arc, time::Duration};

use mcp::RequestId;
use mcp_server::item_queue::QueueSender;
use model::{Classified, ErrorClass, LeaseName, Sequence, error_chain};
use ports::{LeaseToken, MailboxError, StoreFailure};
use tokio::{
    sync::watch,
    time::{Instant, error::Elapsed, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    Calls,
    edge_lease::EdgeLeaseError,
    hidden::HiddenEntry,
    stream_name::StreamName,
    unanswered::unkept_answer,
    unstored::{EntryKind, UnstoredEntries},
};
use crate::{
    answer_budget::AnswerBytes,
    error::EdgeError,
    limits::{CALL_DEADLINE, CALL_LEASE, CALL_OUTCOME_PATIENCE, CALL_STORE_PAUSE},
    session::Sessions,
};

/// Entries after the last one of this edge that are read for one of another edge, which begins with such an entry.
const FOREIGN_ENTRIES: usize = 8;

/// The reason why an entry is not stored.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("an earlier attempt holds the lease of the stream")]
    Taken,
    #[error("the lease of the stream cannot be taken")]
    Lease(#[from] StoreFailure),
    #[error(transparent)]
    Edge(#[from] EdgeLeaseError),
    #[error("another edge goes on with the call")]
    Elsewhere,
    #[error("the stream of the mailbox cannot be read")]
    Read(#[source] MailboxError),
    #[error("a store did not answer in time")]
    Timeout(#[from] Elapsed),
    #[error(transparent)]
    Append(#[from] EdgeError),
}

impl KeepError {
    /// Whether the entry may be stored a moment later.
    fn may_pass(&self) -> bool {
        let class = match self {
            Self::Taken
            | Self::Timeout(_)
            | Self::Edge(
                EdgeLeaseError::Timeout(_) | EdgeLeaseError::Taken | EdgeLeaseError::JustFailed,
            ) => ErrorClass::Transient,
            Self::Elsewhere => ErrorClass::Conflict,
            Self::Lease(error) | Self::Edge(EdgeLeaseError::Store(error)) => error.class(),
            Self::Read(error) => error.class(),
            Self::Append(error) => error.class(),
        };
        class.is_retryable()
    }

    /// Whether another entry would be stored: this one is too long, or its client has used up its share.
    fn is_of_the_entry(&self) -> bool {
        match self {
            Self::Append(EdgeError::Mailbox(error)) => {
                matches!(error, MailboxError::TooLarge { .. }) || error.is_owner_full()
            }
            _ => false,
        }
    }
}

/// The stream in the mailbox, which this edge alone writes while it holds its own lease and the stream says that it
/// runs the call. Who says so first, or in place of another edge, holds the lease of the stream meanwhile.
pub(super) struct StreamKeeper {
    calls: Arc<Calls>,
    sessions: Arc<Sessions>,
    name: Arc<StreamName>,
    request: RequestId,
    /// The lease of the stream, if it was taken over and does not say yet that this edge runs the call.
    lease: Option<LeaseToken>,
    /// The lease of this edge that the stream names.
    claimed: Option<LeaseName>,
    /// Another edge runs the call: it held this one for gone.
    pub(super) is_elsewhere: bool,
    /// What is not stored yet, in order.
    waiting: UnstoredEntries,
    /// The last entry that is known to be stored.
    through: Sequence,
    /// Nothing more can be stored.
    has_given_up: bool,
    is_told: bool,
    /// Announcements are needed only while the reader is on another edge.
    pub(super) announces: bool,
}

impl StreamKeeper {
    /// Whether somebody reads the stream on this edge.
    pub(super) fn is_read(&self) -> bool {
        let (session, stream) = (&self.name.session, &self.name.stream);
        self.calls.hints.is_watched(session, stream)
    }

    pub(super) fn new(
        (calls, sessions): (Arc<Calls>, Arc<Sessions>),
        name: Arc<StreamName>,
        request: RequestId,
    ) -> Self {
        Self {
            calls,
            sessions,
            name,
            request,
            lease: None,
            claimed: None,
            is_elsewhere: false,
            waiting: UnstoredEntries::default(),
            through: Sequence::START,
            has_given_up: false,
            is_told: false,
            announces: false,
        }
    }

    /// Opens the stream with the request, for the edge that has to answer if this edge is gone.
    pub(super) async fn opened(mut self) -> Self {
        self.keep_head().await;
        self
    }

    /// The stream that another edge has written up to here, under the lease that this edge took.
    pub(super) fn taken(self, lease: LeaseToken, through: Sequence) -> Self {
        Self {
            lease: Some(lease),
            through,
            announces: true,
            ..self
        }
    }

    /// What another edge has to know, again where it may no longer be kept.
    pub(super) async fn keep_head(&mut self) {
        if let Some(edge) = self.claimed.clone() {
            let entry = HiddenEntry::run_by(&edge);
            self.keep(entry.into(), EntryKind::Hidden).await;
        }
        let head = HiddenEntry::request(&self.request);
        self.keep(head.into(), EntryKind::Hidden).await;
    }

    /// Changes of the lease of this edge.
    pub(super) fn edge_names(&self) -> watch::Receiver<Option<LeaseName>> {
        self.calls.edge_lease.names()
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Whether the mailbox has everything so far. If not, the client gets no further ids, so that it does not resume
    /// at a position after which messages are missing.
    pub(super) fn is_kept(&self) -> bool {
        !self.has_given_up && self.waiting.is_empty()
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The last stored entry.
    pub(super) fn through(&self) -> Sequence {
        self.through
    }

    /// Stores an entry; returns its sequence, or `None` if it waits or cannot be stored.
    pub(super) async fn keep(&mut self, bytes: AnswerBytes, kind: EntryKind) -> Option<Sequence> {
        if self.has_given_up {
            return None;
        }
        // A reader elsewhere may be there before this edge knows that its client is gone.
        self.announces |= matches!(kind, EntryKind::Message | EntryKind::Answer);
        // What waits is tried again after a pause, and not with every message.
        let is_first = !self.is_waiting();
        self.waiting.push(bytes, kind);
        if is_first {
            self.store_waiting().await;
        }
        self.is_kept().then_some(self.through)
    }

    /// Stores what waits, until the store refuses.
    pub(super) async fn store_waiting(&mut self) {
        let before = self.through;
        while !self.has_given_up && self.is_waiting() {
            match self.store_first().await {
                Ok(sequence) => {
                    self.through = sequence;
                    self.waiting.pop();
                }
                Err(KeepError::Elsewhere) => self.let_go(),
                Err(error) if error.is_of_the_entry() && self.replace_first(&error) => {}
                Err(error) if error.may_pass() => {
                    self.tell(&error, "the stream of a call cannot be resumed now");
                    break;
                }
                Err(error) => {
                    self.tell(&error, "the stream of a call cannot be resumed");
                    self.has_given_up = true;
                    self.waiting.clear();
                }
            }
        }
        if self.is_kept() {
            self.is_told = false;
        }
        if self.announces && self.through > before {
            self.announce().await;
        }
    }

    async fn store_first(&mut self) -> Result<Sequence, KeepError> {
        let (calls, name) = (&self.calls, &self.name);
        let entry = self.waiting.first().expect("there is an entry");
        if entry.is_tried {
            // This edge alone writes the stream, so an entry after the last one is the one that was tried.
            let (session, stream) = (&name.session, &name.stream);
            let read = calls.mailbox.read_after(session, stream, self.through, 1);
            let page = timeout(CALL_DEADLINE, read).await?;
            let page = page.map_err(KeepError::Read)?;
            let found = page.messages.first();
            if let Some(found) = found.filter(|found| found.item == *entry.bytes.bytes()) {
                return Ok(found.sequence);
            }
        }
        self.claim().await?;
        let entry = self.waiting.first().expect("there is an entry");
        entry.is_tried = true;
        let (bytes, name) = (entry.bytes.bytes().clone(), &self.name);
        let appended = self.calls.append(&name.session, &name.stream, bytes);
        Ok(appended.await?)
    }

    /// Says in the stream that this edge runs the call, unless it says so already. After the lease of the edge was
    /// lost, another edge may have gone on with the call.
    async fn claim(&mut self) -> Result<(), KeepError> {
        let calls = Arc::clone(&self.calls);
        let edge = calls.edge_lease.name().await?;
        if self.claimed.as_ref() == Some(&edge) {
            return Ok(());
        }
        // Nobody else knows a stream that has not begun.
        let is_new =
            self.claimed.is_none() && self.lease.is_none() && self.through == Sequence::START;
        if is_new {
            self.through = self.append_claim(&edge).await?;
            self.claimed = Some(edge);
            return Ok(());
        }
        let _turn = calls.edge_lease.claims.acquire().await;
        let lease = match self.lease.clone() {
            Some(lease) => lease,
            None => self.acquire().await?,
        };
        let claimed = match self.is_run_elsewhere().await {
            Ok(false) => self.append_claim(&edge).await,
            Ok(true) => Err(KeepError::Elsewhere),
            Err(error) => Err(error),
        };
        let lock = self.name.lock();
        let _ = timeout(CALL_DEADLINE, calls.locks.release(&lock, &lease)).await;
        self.lease = None;
        self.through = claimed?;
        self.claimed = Some(edge);
        Ok(())
    }

    async fn append_claim(&self, edge: &LeaseName) -> Result<Sequence, KeepError> {
        let (calls, name) = (&self.calls, &self.name);
        let entry = HiddenEntry::run_by(edge);
        Ok(calls.append(&name.session, &name.stream, entry).await?)
    }

    /// Whether another edge has written what comes after the last entry of this one.
    async fn is_run_elsewhere(&self) -> Result<bool, KeepError> {
        let (calls, name) = (&self.calls, &self.name);
        let (session, stream) = (&name.session, &name.stream);
        let read = calls
            .mailbox
            .read_after(session, stream, self.through, FOREIGN_ENTRIES);
        let page = timeout(CALL_DEADLINE, read).await?;
        let page = page.map_err(KeepError::Read)?;
        let own = |entry: &[u8]| match HiddenEntry::of(entry) {
            Some(HiddenEntry::RunBy(edge)) => calls.edge_lease.is_own(&edge),
            _ => true,
        };
        Ok(page.closed || !page.messages.iter().all(|message| own(&message.item)))
    }

    /// The lease of this edge is another one than the stream names: says so in the stream, or lets go of the call if
    /// another edge runs it.
    pub(super) async fn claim_again(&mut self) {
        if self.claimed.is_none() || self.has_given_up {
            return;
        }
        match self.claim().await {
            Ok(()) => {}
            Err(KeepError::Elsewhere) => self.let_go(),
            // What is stored next tries again.
            Err(error) => self.tell(&error, "the stream of a call cannot be claimed now"),
        }
    }

    /// Another edge runs the call and writes its stream.
    fn let_go(&mut self) {
        self.is_elsewhere = true;
        self.has_given_up = true;
        self.waiting.clear();
    }

    /// Without the lease a reader on another edge may be taking the place of this one.
    async fn acquire(&self) -> Result<LeaseToken, KeepError> {
        let (calls, lock) = (&self.calls, self.name.lock());
        let take = calls.locks.acquire(&lock, CALL_LEASE, Duration::ZERO);
        let lease = timeout(CALL_DEADLINE, take).await??;
        lease.map(|lease| lease.token).ok_or(KeepError::Taken)
    }

    /// Puts a short message in place of the first entry, which the mailbox does not take; false if it does not take
    /// that either.
    fn replace_first(&mut self, error: &KeepError) -> bool {
        let unkept = || unkept_answer(&self.request).message;
        let is_replaced = self.waiting.replace_first(unkept);
        if is_replaced {
            let error = error_chain(error);
            warn!(error, session = %self.name.session, "a message of a call cannot be resumed");
        }
        is_replaced
    }

    /// One line for each time that the store refuses, not for each attempt.
    fn tell(&mut self, error: &KeepError, what: &str) {
        if !std::mem::replace(&mut self.is_told, true) || !error.may_pass() {
            let error = error_chain(error);
            warn!(error, session = %self.name.session, "{what}");
        }
    }

    /// Tells readers elsewhere that the stream has news.
    pub(super) async fn announce(&self) {
        let (session, stream) = (&self.name.session, &self.name.stream);
        self.sessions.announce_mail(session, stream).await;
    }

    /// Lets another edge write the stream.
    pub(super) async fn release(&self) {
        if let Some(lease) = &self.lease {
            let (locks, lock) = (&self.calls.locks, self.name.lock());
            let _ = timeout(CALL_DEADLINE, locks.release(&lock, lease)).await;
        }
    }

    /// The call is over: stores what waits and closes the stream, and tries again for a while and as long as the edge does not have to stop. The client that is connected does not wait for that.
    pub(super) async fn finish(
        mut self,
        mut live: Option<QueueSender<AnswerBytes>>,
        closed: CancellationToken,
    ) {
        let until = Instant::now() + CALL_OUTCOME_PATIENCE;
        self.announces = true;
        // A client that has no id of the stream cannot come back to it.
        while self.through > Sequence::START && !self.is_elsewhere && !self.try_to_end().await {
            live = None;
            if closed.is_cancelled() || Instant::now() >= until {
                self.end_without_the_rest().await;
                break;
            }
            tokio::select! {
                biased;
                () = closed.cancelled() => {}
                () = sleep(CALL_STORE_PAUSE) => {}
            }
        }
        self.release().await;
        drop(live);
    }

    async fn try_to_end(&mut self) -> bool {
        self.store_waiting().await;
        !self.is_waiting() && (self.is_elsewhere || self.close().await)
    }

    /// Closes the stream; false if another attempt may succeed. A reader of a closed stream without an answer says
    /// that it is lost.
    async fn close(&self) -> bool {
        let (calls, name) = (&self.calls, &self.name);
        match calls.close(&name.session, &name.stream).await {
            Ok(()) => {
                if self.announces {
                    self.announce().await;
                }
                true
            }
            Err(error) => !error.class().is_retryable(),
        }
    }

    /// The store took nothing for too long. If it does not take this either, a reader says the same once the lease is
    /// released or over.
    async fn end_without_the_rest(&mut self) {
        if std::mem::take(&mut self.waiting).has_answer() {
            warn!(session = %self.name.session, "the answer of a call could not be stored and is lost");
            let (calls, name) = (&self.calls, &self.name);
            let unkept = unkept_answer(&self.request).message.bytes().clone();
            let _ = calls.append(&name.session, &name.stream, unkept).await;
        }
        self.close().await;
    }
}
