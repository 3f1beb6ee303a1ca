//! The one place that names every adapter: configuration in, ports out.

mod drivers;
mod log_metrics;
mod role_metrics;
mod shapes;

use std::sync::Arc;

use anyhow::Context;
use model::{Clock, IdSource, RandomIds, SystemClock};
use ports::{Bus, EventLog, Stores};
use role_keys::RoleTrust;
use store_sqlite::Database;
use tracing::warn;

use crate::{
    config::{BackendKey, Config},
    trust,
};
use drivers::Drivers;
#[cfg(feature = "nats")]
pub(crate) use drivers::nats_settings;
pub(crate) use log_metrics::register_log_metrics;
pub(crate) use role_metrics::register_role_metrics;
#[cfg(feature = "nats")]
pub(crate) use shapes::apply_log_settings;

/// The open stores and bus of this process, with its clock and its source of ids.
#[derive(Debug)]
pub(crate) struct OpenBackends {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    /// The rule by which messages of other processes are believed.
    pub(crate) trust: RoleTrust,
    /// With the session store, if a role of this process uses it.
    stores: Option<Stores>,
    database: Option<Database>,
}

impl OpenBackends {
    /// Opens the backends that the configuration names and the roles use; waits up to 60 s for a server.
    /// With `creates_log`, creates the shared event log where it is missing.
    ///
    /// # Errors
    /// A file that cannot be opened, or a server that does not answer; the text names it.
    pub(crate) async fn open(
        config: &Config,
        uses: impl Fn(BackendKey) -> bool,
        creates_log: bool,
    ) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn IdSource> = Arc::new(RandomIds);
        let trust = trust::open(config, Arc::clone(&clock), &*ids)?;
        let mut drivers = Drivers::new(config, &trust);
        let log = shapes::open_log(&mut drivers, &*ids, creates_log).await?;
        let bus = shapes::open_bus(&mut drivers).await?;
        let stores = match uses(BackendKey::Sessions) {
            true => Some(shapes::open_sessions(&mut drivers, &clock, &log, &bus).await?),
            false => None,
        };
        Ok(Self {
            log,
            bus,
            clock,
            ids,
            trust,
            stores,
            database: drivers.into_database(),
        })
    }

    /// Everything, for a role that uses sessions.
    ///
    /// # Errors
    /// No role of this process declares that it uses sessions.
    pub(crate) fn stores(&self) -> anyhow::Result<&Stores> {
        let stores = self.stores.as_ref();
        stores.context("no role declares that it uses sessions, so their store is not open")
    }

    /// The database of `[sqlite]`, if anything is in it.
    pub(crate) fn database(&self) -> Option<Database> {
        self.database.clone()
    }

    /// Resolves with a sentence when a backend has failed in a way that only a restart can mend.
    pub(crate) fn failed(&self) -> impl Future<Output = String> + Send + 'static {
        let database = self.database.clone();
        async move {
            let Some(database) = database else {
                return std::future::pending().await;
            };
            let failure = database.failed().await;
            format!("the database {} {failure}", database.path().display())
        }
    }

    /// Finishes pending writes and closes the database.
    pub(crate) async fn close(&self) {
        if let Some(database) = &self.database
            && let Err(error) = database.close().await
        {
            warn!(%error, "the database was not closed cleanly; everything acknowledged is in it");
        }
    }
}
