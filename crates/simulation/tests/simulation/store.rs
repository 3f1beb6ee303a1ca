//! The store of sessions, with their mailboxes, tasks and locks, as one node reaches it: the store in memory
//! behind calls that hang and fail.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use model::{LeaseName, PrincipalId, RecordId, Sequence, SessionId, StreamId, Timestamp};
use ports::{
    Collection, Lease, LeaseToken, Leases, Mailbox, MailboxError, MailboxLimits, MailboxPage,
    NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits, RecordPage, Records,
    RecordsError, Revision, StoreFailure, StoredRecord,
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
impl Mailbox for SessionsHandle {
    async fn open(
        &self,
        session: &SessionId,
        owner: &PrincipalId,
        ttl: Duration,
    ) -> Result<(), MailboxError> {
        let work = Mailbox::open(&*self.store, session, owner, ttl);
        self.link.call("open", work).await
    }

    async fn touch(&self, session: &SessionId, ttl: Duration) -> Result<bool, MailboxError> {
        let work = Mailbox::touch(&*self.store, session, ttl);
        self.link.call("touch", work).await
    }

    async fn end(&self, session: &SessionId) -> Result<bool, MailboxError> {
        let work = Mailbox::end(&*self.store, session);
        self.link.call("end", work).await
    }

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
impl Records for SessionsHandle {
    async fn create(
        &self,
        record: &NewRecord,
        limits: RecordLimits,
    ) -> Result<RecordCreation, RecordsError> {
        let work = Records::create(&*self.store, record, limits);
        self.link.call("create", work).await
    }

    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, RecordsError> {
        let work = Records::load(&*self.store, key);
        self.link.call("load", work).await
    }

    async fn load_many(
        &self,
        collection: Collection,
        ids: &[RecordId],
    ) -> Result<Vec<Option<StoredRecord>>, RecordsError> {
        let work = self.store.load_many(collection, ids);
        self.link.call("load", work).await
    }

    async fn expires_at(&self, key: &RecordKey) -> Result<Option<Timestamp>, RecordsError> {
        self.link.call("find", self.store.expires_at(key)).await
    }

    async fn replace(
        &self,
        key: &RecordKey,
        state: Bytes,
        expected: Revision,
        life: RecordLife,
        limits: RecordLimits,
    ) -> Result<Revision, RecordsError> {
        let work = Records::replace(&*self.store, key, state, expected, life, limits);
        self.link.call("replace", work).await
    }

    async fn touch(&self, key: &RecordKey, ttl: Duration) -> Result<bool, RecordsError> {
        let work = Records::touch(&*self.store, key, ttl);
        self.link.call("touch", work).await
    }

    async fn end(&self, key: &RecordKey) -> Result<bool, RecordsError> {
        let work = Records::end(&*self.store, key);
        self.link.call("end", work).await
    }

    async fn list(
        &self,
        collection: Collection,
        owner: Option<&PrincipalId>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        let work = Records::list(&*self.store, collection, owner, after, limit);
        self.link.call("list", work).await
    }

    async fn list_under(
        &self,
        collection: Collection,
        under: (&PrincipalId, &RecordId),
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        let work = Records::list_under(&*self.store, collection, under, after, limit);
        self.link.call("list", work).await
    }

    async fn check(&self, collection: Collection) -> Result<(), StoreFailure> {
        let work = Records::check(&*self.store, collection);
        self.link.call("check", work).await
    }

    async fn time(&self) -> Result<Timestamp, StoreFailure> {
        let work = Records::time(&*self.store);
        self.link.call("tell the time", work).await
    }
}

#[async_trait]
impl Leases for SessionsHandle {
    async fn acquire(
        &self,
        name: &LeaseName,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Option<Lease>, StoreFailure> {
        let work = self.store.acquire(name, ttl, wait);
        self.link.call("acquire", work).await
    }

    async fn extend(
        &self,
        name: &LeaseName,
        token: &LeaseToken,
        ttl: Duration,
    ) -> Result<bool, StoreFailure> {
        let work = self.store.extend(name, token, ttl);
        self.link.call("extend", work).await
    }

    async fn release(&self, name: &LeaseName, token: &LeaseToken) -> Result<bool, StoreFailure> {
        let work = self.store.release(name, token);
        self.link.call("release", work).await
    }
}
