//! The one place that names every adapter: configuration in, ports out.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc, time::Duration};

use anyhow::Context;
use model::{Clock, IdSource, RandomIds, SystemClock};
use nats::{BusConfig, JetStreamLog, LogConfig, NatsBus, NatsConfig, NatsConnection};
use ports::{Bus, EventLog, Mailbox, SessionLock, SessionStore, TaskStore};
use store_memory::{InProcessBus, MemoryEventLog, MemorySessionStore};
use store_redis::{RedisConfig, RedisSessionStore};
use store_sqlite::Database;
use tracing::warn;

use crate::{
    config::{BusBackend, Config, EventsBackend, SessionsBackend},
    roles::Role,
};

/// Messages that a slow subscriber of the in-process bus may be behind before it gets a gap.
const BUS_MESSAGES: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");
/// Most sessions that memory keeps.
const MEMORY_SESSIONS: usize = 100_000;
/// How long a server that starts beside us gets to appear.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);

/// What the services stand on.
#[derive(Debug, Clone)]
pub(crate) struct Backends {
    pub(crate) events: Arc<dyn EventLog>,
    /// Only an edge needs them.
    pub(crate) sessions: Option<SessionParts>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    database: Option<Database>,
}

/// What one session store gives, under its ports.
#[derive(Debug, Clone)]
pub(crate) struct SessionParts {
    pub(crate) sessions: Arc<dyn SessionStore>,
    pub(crate) mailbox: Arc<dyn Mailbox>,
    pub(crate) locks: Arc<dyn SessionLock>,
    pub(crate) tasks: Arc<dyn TaskStore>,
}

impl SessionParts {
    fn of<S: SessionStore + Mailbox + SessionLock + TaskStore>(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            sessions: store.clone(),
            mailbox: store.clone(),
            locks: store.clone(),
            tasks: store,
        }
    }
}

impl Backends {
    /// Opens what the configuration names. Stores on the network get a minute to appear.
    ///
    /// # Errors
    /// A file that cannot be opened, or a server that does not answer; the text names it.
    pub(crate) async fn open(config: &Config, roles: &BTreeSet<Role>) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn IdSource> = Arc::new(RandomIds);
        let chosen = &config.backends;
        let sqlite =
            chosen.events == EventsBackend::Sqlite || chosen.sessions == SessionsBackend::Sqlite;
        let database = if sqlite {
            Some(open_database(config)?)
        } else {
            None
        };
        let nats = chosen.events == EventsBackend::Jetstream || chosen.bus == BusBackend::Nats;
        let nats = if nats {
            Some(connect_nats(config).await?)
        } else {
            None
        };

        let events: Arc<dyn EventLog> = match (chosen.events, &database, &nats) {
            (EventsBackend::Sqlite, Some(database), _) => Arc::new(database.event_log()),
            (EventsBackend::Jetstream, _, Some(nats)) => open_jetstream(nats, config).await?,
            (EventsBackend::Memory, ..) => {
                let most = NonZeroUsize::new(config.retention.max_memory_events)
                    .context("retention.max_memory_events: must be at least 1")?;
                Arc::new(MemoryEventLog::new(&*ids, most))
            }
            (other, ..) => anyhow::bail!("backends.events = {other:?} is not in this build"),
        };
        let sessions = match roles.contains(&Role::Edge) {
            true => Some(open_sessions(config, database.as_ref(), &clock).await?),
            false => None,
        };
        let bus: Arc<dyn Bus> = match (chosen.bus, &nats) {
            (BusBackend::Nats, Some(nats)) => {
                Arc::new(NatsBus::new(nats.clone(), BusConfig::default()))
            }
            _ => Arc::new(InProcessBus::new(BUS_MESSAGES)),
        };
        Ok(Self {
            events,
            sessions,
            bus,
            clock,
            ids,
            database,
        })
    }

    /// Writes out what is under way.
    pub(crate) async fn close(&self) {
        if let Some(database) = &self.database
            && let Err(error) = database.close().await
        {
            warn!(%error, "the database is not closed in good order; what was acknowledged is in it");
        }
    }
}

async fn open_sessions(
    config: &Config,
    database: Option<&Database>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<SessionParts> {
    Ok(match (config.backends.sessions, database) {
        (SessionsBackend::Sqlite, Some(database)) => {
            SessionParts::of(database.session_store(Arc::clone(clock)))
        }
        (SessionsBackend::Redis, _) => connect_redis(config).await?,
        (SessionsBackend::Memory, _) => {
            SessionParts::of(MemorySessionStore::new(Arc::clone(clock), MEMORY_SESSIONS))
        }
        (other, _) => anyhow::bail!("backends.sessions = {other:?} is not in this build"),
    })
}

fn open_database(config: &Config) -> anyhow::Result<Database> {
    Database::open(&config.sqlite.path).context("sqlite.path")
}

async fn connect_nats(config: &Config) -> anyhow::Result<NatsConnection> {
    let settings = NatsConfig {
        startup_timeout: STARTUP_TIMEOUT,
        ..NatsConfig::new(config.nats.url.expose())
    };
    NatsConnection::connect(settings).await.context("nats.url")
}

async fn open_jetstream(
    nats: &NatsConnection,
    config: &Config,
) -> anyhow::Result<Arc<dyn EventLog>> {
    let retention = Duration::from_secs(u64::from(config.retention.event_days) * 24 * 60 * 60);
    let settings = LogConfig {
        retention: Some(retention),
        replicas: config.nats.replicas,
        ..LogConfig::default()
    };
    let log = JetStreamLog::open(nats.clone(), settings)
        .await
        .context("JetStream at nats.url")?;
    Ok(Arc::new(log))
}

async fn connect_redis(config: &Config) -> anyhow::Result<SessionParts> {
    let settings = RedisConfig {
        key_prefix: config.redis.key_prefix.clone(),
        startup_timeout: STARTUP_TIMEOUT,
        ..RedisConfig::new(config.redis.url.expose())
    };
    Ok(SessionParts::of(
        RedisSessionStore::connect(settings)
            .await
            .context("redis.url")?,
    ))
}
