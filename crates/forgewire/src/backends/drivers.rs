//! The servers and files behind the stores: each is opened on first use, and only once.

use anyhow::Context;
#[cfg(feature = "nats")]
use nats::{NatsConfig, NatsConnection};
use role_keys::RoleTrust;
#[cfg(feature = "redis")]
use store_redis::{RedisConfig, RedisSessionStore};
use store_sqlite::Database;
#[cfg(feature = "nats")]
use tokio::runtime::Handle;
#[cfg(feature = "nats")]
use tokio_util::task::AbortOnDropHandle;

use crate::config::Config;

/// How long to wait for a server that is starting at the same time.
#[cfg(any(feature = "nats", feature = "redis"))]
const STARTUP_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// The settings of the connection of `[nats]`.
#[cfg(feature = "nats")]
pub(crate) fn nats_settings(config: &Config) -> NatsConfig {
    NatsConfig {
        prefix: config.nats.prefix.clone(),
        startup_timeout: STARTUP_TIMEOUT,
        ..NatsConfig::new(config.nats.url.expose())
    }
}

/// The open connections, each made at most once.
#[derive(Debug)]
pub(super) struct Drivers<'a> {
    pub(super) config: &'a Config,
    #[cfg(feature = "nats")]
    trust: RoleTrust,
    database: Option<Database>,
    #[cfg(feature = "nats")]
    nats: Option<NatsConnection>,
    /// The connection over which pages of the log come.
    #[cfg(feature = "nats")]
    nats_for_pages: Option<NatsConnection>,
}

impl<'a> Drivers<'a> {
    /// Nothing is open yet.
    pub(super) fn new(
        config: &'a Config,
        #[cfg_attr(
            not(feature = "nats"),
            expect(unused_variables, reason = "without NATS, nobody else writes here")
        )]
        trust: &RoleTrust,
    ) -> Self {
        Self {
            config,
            #[cfg(feature = "nats")]
            trust: trust.clone(),
            database: None,
            #[cfg(feature = "nats")]
            nats: None,
            #[cfg(feature = "nats")]
            nats_for_pages: None,
        }
    }

    /// The database of `[sqlite]`.
    pub(super) fn database(&mut self) -> anyhow::Result<Database> {
        let database = match self.database.take() {
            Some(database) => database,
            None => Database::open(&self.config.sqlite.path).context("sqlite.path")?,
        };
        Ok(self.database.insert(database).clone())
    }

    /// The connection of `[nats]`.
    #[cfg(feature = "nats")]
    pub(super) async fn nats(&mut self) -> anyhow::Result<NatsConnection> {
        let connection = match self.nats.take() {
            Some(connection) => connection,
            None => {
                let connecting = NatsConnection::connect(self.nats_with_trust());
                connecting.await.context("nats.url")?
            }
        };
        Ok(self.nats.insert(connection).clone())
    }

    /// A connection of `[nats]` for pages of the log, which are read on these threads.
    #[cfg(feature = "nats")]
    pub(super) async fn nats_for_pages(
        &mut self,
        threads: &Handle,
    ) -> anyhow::Result<NatsConnection> {
        let connecting = NatsConnection::connect(self.nats_with_trust());
        // The driver spawns what reads the connection.
        let connecting = AbortOnDropHandle::new(threads.spawn(connecting));
        let connection = connecting.await?.context("nats.url")?;
        Ok(self.nats_for_pages.insert(connection).clone())
    }

    #[cfg(feature = "nats")]
    fn nats_with_trust(&self) -> NatsConfig {
        NatsConfig {
            trust: self.trust.clone(),
            ..nats_settings(self.config)
        }
    }

    /// The connections of `[nats]` that were opened.
    #[cfg(feature = "nats")]
    pub(super) fn open_nats(&self) -> Vec<NatsConnection> {
        let all = self.nats.iter().chain(&self.nats_for_pages);
        all.cloned().collect()
    }

    /// The server of `[redis]`. Shapes that use it share what is opened, so the connection is not kept here.
    #[cfg(feature = "redis")]
    pub(super) async fn redis(&mut self) -> anyhow::Result<RedisSessionStore> {
        let settings = RedisConfig {
            key_prefix: self.config.redis.key_prefix.clone(),
            startup_timeout: STARTUP_TIMEOUT,
            ..RedisConfig::new(self.config.redis.url.expose())
        };
        let connecting = RedisSessionStore::connect(settings);
        connecting.await.context("redis.url")
    }

    /// The database, if it was opened: it is closed at the end.
    pub(super) fn into_database(self) -> Option<Database> {
        self.database
    }
}
