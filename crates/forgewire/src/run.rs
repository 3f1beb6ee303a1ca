//! `forgewire run`: roles in one process, from bound sockets to a drained stop.

use std::{collections::BTreeSet, io::Write, net::SocketAddr, sync::Arc, time::Duration};

use access::Authenticator;
use anyhow::Context;
use futures_util::Stream;
use github_sync::client;
use ports::ResourceReader;
use serde::Serialize;
use service_kit::{
    admin::Admin,
    descriptors::Descriptors,
    http::{self, HttpLimits},
    lifecycle::{Lifecycle, OnExit, Outcome, stop_signals},
    metrics::Registry,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    backends::Backends,
    config::{AuthMode, Config, EventsBackend, check},
    roles::Role,
};

/// How often old events are removed.
const TRIM_INTERVAL: Duration = Duration::from_secs(600);

/// How long connections are taken at most after the drain has begun.
const LONGEST_LINGER: Duration = Duration::from_secs(5);

/// How often readiness is looked at until the ready line is printed.
const READY_INTERVAL: Duration = Duration::from_millis(10);

/// The sockets of a process, bound before anything else: a taken port fails in a millisecond.
struct Listeners {
    admin: TcpListener,
    ingest: Option<TcpListener>,
    sync: Option<TcpListener>,
    edge: Option<TcpListener>,
}

impl Listeners {
    fn bind(config: &Config, roles: &BTreeSet<Role>) -> anyhow::Result<Self> {
        let bind = |key: &str, address: SocketAddr| {
            http::bind(address).with_context(|| format!("{key}: cannot listen on {address}"))
        };
        let of = |role, key, address| {
            roles
                .contains(&role)
                .then(|| bind(key, address))
                .transpose()
        };
        Ok(Self {
            admin: bind("admin.listen", config.admin.listen)?,
            ingest: of(Role::Ingest, "ingest.listen", config.ingest.listen)?,
            // Embedded, the sync role is called in process; its port is for other processes.
            sync: of(Role::Sync, "sync.listen", config.sync.listen)?,
            edge: of(Role::Edge, "edge.listen", config.edge.listen)?,
        })
    }

    fn addresses(&self) -> anyhow::Result<Addresses> {
        let of = |listener: &Option<TcpListener>| {
            listener.as_ref().map(TcpListener::local_addr).transpose()
        };
        Ok(Addresses {
            admin: self.admin.local_addr()?,
            ingest: of(&self.ingest)?,
            sync: of(&self.sync)?,
            edge: of(&self.edge)?,
        })
    }
}

/// Where a running process listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) admin: SocketAddr,
    pub(crate) ingest: Option<SocketAddr>,
    pub(crate) sync: Option<SocketAddr>,
    pub(crate) edge: Option<SocketAddr>,
}

impl Addresses {
    /// The ready line (design §4): one JSON object, only the roles that run here.
    fn ready_line(&self) -> String {
        #[derive(Serialize)]
        struct Line {
            ready: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            edge: Option<SocketAddr>,
            #[serde(skip_serializing_if = "Option::is_none")]
            ingest: Option<SocketAddr>,
            #[serde(skip_serializing_if = "Option::is_none")]
            sync: Option<SocketAddr>,
            admin: SocketAddr,
        }
        let Self {
            admin,
            ingest,
            sync,
            edge,
        } = *self;
        let line = Line {
            ready: true,
            edge,
            ingest,
            sync,
            admin,
        };
        serde_json::to_string(&line).expect("addresses are text")
    }
}

/// A process whose roles have started.
pub(crate) struct Running {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) addresses: Addresses,
    backends: Backends,
}

