//! The edge's dependencies: what its readiness needs, and what `/health` shows.

use std::{sync::Arc, time::Instant};

use edge_records::{SessionRecords, TaskRecords};
use event_flow::{health::FollowerHealth, statistics::LogStatisticsReader};
use fanout::hub::Hub;
use mirror_cache::cache::MirrorCache;
use parking_lot::Mutex;
use ports::{Bus, EventLog, ResourceReader, SyncStatus, Topic};
use serde_json::{Value, json};
use service_kit::{dependency, lifecycle::Lifecycle};
use subscriptions::SubscriptionRecords;

/// What an edge probes.
pub(crate) struct ProbedStores {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) sessions: SessionRecords,
    pub(crate) tasks: TaskRecords,
    pub(crate) subscriptions: SubscriptionRecords,
    pub(crate) resources: Arc<dyn ResourceReader>,
}

/// What `GET /health` of an edge shows.
#[derive(Debug)]
pub(crate) struct EdgeHealthPage {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) log: LogStatisticsReader,
    pub(crate) health: EdgeHealth,
    pub(crate) started: Instant,
    /// The configured port; 0 if the system picked one.
    pub(crate) port: u16,
}

/// What the probes of an edge have seen. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct EdgeHealth {
    pub(crate) follower: FollowerHealth,
    /// The cache of the sync role's answers.
    mirror_cache: Option<Arc<MirrorCache>>,
    /// The last answer of the sync role.
    sync: Arc<Mutex<Option<SyncStatus>>>,
}

impl EdgeHealth {
    /// Of an edge with this cache, which has seen nothing yet.
    pub(crate) fn of_cache(mirror_cache: Option<Arc<MirrorCache>>) -> Self {
        Self {
            mirror_cache,
            ..Self::default()
        }
    }

    /// Readiness needs the log, the bus and the session store: an edge without one of them gets no new
    /// clients, and keeps the existing ones. Without sync, only reads of resources fail.
    pub(crate) fn probe(&self, stores: ProbedStores, hub: &Arc<Hub>, lifecycle: &Lifecycle) {
        let ProbedStores {
            log,
            bus,
            sessions,
            tasks,
            subscriptions,
            resources,
        } = stores;
        let follower = self.follower.clone();
        dependency::require(lifecycle, "edge: event log", move || {
            let (log, follower) = (Arc::clone(&log), follower.clone());
            async move { Ok(follower.check(&*log).await?) }
        });
        let hub = Arc::clone(hub);
        dependency::require(lifecycle, "edge: bus", move || {
            let (bus, topics) = (Arc::clone(&bus), [Topic::Broadcast, Topic::trial()]);
            let epoch = hub.position().epoch;
            async move {
                bus.check().await?;
                Ok(bus.check_publish(&topics, epoch).await?)
            }
        });
        dependency::require(lifecycle, "edge: session store", move || {
            let (sessions, tasks) = (sessions.clone(), tasks.clone());
            let subscriptions = subscriptions.clone();
            // Tasks and subscriptions are in the same store. One after the other: a refusal makes a driver connect anew, and a
            // check meanwhile would only say that there is no connection.
            async move {
                sessions.check().await?;
                tasks.check().await?;
                Ok(subscriptions.check().await?)
            }
        });
        let seen = Arc::clone(&self.sync);
        dependency::observe(lifecycle, "edge: sync", move || {
            let (resources, seen) = (Arc::clone(&resources), Arc::clone(&seen));
            async move {
                *seen.lock() = Some(resources.status(None).await?);
                Ok(())
            }
        });
    }

    /// What the sync role keeps of GitHub's state, as clients of earlier systems name it; `None` until it has
    /// answered.
    pub(crate) fn cache(&self) -> Option<Value> {
        let status = self.sync.lock();
        let status = status.as_ref()?;
        Some(json!({ "resources": status.resources, "caughtUp": status.caught_up }))
    }

    /// As JSON for operators.
    pub(crate) fn to_json(&self, hub: &Hub) -> Value {
        let (position, head) = (hub.position().sequence.0, self.follower.log_head().0);
        let sync = self.sync.lock().map(|status| {
            json!({
                "logPosition": status.position.0,
                "logHead": status.head.0,
                "logLagEvents": status.head.0.saturating_sub(status.position.0),
                "resources": status.resources,
                "caughtUp": status.caught_up,
            })
        });
        json!({
            "logPosition": position,
            "logHead": head.max(position),
            "logLagEvents": head.saturating_sub(position),
            "openStreams": hub.open_streams(),
            "sessionsWithStream": hub.sessions().len(),
            "sync": sync,
            "mirrorCache": self.mirror_cache.as_ref().map(|cache| cache.view()),
        })
    }
}
