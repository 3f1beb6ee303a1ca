//! The adapter's description for the suite: its abilities, and a way to create a fresh port.

use std::{
    any::Any,
    fmt,
    future::Future,
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::bail;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use model::ManualClock;
use ports::{
    Bus, Leases, Mailbox, MirrorReads, RecordKey, Records, ResourceFinder, ResourceReader, Topic,
};

use crate::{
    BudgetFixture, EventLogFixture, HeldLog, LogStoreFixture, RecordsFixture,
    handles::{BackendHook, Handles, KeyedHandles},
};

/// The ports for which a suite exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Port {
    /// [`ports::LogStore`], clauses LS-…, and [`ports::EventLog`] over it, clauses EL-…
    EventLog,
    /// [`ports::Records`] with [`ports::Mailbox`] and [`ports::Leases`], clauses RC-…, MB-… and LK-…, and the
    /// façades over records, clauses SS-…, TS-… and SB-…: one adapter implements all of them, because
    /// all state shared by edges is in one place.
    SessionStore,
    /// [`ports::Bus`], clauses BU-…
    Bus,
    /// [`ports::ResourceReader`], clauses RR-…, with [`ports::ResourceFinder`] and [`ports::MirrorReads`], clauses RF-… and
    /// ML-…: one mirror serves them.
    ResourceReader,
    /// [`ports::Budget`], clauses BG-…
    Budget,
}

/// Abilities of an adapter beyond the clauses that hold for every adapter. A `false` here makes the
/// clauses that need the ability *ignored*, with that as the reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Abilities {
    /// Acknowledged data survives a reopen: the fixture has `handles.reopen`.
    pub durable: bool,
    /// Several handles, as if in several processes, see the same data: the fixture has
    /// `handles.peer`.
    pub shared: bool,
    /// Its state can be put back to an earlier one, as a failover to a replica that lags, or a restored
    /// snapshot, does: the fixture has `handles.set_back`.
    pub goes_back: bool,
    /// The store can be put back to an earlier state while handles are open (event log only): the fixture
    /// has `set_back`.
    pub restorable: bool,
    /// Has a connection that can be lost and re-established (bus only): the fixture has `cut`.
    pub reconnecting: bool,
    /// Carries bytes that another program or build could have written: the fixture of a bus has
    /// `foreign`, that of a log has `plant`, that of a session store has `damage`.
    pub foreign_bytes: bool,
    /// Can be written by processes that are not of the installation, and recognises its own by their keys:
    /// the fixture of a bus or log has `keyed`.
    pub authenticating: bool,
}

/// Creates fresh ports of one adapter. The port of each call shares nothing with that of any other
/// call (it has its own file, key prefix, stream name, or subject prefix: see [`unique_name`]).
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// The adapter's name, which prefixes the name of each case: `sqlite`, `redis`, `jetstream`, …
    fn backend(&self) -> &'static str;

    /// The adapter's abilities for a port; `None` if it does not implement the port.
    fn abilities(&self, port: Port) -> Option<Abilities>;

    /// Creates a fresh, empty store for a log.
    async fn log_store(&self) -> anyhow::Result<LogStoreFixture> {
        bail!("{} has no log store", self.backend())
    }

    /// Creates a fresh, empty event log: the one over [`Self::log_store`].
    async fn event_log(&self) -> anyhow::Result<EventLogFixture> {
        Ok(EventLogFixture::over(self.log_store().await?))
    }

    /// Creates a fresh, empty session store.
    async fn session_store(&self) -> anyhow::Result<SessionStoreFixture> {
        bail!("{} has no session store", self.backend())
    }

    /// The adapter's abilities for records alone: those of its session store.
    fn record_abilities(&self) -> Option<Abilities> {
        self.abilities(Port::SessionStore)
    }

    /// Creates fresh records: those of its session store.
    async fn records(&self) -> anyhow::Result<RecordsFixture> {
        Ok(RecordsFixture::of(self.session_store().await?))
    }

    /// Creates a fresh bus without other publishers.
    async fn bus(&self) -> anyhow::Result<BusFixture> {
        bail!("{} has no bus", self.backend())
    }

    /// Creates a budget that nobody has used.
    async fn budget(&self) -> anyhow::Result<BudgetFixture> {
        bail!("{} has no budget", self.backend())
    }

    /// Creates a reader of an empty log, which it has found.
    async fn resource_reader(&self) -> anyhow::Result<ResourceReaderFixture> {
        bail!("{} has no reader of resources", self.backend())
    }
}

/// Damages what surrounds the state of a record, bypassing the adapter; create one with [`record_damager`].
pub type RecordDamager =
    Box<dyn Fn(RecordKey) -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync>;

/// Creates a [`RecordDamager`] from an async closure.
pub fn record_damager<F, Fut>(damage: F) -> RecordDamager
where
    F: Fn(RecordKey) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    Box::new(move |key| Box::pin(damage(key)))
}