impl Running {
    /// Waits until every role is ready, or until the process stops.
    pub(crate) fn ready(&self) -> impl Future<Output = bool> + Send + 'static {
        let lifecycle = self.lifecycle.clone();
        async move {
            let ready = async {
                while !lifecycle.readiness().ready {
                    tokio::time::sleep(READY_INTERVAL).await;
                }
            };
            lifecycle
                .draining()
                .run_until_cancelled(ready)
                .await
                .is_some()
        }
    }

    /// Runs until the first of `stops`, then drains; the second one stops hard.
    pub(crate) async fn until(self, stops: impl Stream<Item = ()>) -> Outcome {
        let outcome = self.lifecycle.run_until(stops).await;
        self.backends.close().await;
        if let Some(task) = outcome.failed_task {
            error!(task, "a task ended that must not");
        }
        outcome
    }
}

/// Starts the roles.
///
/// # Errors
/// An unsafe configuration, a taken port, a store that does not answer.
pub(crate) async fn start(config: &Config, roles: &BTreeSet<Role>) -> anyhow::Result<Running> {
    check(config, roles)?;
    let descriptors = Descriptors::raise();
    let listeners = Listeners::bind(config, roles)?;
    let addresses = listeners.addresses()?;
    let drain = Duration::from_secs(config.edge.drain_seconds);
    // Balancers notice a little late that we are not ready any more: until then connections are taken.
    let lifecycle = Lifecycle::with_keep_accepting(drain, (drain / 4).min(LONGEST_LINGER));
    let backends = Backends::open(config, roles).await?;
    let mut registry = Registry::default();

    let mut local_sync: Option<Arc<dyn ResourceReader>> = None;
    if let Some(listener) = listeners.sync {
        local_sync = Some(start_sync(
            config,
            &backends,
            &mut registry,
            &lifecycle,
            listener,
        )?);
    }
    if let Some(listener) = listeners.ingest {
        start_ingest(config, &backends, &mut registry, &lifecycle, listener)?;
    }
    if let Some(listener) = listeners.edge {
        let resources = resource_reader(config, local_sync)?;
        start_edge(
            config,
            &backends,
            resources,
            descriptors,
            &mut registry,
            &lifecycle,
            listener,
        )?;
    }
    let admin = Admin::new(
        lifecycle.clone(),
        Arc::new(registry),
        env!("CARGO_PKG_VERSION"),
    );
    serve(
        "admin-http",
        OnExit::EndsProcess,
        listeners.admin,
        admin.router(),
        HttpLimits::default(),
        &lifecycle,
    );
    if config.backends.events != EventsBackend::Jetstream {
        let trim = trim(
            backends.clone(),
            config.retention.event_days,
            lifecycle.draining(),
        );
        lifecycle.spawn("retention", OnExit::MayFinish, trim);
    }
    Ok(Running {
        lifecycle,
        addresses,
        backends,
    })
}

fn serve(
    name: &'static str,
    on_exit: OnExit,
    listener: TcpListener,
    router: axum::Router,
    limits: HttpLimits,
    lifecycle: &Lifecycle,
) {
    let serving = http::serve(listener, router, limits, lifecycle.clone());
    lifecycle.spawn(name, on_exit, serving);
}

fn start_sync(
    config: &Config,
    backends: &Backends,
    registry: &mut Registry,
    lifecycle: &Lifecycle,
    listener: TcpListener,
) -> anyhow::Result<Arc<dyn ResourceReader>> {
    let deps = github_sync::Deps {
        log: Arc::clone(&backends.events),
        bus: Arc::clone(&backends.bus),
        ids: Arc::clone(&backends.ids),
    };
    let service = github_sync::Service::build(&config.sync, deps, registry)?;
    service.spawn(lifecycle);
    let reader = service.reader();
    let serving = lifecycle.clone();
    lifecycle.spawn("sync-grpc", OnExit::EndsProcess, async move {
        if let Err(error) = service.serve_grpc(listener, &serving).await {
            warn!(%error, "gRPC server ended");
        }
    });
    Ok(reader)
}

