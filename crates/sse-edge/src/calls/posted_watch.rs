//! The edge with the stream of a session looks after the session's posted calls that other edges run: it answers in the
//! place of one that is gone.

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use fanout::{hub::Hub, inbox::MailStream};
use futures_util::future::select_all;
use model::{Classified, LeaseName, Sequenced, SessionId, StreamId};
use ports::MailboxPage;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info};

use super::{
    Calls,
    hints::HintReceiver,
    posted::{
        journal::{Journal, JournalEntry, OpenCall},
        journal_name, read, trim,
    },
    watched_edges::EdgeWatch,
};
use crate::{
    background::Background,
    error::EdgeError,
    limits::{
        ANSWER_POLL, CALL_DEADLINE, CALL_LEASE, CALL_OUTCOME_PATIENCE, CALL_STORE_PAUSE,
        READER_POLL,
    },
    session::Sessions,
};

/// Time for which an edge waits for the lease of a journal: another one may be answering.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// What looking after posted calls needs.
#[derive(Debug, Clone)]
pub(crate) struct PostedWatch {
    pub(crate) calls: Arc<Calls>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) background: Background,
}

impl PostedWatch {
    /// Looks after the calls of a session whose stream is on this edge, until none is left or the stream is gone. A session
    /// without such calls costs one read.
    pub(crate) fn look_after(&self, session: &SessionId) {
        let journal = journal_name();
        if !self.hub.has_session(session) || self.calls.hints.is_watched(session, &journal) {
            return;
        }
        // Before the task runs, so that there is one.
        let hints = self.calls.hints.watch(session, &journal);
        let (watch, session) = (self.clone(), session.clone());
        drop(
            self.background
                .spawn(async move { watch.run(&session, hints).await }),
        );
    }

    async fn run(&self, session: &SessionId, mut hints: HintReceiver) {
        while self.until_quiet(session, &hints).await {
            drop(hints);
            // A call that began before the hints were let go has told nobody.
            if !self.has_foreign(session).await {
                return;
            }
            hints = self.calls.hints.watch(session, &journal_name());
        }
    }

    /// As [`Self::look_after`], when hints may have been lost: reads the journal here, so that whoever asks for many sessions
    /// bounds the reads.
    pub(crate) async fn check(&self, session: &SessionId) {
        if !self.calls.hints.is_watched(session, &journal_name()) && self.has_foreign(session).await
        {
            self.look_after(session);
        }
    }

    async fn has_foreign(&self, session: &SessionId) -> bool {
        let journal = read(&self.calls, session).await;
        journal.is_ok_and(|journal| self.foreign(&journal).next().is_some())
    }

