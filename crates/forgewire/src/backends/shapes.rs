//! One function for each shape of port: the backend that the configuration chose, opened.

use std::{num::NonZeroUsize, sync::Arc};

use anyhow::{Context, bail};
use model::{Clock, IdSource};
#[cfg(feature = "nats")]
use nats::{BusConfig, JetStreamLog, LogConfig, NatsBus, SettingsChange};
use ports::{Budget, Bus, EventLog, Leases, LogStore, Mailbox, Records, Stores};
#[cfg(feature = "nats")]
use role_keys::RoleTrust;
use store_layers::StoredLog;
use store_memory::{InProcessBus, MemoryLogStore, MemorySessionStore};
use tokio::runtime::Handle;

use super::{
    drivers::Drivers,
    layers::{StoreLayers, bounded_leases, bounded_log, bounded_records},
};
#[cfg(feature = "nats")]
use crate::config::Config;
use crate::config::{BusBackend, EventsBackend, SessionsBackend};

/// Messages that a slow subscriber of the in-process bus may be behind before it gets a gap.
const BUS_MESSAGES: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");
/// Maximum number of sessions in memory.
const MEMORY_SESSIONS: usize = 100_000;

/// An open event log.
pub(super) struct OpenLog {
    pub(super) log: Arc<dyn EventLog>,
    /// The same one, for readers of many pages.
    pub(super) pages: Arc<dyn EventLog>,
}

impl OpenLog {
    /// A log on a store whose pages are in nobody's way.
    fn one(store: impl LogStore, layers: &StoreLayers) -> Self {
        let log = bounded_log(Arc::new(StoredLog::new(layers.over_log(store))));
        let pages = Arc::clone(&log);
        Self { log, pages }
    }
}

/// The event log that `backends.log` names. With `page_threads`, pages come over a connection of their own
/// from a server, and are read on these threads.
pub(super) async fn open_log(
    drivers: &mut Drivers<'_>,
    ids: &dyn IdSource,
    #[cfg_attr(
        not(feature = "nats"),
        expect(
            unused_variables,
            reason = "only a log that processes share is created by one of them"
        )
    )]
    creates_log: bool,
    #[cfg_attr(
        not(feature = "nats"),
        expect(unused_variables, reason = "no log is on a server")
    )]
    page_threads: Option<&Handle>,
    layers: &StoreLayers,
) -> anyhow::Result<OpenLog> {
    let backend = drivers.config.backends.log();
    Ok(match backend {
        EventsBackend::Sqlite => OpenLog::one(drivers.database()?.log_store(), layers),
        EventsBackend::Memory => {
            let events = NonZeroUsize::new(drivers.config.retention.max_memory_events)
                .context("retention.max_memory_events: must be at least 1")?;
            OpenLog::one(MemoryLogStore::new(ids, events), layers)
        }
        #[cfg(feature = "nats")]
        EventsBackend::Jetstream => {
            let store = open_jetstream(drivers, creates_log).await?;
            let pages = match page_threads {
                Some(threads) => {
                    let connection = drivers.nats_for_pages(threads).await?;
                    store.reading_pages_over(connection).await?
                }
                None => store.clone(),
            };
            let log = StoredLog::new(layers.over_log(store));
            OpenLog {
                pages: bounded_log(Arc::new(log.over(layers.over_log(pages)))),
                log: bounded_log(Arc::new(log)),
            }
        }
        other => bail!("backends.log = {other:?} is not in this build"),
    })
}

#[cfg(feature = "nats")]
async fn open_jetstream(
    drivers: &mut Drivers<'_>,
    creates_stream: bool,
) -> anyhow::Result<JetStreamLog> {
    let settings = LogConfig {
        creates_stream,
        ..log_settings(drivers.config)
    };
    let opening = JetStreamLog::open(drivers.nats().await?, settings);
    opening.await.context("JetStream at nats.url")
}

/// The settings of the log in JetStream, for a process that waits for its stream.
#[cfg(feature = "nats")]
fn log_settings(config: &Config) -> LogConfig {
    LogConfig {
        retention: Some(config.retention.events()),
        replicas: config.nats.replicas,
        ..LogConfig::default()
    }
}

