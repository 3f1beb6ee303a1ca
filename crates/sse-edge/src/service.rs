//! Builds the edge and starts it.

mod background_tasks;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use access::Authenticator;
use axum::Router;
use edge_records::{NameRecords, PostedCallRecords, SessionRecords, TaskRecords};
use event_flow::{history::EventHistory, statistics::LogStatisticsReader};
use event_tools::EventToolDeps;
use fanout::{
    bounds::StreamBounds,
    hub::{Hub, HubParts},
    metrics::FanoutMetrics,
};
use github_tools::GithubToolDeps;
use mcp::{Surface, mrtr::StateKeys};
use mcp_server::{
    OfferRegistry, RateLimiter, Toolset, call_metrics::CallMetrics, cpu_turns::CpuTurns,
};
use mirror_cache::cache::MirrorCache;
use model::{Clock, CursorKeys, Epoch, IdSource, SharedKey};
use ports::{Bus, EventLog, Leases, Mailbox, MirrorReads, Records, ResourceReader};
use service_kit::{
    admin::HealthDetail,
    audit::AuditLog,
    bodies::BodyBudget,
    descriptors::Descriptors,
    http::{HttpLimits, MIN_SILENT_TIMEOUT},
    http_metrics::HttpMetrics,
    lifecycle::Lifecycle,
    metrics,
    request_threads::cores,
};
use subscriptions::SubscriptionRecords;

use self::background_tasks::{BackgroundTasks, EdgeQueues, proof_of_arrival};
use crate::{
    answer_budget::AnswerBudget,
    api,
    background::Background,
    broadcast::Broadcasts,
    calls::{Calls, asking::RetryKeys, parked_sessions::ParkedSessions},
    compression::AnswerCompression,
    config::EdgeConfig,
    edge::Edge,
    edge_keys::EdgeKeys,
    error::EdgeBuildError,
    health::{EdgeHealth, EdgeHealthPage, ProbedStores},
    limits::{
        BATCH_BYTES, CALL_LEASE, KERNEL_EXTRA_TIME, LINE_BYTES, LINE_FREE_BYTES, SMALL_BATCH_BYTES,
    },
    lockdown::{Lockdown, LockedLog, LockedMirror, LockedResources},
    methods,
    metrics::{
        AnswerBudgetMetrics, AnswerMetrics, ClockMetrics, SessionMetrics, SubscriptionMetrics,
        withheld_texts,
    },
    names::{MirroredNames, NameKeeper},
    peers::EdgePeers,
    profile,
    session::{Inboxes, KeptBroadcasts, SessionBounds, SessionDeps, SessionMailboxes, Sessions},
    shared_bytes::SharedBytes,
    store_clock::StoreClock,
    subscriptions::{Subscriptions, ToolSubscriptions},
    tasks::{TaskDeps, TaskTeller, Tasks},
    wake_wheel::WakeWheel,
};

/// The dependencies of the edge.
#[derive(Debug)]
pub struct EdgeDeps {
    /// The event log, as it is followed.
    pub log: Arc<dyn EventLog>,
    /// The same log for readers of many pages: queries, and streams that catch up. On a server, over a
    /// connection of its own, so that new events do not wait behind pages.
    pub pages: Arc<dyn EventLog>,
    /// State of any kind: sessions of the handshake era, and work that continues after its answer.
    pub records: Arc<dyn Records>,
    /// Messages to single sessions: answers of clients, and streams that can be resumed.
    pub mailboxes: Arc<dyn Mailbox>,
    /// Leases of running calls.
    pub leases: Arc<dyn Leases>,
    /// Time for which the calls of an edge that died still count as running: [`Self::CALL_LEASE`], but for tests.
    pub call_lease: Duration,
    /// Hints.
    pub bus: Arc<dyn Bus>,
    /// The sync role.
    pub resources: Arc<dyn ResourceReader>,
    /// The mirror of GitHub's state, for the toolset "github"; without it, there is none.
    pub mirror: Option<Arc<dyn MirrorReads>>,
    /// The cache behind `resources`, if there is one: it gets everything that the edge follows.
    pub mirror_cache: Option<Arc<MirrorCache>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn IdSource>,
    /// Authentication.
    pub auth: Arc<Authenticator>,
    /// The number of connections that the process may have.
    pub descriptors: Descriptors,
    /// Keys that all edges have from those of the roles, the first one first. They come after those of the
    /// configuration.
    pub role_keys: Vec<SharedKey>,
    /// The memory for bodies, which all roles of the process share.
    pub bodies: Arc<BodyBudget>,
    /// Toolsets in addition to the edge's own.
    pub toolsets: Vec<Toolset>,
}

