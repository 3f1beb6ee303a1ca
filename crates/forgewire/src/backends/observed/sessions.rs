//! The ports of what edges share: records, mailboxes and leases.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use instruments::store_calls::{StoreCalls, StoreOperation};
use model::{LeaseName, PrincipalId, RecordId, Sequence, SessionId, StreamId, Timestamp};
use ports::{
    Collection, Lease, LeaseToken, Leases, Mailbox, MailboxError, MailboxLimits, MailboxPage,
    NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits, RecordPage, Records,
    RecordsError, Revision, StoreFailure, StoredRecord,
};

/// Observes every call for records.
#[derive(Debug)]
pub(super) struct ObservedRecords {
    pub(super) calls: StoreCalls,
    pub(super) records: Arc<dyn Records>,
}

#[async_trait]
impl Records for ObservedRecords {
    async fn create(
        &self,
        record: &NewRecord,
        limits: RecordLimits,
    ) -> Result<RecordCreation, RecordsError> {
        let call = self.records.create(record, limits);
        self.calls.observe(StoreOperation::Create, call).await
    }

    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, RecordsError> {
        let call = self.records.load(key);
        self.calls.observe(StoreOperation::Load, call).await
    }

    async fn load_many(
        &self,
        collection: Collection,
        ids: &[RecordId],
    ) -> Result<Vec<Option<StoredRecord>>, RecordsError> {
        let call = self.records.load_many(collection, ids);
        self.calls.observe(StoreOperation::LoadMany, call).await
    }

    async fn expires_at(&self, key: &RecordKey) -> Result<Option<Timestamp>, RecordsError> {
        let call = self.records.expires_at(key);
        self.calls.observe(StoreOperation::ExpiresAt, call).await
    }

    async fn replace(
        &self,
        key: &RecordKey,
        state: Bytes,
        expected: Revision,
        life: RecordLife,
        limits: RecordLimits,
    ) -> Result<Revision, RecordsError> {
        let call = self.records.replace(key, state, expected, life, limits);
        self.calls.observe(StoreOperation::Replace, call).await
    }

    async fn touch(&self, key: &RecordKey, ttl: Duration) -> Result<bool, RecordsError> {
        let call = self.records.touch(key, ttl);
        self.calls.observe(StoreOperation::Touch, call).await
    }

    async fn end(&self, key: &RecordKey) -> Result<bool, RecordsError> {
        let call = self.records.end(key);
        self.calls.observe(StoreOperation::End, call).await
    }

    async fn list(
        &self,
        collection: Collection,
        owner: Option<&PrincipalId>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        let call = self.records.list(collection, owner, after, limit);
        self.calls.observe(StoreOperation::List, call).await
    }

    async fn list_under(
        &self,
        collection: Collection,
        under: (&PrincipalId, &RecordId),
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        let call = self.records.list_under(collection, under, after, limit);
        self.calls.observe(StoreOperation::List, call).await
    }

    async fn check(&self, collection: Collection) -> Result<(), StoreFailure> {
        let call = self.records.check(collection);
        self.calls.observe(StoreOperation::Check, call).await
    }

    async fn time(&self) -> Result<Timestamp, StoreFailure> {
        let call = self.records.time();
        self.calls.observe(StoreOperation::Time, call).await
    }

    fn max_state_bytes(&self) -> usize {
        self.records.max_state_bytes()
    }
}

/// Observes every call of a mailbox.
#[derive(Debug)]
pub(super) struct ObservedMailbox {
    pub(super) calls: StoreCalls,
    pub(super) mailbox: Arc<dyn Mailbox>,
}

#[async_trait]
impl Mailbox for ObservedMailbox {
    async fn open(
        &self,
        session: &SessionId,
        owner: &PrincipalId,
        ttl: Duration,
    ) -> Result<(), MailboxError> {
        let call = self.mailbox.open(session, owner, ttl);
        self.calls.observe(StoreOperation::Open, call).await
    }

    async fn touch(&self, session: &SessionId, ttl: Duration) -> Result<bool, MailboxError> {
        let call = self.mailbox.touch(session, ttl);
        self.calls.observe(StoreOperation::Touch, call).await
    }

    async fn end(&self, session: &SessionId) -> Result<bool, MailboxError> {
        let call = self.mailbox.end(session);
        self.calls.observe(StoreOperation::End, call).await
    }

    async fn open_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        let call = self.mailbox.open_stream(session, stream, limits);
        self.calls.observe(StoreOperation::OpenStream, call).await
    }

    async fn append(
        &self,
        session: &SessionId,
        stream: &StreamId,
        payload: Bytes,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        let call = self.mailbox.append(session, stream, payload, limits);
        self.calls.observe(StoreOperation::Append, call).await
    }

    async fn read_after(
        &self,
        session: &SessionId,
        stream: &StreamId,
        after: Sequence,
        limit: usize,
    ) -> Result<MailboxPage, MailboxError> {
        let call = self.mailbox.read_after(session, stream, after, limit);
        self.calls.observe(StoreOperation::ReadAfter, call).await
    }

    async fn trim(
        &self,
        session: &SessionId,
        stream: &StreamId,
        through: Sequence,
    ) -> Result<u64, MailboxError> {
        let call = self.mailbox.trim(session, stream, through);
        self.calls.observe(StoreOperation::Trim, call).await
    }

    async fn close_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
    ) -> Result<(), MailboxError> {
        let call = self.mailbox.close_stream(session, stream);
        self.calls.observe(StoreOperation::Close, call).await
    }
}

/// Observes every call for leases.
#[derive(Debug)]
pub(super) struct ObservedLeases {
    pub(super) calls: StoreCalls,
    pub(super) leases: Arc<dyn Leases>,
}

#[async_trait]
impl Leases for ObservedLeases {
    async fn acquire(
        &self,
        name: &LeaseName,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Option<Lease>, StoreFailure> {
        let call = self.leases.acquire(name, ttl, wait);
        self.calls.observe(StoreOperation::Acquire, call).await
    }

    async fn extend(
        &self,
        name: &LeaseName,
        token: &LeaseToken,
        ttl: Duration,
    ) -> Result<bool, StoreFailure> {
        let call = self.leases.extend(name, token, ttl);
        self.calls.observe(StoreOperation::Extend, call).await
    }

    async fn release(&self, name: &LeaseName, token: &LeaseToken) -> Result<bool, StoreFailure> {
        let call = self.leases.release(name, token);
        self.calls.observe(StoreOperation::Release, call).await
    }
}