/// Sets retention and copies of the log in JetStream to those of the configuration.
#[cfg(feature = "nats")]
pub(crate) async fn apply_log_settings(config: &Config) -> anyhow::Result<SettingsChange> {
    let connection = Drivers::new(config, &RoleTrust::none()).nats().await?;
    let applying = JetStreamLog::apply_settings(connection, log_settings(config));
    applying.await.context("JetStream at nats.url")
}

/// The bus that `backends.bus` names.
pub(super) async fn open_bus(drivers: &mut Drivers<'_>) -> anyhow::Result<Arc<dyn Bus>> {
    Ok(match drivers.config.backends.bus {
        BusBackend::InProcess => Arc::new(InProcessBus::new(BUS_MESSAGES)),
        #[cfg(feature = "nats")]
        BusBackend::Nats => Arc::new(NatsBus::new(drivers.nats().await?, BusConfig::default())),
        #[cfg(not(feature = "nats"))]
        other @ BusBackend::Nats => bail!("backends.bus = {other:?} is not in this build"),
    })
}

/// The shapes of state that one server or file has.
#[derive(Clone)]
struct StateStore {
    mailbox: Arc<dyn Mailbox>,
    records: Arc<dyn Records>,
    leases: Arc<dyn Leases>,
    /// The budgets that processes share; `None` if the store is of one process.
    budget: Option<Arc<dyn Budget>>,
}

impl StateStore {
    fn of<S: Mailbox + Records + Leases>(store: S) -> Self {
        Self::of_shared(&Arc::new(store))
    }

    fn of_shared<S: Mailbox + Records + Leases>(store: &Arc<S>) -> Self {
        Self {
            mailbox: store.clone(),
            records: store.clone(),
            leases: store.clone(),
            budget: None,
        }
    }

    /// A store that has budgets too.
    #[cfg(feature = "redis")]
    fn with_budget<S: Mailbox + Records + Leases + Budget>(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            budget: Some(store.clone()),
            ..Self::of_shared(&store)
        }
    }

    async fn open(
        drivers: &mut Drivers<'_>,
        clock: &Arc<dyn Clock>,
        backend: SessionsBackend,
    ) -> anyhow::Result<Self> {
        let clock = Arc::clone(clock);
        Ok(match backend {
            SessionsBackend::Sqlite => Self::of(drivers.database()?.session_store(clock)),
            SessionsBackend::Memory => Self::of(MemorySessionStore::new(clock, MEMORY_SESSIONS)),
            #[cfg(feature = "redis")]
            SessionsBackend::Redis => Self::with_budget(drivers.redis().await?),
            other => bail!("{other:?} in [backends] is not in this build"),
        })
    }
}

/// Leases, and budgets that processes share.
#[derive(Clone)]
pub(super) struct OpenLeases {
    pub(super) leases: Arc<dyn Leases>,
    pub(super) budget: Option<Arc<dyn Budget>>,
}

/// The leases that `backends.leases` names, for a process that uses no other state.
pub(super) async fn open_leases(
    drivers: &mut Drivers<'_>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<OpenLeases> {
    let store = StateStore::open(drivers, clock, drivers.config.backends.leases()).await?;
    Ok(OpenLeases {
        leases: bounded_leases(store.leases),
        budget: store.budget,
    })
}

/// Log and bus, and the stores that `backends.records`, `mailboxes` and `leases` name; each is opened once.
pub(super) async fn open_state(
    drivers: &mut Drivers<'_>,
    clock: &Arc<dyn Clock>,
    log: &Arc<dyn EventLog>,
    bus: &Arc<dyn Bus>,
    layers: &StoreLayers,
) -> anyhow::Result<(Stores, Option<Arc<dyn Budget>>)> {
    let backends = &drivers.config.backends;
    let wanted = [backends.records(), backends.mailboxes(), backends.leases()];
    let mut open: Vec<(SessionsBackend, StateStore)> = Vec::new();
    for backend in wanted {
        if !open.iter().any(|(known, _)| *known == backend) {
            open.push((backend, StateStore::open(drivers, clock, backend).await?));
        }
    }
    let [records, mailboxes, leases] = wanted.map(|backend| {
        let found = open.iter().find(|(known, _)| *known == backend);
        found.expect("each of them was opened").1.clone()
    });
    let stores = Stores {
        log: Arc::clone(log),
        records: bounded_records(layers.over_records(records.records)),
        mailboxes: mailboxes.mailbox,
        leases: bounded_leases(leases.leases),
        bus: Arc::clone(bus),
    };
    Ok((stores, leases.budget))
}