/// The edge role, built and not started.
#[derive(Debug)]
pub struct EdgeService {
    deps: EdgeDeps,
    config: EdgeConfig,
    stream_bounds: StreamBounds,
    session_bounds: SessionBounds,
    fanout_metrics: FanoutMetrics,
    session_metrics: SessionMetrics,
    subscription_metrics: SubscriptionMetrics,
    clock_metrics: ClockMetrics,
    answer_metrics: AnswerMetrics,
    budget_metrics: AnswerBudgetMetrics,
    rates: RateLimiter,
    turns: Arc<CpuTurns>,
    state_keys: StateKeys,
    cursor_keys: CursorKeys,
    call_metrics: CallMetrics,
    http_metrics: HttpMetrics,
    audit: Arc<AuditLog>,
    lockdown: Option<Lockdown>,
}

impl EdgeDeps {
    /// Long enough for a store to be restarted meanwhile.
    pub const CALL_LEASE: Duration = CALL_LEASE;

    /// The same with pages of the log, resources and a mirror that have no texts of strangers.
    fn locked_down(self, lockdown: &Lockdown) -> Self {
        let pages = LockedLog {
            log: self.pages,
            lockdown: lockdown.clone(),
        };
        let resources = LockedResources {
            resources: self.resources,
            lockdown: lockdown.clone(),
        };
        let mirror = self.mirror.map(|mirror| -> Arc<dyn MirrorReads> {
            let lockdown = lockdown.clone();
            Arc::new(LockedMirror { mirror, lockdown })
        });
        Self {
            pages: Arc::new(pages),
            resources: Arc::new(resources),
            mirror,
            ..self
        }
    }
}

impl EdgeService {
    /// Checks the configuration and registers the metrics; opens nothing and starts nothing.
    ///
    /// # Errors
    /// A value of the configuration is out of bounds.
    pub fn build(
        config: &EdgeConfig,
        deps: EdgeDeps,
        registry: &mut metrics::MetricsRegistry,
    ) -> Result<Self, EdgeBuildError> {
        config.check()?;
        let mut shared = config.shared_keys()?;
        shared.extend_from_slice(&deps.role_keys);
        let texts = withheld_texts(registry);
        let lockdown = config.lockdown.then_some(Lockdown { texts });
        let deps = match &lockdown {
            Some(lockdown) => deps.locked_down(lockdown),
            None => deps,
        };
        Ok(Self {
            lockdown,
            stream_bounds: config.stream_bounds(deps.descriptors),
            session_bounds: config.session_bounds(),
            fanout_metrics: FanoutMetrics::new(registry),
            session_metrics: SessionMetrics::new(registry),
            subscription_metrics: SubscriptionMetrics::new(registry),
            clock_metrics: ClockMetrics::new(registry),
            answer_metrics: AnswerMetrics::new(registry),
            budget_metrics: AnswerBudgetMetrics::new(registry),
            rates: RateLimiter::new(&config.rates, registry),
            call_metrics: CallMetrics::new(registry),
            http_metrics: HttpMetrics::new(registry, "edge", &api::ROUTES, &config.base_path),
            turns: CpuTurns::new(cores(), registry),
            audit: Arc::new(AuditLog::new(registry, "edge", &api::AUDIT_KINDS)),
            state_keys: EdgeConfig::state_keys(&shared, &*deps.ids)?,
            // The log is known when the edge follows it.
            cursor_keys: CursorKeys::new(&shared, Epoch(0), config.accept_older_cursors),
            config: config.clone(),
            deps,
        })
    }

