//! Two edges that share log, bus and sessions, and a GitHub whose events the test produces.

use std::{
    future::Future,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use access::Authenticator;
use async_trait::async_trait;
use edge_records::{
    NameRecords, PostedCallClaim, PostedCallName, PostedCallRecords, PostedCallState,
    SessionRecords,
};
use futures_util::StreamExt;
use mcp_server::cpu_turns::CpuAccount;
use model::{
    Clock, Cursor, CursorKeys, CursorScope, Epoch, EventFacts, EventId, EventOrigin, EventType,
    IdSource, LeaseName, LogPosition, PostedCallId, PrincipalId, RandomIds, ResourceId,
    ResourceType, ResourceUri, Sequence, Sequenced, Session, SessionId, SharedKey, StoredEvent,
    StreamId, SystemClock, Timestamp, TraceContext,
};
use ports::{
    Bus, BusError, BusEvent, BusMessage, BusSubscription, EdgeNews, EventHint, EventLog, Leases,
    Mailbox, MailboxError, MailboxLimits, MirrorReads, Records, ResourceError, ResourceReader,
    ResourceState, Stores, SyncStatus, Topic,
};
use reqwest::Url;
use serde_json::{Value, json};
use service_kit::{
    bodies::BodyBudget,
    descriptors::Descriptors,
    http::{bind, serve},
    lifecycle::{Lifecycle, OnExit},
    metrics::{MetricsRegistry, encode},
};
use sse_edge::{EdgeConfig, EdgeDeps, EdgeService};
use store_layers::StoredLog;
use store_memory::{InProcessBus, MemoryLogStore, MemorySessionStore};
use testkit::{
    mcp_client::{McpClient, ServerMessage},
    sse::{ReceivedFrame, SseStream},
};
use tokio::sync::watch;

/// Time within which anything expected has to happen.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// Time without an event after which the test assumes that none will arrive.
pub(crate) const QUIET: Duration = Duration::from_millis(150);

/// One edge.
pub(crate) struct Node {
    pub(crate) url: Url,
    pub(crate) life: Lifecycle,
    registry: MetricsRegistry,
}

impl Node {
    /// All metrics, as text.
    pub(crate) fn metrics(&self) -> String {
        encode(&self.registry).unwrap()
    }

    /// The value of a metric with all its labels; 0 while it does not exist.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.metrics();
        let mut lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        let value = lines.find(|(of, _)| *of == name);
        value.map_or(0, |(_, value)| value.parse().unwrap())
    }

    /// The number of open streams of a kind.
    pub(crate) fn open_streams(&self, kind: &str) -> u64 {
        self.metric(&format!("forgewire_edge_open_streams{{kind=\"{kind}\"}}"))
    }

    /// The number of streams that were cut for this reason because their client did not read.
    pub(crate) fn cut_streams(&self, reason: &str) -> u64 {
        self.metric(&format!(
            "forgewire_edge_cut_streams_total{{reason=\"{reason}\"}}"
        ))
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.life.hard_stop();
    }
}

/// Everything in memory, but sessions and what belongs to them in `store`.
pub(crate) fn stores_on<S>(store: Arc<S>) -> Stores
where
    S: Records + Mailbox + Leases,
{
    memory_stores(100_000, store)
}

/// As [`stores_on`], with a log that keeps `events`.
fn memory_stores<S>(events: usize, store: Arc<S>) -> Stores
where
    S: Records + Mailbox + Leases,
{
    let capacity = |count| NonZeroUsize::new(count).unwrap();
    let log = StoredLog::new(MemoryLogStore::new(&RandomIds, capacity(events)));
    let bus = InProcessBus::new(capacity(10_000));
    Stores::new(Arc::new(log), Arc::new(bus), store)
}

fn memory_sessions(clock: Arc<dyn Clock>) -> Arc<MemorySessionStore> {
    Arc::new(MemorySessionStore::new(clock, 1000))
}

