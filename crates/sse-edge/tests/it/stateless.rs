//! The stateless era needs no stored session state.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use model::{
    LeaseName, PrincipalId, RecordId, Sequence, SessionId, StreamId, SystemClock, Timestamp,
};
use ports::{
    Collection, Lease, LeaseToken, Leases, Mailbox, MailboxError, MailboxLimits, MailboxPage,
    NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits, RecordPage, Records,
    RecordsError, Revision, StoreFailure, StoredRecord,
};
use serde_json::json;
use store_memory::MemorySessionStore;
use testkit::mcp_client::ModernClient;

use super::world::*;

/// A store that counts its calls.
#[derive(Debug)]
struct Counted {
    store: MemorySessionStore,
    calls: AtomicUsize,
}

impl Counted {
    fn asked(&self) -> &MemorySessionStore {
        self.calls.fetch_add(1, Ordering::SeqCst);
        &self.store
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Counted {
    /// Counts a call for records unless they are tasks, which the stateless era has, or names, which the edge
    /// reads for itself.
    fn asked_for(&self, collection: Collection) -> &MemorySessionStore {
        match collection.name() {
            "tasks" | "names" => &self.store,
            _ => self.asked(),
        }
    }
}

#[async_trait]
impl Records for Counted {
    async fn create(
        &self,
        record: &NewRecord,
        limits: RecordLimits,
    ) -> Result<RecordCreation, RecordsError> {
        let store = self.asked_for(record.key.collection);
        store.create(record, limits).await
    }

    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, RecordsError> {
        self.asked_for(key.collection).load(key).await
    }

    async fn load_many(
        &self,
        collection: Collection,
        ids: &[RecordId],
    ) -> Result<Vec<Option<StoredRecord>>, RecordsError> {
        self.asked_for(collection).load_many(collection, ids).await
    }

    async fn expires_at(&self, key: &RecordKey) -> Result<Option<Timestamp>, RecordsError> {
        self.asked_for(key.collection).expires_at(key).await
    }

    async fn replace(
        &self,
        key: &RecordKey,
        state: Bytes,
        expected: Revision,
        life: RecordLife,
        limits: RecordLimits,
    ) -> Result<Revision, RecordsError> {
        let store = self.asked_for(key.collection);
        store.replace(key, state, expected, life, limits).await
    }

    async fn touch(&self, key: &RecordKey, ttl: Duration) -> Result<bool, RecordsError> {
        Records::touch(self.asked_for(key.collection), key, ttl).await
    }

    async fn end(&self, key: &RecordKey) -> Result<bool, RecordsError> {
        Records::end(self.asked_for(key.collection), key).await
    }

    async fn list(
        &self,
        collection: Collection,
        owner: Option<&PrincipalId>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        let store = self.asked_for(collection);
        store.list(collection, owner, after, limit).await
    }

    async fn list_under(
        &self,
        collection: Collection,
        under: (&PrincipalId, &RecordId),
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        let store = self.asked_for(collection);
        store.list_under(collection, under, after, limit).await
    }

    async fn check(&self, collection: Collection) -> Result<(), StoreFailure> {
        // A probe for readiness, on behalf of no request.
        self.store.check(collection).await
    }

    async fn time(&self) -> Result<Timestamp, StoreFailure> {
        self.store.time().await
    }
}

#[async_trait]
impl Mailbox for Counted {
    async fn open(
        &self,
        session: &SessionId,
        owner: &PrincipalId,
        ttl: Duration,
    ) -> Result<(), MailboxError> {
        Mailbox::open(self.asked(), session, owner, ttl).await
    }

    async fn touch(&self, session: &SessionId, ttl: Duration) -> Result<bool, MailboxError> {
        Mailbox::touch(self.asked(), session, ttl).await
    }

    async fn end(&self, session: &SessionId) -> Result<bool, MailboxError> {
        Mailbox::end(self.asked(), session).await
    }

    async fn open_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        self.asked().open_stream(session, stream, limits).await
    }

    async fn append(
        &self,
        session: &SessionId,
        stream: &StreamId,
        payload: Bytes,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        self.asked().append(session, stream, payload, limits).await
    }

    async fn read_after(
        &self,
        session: &SessionId,
        stream: &StreamId,
        after: Sequence,
        limit: usize,
    ) -> Result<MailboxPage, MailboxError> {
        self.asked().read_after(session, stream, after, limit).await
    }

    async fn trim(
        &self,
        session: &SessionId,
        stream: &StreamId,
        through: Sequence,
    ) -> Result<u64, MailboxError> {
        self.asked().trim(session, stream, through).await
    }

    async fn close_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
    ) -> Result<(), MailboxError> {
        self.asked().close_stream(session, stream).await
    }
}

