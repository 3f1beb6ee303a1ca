//! Builds the edge and starts it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use access::Authenticator;
use axum::Router;
use edge_records::{NameRecords, SessionRecords, TaskRecords};
use event_flow::{
    follow::{FollowOptions, FollowStart, Followed, follow},
    health::FollowerHealth,
    history::{EventHistory, EventSource},
    statistics::LogStatisticsReader,
};
use event_tools::EventToolDeps;
use fanout::{
    bounds::StreamBounds,
    hub::{Hub, HubParts},
    metrics::FanoutMetrics,
    prefill,
    wheel::{self, WheelStops},
};
use mcp::{Surface, mrtr::StateKeys};
use mcp_server::{
    OfferRegistry, RateLimiter, Toolset, call_metrics::CallMetrics, cpu_turns::CpuTurns,
};
use model::{Clock, CursorKeys, Epoch, IdSource, SharedKey};
use ports::{Bus, BusMessage, EventLog, Leases, Mailbox, Records, ResourceReader, Topic};
use service_kit::{
    admin::HealthDetail,
    audit::AuditLog,
    bodies::BodyBudget,
    descriptors::Descriptors,
    http::{HttpLimits, MIN_SILENT_TIMEOUT},
    http_metrics::HttpMetrics,
    lifecycle::{Lifecycle, OnExit},
    metrics,
    request_threads::cores,
};
use subscriptions::SubscriptionRecords;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    answer_budget::AnswerBudget,
    api,
    background::Background,
    broadcast::{Broadcasts, answer_questions},
    calls::{Calls, asking::RetryKeys},
    compression::AnswerCompression,
    config::EdgeConfig,
    edge::Edge,
    error::EdgeBuildError,
    health::{EdgeHealth, EdgeHealthPage, ProbedStores},
    limits::{BATCH_BYTES, KERNEL_EXTRA_TIME, LINE_BYTES, LINE_FREE_BYTES, SMALL_BATCH_BYTES},
    lockdown::{Lockdown, LockedLog, LockedResources},
    methods,
    metrics::{
        AnswerBudgetMetrics, AnswerMetrics, ClockMetrics, SessionMetrics, SubscriptionMetrics,
        withheld_texts,
    },
    names::NameKeeper,
    news::{BusRouter, beat_by_name, poll_answers, watch_sessions},
    peers::{AskedQuestions, EdgePeers, present},
    profile,
    session::{
        DeliveryReports, Inboxes, KeptBroadcasts, SessionBounds, SessionDeps, SessionMailboxes,
        Sessions, report,
    },
    shared_bytes::SharedBytes,
    store_clock::{StoreClock, measure},
    subscriptions::{
        SubscriptionWatch, Subscriptions, ToolSubscriptions, keep_cursor_books, watch_subscriptions,
    },
    tasks::{TaskDeps, TaskTeller, Tasks, watch_tasks},
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
    /// Hints.
    pub bus: Arc<dyn Bus>,
    /// The sync role.
    pub resources: Arc<dyn ResourceReader>,
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
    /// Toolsets in addition to the edge's own, for instance GitHub's tools.
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
    /// The same with pages of the log and resources that have no texts of strangers.
    fn locked_down(self, lockdown: &Lockdown) -> Self {
        let pages = LockedLog {
            log: self.pages,
            lockdown: lockdown.clone(),
        };
        let resources = LockedResources {
            resources: self.resources,
            lockdown: lockdown.clone(),
        };
        Self {
            pages: Arc::new(pages),
            resources: Arc::new(resources),
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
        let health = EdgeHealth::default();
        let stores = ProbedStores {
            log: Arc::clone(&self.deps.pages),
            bus: Arc::clone(&bus),
            sessions: SessionRecords::new(Arc::clone(&self.deps.records)),
            tasks: TaskRecords::new(Arc::clone(&self.deps.records)),
            subscriptions: SubscriptionRecords::new(Arc::clone(&self.deps.records)),
            resources: Arc::clone(&self.deps.resources),
        };
        let (edge, reports, questions) = self.edge(lifecycle, &health)?;
        let edge = Arc::new(edge);
        health.probe(stores, &edge.hub, lifecycle);
        let running = BackgroundTasks {
            edge: &edge,
            lifecycle,
            // Streams get events until the last of them has sent its farewell, and requests are served
            // as long as the listener has connections. The drain does not wait for these tasks.
            closed: lifecycle.closed(),
            lockdown,
        };
        let router = running.watch(reports, questions, limits.silent_timeout);
        let names = NameKeeper::new(
            Arc::clone(&edge.hub),
            NameRecords::new(records),
            Arc::clone(&log),
            Arc::clone(&edge.auth),
        );
        running.follow(log, bus, router, names, health.follower.clone());
        running.run_wheel(wheel);
        Ok(ServingEdge {
            edge,
            limits,
            health,
        })
    }

    fn edge(
        self,
        lifecycle: &Lifecycle,
        health: &EdgeHealth,
    ) -> Result<(Edge, DeliveryReports, AskedQuestions), EdgeBuildError> {
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
            }),
            methods::tasks::toolset(&tasks),
        ];
        toolsets.extend(deps.toolsets);
        let (profile, extensions) = profile::with_extensions(config.has_channels());
        // Derived from the declared capabilities, so that exactly the declared methods are
        // answered.
        let surface = Surface::of(&profile.capabilities, &extensions);
        let source: Arc<dyn EventSource> = Arc::<Hub>::clone(&hub);
        let edge = Edge {
            hub,
            history: EventHistory::new(source),
            sessions,
            subscriptions,
            calls: calls(mailboxes, deps.leases, &deps.ids, self.answer_metrics),
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
        Ok((edge, reports, questions))
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
    leases: Arc<dyn Leases>,
    ids: &Arc<dyn IdSource>,
    metrics: AnswerMetrics,
) -> Arc<Calls> {
    let ids = Arc::clone(ids);
    Arc::new(Calls::new(mailboxes, leases, ids, metrics))
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

/// Starts the tasks of an edge.
struct BackgroundTasks<'a> {
    edge: &'a Arc<Edge>,
    lifecycle: &'a Lifecycle,
    closed: CancellationToken,
    lockdown: Option<Lockdown>,
}