/// The components that the edges share.
pub(crate) struct EdgeWorld {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) stores: Stores,
    /// The position that the last reader of a resource named.
    pub(crate) seen: Arc<parking_lot::Mutex<Option<LogPosition>>>,
    /// The account of the turn in which a resource was last read.
    pub(crate) charged: Arc<parking_lot::Mutex<Option<CpuAccount>>>,
    /// The mirror of edges that are started from now on.
    pub(crate) mirror: Option<Arc<dyn MirrorReads>>,
    clock: Arc<dyn Clock>,
    /// The descriptors that edges started from now on assume to have.
    pub(crate) descriptors: Descriptors,
    /// The keys that edges started from now on have from those of the roles.
    pub(crate) role_keys: Vec<SharedKey>,
    /// How long the leases of edges last that are started from now on.
    pub(crate) call_lease: Duration,
    epoch: Epoch,
    count: AtomicU64,
}

impl EdgeWorld {
    pub(crate) async fn new() -> Self {
        Self::keeping(100_000).await
    }

    /// A world whose sessions follow the given clock.
    pub(crate) async fn at(clock: Arc<dyn Clock>) -> Self {
        let stores = stores_on(memory_sessions(Arc::clone(&clock)));
        Self::built(stores, clock).await
    }

    /// On other stores.
    pub(crate) async fn on(stores: Stores) -> Self {
        Self::built(stores, Arc::new(SystemClock)).await
    }

    /// A world whose log keeps this many events.
    pub(crate) async fn keeping(events: usize) -> Self {
        let sessions = memory_sessions(Arc::new(SystemClock));
        Self::on(memory_stores(events, sessions)).await
    }

    async fn built(stores: Stores, clock: Arc<dyn Clock>) -> Self {
        let epoch = stores.log.head().await.unwrap().epoch;
        Self {
            log: Arc::clone(&stores.log),
            bus: Arc::clone(&stores.bus),
            stores,
            seen: Arc::default(),
            charged: Arc::default(),
            mirror: None,
            clock,
            descriptors: Descriptors::UNLIMITED,
            role_keys: Vec::new(),
            call_lease: EdgeDeps::CALL_LEASE,
            epoch,
            count: AtomicU64::new(0),
        }
    }

    pub(crate) async fn two() -> (Self, Node, Node) {
        let world = Self::new().await;
        let (a, b) = (world.node().await, world.node().await);
        (world, a, b)
    }

    pub(crate) async fn node(&self) -> Node {
        self.node_with(&EdgeConfig::default(), self.bus.clone())
            .await
    }

    pub(crate) async fn node_with(&self, config: &EdgeConfig, bus: Arc<dyn Bus>) -> Node {
        self.node_for(config, bus, Authenticator::none()).await
    }

    /// An edge with the given authentication.
    pub(crate) async fn node_for(
        &self,
        config: &EdgeConfig,
        bus: Arc<dyn Bus>,
        auth: Authenticator,
    ) -> Node {
        self.node_at(config, bus, auth, Arc::clone(&self.clock))
            .await
    }

    /// An edge with the given clock.
    pub(crate) async fn node_at(
        &self,
        config: &EdgeConfig,
        bus: Arc<dyn Bus>,
        auth: Authenticator,
        clock: Arc<dyn Clock>,
    ) -> Node {
        let stores = self.stores.clone();
        let mut registry = MetricsRegistry::default();
        let deps = EdgeDeps {
            bodies: BodyBudget::new(&mut registry),
            pages: Arc::clone(&stores.log),
            log: stores.log,
            records: stores.records,
            mailboxes: stores.mailboxes,
            leases: stores.leases,
            call_lease: self.call_lease,
            bus: Arc::clone(&bus),
            mirror_cache: None,
            resources: Arc::new(OneIssue {
                seen: Arc::clone(&self.seen),
                charged: Arc::clone(&self.charged),
            }),
            mirror: self.mirror.clone(),
            clock,
            ids: Arc::new(RandomIds),
            auth: Arc::new(auth),
            descriptors: self.descriptors,
            role_keys: self.role_keys.clone(),
            toolsets: vec![conformance::toolset(&bus)],
        };
        let config = &EdgeConfig {
            take_over_sockets: config.take_over_sockets && crate::TAKES_OVER_SOCKETS,
            ..config.clone()
        };
        let service = EdgeService::build(config, deps, &mut registry).unwrap();
        let life = Lifecycle::new(Duration::from_secs(config.drain_seconds));
        let service = service.spawn(&life).unwrap();
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let serving = serve(
            listener,
            service.router(),
            service.http_limits(),
            life.clone(),
        );
        life.spawn("http", OnExit::EndsProcess, serving);
        until("the edge is ready", || async { life.readiness().ready }).await;
        Node {
            url,
            life,
            registry,
        }
    }

