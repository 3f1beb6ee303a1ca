//! Builds the sync role and starts its tasks.

use std::{sync::Arc, time::Duration};

use event_flow::{
    follow::{FollowOptions, FollowStart, Followed, follow},
    health::FollowerHealth,
};
use model::IdSource;
use ports::{BusMessage, EventLog, MirrorReads, ResourceFinder, ResourceReader};
use role_keys::RoleTrust;
use service_kit::{
    admin::HealthDetail,
    dependency,
    lifecycle::{Lifecycle, OnExit},
    metrics::MetricsRegistry,
};
use tokio::{
    net::TcpListener,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{
    ServeError, SyncBuildError, SyncConfig, SyncDeps, api,
    compare::{MirrorComparison, RunningComparison},
    gaps::{Gaps, GapsHealth},
    limits::HEAD_INTERVAL,
    metrics::SyncMetrics,
    mirror::Mirror,
    reader::MirrorReader,
};

/// The sync role, built and not started.
#[derive(Debug)]
pub struct SyncService {
    deps: SyncDeps,
    mirror: Arc<Mirror>,
    metrics: SyncMetrics,
    gaps: Gaps,
    comparison: MirrorComparison,
    deadline: Duration,
}

impl SyncService {
    /// Checks the configuration and registers the metrics; starts nothing yet.
    ///
    /// # Errors
    /// A value of the configuration is out of range.
    pub fn build(
        config: &SyncConfig,
        deps: SyncDeps,
        registry: &mut MetricsRegistry,
    ) -> Result<Self, SyncBuildError> {
        config.check()?;
        let metrics = SyncMetrics::register(registry);
        let mirror = Arc::new(Mirror::new(config.max_resources, metrics.clone()));
        Ok(Self {
            comparison: MirrorComparison::new(config, &deps, registry),
            deps,
            mirror,
            metrics,
            gaps: Gaps::new(config, registry),
            deadline: config.deadline(),
        })
    }

    /// Starts to read the log from its start, and to look for gaps. Readiness (`sync`) is granted once the role has
    /// caught up with the log, and is withdrawn while the log or the bus does not answer; known
    /// states are served all the same.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(self, lifecycle: &Lifecycle) -> RunningSync {
        let latch = lifecycle.latch("sync");
        latch.not_ready("reading the event log from its start");
        let mirror = Arc::clone(&self.mirror);
        let follower_health = FollowerHealth::default();
        let noted = follower_health.clone();
        let stored_elsewhere = self.comparison.stored_elsewhere();
        let follower = follow(
            Arc::clone(&self.deps.log),
            Arc::clone(&self.deps.bus),
            None,
            FollowOptions {
                start: FollowStart::Beginning,
                ..FollowOptions::default()
            },
            lifecycle.draining(),
            move |followed| {
                if matches!(followed, Followed::CaughtUp { .. }) {
                    latch.ready();
                }
                noted.note(&followed);
                if let Followed::Other(BusMessage::Sync(news)) = &followed {
                    stored_elsewhere.note(news);
                }
                mirror.apply(followed);
            },
        );
        lifecycle.spawn("sync-follow", OnExit::EndsProcess, follower);
        self.require_stores(lifecycle, follower_health);
        let (mirror, log) = (Arc::clone(&self.mirror), Arc::clone(&self.deps.log));
        let watching = watch_head(mirror, log, lifecycle.draining());
        lifecycle.spawn("sync-head", OnExit::EndsProcess, watching);
        let gaps = self.gaps.spawn(&self.deps, &self.mirror, lifecycle);
        let comparison = self.comparison.spawn(&self.deps, &self.mirror, lifecycle);
        let mut reader = MirrorReader::new(
            Arc::clone(&self.mirror),
            self.deps.log,
            self.deadline,
            self.metrics,
        );
        if let Some(requests) = comparison.requests() {
            reader = reader.with_comparison(requests);
        }
        RunningSync {
            mirror: self.mirror,
            reader: Arc::new(reader),
            ids: self.deps.ids,
            trust: self.deps.trust,
            gaps,
            comparison,
            deadline: self.deadline,
            lifecycle: lifecycle.clone(),
        }
    }

    /// Readiness follows the log and the bus: a role that cannot read them may serve old states.
    fn require_stores(&self, lifecycle: &Lifecycle, follower_health: FollowerHealth) {
        let log = Arc::clone(&self.deps.log);
        dependency::require(lifecycle, "sync: event log", move || {
            let (log, follower_health) = (Arc::clone(&log), follower_health.clone());
            async move { Ok(follower_health.check(&*log).await?) }
        });
        let bus = Arc::clone(&self.deps.bus);
        dependency::require(lifecycle, "sync: bus", move || {
            let bus = Arc::clone(&bus);
            async move { Ok(bus.check().await?) }
        });
    }
}