    /// Starts the background tasks (the follower, the wheel, the watchers), and returns the running
    /// edge, which has the routes.
    ///
    /// # Errors
    /// Two toolsets offer the same name.
    pub fn spawn(self, lifecycle: &Lifecycle) -> Result<ServingEdge, EdgeBuildError> {
        self.stream_bounds.log(self.deps.descriptors);
        let limits = self.http_limits();
        let wheel = (self.config.heartbeat_seconds, self.config.drain_seconds);
        let (log, bus) = (Arc::clone(&self.deps.log), Arc::clone(&self.deps.bus));
        let records = Arc::clone(&self.deps.records);
        let lockdown = self.lockdown.clone();
        let mirror_cache = self.deps.mirror_cache.clone();
        let mirror = self.deps.mirror.clone();
        let health = EdgeHealth::of_cache(mirror_cache.clone());
        let stores = ProbedStores {
            log: Arc::clone(&self.deps.pages),
            bus: Arc::clone(&bus),
            sessions: SessionRecords::new(Arc::clone(&self.deps.records)),
            tasks: TaskRecords::new(Arc::clone(&self.deps.records)),
            subscriptions: SubscriptionRecords::new(Arc::clone(&self.deps.records)),
            resources: Arc::clone(&self.deps.resources),
        };
        let (edge, queues) = self.edge(lifecycle, &health)?;
        let edge = Arc::new(edge);
        health.probe(stores, &edge.hub, lifecycle);
        let running = BackgroundTasks {
            edge: &edge,
            lifecycle,
            // Streams get events until the last of them has sent its farewell, and requests are served
            // as long as the listener has connections. The drain does not wait for these tasks.
            closed: lifecycle.closed(),
            lockdown,
            mirror_cache,
        };
        let router = running.watch(queues, proof_of_arrival(limits.silent_timeout));
        let names = NameKeeper::new(
            Arc::clone(&edge.hub),
            NameRecords::new(records),
            Arc::clone(&log),
            Arc::clone(&edge.auth),
        );
        if let Some(mirror) = mirror {
            let (hub, log) = (Arc::clone(&edge.hub), Arc::clone(&log));
            running.learn_names(MirroredNames { hub, mirror, log });
        }
        running.follow(log, bus, router, names, health.follower.clone());
        running.run_wheel(wheel);
        Ok(ServingEdge {
            edge,
            limits,
            health,
        })
    }