    /// The sessions as an edge finds them.
    pub(crate) fn sessions_in_store(&self) -> SessionRecords {
        SessionRecords::new(Arc::clone(&self.stores.records))
    }

    /// The number of sessions.
    pub(crate) async fn sessions(&self) -> usize {
        self.session_records().await.len()
    }

    /// The sessions as they are stored.
    pub(crate) async fn session_records(&self) -> Vec<Session> {
        let page = self.sessions_in_store().list(None, 1000).await.unwrap();
        page.sessions
            .into_iter()
            .map(|found| found.session)
            .collect()
    }

    /// The stored session.
    pub(crate) async fn stored_session(&self, id: &SessionId) -> Session {
        let found = self.sessions_in_store().load(id).await.unwrap();
        found.unwrap().session
    }

    /// Whether a stream that covers all subscriptions of the session is known to have reached its client.
    pub(crate) async fn has_streamed(&self, id: &SessionId) -> bool {
        let found = self.sessions_in_store().load(id).await.unwrap();
        found.is_some_and(|found| {
            let session = found.session;
            session.has_streamed
                && session.streamed_subscription == Some(session.newest_subscription)
        })
    }

    /// Puts something into a session's mailbox, as an edge would.
    pub(crate) async fn left_behind(
        &self,
        session: &SessionId,
        stream: &StreamId,
        entry: &[u8],
    ) -> Sequence {
        let entry = bytes::Bytes::copy_from_slice(entry);
        let limits = MailboxLimits::default();
        let mailbox = &self.stores.mailboxes;
        let owner = self.stored_session(session).await.owner;
        let ttl = Duration::from_secs(3600);
        mailbox.open(session, &owner, ttl).await.unwrap();
        mailbox
            .append(session, stream, entry, limits)
            .await
            .unwrap()
    }

    /// Leaves the posted calls of a session as an edge that was killed does: it ran one, which it has not ended, and has
    /// answered another one.
    pub(crate) async fn left_posted(&self, session: &SessionId, to: &str, lost: &Value) {
        let posted = PostedCallRecords::new(Arc::clone(&self.stores.records));
        let owner = self.stored_session(session).await.owner;
        let state = PostedCallState {
            edge: LeaseName::new("edge-calls:of-an-edge-that-was-killed").unwrap(),
            to: StreamId::new(to).unwrap(),
            lost: lost.to_string(),
        };
        for is_answered in [true, false] {
            let name = PostedCallName {
                owner: owner.clone(),
                session: session.clone(),
                id: PostedCallId::new(&RandomIds.uuid()).unwrap(),
            };
            let claim = posted.claim(&name, &state, None).await.unwrap();
            if let (PostedCallClaim::Own(revision), true) = (claim, is_answered) {
                posted.end(&name, revision, true).await.unwrap();
            }
        }
        let stream = StreamId::new("posted").unwrap();
        let (topic, session) = (Topic::Session(session.clone()), session.clone());
        let news = EdgeNews::MailboxChanged { session, stream };
        self.bus.publish(&topic, news.into(), None).await.unwrap();
    }

    /// The number of posted calls of a session that have not ended.
    pub(crate) async fn open_posted(&self, session: &SessionId) -> usize {
        let posted = PostedCallRecords::new(Arc::clone(&self.stores.records));
        let owner = self.stored_session(session).await.owner;
        posted.open(&owner, session).await.unwrap().len()
    }

