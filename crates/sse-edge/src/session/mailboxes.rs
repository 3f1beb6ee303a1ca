//! The mailboxes of sessions.
//!
//! A session and its mailbox are two things, maybe in two stores, and nothing changes both at once. The session
//! decides: what it does not have is made when it is needed, and what it leaves behind expires.
//!
//! - A session is created alone. The first message or stream opens its mailbox, on any edge, after a look whether
//!   the session is living; most sessions never need one.
//! - Both are touched together, the mailbox for a little longer, so that it does not expire first.
//! - The session ends first, then its mailbox. The other way round, another edge would open it again in between.
//!
//! A process that dies between two of these steps, or an edge that opens a mailbox while another one ends its
//! session, leaves a mailbox without a session: nothing finds it, and it expires. A session whose mailbox is gone
//! (evicted, expired, lost with its store) gets another one in the same way. Its messages are lost, and every
//! reader that holds a position of the earlier mailbox is told ([`MailboxPage::went_back`]).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use edge_records::{SessionRecords, SessionRecordsError, VersionedSession};
use model::{PrincipalId, Sequence, SessionId, StreamId};
use ports::{Mailbox, MailboxError, MailboxLimits, MailboxPage, StoreFailure};

use super::SessionBounds;
use crate::limits::CALL_DEADLINE;

/// How much longer than its session a mailbox lives: the time that one of two calls may take longer than the other.
const LONGER: Duration = CALL_DEADLINE;
/// Number of times that a mailbox is opened for one call.
const OPENINGS: usize = 4;

/// The mailboxes of the sessions in a store. It answers `Missing` for a session that is not living, and only then.
#[derive(Debug)]
pub(crate) struct SessionMailboxes {
    pub(crate) mailboxes: Arc<dyn Mailbox>,
    pub(crate) sessions: SessionRecords,
    pub(crate) bounds: SessionBounds,
}

impl SessionMailboxes {
    /// The session, if it is living.
    async fn session(&self, id: &SessionId) -> Result<Option<VersionedSession>, MailboxError> {
        match self.sessions.load(id).await {
            Ok(found) => Ok(found),
            // To its client it is gone.
            Err(SessionRecordsError::Unreadable { .. }) => Ok(None),
            Err(SessionRecordsError::Failed(failure)) => Err(failure.into()),
            Err(error) => Err(StoreFailure::unavailable("load a session", error).into()),
        }
    }

    async fn is_living(&self, id: &SessionId) -> Result<bool, MailboxError> {
        Ok(self.session(id).await?.is_some())
    }

    /// Opens the mailbox of a living session; returns whether it is one.
    async fn open_for(&self, id: &SessionId) -> Result<bool, MailboxError> {
        let Some(found) = self.session(id).await? else {
            return Ok(false);
        };
        // What the session has left depends on clocks, which may be set, and is never more than this.
        let idle = self.bounds.idle_of(&found.session);
        self.open(id, &found.session.owner, idle).await?;
        Ok(true)
    }

    /// A call in the mailbox of a session, which is opened where a living session has none. A store that goes back
    /// may lose it again in between: that is no end of the session.
    async fn in_mailbox<T, F>(
        &self,
        session: &SessionId,
        call: impl Fn() -> F,
    ) -> Result<T, MailboxError>
    where
        F: Future<Output = Result<T, MailboxError>>,
    {
        for _ in 0..OPENINGS {
            match call().await {
                Err(MailboxError::Missing) if self.open_for(session).await? => {}
                done => return done,
            }
        }
        let vanished = "it vanished each time that it was opened";
        Err(StoreFailure::unavailable("open a mailbox", vanished).into())
    }
}

#[async_trait]
impl Mailbox for SessionMailboxes {
    async fn open(
        &self,
        session: &SessionId,
        owner: &PrincipalId,
        ttl: Duration,
    ) -> Result<(), MailboxError> {
        self.mailboxes.open(session, owner, ttl + LONGER).await
    }

    async fn touch(&self, session: &SessionId, ttl: Duration) -> Result<bool, MailboxError> {
        self.mailboxes.touch(session, ttl + LONGER).await
    }

    async fn end(&self, session: &SessionId) -> Result<bool, MailboxError> {
        self.mailboxes.end(session).await
    }

    async fn open_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        self.in_mailbox(session, || {
            self.mailboxes.open_stream(session, stream, limits)
        })
        .await
    }

    async fn append(
        &self,
        session: &SessionId,
        stream: &StreamId,
        payload: Bytes,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        self.in_mailbox(session, || {
            let payload = payload.clone();
            self.mailboxes.append(session, stream, payload, limits)
        })
        .await
    }

    /// A session without a mailbox has no messages: a reader at the start has missed none.
    async fn read_after(
        &self,
        session: &SessionId,
        stream: &StreamId,
        after: Sequence,
        limit: usize,
    ) -> Result<MailboxPage, MailboxError> {
        let read = self.mailboxes.read_after(session, stream, after, limit);
        match read.await {
            Err(MailboxError::Missing) if self.is_living(session).await? => {
                Ok(MailboxPage::without_mailbox(after))
            }
            page => page,
        }
    }

    async fn trim(
        &self,
        session: &SessionId,
        stream: &StreamId,
        through: Sequence,
    ) -> Result<u64, MailboxError> {
        match self.mailboxes.trim(session, stream, through).await {
            Err(MailboxError::Missing) if self.is_living(session).await? => Ok(0),
            trimmed => trimmed,
        }
    }

    async fn close_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
    ) -> Result<(), MailboxError> {
        match self.mailboxes.close_stream(session, stream).await {
            Err(MailboxError::Missing) if self.is_living(session).await? => Ok(()),
            closed => closed,
        }
    }
}
