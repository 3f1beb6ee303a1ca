//! Puts the edge together.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::Router;
use mcp::{
    Surface,
    extension::Extensions,
    mrtr::StateKeys,
    profile::{ServerInfo, ServerProfile},
};
use model::{Clock, IdSource};
use parking_lot::Mutex;
use ports::{
    Bus, BusMessage, ChangedLists, EventLog, Mailbox, ResourceReader, SessionLock, SessionStore,
    TaskStore, Topic,
};
use service_kit::{
    descriptors::Descriptors,
    follow::{FollowOptions, Followed, follow},
    http::{HttpLimits, SILENT_TIMEOUT},
    lifecycle::{Latch, Lifecycle, OnExit},
    metrics::Registry,
};

use crate::{
    api::{self, Origins},
    auth::Authenticator,
    calls::Calls,
    config::Config,
    fanout::{hub::Hub, wheel},
    limits::{CALL_DEADLINE, KERNEL_LATER},
    metrics::Metrics,
    policy::Rates,
    prompts::Prompts,
    protocol,
    session::{Inboxes, Reports, SessionNews, Sessions, look_for_answers, report, watch},
    tasks::{TaskNews, Tasks, watch_tasks},
    tools::Tools,
};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// What the edge stands on.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// Sessions of the handshake era.
    pub sessions: Arc<dyn SessionStore>,
    /// What is addressed to one session: answers of the client, streams that can be resumed.
    pub mailbox: Arc<dyn Mailbox>,
    /// Work that goes on after its answer.
    pub tasks: Arc<dyn TaskStore>,
    /// Who runs a call.
    pub locks: Arc<dyn SessionLock>,
    /// Hints.
    pub bus: Arc<dyn Bus>,
    /// The sync role.
    pub resources: Arc<dyn ResourceReader>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn IdSource>,
    /// Who may use the edge.
    pub auth: Arc<Authenticator>,
    /// How many connections the process may have.
    pub descriptors: Descriptors,
}

/// A configuration that the edge cannot run with.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A value out of bounds.
    #[error("{key}: {reason}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong and what fits.
        reason: String,
    },
}

/// What handlers share.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) hub: Arc<Hub>,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) tasks: Arc<Tasks>,
    /// Seals what clients of the stateless era carry from one attempt to the next.
    pub(crate) state_keys: StateKeys,
    bus: Arc<dyn Bus>,
    pub(crate) resources: Arc<dyn ResourceReader>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) auth: Arc<Authenticator>,
    pub(crate) origins: Origins,
    pub(crate) profile: ServerProfile,
    /// The profile's info, shared by the streams that say farewell with it.
    pub(crate) server_info: Arc<ServerInfo>,
    pub(crate) surface: Surface,
    /// What `server/discover` declares beside the profile.
    pub(crate) extensions: Extensions,
    pub(crate) tools: Tools,
    pub(crate) prompts: Prompts,
    pub(crate) rates: Rates,
    /// Tasks that outlive their request belong to the process.
    lifecycle: OnceLock<Lifecycle>,
    pub(crate) max_body_bytes: usize,
    /// Path that everything is under; empty for none.
    pub(crate) base_path: String,
}

impl Edge {
    /// The soft stop; never, where nothing was started.
    pub(crate) fn draining(&self) -> CancellationToken {
        let started = self.lifecycle.get();
        started.map(Lifecycle::draining).unwrap_or_default()
    }