/// The running sync role; only a running one answers queries. Clones share its state.
#[derive(Debug, Clone)]
pub struct RunningSync {
    mirror: Arc<Mirror>,
    reader: Arc<MirrorReader>,
    ids: Arc<dyn IdSource>,
    trust: RoleTrust,
    gaps: GapsHealth,
    comparison: RunningComparison,
    deadline: Duration,
    lifecycle: Lifecycle,
}

impl RunningSync {
    /// A reader in the same process, without the network.
    #[must_use]
    pub fn reader(&self) -> Arc<dyn ResourceReader> {
        Arc::<MirrorReader>::clone(&self.reader)
    }

    /// A finder in the same process, without the network.
    #[must_use]
    pub fn finder(&self) -> Arc<dyn ResourceFinder> {
        Arc::<MirrorReader>::clone(&self.reader)
    }

    /// A reader of lists in the same process, without the network.
    #[must_use]
    pub fn mirror_reads(&self) -> Arc<dyn MirrorReads> {
        Arc::<MirrorReader>::clone(&self.reader)
    }

    /// The detail of the role in `/health`.
    #[must_use]
    pub fn health(&self) -> HealthDetail {
        let (mirror, gaps) = (Arc::clone(&self.mirror), self.gaps.clone());
        let comparison = self.comparison.clone();
        HealthDetail::new(move || {
            let status = mirror.progress();
            serde_json::json!({
                "logPosition": status.position.0,
                "logHead": status.head.0,
                "logLagEvents": status.head.0.saturating_sub(status.position.0),
                "resources": status.resources,
                "caughtUp": status.caught_up,
                "gaps": gaps.view(),
                "mirror": comparison.view(),
            })
        })
    }

    /// Serves gRPC (`forgewire.v1.Sync` and `grpc.health.v1.Health`) until the drain. With keys of the
    /// roles, `forgewire.v1.Sync` answers only calls with a stamp; the health service answers anybody,
    /// because probes have no key, and it tells nothing but the status. The health
    /// status is SERVING once the log's head has been reached, and NOT_SERVING from the drain on. Beyond
    /// `max_connections` a new connection takes the place of the one that has been silent for longest.
    ///
    /// # Errors
    /// The transport failed.
    pub async fn serve_grpc(
        &self,
        listener: TcpListener,
        max_connections: usize,
    ) -> Result<(), ServeError> {
        let api = api::SyncApi {
            mirror: Arc::clone(&self.mirror),
            reader: Arc::clone(&self.reader),
            ids: Arc::clone(&self.ids),
            trust: self.trust.clone(),
            deadline: self.deadline,
            max_connections,
        };
        api::serve(listener, api, &self.lifecycle).await
    }
}

/// Reads the log's head at intervals, so that the lag is right even if the follower hangs.
async fn watch_head(mirror: Arc<Mirror>, log: Arc<dyn EventLog>, stop: CancellationToken) {
    let mut ticks = interval(HEAD_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let head = stop.run_until_cancelled(timeout(log.deadline(), log.head()));
        match head.await {
            None => return,
            Some(Ok(Ok(head))) => mirror.record_head(head.last),
            Some(Ok(Err(error))) => debug!(%error, "cannot read the log's head"),
            Some(Err(_)) => debug!("cannot read the log's head in time"),
        }
    }
}