    #[expect(clippy::too_many_lines, reason = "one line for each part of an edge")]
    fn edge(
        self,
        lifecycle: &Lifecycle,
        health: &EdgeHealth,
    ) -> Result<(Edge, EdgeQueues), EdgeBuildError> {
        let Self { deps, config, .. } = self;
        let background = Background::new(lifecycle);
        let health_page = health_page(&config, &deps, lifecycle, health);
        let hub = Arc::new(Hub::new(HubParts {
            log: Arc::clone(&deps.pages),
            names: Arc::default(),
            clock: Arc::clone(&deps.clock),
            ids: Arc::clone(&deps.ids),
            metrics: self.fanout_metrics,
            bounds: self.stream_bounds,
            cursor_keys: self.cursor_keys,
            has_channels: config.has_channels(),
            draining: lifecycle.draining(),
        }));
        let (own, store) = (Arc::clone(&deps.clock), Arc::clone(&deps.records));
        let clock = Arc::new(StoreClock::new(own, store, self.clock_metrics));
        let session_records = SessionRecords::new(Arc::clone(&deps.records));
        let kept = KeptBroadcasts::new(Arc::clone(&deps.mailboxes));
        let mailboxes: Arc<dyn Mailbox> = Arc::new(SessionMailboxes {
            mailboxes: Arc::clone(&deps.mailboxes),
            sessions: session_records.clone(),
            bounds: self.session_bounds,
        });
        let (inboxes, reports) = Inboxes::new(Arc::clone(&mailboxes));
        let sessions = Arc::new(Sessions::new(SessionDeps {
            store: session_records,
            bus: Arc::clone(&deps.bus),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&deps.ids),
            bounds: self.session_bounds,
            metrics: self.session_metrics,
            mailboxes: Arc::clone(&mailboxes),
            inboxes,
            kept,
            background: background.clone(),
        }));
        let (peers, questions) = EdgePeers::new(Arc::clone(&deps.bus), &*deps.ids);
        let peers = Arc::new(peers);
        let broadcasts = Broadcasts::new(&hub, &sessions, &peers, &background);
        let subscriptions = subscriptions(&deps, &clock, self.subscription_metrics);
        let tasks = tasks(&deps, &clock, &background);
        let mut toolsets = vec![
            event_tools::toolset(&EventToolDeps {
                hub: Arc::clone(&hub),
                resources: deps.resources,
                sessions: Arc::<Sessions>::clone(&sessions),
                subscriptions: ToolSubscriptions::shared(&subscriptions, &sessions),
                clock: Arc::<StoreClock>::clone(&clock),
                ids: Arc::clone(&deps.ids),
                filter_defaults: config.filter_defaults(),
                base_path: config.base_path.clone(),
            }),
            methods::tasks::toolset(&tasks),
        ];
        if let Some(mirror) = deps.mirror {
            let clock = Arc::<StoreClock>::clone(&clock);
            let github = GithubToolDeps {
                mirror,
                clock,
                page_keys: Arc::new(EdgeKeys(Arc::clone(&hub))),
                ids: Arc::clone(&deps.ids),
            };
            toolsets.extend(github_tools::toolsets(&github));
            toolsets.extend(deps.toolsets);
            toolsets.push(github_tools::resources(&github, &toolsets));
        } else {
            toolsets.extend(deps.toolsets);
        }
        let wheel = WakeWheel::new();
        let (parked, parked_queue) = ParkedSessions::new(&wheel);
        let (profile, extensions) = profile::with_extensions(config.has_channels());
        // Derived from the declared capabilities, so that exactly the declared methods are
        // answered.
        let surface = Surface::of(&profile.capabilities, &extensions);
        let edge = Edge {
            history: EventHistory::new(Arc::<Hub>::clone(&hub)),
            hub,
            sessions,
            subscriptions,
            calls: calls(
                mailboxes,
                &deps.records,
                (deps.leases, deps.call_lease),
                &deps.ids,
                self.answer_metrics,
            ),
            parked,
            wheel,
            batches: SharedBytes::new(BATCH_BYTES, SMALL_BATCH_BYTES),
            lines: SharedBytes::new(LINE_BYTES, LINE_FREE_BYTES),
            task_teller: Arc::new(TaskTeller::new(Arc::clone(&tasks))),
            tasks,
            peers,
            broadcasts: Arc::new(broadcasts),
            retry_keys: Arc::new(RetryKeys {
                keys: self.state_keys,
                clock: Arc::<StoreClock>::clone(&clock),
                ids: Arc::clone(&deps.ids),
            }),
            clock,
            ids: deps.ids,
            auth: deps.auth,
            origins: config.origins(),
            audit: self.audit,
            proxies: config.trusted_proxies()?,
            compression: AnswerCompression::new(config.compress_answers),
            server_info: Arc::new(profile.info.clone()),
            registry: OfferRegistry::new(profile, extensions, toolsets)?
                .observed_by(&self.call_metrics),
            surface,
            rates: Arc::new(self.rates),
            call_metrics: self.call_metrics,
            http_metrics: self.http_metrics,
            turns: self.turns,
            answers: AnswerBudget::new(self.budget_metrics),
            background,
            bodies: deps.bodies,
            max_body_bytes: config.max_body_bytes,
            filter_defaults: config.filter_defaults(),
            health_page,
            has_query_tokens: config.query_tokens,
            has_demo_page: config.has_demo_page(),
            base_path: config.base_path,
        };
        let queues = EdgeQueues {
            reports,
            questions,
            parked: parked_queue,
        };
        Ok((edge, queues))
    }

    /// Bounds of the listener: there is room to answer a request for one stream too many, and no
    /// room for connections for which the process has no descriptor.
    fn http_limits(&self) -> HttpLimits {
        let limits = HttpLimits::default();
        let possible = self.deps.descriptors.max_connections();
        // 0: clients may stay behind without a limit.
        let max_behind = Some(self.config.max_behind_seconds)
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs);
        HttpLimits {
            max_connections: limits.max_connections.min(possible),
            idle_timeout: Duration::from_secs(self.config.idle_seconds),
            unread_timeout: max_behind.unwrap_or(limits.unread_timeout),
            // The edge's own cut comes first, and gives the reason.
            silent_timeout: max_behind
                .map(|max| MIN_SILENT_TIMEOUT.max(max.saturating_add(KERNEL_EXTRA_TIME))),
            stream_threads: self.config.stream_threads(),
            ..limits
        }
    }
}