/// Time to live if the backend's own clock decides: long enough for a call, short enough to wait
/// for.
const REAL_TTL: Duration = Duration::from_millis(300);
/// Time to live if the suite controls the clock.
const MANUAL_TTL: Duration = Duration::from_secs(60);

/// The ports that an adapter for state shared by edges has to implement.
pub trait SessionPorts: Leases {
    /// The store as [`Records`], whose methods have the names of others.
    fn records(self: Arc<Self>) -> Arc<dyn Records>;

    /// The store as [`Mailbox`], whose methods have the names of others.
    fn mailbox(self: Arc<Self>) -> Arc<dyn Mailbox>;
}

impl<T: Records + Mailbox + Leases> SessionPorts for T {
    fn records(self: Arc<Self>) -> Arc<dyn Records> {
        self
    }

    fn mailbox(self: Arc<Self>) -> Arc<dyn Mailbox> {
        self
    }
}

/// A session store for one case.
pub struct SessionStoreFixture {
    /// The store, empty.
    pub store: Arc<dyn SessionPorts>,
    /// The clock of the store and its other handles, if the adapter accepts one. Without it the
    /// suite uses times to live of 300 ms and waits.
    pub clock: Option<Arc<ManualClock>>,
    /// Damages a record of [`Records`]. `foreign_bytes` needs it.
    pub damage: Option<RecordDamager>,
    /// Other handles on it.
    pub handles: Handles<dyn SessionPorts>,
}

impl fmt::Debug for SessionStoreFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStoreFixture")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl SessionStoreFixture {
    /// A store without other handles that uses the real clock.
    #[must_use]
    pub fn new(store: Arc<dyn SessionPorts>) -> Self {
        Self {
            store,
            clock: None,
            damage: None,
            handles: Handles::default(),
        }
    }

    /// A time to live that a case can wait for.
    pub(crate) fn short_ttl(&self) -> Duration {
        if self.clock.is_some() {
            MANUAL_TTL
        } else {
            REAL_TTL
        }
    }

    /// Lets time pass: advances the clock, or waits.
    pub(crate) async fn advance_time(&self, time: Duration) {
        match &self.clock {
            Some(clock) => clock.advance(time),
            None => tokio::time::sleep(time).await,
        }
    }
}

/// A way to publish bytes that are not Forgewire messages, and to observe that they were counted.
pub struct ForeignBytes {
    /// Publishes raw bytes on a topic, bypassing the adapter's encoding.
    #[allow(clippy::type_complexity, reason = "one closure, named by its field")]
    pub inject: Box<dyn Fn(Topic, Bytes) -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync>,
    /// Number of messages that the fixture's bus has dropped because they did not decode.
    pub dropped: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl fmt::Debug for ForeignBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeignBytes")
    }
}

/// A bus for one case.
pub struct BusFixture {
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// Number of unread messages that is certain to overflow one subscription (BU-05). Keep it
    /// small in tests.
    pub overflow_messages: usize,
    /// Cuts the connection of `bus` without a clean close and lets it reconnect: returns once the
    /// connection is cut and the backend accepts connections again. `reconnecting` needs it.
    pub cut: Option<BackendHook>,
    /// Publishes foreign bytes. `foreign_bytes` needs it.
    pub foreign: Option<ForeignBytes>,
    /// Handles with keys. `authenticating` needs it.
    pub keyed: Option<KeyedHandles<dyn Bus>>,
    /// Other handles on it; `reopen` is not used.
    pub handles: Handles<dyn Bus>,
}

impl fmt::Debug for BusFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusFixture")
            .field("bus", &self.bus)
            .finish_non_exhaustive()
    }
}

impl BusFixture {
    /// A bus whose subscriptions overflow at `overflow_messages`, without hooks or other handles.
    #[must_use]
    pub fn new(bus: Arc<dyn Bus>, overflow_messages: usize) -> Self {
        Self {
            bus,
            overflow_messages,
            cut: None,
            foreign: None,
            keyed: None,
            handles: Handles::default(),
        }
    }
}

/// A reader of resources for one case.
pub struct ResourceReaderFixture {
    /// The reader.
    pub reader: Arc<dyn ResourceReader>,
    /// The finder over the same mirror.
    pub finder: Arc<dyn ResourceFinder>,
    /// Lists of the same mirror, which compares nothing with GitHub.
    pub mirror: Arc<dyn MirrorReads>,
    /// The log that it follows, without hints.
    pub log: Arc<HeldLog>,
    /// Time within which the reader answers: more than a second.
    pub deadline: Duration,
    /// Kept until the case ends.
    pub guard: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for ResourceReaderFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceReaderFixture")
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}

/// A name that no other case, run or process uses: letters, digits and `-`.
#[must_use]
pub fn unique_name() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("contract-{}-{nanos:x}-{count}", process::id())
}