impl BackgroundTasks<'_> {
    /// Starts the watchers of sessions, tasks, subscriptions, inboxes and tokens. What a socket took `proof` ago has
    /// arrived.
    fn watch(
        &self,
        reports: DeliveryReports,
        questions: AskedQuestions,
        proof: Option<Duration>,
    ) -> BusRouter {
        let (edge, lifecycle) = (self.edge, self.lifecycle);
        let (hub, closed) = (|| Arc::clone(&edge.hub), || self.closed.clone());
        // Without one of them, streams would stay open and miss things for good.
        let ends_process = OnExit::EndsProcess;
        let watching = watch_tasks(Arc::clone(&edge.tasks), hub(), closed());
        lifecycle.spawn_until_closed("edge-tasks", ends_process, watching);
        let (calls, stop) = (Arc::clone(&edge.calls), closed());
        let leasing = async move { calls.edge_lease.keep(stop).await };
        lifecycle.spawn_until_closed("edge-call-lease", ends_process, leasing);
        let (calls, stop) = (Arc::clone(&edge.calls), closed());
        let looking = async move { calls.watched.run(stop).await };
        lifecycle.spawn_until_closed("edge-call-owners", ends_process, looking);
        let reporting = report(Arc::clone(&edge.sessions), reports, closed());
        lifecycle.spawn_until_closed("edge-inboxes", ends_process, reporting);
        let sessions = Arc::clone(&edge.sessions);
        let (router, changes) = BusRouter::new(
            Arc::clone(&sessions),
            hub(),
            Arc::clone(&edge.calls),
            Arc::clone(&edge.tasks),
            Arc::clone(&edge.peers),
            Arc::clone(&edge.subscriptions),
        );
        let answering = answer_questions(Arc::clone(&edge.broadcasts), questions, closed());
        lifecycle.spawn_until_closed("edge-questions", ends_process, answering);
        let presence = present(Arc::clone(&edge.peers), closed());
        lifecycle.spawn_until_closed("edge-presence", ends_process, presence);
        let beating = beat_by_name(hub(), closed());
        lifecycle.spawn_until_closed("edge-named-heartbeats", ends_process, beating);
        let watching = watch_sessions(sessions, hub(), changes, lifecycle.draining());
        lifecycle.spawn("edge-sessions", ends_process, watching);
        let watch = SubscriptionWatch { hub: hub(), proof };
        let following = watch_subscriptions(Arc::clone(&edge.subscriptions), watch, closed());
        lifecycle.spawn_until_closed("edge-subscriptions", ends_process, following);
        let keeping = keep_cursor_books(Arc::clone(&edge.subscriptions), closed());
        lifecycle.spawn_until_closed("edge-subscription-cursors", ends_process, keeping);
        let looking = poll_answers(hub(), closed());
        lifecycle.spawn_until_closed("edge-answers", ends_process, looking);
        let latch = lifecycle.latch("edge knows the session store's clock");
        let measuring = measure(Arc::clone(&edge.clock), latch, closed());
        lifecycle.spawn_until_closed("edge-clock", ends_process, measuring);
        edge.auth.spawn(lifecycle, closed());
        let auditing = Arc::clone(&edge.audit).run(closed());
        lifecycle.spawn_until_closed("edge-audit", ends_process, auditing);
        let revoking = end_revoked(edge.auth.revoked(), hub(), closed());
        lifecycle.spawn_until_closed("edge-revocations", ends_process, revoking);
        router
    }

    fn follow(
        &self,
        log: Arc<dyn EventLog>,
        bus: Arc<dyn Bus>,
        router: BusRouter,
        names: NameKeeper,
        follower_health: FollowerHealth,
    ) {
        let latch = self.lifecycle.latch("edge follows the event log");
        let hub = Arc::clone(&self.edge.hub);
        let lockdown = self.lockdown.clone();
        let sink = move |followed: Followed| {
            let followed = match &lockdown {
                Some(lockdown) => lockdown.followed(followed),
                None => followed,
            };
            // Later faults show in the probes.
            if matches!(followed, Followed::CaughtUp { .. }) {
                latch.ready();
                router.listens();
            }
            follower_health.note(&followed);
            match followed {
                Followed::Other(BusMessage::Edge(news)) => router.dispatch(news),
                // The follower itself handles hints; what ingests tell each other is on a topic of their own.
                Followed::Other(BusMessage::Events(_) | BusMessage::Ingest(_)) => {}
                Followed::OtherGap => router.gap(),
                followed => hub.apply(followed),
            }
        };
        let also = Some(Topic::AllSessions);
        let (mut keeper, stop) = (names, self.closed.clone());
        let following = async move {
            let loaded = stop.run_until_cancelled(keeper.load()).await;
            let Some(position) = loaded else {
                return;
            };
            let options = FollowOptions {
                start: FollowStart::After(position),
                ..FollowOptions::default()
            };
            let following = follow(log, bus, also, options, stop.clone(), sink);
            tokio::join!(following, keeper.keep(stop));
        };
        self.lifecycle
            .spawn_until_closed("edge-follower", OnExit::EndsProcess, following);
        let filling = prefill::run(Arc::clone(&self.edge.hub), self.closed.clone());
        self.lifecycle
            .spawn_until_closed("edge-prefill", OnExit::EndsProcess, filling);
    }

    fn run_wheel(&self, (heartbeat_seconds, drain_seconds): (u64, u64)) {
        let turning = wheel::run(
            Arc::clone(&self.edge.hub),
            Duration::from_secs(heartbeat_seconds),
            Duration::from_secs(drain_seconds),
            WheelStops {
                draining: self.lifecycle.draining(),
                stop_accepting: self.lifecycle.stop_accepting(),
            },
            // Its own: the wheel cancels it.
            self.lifecycle.closed(),
        );
        self.lifecycle
            .spawn("edge-wheel", OnExit::EndsProcess, turning);
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

/// Ends streams when a token is revoked.
async fn end_revoked(mut revoked: watch::Receiver<u64>, hub: Arc<Hub>, stop: CancellationToken) {
    let endless = async {
        while revoked.changed().await.is_ok() {
            hub.end_revoked();
        }
    };
    stop.run_until_cancelled(endless).await;
}