fn calls(
    mailboxes: Arc<dyn Mailbox>,
    records: &Arc<dyn Records>,
    leases: (Arc<dyn Leases>, Duration),
    ids: &Arc<dyn IdSource>,
    metrics: AnswerMetrics,
) -> Arc<Calls> {
    let ids = Arc::clone(ids);
    let posted = PostedCallRecords::new(Arc::clone(records));
    Arc::new(Calls::new(mailboxes, posted, leases, ids, metrics))
}

fn health_page(
    config: &EdgeConfig,
    deps: &EdgeDeps,
    lifecycle: &Lifecycle,
    health: &EdgeHealth,
) -> EdgeHealthPage {
    EdgeHealthPage {
        lifecycle: lifecycle.clone(),
        log: LogStatisticsReader::new(Arc::clone(&deps.pages)),
        health: health.clone(),
        started: Instant::now(),
        port: config.listen.port(),
    }
}

/// The running edge; only a running edge has routes.
#[derive(Debug)]
pub struct ServingEdge {
    edge: Arc<Edge>,
    limits: HttpLimits,
    health: EdgeHealth,
}

impl ServingEdge {
    /// The routes.
    pub fn router(&self) -> Router {
        api::router(Arc::clone(&self.edge))
    }

    /// The detail of the edge in `/health`.
    #[must_use]
    pub fn health(&self) -> HealthDetail {
        let (edge, health) = (Arc::clone(&self.edge), self.health.clone());
        HealthDetail::new(move || health.to_json(&edge.hub))
    }

    /// Bounds of the listener that the routes are served on.
    #[must_use]
    pub fn http_limits(&self) -> HttpLimits {
        self.limits
    }
}

fn subscriptions(
    deps: &EdgeDeps,
    clock: &Arc<StoreClock>,
    metrics: SubscriptionMetrics,
) -> Arc<Subscriptions> {
    Arc::new(Subscriptions::new(
        SubscriptionRecords::new(Arc::clone(&deps.records)),
        Arc::clone(&deps.bus),
        Arc::clone(clock),
        Arc::clone(&deps.ids),
        metrics,
    ))
}

fn tasks(deps: &EdgeDeps, clock: &Arc<StoreClock>, background: &Background) -> Arc<Tasks> {
    Arc::new(Tasks::new(TaskDeps {
        store: TaskRecords::new(Arc::clone(&deps.records)),
        bus: Arc::clone(&deps.bus),
        clock: Arc::clone(clock),
        ids: Arc::clone(&deps.ids),
        background: background.clone(),
    }))
}