    fn foreign<'j>(&self, journal: &'j Journal) -> impl Iterator<Item = &'j OpenCall> {
        let calls = Arc::clone(&self.calls);
        journal
            .open()
            .filter(move |call| !calls.edge_lease.is_own(&call.edge))
    }

    /// Ends when no other edge runs a call; false if the stream is no longer here.
    async fn until_quiet(&self, session: &SessionId, hints: &HintReceiver) -> bool {
        let draining = self.background.draining();
        let mut watches = HashMap::<LeaseName, EdgeWatch>::new();
        while self.hub.has_session(session) && !draining.is_cancelled() {
            let wait = match read(&self.calls, session).await {
                Ok(journal) => {
                    let edges: Vec<_> = self.foreign(&journal).map(|call| &call.edge).collect();
                    if edges.is_empty() {
                        return true;
                    }
                    watches.retain(|name, _| edges.contains(&name));
                    for edge in edges {
                        let watch = || self.calls.watched.watch(edge);
                        watches.entry(edge.clone()).or_insert_with(watch);
                    }
                    let gone = watches.values().filter(|watch| watch.gone.is_cancelled());
                    let gone: Vec<_> = gone.map(|watch| watch.name.clone()).collect();
                    if gone.is_empty() {
                        READER_POLL
                    } else {
                        self.answer_in_their_place(session, &gone).await;
                        ANSWER_POLL
                    }
                }
                Err(error) if !error.class().is_retryable() => return false,
                Err(error) => {
                    debug!(%error, %session, "the journal of posted calls cannot be read now");
                    ANSWER_POLL
                }
            };
            let losses = watches
                .values()
                .filter(|watch| !watch.gone.is_cancelled())
                .map(|watch| Box::pin(watch.gone.cancelled()));
            let losses: Vec<_> = losses.collect();
            let has_losses = !losses.is_empty();
            let mut loss = pin!(async move {
                if has_losses {
                    select_all(losses).await;
                }
            });
            tokio::select! {
                biased;
                () = draining.cancelled() => {}
                () = hints.next_hint() => {}
                () = &mut loss, if has_losses => {}
                () = sleep(wait) => {}
            }
        }
        false
    }

    /// Stores the answers of calls whose edges are gone. Several edges may have had the stream: the first to get the lease
    /// answers.
    async fn answer_in_their_place(&self, session: &SessionId, gone: &[LeaseName]) {
        let lock = LeaseName::new(&format!("posted:{session}"));
        let lock = lock.unwrap_or_else(|_| {
            // For ids longer than ours.
            LeaseName::new(session.as_str()).expect("an id is visible ASCII")
        });
        let locks = &self.calls.locks;
        let acquire = locks.acquire(&lock, CALL_LEASE, ANSWER_WAIT);
        let Ok(Ok(Some(lease))) = timeout(CALL_DEADLINE, acquire).await else {
            return;
        };
        if let Err(error) = self.answer_all(session, gone).await {
            debug!(%error, %session, "a call of an edge that is gone cannot be answered now");
        }
        let _ = timeout(CALL_DEADLINE, locks.release(&lock, &lease.token)).await;
    }

    async fn answer_all(&self, session: &SessionId, gone: &[LeaseName]) -> Result<(), EdgeError> {
        let (calls, name) = (&self.calls, journal_name());
        let journal = read(calls, session).await?;
        let own = match calls.edge_lease.name().await {
            Ok(own) => own,
            Err(error) => {
                debug!(%error, "answers wait for the lease of this edge");
                return Ok(());
            }
        };
        for call in journal.open().filter(|call| gone.contains(&call.edge)) {
            if !self.has_answer(session, call).await? {
                info!(%session, "answers a call of an edge that is gone");
                let lost = call.lost.clone().into_bytes().into();
                self.store(session, &call.to, lost).await?;
                let mail = MailStream::from_name(&call.to);
                let is_here = mail.is_some_and(|mail| self.hub.notify_mail(session, mail));
                if !is_here {
                    self.sessions.announce_mail(session, &call.to).await;
                }
            }
            let ended = JournalEntry::Ended {
                call: call.name.clone(),
                by: own.clone(),
            };
            self.store(session, &name, ended.encode()).await?;
        }
        trim(calls, session, &read(calls, session).await?).await;
        Ok(())
    }

    /// Whether the edge had stored the answer, and was lost before the journal said so. One that the client has read is no
    /// longer there, and the client then gets another one.
    async fn has_answer(&self, session: &SessionId, call: &OpenCall) -> Result<bool, EdgeError> {
        let mailbox = &self.calls.mailbox;
        let most = MailboxPage::MAX_MESSAGES;
        let read = mailbox.read_after(session, &call.to, call.at, most);
        let page = timeout(CALL_DEADLINE, read).await??;
        let lost = AnsweredId::of(call.lost.as_bytes());
        let answered = |message: &Sequenced<Bytes>| AnsweredId::of(&message.item) == lost;
        Ok(lost.is_some() && page.messages.iter().any(answered))
    }

    /// Stores an entry, and tries again while the store does not answer.
    async fn store(
        &self,
        session: &SessionId,
        stream: &StreamId,
        entry: Bytes,
    ) -> Result<(), EdgeError> {
        let until = Instant::now() + CALL_OUTCOME_PATIENCE;
        loop {
            match self.calls.append(session, stream, entry.clone()).await {
                Ok(_) => return Ok(()),
                Err(error) if !error.class().is_retryable() || Instant::now() >= until => {
                    return Err(error);
                }
                Err(_) => sleep(CALL_STORE_PAUSE).await,
            }
        }
    }
}

/// The id of the request that a message answers, in either form of an answer.
#[derive(PartialEq)]
struct AnsweredId(Value);

impl AnsweredId {
    fn of(message: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Members {
            id: Value,
            result: Option<IgnoredAny>,
            error: Option<IgnoredAny>,
        }
        let members: Members = serde_json::from_slice(message).ok()?;
        // A request of the server may have the same id.
        (members.result.is_some() || members.error.is_some()).then_some(Self(members.id))
    }
}