    /// The number of messages in a stream of a session's mailbox.
    pub(crate) async fn kept(&self, session: &SessionId, stream: &StreamId) -> usize {
        let mailbox = &self.stores.mailboxes;
        let page = mailbox.read_after(session, stream, Sequence::START, 1000);
        match page.await {
            Ok(page) => page.messages.len(),
            // Nothing has needed one yet.
            Err(MailboxError::Missing) => 0,
            Err(error) => panic!("{error}"),
        }
    }

    /// An event happens to issue 7 of `octo/<repo>`; returns its id.
    pub(crate) async fn happens(&self, repo: &str) -> String {
        let (id, hint) = self.stored(repo, 0).await;
        self.bus
            .publish(&Topic::Broadcast, hint, None)
            .await
            .unwrap();
        id
    }

    /// As [`World::happens`], with an event that has these labels.
    pub(crate) async fn happens_with_labels(&self, repo: &str, labels: Vec<String>) -> String {
        let n = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let mut event = event(n, repo, 0);
        Arc::make_mut(&mut event.facts).tags = labels;
        let hint = self.store(event).await;
        let told = self.bus.publish(&Topic::Broadcast, hint, None).await;
        told.unwrap();
        format!("e{n}")
    }

    /// As [`World::happens`] in the repository `cat`, with an event that is changed first.
    pub(crate) async fn happens_as(&self, change: impl FnOnce(&mut EventFacts)) -> String {
        let n = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let mut event = event(n, "cat", 0);
        change(Arc::make_mut(&mut event.facts));
        let hint = self.store(event).await;
        let told = self.bus.publish(&Topic::Broadcast, hint, None).await;
        told.unwrap();
        format!("e{n}")
    }

    /// As [`World::happens`], with an event of about `bytes` bytes.
    pub(crate) async fn happens_at_length(&self, repo: &str, bytes: usize) -> String {
        let (id, hint) = self.stored(repo, bytes).await;
        self.bus
            .publish(&Topic::Broadcast, hint, None)
            .await
            .unwrap();
        id
    }

    /// `count` events of about `bytes` bytes each happen at once; returns their ids.
    pub(crate) async fn happen(&self, repo: &str, count: u64, bytes: usize) -> Vec<String> {
        let first = self.count.fetch_add(count, Ordering::SeqCst) + 1;
        let all = (first..first + count).map(|n| event(n, repo, bytes));
        let all: Vec<_> = all.collect();
        let appended = self.log.append(all.clone()).await.unwrap();
        let sequenced = appended.iter().zip(all).map(|(appended, item)| Sequenced {
            sequence: appended.sequence,
            item,
        });
        let hint = EventHint {
            epoch: self.epoch,
            events: sequenced.collect(),
        };
        let hint = BusMessage::Events(Arc::new(hint));
        let told = self.bus.publish(&Topic::Broadcast, hint, None).await;
        told.unwrap();
        (first..first + count).map(|n| format!("e{n}")).collect()
    }

    /// An event happens as it is given.
    pub(crate) async fn tell(&self, event: StoredEvent) {
        let hint = self.store(event).await;
        let told = self.bus.publish(&Topic::Broadcast, hint, None).await;
        told.unwrap();
    }

    /// Whether a repository of a principal is pinned in the store.
    pub(crate) async fn has_pins(&self, principal: &str) -> bool {
        let names = NameRecords::new(Arc::clone(&self.stores.records));
        let principal = PrincipalId::new(principal).unwrap();
        let pins = names.load_pins::<Value>(&principal).await.unwrap();
        let repositories = pins.map(|pins| pins.names["repositories"].clone());
        repositories
            .is_some_and(|pinned| pinned.as_object().is_some_and(|pinned| !pinned.is_empty()))
    }

    /// The stored book of names.
    pub(crate) async fn book(&self) -> String {
        let names = NameRecords::new(Arc::clone(&self.stores.records));
        let book = names.load_book::<Value>().await.unwrap().unwrap();
        serde_json::to_string(&book.names).unwrap()
    }

    /// As [`World::happens`], but the process that stored the event died before it announced it on
    /// the bus.
    pub(crate) async fn happens_unheard(&self, repo: &str) -> String {
        self.stored(repo, 0).await.0
    }