#[async_trait]
impl Leases for Counted {
    async fn acquire(
        &self,
        name: &LeaseName,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Option<Lease>, StoreFailure> {
        self.asked().acquire(name, ttl, wait).await
    }

    async fn extend(
        &self,
        name: &LeaseName,
        token: &LeaseToken,
        ttl: Duration,
    ) -> Result<bool, StoreFailure> {
        self.asked().extend(name, token, ttl).await
    }

    async fn release(&self, name: &LeaseName, token: &LeaseToken) -> Result<bool, StoreFailure> {
        self.asked().release(name, token).await
    }
}

#[tokio::test]
async fn no_request_of_the_stateless_era_touches_a_session_store() {
    let store = Arc::new(Counted {
        store: MemorySessionStore::new(Arc::new(SystemClock), 1000),
        calls: AtomicUsize::new(0),
    });
    let world = EdgeWorld::on(stores_on(store.clone())).await;
    let (a, b) = (world.node().await, world.node().await);
    world.happens("cat").await;
    // A tool that waits becomes a task.
    let tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let client = ModernClient::with_capabilities(tasks);
    client.discover(&a.url).await.unwrap();

    for tool in client.list_tools(&b.url).await.unwrap() {
        let name = tool["name"].as_str().unwrap();
        // Shows what is kept for its caller beyond sessions, which is in the store.
        if name == "get_subscribed_events" {
            continue;
        }
        for arguments in [
            json!({}),
            json!({ "action": "list" }),
            json!({ "wrong": 1 }),
        ] {
            // So does its list.
            if name == "manage_events" && arguments["action"] == "list" {
                continue;
            }
            let params = json!({ "name": name, "arguments": arguments });
            let reply = client.request(&a.url, "tools/call", params).await.unwrap();
            // Fixtures of the conformance suite request capabilities that this client lacks.
            let fits = reply.status == 200 || (is_fixture(name) && reply.status == 400);
            assert!(fits, "{name}: {}", reply.body);
        }
    }
    for (method, params, status) in [
        ("resources/list", json!({}), 200),
        ("resources/templates/list", json!({}), 200),
        (
            "resources/read",
            json!({ "uri": "github://events/octo/cat" }),
            200,
        ),
        (
            "resources/read",
            json!({ "uri": "github://issues/octo/cat/7" }),
            200,
        ),
        ("resources/read", json!({ "uri": "github://nothing" }), 200),
        ("tools/call", json!({ "name": "no-such-tool" }), 200),
        (
            "tools/call",
            json!({ "name": "replay_events", "requestState": "forged" }),
            200,
        ),
        ("tasks/get", json!({ "taskId": "t" }), 200),
        ("tasks/cancel", json!({ "taskId": "t" }), 200),
        ("prompts/list", json!({}), 200),
        (
            "prompts/get",
            json!({ "name": "summarize_activity", "arguments": { "owner": "octo", "repo": "cat" } }),
            200,
        ),
        (
            "completion/complete",
            json!({
                "ref": { "type": "ref/prompt", "name": "summarize_activity" },
                "argument": { "name": "owner", "value": "oc" },
            }),
            200,
        ),
        (
            "resources/subscribe",
            json!({ "uri": "github://events" }),
            404,
        ),
        ("no/such", json!({}), 404),
    ] {
        let reply = client.request(&a.url, method, params).await.unwrap();
        assert_eq!(reply.status, status, "{method}: {}", reply.body);
    }

    let filter = json!({ "resourceSubscriptions": ["github://events"], "toolsListChanged": true });
    let mut stream = client.listen(&b.url, filter).await.unwrap();
    world.happens("cat").await;
    let told = stream.next(SOON).await.unwrap();
    assert_eq!(told.method(), "notifications/resources/updated");
    drop(stream);
    a.life.shut_down();

    assert_eq!(store.calls(), 0);
    // And the counter works.
    connect(&b).await.ping(&b.url).await.unwrap();
    assert!(store.calls() >= 2);
}