fn start_ingest(
    config: &Config,
    backends: &Backends,
    registry: &mut Registry,
    lifecycle: &Lifecycle,
    listener: TcpListener,
) -> anyhow::Result<()> {
    let deps = webhook_ingest::Deps {
        log: Arc::clone(&backends.events),
        bus: Arc::clone(&backends.bus),
        clock: Arc::clone(&backends.clock),
        ids: Arc::clone(&backends.ids),
    };
    let service = webhook_ingest::Service::build(&config.ingest, deps, registry)?;
    service.spawn(lifecycle);
    serve(
        "ingest-http",
        OnExit::EndsProcess,
        listener,
        service.router(),
        HttpLimits::default(),
        lifecycle,
    );
    Ok(())
}

fn start_edge(
    config: &Config,
    backends: &Backends,
    resources: Arc<dyn ResourceReader>,
    descriptors: Descriptors,
    registry: &mut Registry,
    lifecycle: &Lifecycle,
    listener: TcpListener,
) -> anyhow::Result<()> {
    let auth = authenticator(config, backends)?;
    let sessions = backends.sessions.clone();
    let parts = sessions.context("the edge role opened no session store")?;
    let deps = sse_edge::Deps {
        log: Arc::clone(&backends.events),
        sessions: parts.sessions,
        mailbox: parts.mailbox,
        locks: parts.locks,
        tasks: parts.tasks,
        bus: Arc::clone(&backends.bus),
        resources,
        clock: Arc::clone(&backends.clock),
        ids: Arc::clone(&backends.ids),
        auth: Arc::new(auth),
        descriptors,
        toolsets: Vec::new(),
    };
    let service = sse_edge::Service::build(&config.edge, deps, registry)?;
    let service = service.spawn(lifecycle)?;
    serve(
        "edge-http",
        OnExit::EndsProcess,
        listener,
        service.router(),
        service.http_limits(),
        lifecycle,
    );
    Ok(())
}

/// Who may use the edge, as `[auth]` says.
fn authenticator(config: &Config, backends: &Backends) -> anyhow::Result<Authenticator> {
    match (config.auth.mode, &config.auth.token_file) {
        (AuthMode::None, _) => Ok(Authenticator::none()),
        (AuthMode::Tokens, None) => anyhow::bail!("auth.token_file is missing"),
        (AuthMode::Tokens, Some(file)) => Authenticator::tokens(file, Arc::clone(&backends.clock))
            .with_context(|| format!("auth.token_file: {} is refused", file.display())),
    }
}

/// A named endpoint wins over the sync role of this process.
fn resource_reader(
    config: &Config,
    local: Option<Arc<dyn ResourceReader>>,
) -> anyhow::Result<Arc<dyn ResourceReader>> {
    match (&config.sync.endpoint, local) {
        (Some(endpoint), _) => Ok(client::connect(endpoint, config.sync.deadline())?),
        (None, Some(local)) => Ok(local),
        (None, None) => anyhow::bail!("sync.endpoint is missing"),
    }
}

/// Removes events that are older than `retention.event_days`.
async fn trim(backends: Backends, event_days: u32, stop: CancellationToken) {
    let keep = Duration::from_secs(u64::from(event_days) * 24 * 60 * 60);
    let mut ticks = tokio::time::interval(TRIM_INTERVAL);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let before = backends.clock.now().minus(keep);
        match stop.run_until_cancelled(backends.events.trim(before)).await {
            None => return,
            Some(Ok(0)) => {}
            Some(Ok(events)) => info!(events, "removed events that are past their retention"),
            Some(Err(error)) => warn!(%error, "old events cannot be removed, trying again later"),
        }
    }
}

/// `forgewire run`: starts, prints the ready line, runs until a signal.
///
/// # Errors
/// What [`start`] says.
pub(crate) async fn run(config: &Config, roles: &BTreeSet<Role>) -> anyhow::Result<bool> {
    let running = start(config, roles).await?;
    let line = running.addresses.ready_line();
    let ready = running.ready();
    running
        .lifecycle
        .spawn("ready-line", OnExit::MayFinish, async move {
            if ready.await {
                print_line(&line);
            }
        });
    Ok(running.until(stop_signals()).await.clean)
}

/// Stdout carries the ready line and nothing else; a closed pipe is not our trouble.
fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