    /// Waits until an edge has received every event so far.
    pub(crate) async fn settle(&self, node: &Node) {
        let last = self.log.head().await.unwrap().last;
        let stream = node.at("/events/stream");
        until("the edge has caught up", || async {
            let mut stream = testkit::sse::open(&stream, Default::default())
                .await
                .unwrap();
            let id = stream.next_event(SOON).await.unwrap().id.unwrap();
            let scope = CursorScope::events(&PrincipalId::anonymous());
            self.keys().open(&id, scope).unwrap().sequence >= last
        })
        .await;
    }

    /// The identity of the log.
    pub(crate) fn log_epoch(&self) -> Epoch {
        self.epoch
    }

    /// The keys of the edges, for this log.
    pub(crate) fn keys(&self) -> CursorKeys {
        CursorKeys::new(&self.role_keys, self.epoch, true)
    }

    /// A cursor as anybody can make one who knows the identity of the log.
    pub(crate) fn made_up_cursor(&self, sequence: Sequence) -> String {
        let cursor = Cursor {
            epoch: self.epoch,
            sequence,
            tag: None,
            told: None,
            scope: CursorScope::events(&PrincipalId::anonymous()),
            inbox: Sequence::START,
            newest_subscription: 0,
            is_sealed: true,
        };
        let keys = CursorKeys::new(&[], self.epoch, true);
        keys.seal(&cursor).to_string()
    }

    async fn stored(&self, repo: &str, bytes: usize) -> (String, BusMessage) {
        let n = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        (format!("e{n}"), self.store(event(n, repo, bytes)).await)
    }

    /// Appends an event; returns the message that announces it.
    async fn store(&self, event: StoredEvent) -> BusMessage {
        let appended = self.log.append(vec![event.clone()]).await.unwrap();
        let events = vec![Sequenced {
            sequence: appended[0].sequence,
            item: event,
        }];
        let hint = EventHint {
            epoch: self.epoch,
            events,
        };
        BusMessage::Events(Arc::new(hint))
    }
}

pub(crate) fn event(n: u64, repo: &str, bytes: usize) -> StoredEvent {
    let now = SystemClock.now();
    let facts = EventFacts {
        id: EventId::new(&format!("e{n}")).unwrap(),
        event_type: EventType::UPDATED,
        action: None,
        resource_type: ResourceType::ISSUE,
        resource_id: ResourceId::new("I_7").unwrap(),
        owner: Some("Octo".to_owned()),
        repo: Some(repo.to_owned()),
        number: Some(7),
        ids: model::GithubIds::default(),
        former: None,
        actor: Some("mona".to_owned()),
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: vec!["bug".to_owned()],
        timestamp: now,
        received_at: now,
    };
    let json = json!({
        "id": facts.id.as_str(),
        "resource": { "repo": facts.repo },
        "title": "a\nb",
        "filler": "x".repeat(bytes),
    });
    StoredEvent {
        facts: facts.into(),
        json: json.to_string().into(),
        trace: None,
    }
}

/// A sync role that knows one issue.
#[derive(Debug)]
struct OneIssue {
    /// The position that the last caller named.
    seen: Arc<parking_lot::Mutex<Option<LogPosition>>>,
    /// The account of the turn in which the last caller asked.
    charged: Arc<parking_lot::Mutex<Option<CpuAccount>>>,
}

#[async_trait]
impl ResourceReader for OneIssue {
    async fn get_resource(
        &self,
        uri: &ResourceUri,
        seen: Option<LogPosition>,
        _: Option<TraceContext>,
    ) -> Result<Option<ResourceState>, ResourceError> {
        *self.seen.lock() = seen;
        *self.charged.lock() = CpuAccount::current();
        let known = uri.to_string() == "github://issues/octo/cat/7";
        Ok(known.then(|| ResourceState {
            uri: uri.clone(),
            ids: model::GithubIds::default(),
            json: r#"{"number":7}"#.into(),
            event_id: EventId::new("e1").unwrap(),
            sequence: Sequence(1),
            updated_at: Timestamp::default(),
            deleted: false,
        }))
    }

    async fn status(&self, _: Option<TraceContext>) -> Result<SyncStatus, ResourceError> {
        let (position, head) = (Sequence(1), Sequence(1));
        Ok(SyncStatus {
            position,
            head,
            resources: 1,
            caught_up: true,
        })
    }
}

