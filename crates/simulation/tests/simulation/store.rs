//! The store of sessions, with their mailboxes, tasks and locks, as one node reaches it: the store in memory
//! behind calls that hang and fail.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use model::{LockName, PrincipalId, Sequence, Session, SessionId, StreamId, TaskId, Timestamp};
use ports::{
    LockError, LockGuardInfo, LockToken, Mailbox, MailboxError, MailboxLimits, MailboxPage,
    Revision, SessionLimits, SessionLock, SessionPage, SessionStore, SessionStoreError, TaskLimits,
    TaskRecord, TaskStore, TaskStoreError, VersionedSession, VersionedTask,
};
use store_memory::MemorySessionStore;

use crate::link::StoreLink;

/// The store as one node reaches it.
#[derive(Debug)]
pub(crate) struct SessionsHandle {
    pub(crate) store: Arc<MemorySessionStore>,
    pub(crate) link: StoreLink,
}

#[async_trait]
impl SessionStore for SessionsHandle {
    async fn create(
        &self,
        session: &Session,
        ttl: Duration,
        limits: SessionLimits,
    ) -> Result<Revision, SessionStoreError> {
        let work = self.store.create(session, ttl, limits);
        self.link.call("create", work).await
    }

    async fn load(&self, id: &SessionId) -> Result<Option<VersionedSession>, SessionStoreError> {
        self.link.call("load", self.store.load(id)).await
    }

    async fn replace(
        &self,
        session: &Session,
        expected: Revision,
        ttl: Duration,
    ) -> Result<Revision, SessionStoreError> {
        let work = self.store.replace(session, expected, ttl);
        self.link.call("replace", work).await
    }

    async fn end(&self, id: &SessionId) -> Result<bool, SessionStoreError> {
        self.link.call("end", self.store.end(id)).await
    }

    async fn touch(&self, id: &SessionId, ttl: Duration) -> Result<bool, SessionStoreError> {
        self.link.call("touch", self.store.touch(id, ttl)).await
    }

    async fn list(
        &self,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<SessionPage, SessionStoreError> {
        self.link.call("list", self.store.list(after, limit)).await
    }

    async fn check(&self) -> Result<(), SessionStoreError> {
        self.link.call("check", self.store.check()).await
    }

    async fn time(&self) -> Result<Option<Timestamp>, SessionStoreError> {
        self.link.call("tell the time", self.store.time()).await
    }
}

#[async_trait]
impl Mailbox for SessionsHandle {
    async fn open_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        let work = self.store.open_stream(session, stream, limits);
        self.link.call("open", work).await
    }

    async fn append(
        &self,
        session: &SessionId,
        stream: &StreamId,
        payload: Bytes,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        let work = self.store.append(session, stream, payload, limits);
        self.link.call("append", work).await
    }

    async fn read_after(
        &self,
        session: &SessionId,
        stream: &StreamId,
        after: Sequence,
        limit: usize,
    ) -> Result<MailboxPage, MailboxError> {
        let work = self.store.read_after(session, stream, after, limit);
        self.link.call("read", work).await
    }

    async fn trim(
        &self,
        session: &SessionId,
        stream: &StreamId,
        through: Sequence,
    ) -> Result<u64, MailboxError> {
        let work = self.store.trim(session, stream, through);
        self.link.call("trim", work).await
    }

    async fn close_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
    ) -> Result<(), MailboxError> {
        let work = self.store.close_stream(session, stream);
        self.link.call("close", work).await
    }
}

#[async_trait]
impl TaskStore for SessionsHandle {
    async fn create_task(
        &self,
        task: &TaskRecord,
        limits: TaskLimits,
    ) -> Result<Revision, TaskStoreError> {
        let work = self.store.create_task(task, limits);
        self.link.call("create", work).await
    }

    async fn load_task(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
    ) -> Result<Option<VersionedTask>, TaskStoreError> {
        self.link
            .call("load", self.store.load_task(owner, id))
            .await
    }

    async fn replace_task(
        &self,
        task: &TaskRecord,
        expected: Revision,
        limits: TaskLimits,
    ) -> Result<Revision, TaskStoreError> {
        let work = self.store.replace_task(task, expected, limits);
        self.link.call("replace", work).await
    }
}

#[async_trait]
impl SessionLock for SessionsHandle {
    async fn acquire(
        &self,
        name: &LockName,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Option<LockGuardInfo>, LockError> {
        let work = self.store.acquire(name, ttl, wait);
        self.link.call("acquire", work).await
    }

    async fn extend(
        &self,
        name: &LockName,
        token: &LockToken,
        ttl: Duration,
    ) -> Result<bool, LockError> {
        let work = self.store.extend(name, token, ttl);
        self.link.call("extend", work).await
    }

    async fn release(&self, name: &LockName, token: &LockToken) -> Result<bool, LockError> {
        let work = self.store.release(name, token);
        self.link.call("release", work).await
    }
}
