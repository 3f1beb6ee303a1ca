//! The edge with the stream of a session looks after the session's posted calls that other edges run: it answers in the
//! place of one that is gone.

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use edge_records::OpenPostedCall;
use fanout::{hub::Hub, inbox::MailStream};
use futures_util::future::select_all;
use model::{Classified, LeaseName, SessionId};
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use super::{
    Calls,
    hints::HintReceiver,
    posted::{PostedCallError, posted_news_name},
    watched_edges::EdgeWatch,
};
use crate::{
    background::Background,
    error::EdgeError,
    limits::{ANSWER_POLL, CALL_DEADLINE, CALL_LEASE, READER_POLL},
    session::Sessions,
};

/// Time for which an edge waits for the lease of a session's posted calls: another one may be answering.
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
        let news = posted_news_name();
        if !self.hub.has_session(session) || self.calls.hints.is_watched(session, &news) {
            return;
        }
        // Before the task runs, so that there is one.
        let hints = self.calls.hints.watch(session, &news);
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
            hints = self.calls.hints.watch(session, &posted_news_name());
        }
    }

    /// As [`Self::look_after`], when hints may have been lost: reads the calls here, so that whoever asks for many sessions
    /// bounds the reads.
    pub(crate) async fn check(&self, session: &SessionId) {
        if !self.calls.hints.is_watched(session, &posted_news_name())
            && self.has_foreign(session).await
        {
            self.look_after(session);
        }
    }

    async fn has_foreign(&self, session: &SessionId) -> bool {
        self.foreign(session)
            .await
            .is_ok_and(|open| !open.is_empty())
    }

    /// The calls of a session that other edges run.
    async fn foreign(&self, session: &SessionId) -> Result<Vec<OpenPostedCall>, PostedCallError> {
        let Some(reader) = self.hub.session_reader(session) else {
            return Ok(Vec::new());
        };
        let open = self.calls.posted.open(&reader.id, session);
        let mut open = timeout(CALL_DEADLINE, open).await??;
        open.retain(|call| !self.calls.edge_lease.is_own(&call.state.edge));
        Ok(open)
    }

    /// Ends when no other edge runs a call; false if the stream is no longer here.
    async fn until_quiet(&self, session: &SessionId, hints: &HintReceiver) -> bool {
        let draining = self.background.draining();
        let mut watches = HashMap::<LeaseName, EdgeWatch>::new();
        while self.hub.has_session(session) && !draining.is_cancelled() {
            let wait = match self.foreign(session).await {
                Ok(open) if open.is_empty() => return true,
                Ok(open) => {
                    let edges: Vec<_> = open.iter().map(|call| &call.state.edge).collect();
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
                    debug!(%error, %session, "posted calls cannot be read now");
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

    async fn answer_all(
        &self,
        session: &SessionId,
        gone: &[LeaseName],
    ) -> Result<(), PostedAnswerError> {
        for call in self.foreign(session).await? {
            if !gone.contains(&call.state.edge) {
                continue;
            }
            info!(%session, "answers a call of an edge that is gone");
            let (to, lost) = (&call.state.to, call.state.lost.into_bytes().into());
            self.calls.append(session, to, lost).await?;
            let mail = MailStream::from_name(to);
            let is_here = mail.is_some_and(|mail| self.hub.notify_mail(session, mail));
            if !is_here {
                self.sessions.announce_mail(session, to).await;
            }
            let ended = self.calls.end_posted(&call.name, call.revision, false);
            ended.await?;
        }
        Ok(())
    }
}

/// Why a call is not answered now.
#[derive(Debug, thiserror::Error)]
enum PostedAnswerError {
    #[error(transparent)]
    Call(#[from] PostedCallError),
    #[error(transparent)]
    Mailbox(#[from] EdgeError),
}