/// A bus on which news about sessions is delivered only while the test allows it.
#[derive(Debug)]
pub(crate) struct SlowSessions {
    bus: Arc<dyn Bus>,
    flows: watch::Sender<bool>,
}

impl SlowSessions {
    pub(crate) fn new(bus: &Arc<dyn Bus>) -> Arc<Self> {
        Arc::new(Self {
            bus: Arc::clone(bus),
            flows: watch::Sender::new(true),
        })
    }

    pub(crate) fn hold(&self) {
        self.flows.send_replace(false);
    }

    pub(crate) fn flow(&self) {
        self.flows.send_replace(true);
    }
}

#[async_trait]
impl Bus for SlowSessions {
    async fn publish(
        &self,
        topic: &Topic,
        message: BusMessage,
        trace: Option<TraceContext>,
    ) -> Result<(), BusError> {
        self.bus.publish(topic, message, trace).await
    }

    async fn subscribe(&self, topic: &Topic) -> Result<BusSubscription, BusError> {
        let subscription = self.bus.subscribe(topic).await?;
        if *topic != Topic::AllSessions {
            return Ok(subscription);
        }
        let flows = self.flows.subscribe();
        let held = subscription.0.then(move |event: BusEvent| {
            let mut flows = flows.clone();
            async move {
                let _ = flows.wait_for(|flows| *flows).await;
                event
            }
        });
        Ok(BusSubscription(Box::pin(held)))
    }

    async fn check(&self) -> Result<(), BusError> {
        self.bus.check().await
    }
}

/// Whether a tool is a fixture of the conformance suite, which exists with that feature alone.
pub(crate) fn is_fixture(tool: &str) -> bool {
    const OTHERS: [&str; 7] = [
        "json_schema_2020_12_tool",
        "greet",
        "slow_compute",
        "failing_job",
        "protocol_error_job",
        "confirm_delete",
        "multi_input",
    ];
    tool.starts_with("test_") || OTHERS.contains(&tool)
}

/// Waits until a condition holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(SOON, waiting).await.is_ok(),
        "in vain: {what}"
    );
}

/// A session whose client has sent `notifications/initialized`.
pub(crate) async fn connect(node: &Node) -> McpClient {
    McpClient::connect(&node.url).await.unwrap()
}

/// Subscribes the session to a repository's events; returns the tool's data.
pub(crate) async fn subscribe(client: &McpClient, node: &Node, repo: &str) -> Value {
    let arguments = json!({ "filters": [{ "repo": repo }] });
    let result = client
        .call_tool(&node.url, "subscribe_to_events", arguments)
        .await
        .unwrap();
    assert_ne!(result["isError"], true, "{result}");
    result["structuredContent"].clone()
}

/// The next message of a session's stream.
pub(crate) async fn next(stream: &mut SseStream) -> ServerMessage {
    McpClient::next_message(stream, SOON).await.unwrap()
}

/// The ids of the next events on a session's stream, which carries nothing else.
pub(crate) async fn next_events(stream: &mut SseStream, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let message = next(stream).await;
        assert_eq!(message.method(), "notifications/message", "{message:?}");
        ids.push(
            message.params()["data"]["id"]
                .as_str()
                .unwrap_or("no event")
                .to_owned(),
        );
    }
    ids
}

/// Nothing but comments arrives for a while.
pub(crate) async fn quiet(stream: &mut SseStream) {
    let frame = stream.next_event(QUIET).await;
    assert!(
        matches!(frame, Err(testkit::sse::SseError::Deadline { .. })),
        "{frame:?}"
    );
}

/// Reads until the server ends the stream; returns the data frames before that.
pub(crate) async fn ended(stream: &mut SseStream) -> Vec<ReceivedFrame> {
    let mut frames = Vec::new();
    while let Some(frame) = stream.next(SOON).await.expect("the stream ends") {
        if frame.data.as_deref().is_some_and(|data| !data.is_empty()) {
            frames.push(frame);
        }
    }
    frames
}
