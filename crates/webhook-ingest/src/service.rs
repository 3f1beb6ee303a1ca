//! Builds the ingest role.

use std::sync::Arc;

use axum::Router;
use event_flow::record::Recorder;
use model::{Clock, IdSource};
use ports::{Bus, EventLog};
use service_kit::{
    admin::HealthDetail,
    dependency,
    lifecycle::{Lifecycle, OnExit},
    metrics::MetricsRegistry,
    shared_clock::SharedClock,
};
use tokio_util::task::TaskTracker;

use crate::{
    api::{self, Admission, Api},
    config::IngestConfig,
    delivery::Deliveries,
    error::IngestBuildError,
    examine::Examiner,
    limits, log_clock,
    metrics::IngestMetrics,
    signature::Verifier,
};

/// The dependencies of the role.
#[derive(Debug, Clone)]
pub struct IngestDeps {
    /// Stores the events durably.
    pub log: Arc<dyn EventLog>,
    /// Announces new events to the edges.
    pub bus: Arc<dyn Bus>,
    /// The current time by this process; the log's own clock corrects it.
    pub clock: Arc<dyn Clock>,
    /// The source of trace and span ids.
    pub ids: Arc<dyn IdSource>,
}

/// The ingest role, built and not started.
#[derive(Debug)]
pub struct IngestService {
    api: Api,
    ids: Arc<dyn IdSource>,
    log: Arc<dyn EventLog>,
    clock: Arc<SharedClock>,
}

impl IngestService {
    /// Builds the role. Reads files of secrets; makes no network calls yet.
    ///
    /// # Errors
    /// There is no webhook secret, one cannot be read, or a value is out of range. The error names
    /// the key.
    pub fn build(
        config: &IngestConfig,
        deps: IngestDeps,
        registry: &mut MetricsRegistry,
    ) -> Result<Self, IngestBuildError> {
        config.check()?;
        let metrics = IngestMetrics::new(registry);
        let skew = metrics.clock_skew_seconds.clone();
        let clock = Arc::new(SharedClock::new(deps.clock, "event log", skew));
        let deliveries = Deliveries {
            examiner: Examiner::new(Verifier::new(&config.secrets()?)),
            recorder: Recorder::new(
                Arc::clone(&deps.log),
                deps.bus,
                Arc::new(metrics.clone()),
                limits::APPEND_TIMEOUT,
            ),
            clock: Arc::<SharedClock>::clone(&clock),
            metrics,
            in_progress: TaskTracker::new(),
        };
        let api = Api {
            admission: Admission::new(config),
            deliveries: Arc::new(deliveries),
        };
        Ok(Self {
            api,
            ids: deps.ids,
            log: deps.log,
            clock,
        })
    }

    /// Starts the role. It is ready while the event log accepts appends, as far as that can be known;
    /// hints are not necessary for that. The drain waits for deliveries in progress.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(self, lifecycle: &Lifecycle) -> RunningIngest {
        let deliveries = &self.api.deliveries;
        let probed = Arc::clone(deliveries);
        dependency::require(lifecycle, "ingest: event log", move || {
            let deliveries = Arc::clone(&probed);
            async move { Ok(deliveries.recorder.check().await?) }
        });
        spawn_drain(Arc::clone(deliveries), lifecycle);
        let measuring = log_clock::measure(self.clock, self.log, lifecycle.draining());
        lifecycle.spawn("ingest-clock", OnExit::EndsProcess, measuring);
        RunningIngest {
            api: self.api,
            ids: self.ids,
        }
    }
}

/// The running ingest role; only a running one has routes.
#[derive(Debug)]
pub struct RunningIngest {
    api: Api,
    ids: Arc<dyn IdSource>,
}

impl RunningIngest {
    /// The detail of the role in `/health`.
    #[must_use]
    pub fn health(&self) -> HealthDetail {
        let deliveries = Arc::clone(&self.api.deliveries);
        HealthDetail::new(move || {
            serde_json::json!({
                "deliveriesInProgress": deliveries.in_progress.len(),
                "failedAppends": deliveries.recorder.failed_appends(),
            })
        })
    }

    /// `POST /webhooks/github`; any other request is answered with a problem document.
    pub fn router(&self) -> Router {
        api::router(self.api.clone(), Arc::clone(&self.ids))
    }
}

/// Makes the drain wait for deliveries in progress, including those that begin while the listener
/// still accepts.
fn spawn_drain(deliveries: Arc<Deliveries>, lifecycle: &Lifecycle) {
    let (stop_accepting, closed) = (lifecycle.stop_accepting(), lifecycle.closed());
    let finishing = async move {
        stop_accepting.cancelled().await;
        deliveries.in_progress.close();
        closed
            .run_until_cancelled(deliveries.in_progress.wait())
            .await;
    };
    lifecycle.spawn(
        "ingest: deliveries in progress",
        OnExit::MayFinish,
        finishing,
    );
}
