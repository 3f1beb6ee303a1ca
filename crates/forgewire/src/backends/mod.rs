//! The one place that names every adapter: configuration in, ports out.

mod drivers;
mod layers;
mod log_metrics;
#[cfg(feature = "nats")]
mod nats_metrics;
mod observed;
mod role_metrics;
mod shapes;

use std::sync::Arc;

use anyhow::Context;
use instruments::{registry::MetricDescription, store_calls::StoreMetrics};
use model::{Clock, IdSource, RandomIds, SystemClock};
use ports::{Budget, Bus, EventLog, Leases, Records, Stores};
use role_keys::RoleTrust;
use service_kit::metrics::MetricsRegistry;
use store_layers::LayerFailures;
use store_memory::MemoryBudget;
use store_sqlite::Database;
use tokio::runtime::Handle;
use tracing::warn;

use crate::{
    config::{BackendKey, Config},
    trust,
};
use drivers::Drivers;
#[cfg(feature = "nats")]
pub(crate) use drivers::nats_settings;
use layers::StoreLayers;
pub(crate) use log_metrics::{register_layer_metrics, register_log_metrics};
use observed::{observe_log, observe_state};
pub(crate) use role_metrics::register_role_metrics;
#[cfg(feature = "nats")]
pub(crate) use shapes::apply_log_settings;

/// The metrics that only a process with connections to servers has.
pub(crate) fn metrics_of_servers() -> Vec<MetricDescription> {
    #[cfg(feature = "nats")]
    let known = vec![nats_metrics::SLOW_CONSUMERS];
    #[cfg(not(feature = "nats"))]
    let known: Vec<(&str, &str)> = Vec::new();
    let known = known.into_iter();
    known
        .map(|(name, help)| MetricDescription {
            name: name.to_owned(),
            kind: "counter",
            help: help.to_owned(),
        })
        .collect()
}

/// The open stores and bus of this process, with its clock and its source of ids.
#[derive(Debug)]
pub(crate) struct OpenBackends {
    pub(crate) log: Arc<dyn EventLog>,
    /// The same log, for readers of many pages.
    pub(crate) pages: Arc<dyn EventLog>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    /// The rule by which messages of other processes are believed.
    pub(crate) trust: RoleTrust,
    /// Stored bodies that the layers cannot read.
    pub(crate) layer_failures: LayerFailures,
    /// With the session store, if a role of this process uses it.
    stores: Option<Stores>,
    /// If a role of this process uses them.
    leases: Option<Arc<dyn Leases>>,
    /// The budgets of calls to GitHub: those that processes share, where there is a store for it.
    budget: Arc<dyn Budget>,
    database: Option<Database>,
    #[cfg(feature = "nats")]
    nats: Vec<nats::NatsConnection>,
}

impl OpenBackends {
    /// Opens the backends that the configuration names and the roles use; waits up to 60 s for a server.
    /// With `creates_log`, creates the shared event log where it is missing. With `page_threads`, for processes
    /// whose clients read the log, pages of a log on a server are read on these threads.
    ///
    /// # Errors
    /// A file that cannot be opened, or a server that does not answer; the text names it.
    pub(crate) async fn open(
        config: &Config,
        uses: impl Fn(BackendKey) -> bool,
        creates_log: bool,
        page_threads: Option<&Handle>,
        metrics: &StoreMetrics,
    ) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn IdSource> = Arc::new(RandomIds);
        let trust = trust::open(config, Arc::clone(&clock), &*ids)?;
        let mut drivers = Drivers::new(config, &trust);
        let layers = StoreLayers::new(config, Arc::clone(&ids))?;
        let opening = shapes::open_log(&mut drivers, &*ids, creates_log, page_threads, &layers);
        let opened = opening.await?;
        let served_by = |key| config.backends.chosen(key).name;
        let observed = |log| observe_log(log, metrics, served_by(BackendKey::Log));
        let (log, pages) = (observed(opened.log), observed(opened.pages));
        let bus = shapes::open_bus(&mut drivers).await?;
        let (stores, leases, budget) = if uses(BackendKey::Records) {
            let opening = shapes::open_state(&mut drivers, &clock, &log, &bus, &layers);
            let (stores, budget) = opening.await?;
            let stores = observe_state(stores, metrics, served_by);
            let leases = Arc::clone(&stores.leases);
            (Some(stores), Some(leases), budget)
        } else if uses(BackendKey::Leases) {
            let opened = shapes::open_leases(&mut drivers, &clock).await?;
            (None, Some(opened.leases), opened.budget)
        } else {
            (None, None, None)
        };
        let budget = budget.unwrap_or_else(|| Arc::new(MemoryBudget::new(Arc::clone(&clock))));
        Ok(Self {
            log,
            pages,
            bus,
            clock,
            ids,
            trust,
            layer_failures: layers.failures(),
            stores,
            leases,
            budget,
            #[cfg(feature = "nats")]
            nats: drivers.open_nats(),
            database: drivers.into_database(),
        })
    }

    /// Registers the metrics of the connections that are open.
    #[cfg_attr(
        not(feature = "nats"),
        expect(unused_variables, clippy::unused_self, reason = "only NATS has some")
    )]
    pub(crate) fn register_driver_metrics(&self, registry: &mut MetricsRegistry) {
        #[cfg(feature = "nats")]
        if !self.nats.is_empty() {
            nats_metrics::register(registry, &self.nats);
        }
    }

    /// Everything, for a role that uses sessions.
    ///
    /// # Errors
    /// No role of this process declares that it uses sessions.
    pub(crate) fn stores(&self) -> anyhow::Result<&Stores> {
        let stores = self.stores.as_ref();
        stores.context("no role declares that it uses sessions, so their store is not open")
    }

    /// Records, if a role of this process uses them.
    pub(crate) fn records(&self) -> Option<Arc<dyn Records>> {
        self.stores
            .as_ref()
            .map(|stores| Arc::clone(&stores.records))
    }

    /// Leases, if a role of this process uses them.
    pub(crate) fn leases(&self) -> Option<Arc<dyn Leases>> {
        self.leases.clone()
    }

    /// The budgets of calls to GitHub.
    pub(crate) fn budget(&self) -> Arc<dyn Budget> {
        Arc::clone(&self.budget)
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