    /// Gives work to the process: it goes on when the request that began it is gone, and is waited for
    /// when the process drains.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, answer) = oneshot::channel();
        let task = async move {
            // Nobody waits any more: the work is done all the same.
            let _ = done.send(work.await);
        };
        self.lifecycle().spawn("mcp-call", OnExit::MayFinish, task);
        answer
    }

    /// Says to every edge that lists are not what they were, for the clients that asked to be told. Who
    /// does not hear it learns it when the list's time in caches is over.
    #[cfg_attr(
        not(feature = "conformance"),
        expect(
            dead_code,
            reason = "the product's own lists do not change while it runs"
        )
    )]
    pub(crate) async fn announce(&self, lists: ChangedLists) {
        let message = BusMessage::ListsChanged(lists);
        let published = self.bus.publish(&Topic::Broadcast, message, None);
        match timeout(CALL_DEADLINE, published).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "other edges do not hear of a changed list"),
            Err(_) => warn!("other edges do not hear of a changed list: the bus is slow"),
        }
    }

    /// The process that the edge is a part of.
    pub(crate) fn lifecycle(&self) -> &Lifecycle {
        let lifecycle = self.lifecycle.get();
        lifecycle.expect("an edge is spawned before it serves")
    }
}

/// The edge role.
#[derive(Debug)]
pub struct Service {
    edge: Arc<Edge>,
    heartbeat: Duration,
    drain: Duration,
    descriptors: Descriptors,
    /// `None`: clients may be behind for ever.
    max_behind: Option<Duration>,
    stream_threads: usize,
    /// Until they are passed on.
    reports: Mutex<Option<Reports>>,
}

impl Service {
    /// Builds the edge; opens nothing and starts nothing.
    ///
    /// # Errors
    /// A value of the configuration is out of bounds.
    pub fn build(config: &Config, deps: Deps, registry: &mut Registry) -> Result<Self, BuildError> {
        config.check()?;
        let metrics = Metrics::new(registry);
        let hub = Hub::new(
            Arc::clone(&deps.log),
            Arc::clone(&deps.clock),
            Arc::clone(&deps.ids),
            metrics.clone(),
            config.stream_bounds(deps.descriptors),
        );
        let (inboxes, reports) = Inboxes::new(Arc::clone(&deps.mailbox));
        let sessions = Sessions::new(
            deps.sessions,
            Arc::clone(&deps.bus),
            Arc::clone(&deps.clock),
            Arc::clone(&deps.ids),
            config.session_bounds(),
            metrics.clone(),
            inboxes,
        );
        let tasks = Tasks::new(deps.tasks, Arc::clone(&deps.bus), Arc::clone(&deps.clock));
        let state_keys = config.state_keys(&*deps.ids)?;
        let profile = protocol::profile::profile();
        let extensions = protocol::profile::extensions();
        let edge = Edge {
            hub: Arc::new(hub),
            log: deps.log,
            sessions: Arc::new(sessions),
            calls: Arc::new(Calls::new(deps.mailbox, deps.locks)),
            tasks: Arc::new(tasks),
            state_keys,
            bus: deps.bus,
            resources: deps.resources,
            clock: deps.clock,
            ids: deps.ids,
            auth: deps.auth,
            server_info: Arc::new(profile.info.clone()),
            // From what is declared, so that nothing else answers and all of it does.
            surface: Surface::of(&profile.capabilities, &extensions),
            profile,
            extensions,
            tools: Tools::default(),
            prompts: Prompts::default(),
            rates: Rates::new(&config.rates, metrics),
            lifecycle: OnceLock::new(),
            origins: Origins::new(&config.allowed_origins, config.listen.ip().is_loopback()),
            max_body_bytes: config.max_body_bytes,
            base_path: config.base_path.clone(),
        };
        Ok(Self {
            edge: Arc::new(edge),
            heartbeat: Duration::from_secs(config.heartbeat_seconds),
            drain: Duration::from_secs(config.drain_seconds),
            descriptors: deps.descriptors,
            max_behind: Some(config.max_behind_seconds)
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            stream_threads: config.stream_threads(),
            reports: Mutex::new(Some(reports)),
        })
    }

    /// Starts what runs beside requests: the follower, the wheel and the look at tokens.
    pub fn spawn(&self, lifecycle: &Lifecycle) {
        let latch = lifecycle.latch("edge follows the event log");
        let hub = Arc::clone(&self.edge.hub);
        hub.bounds.log(self.descriptors);
        hub.watch_drain(lifecycle.draining());
        let _ = self.edge.lifecycle.set(lifecycle.clone());
        // Streams get events until the last of them has said farewell.
        let streams_ended = lifecycle.closed();
        let (task_news, changes) = TaskNews::new(Arc::clone(&hub), Arc::clone(&self.edge.tasks));
        let watching = watch_tasks(
            Arc::clone(&self.edge.tasks),
            Arc::clone(&hub),
            changes,
            streams_ended.clone(),
        );
        lifecycle.spawn("edge-tasks", OnExit::MayFinish, watching);
        if let Some(reports) = self.reports.lock().take() {
            let sessions = Arc::clone(&self.edge.sessions);
            let reporting = report(sessions, reports, streams_ended.clone());
            lifecycle.spawn("edge-inboxes", OnExit::MayFinish, reporting);
        }
        let (news, changes) = SessionNews::new(
            Arc::clone(&self.edge.sessions),
            Arc::clone(&hub),
            Arc::clone(&self.edge.calls),
            task_news,
        );
        let watching = watch(
            Arc::clone(&self.edge.sessions),
            Arc::clone(&hub),
            changes,
            lifecycle.draining(),
        );
        lifecycle.spawn("edge-sessions", OnExit::MayFinish, watching);
        let looking = look_for_answers(Arc::clone(&hub), streams_ended.clone());
        lifecycle.spawn("edge-answers", OnExit::MayFinish, looking);
        let sink = move |followed: Followed| {
            tell(&latch, &followed);
            match followed {
                Followed::Other(message) => news.take(message),
                Followed::OtherGap => news.gap(),
                followed => hub.take(followed),
            }
        };
        self.edge.auth.spawn(lifecycle, streams_ended.clone());
        let revoking = end_revoked(
            self.edge.auth.revoked(),
            Arc::clone(&self.edge.hub),
            streams_ended.clone(),
        );
        lifecycle.spawn("edge-revocations", OnExit::MayFinish, revoking);
        let following = follow(
            Arc::clone(&self.edge.log),
            Arc::clone(&self.edge.bus),
            Some(Topic::AllSessions),
            FollowOptions::default(),
            streams_ended.clone(),
            sink,
        );
        lifecycle.spawn("edge-follower", OnExit::EndsProcess, following);
        let wheel = wheel::turn(
            Arc::clone(&self.edge.hub),
            self.heartbeat,
            self.drain,
            lifecycle.draining(),
            streams_ended,
        );
        lifecycle.spawn("edge-wheel", OnExit::MayFinish, wheel);
    }

    /// Bounds of the listener that the routes are served on: there is room for the answer to a stream too
    /// many, and none for a connection that the process has no descriptor for.
    #[must_use]
    pub fn http_limits(&self) -> HttpLimits {
        let limits = HttpLimits::default();
        let possible = self.descriptors.max_connections();
        HttpLimits {
            max_connections: limits.max_connections.min(possible),
            unread_timeout: self.max_behind.unwrap_or(limits.unread_timeout),
            // The edge's own cut comes first, and says why.
            silent_timeout: self
                .max_behind
                .map(|max| SILENT_TIMEOUT.max(max.saturating_add(KERNEL_LATER))),
            stream_threads: self.stream_threads,
            ..limits
        }
    }

    /// The routes.
    pub fn router(&self) -> Router {
        api::router(Arc::clone(&self.edge))
    }
}

/// Ends streams when a token stops being good.
async fn end_revoked(mut revoked: watch::Receiver<u64>, hub: Arc<Hub>, stop: CancellationToken) {
    let endless = async {
        while revoked.changed().await.is_ok() {
            hub.end_revoked();
        }
    };
    stop.run_until_cancelled(endless).await;
}

/// Readiness follows the log: an edge that cannot read it gets no new clients, and keeps those it has.
fn tell(latch: &Latch, followed: &Followed) {
    match followed {
        Followed::CaughtUp | Followed::Recovered => latch.ready(),
        Followed::Stalled => latch.not_ready("the event log or the bus does not answer"),
        _ => {}
    }
}
