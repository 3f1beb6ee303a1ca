//! `forgewire run`: roles in one process, from bound sockets to a drained stop.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Context, bail};
use futures_util::{StreamExt, stream::BoxStream};
use instruments::store_calls::StoreMetrics;
use role_keys::RoleTrust;
use service_kit::{
    admin::{AdminRoutes, AdminSlot},
    bodies::BodyBudget,
    dependency,
    descriptors::{DescriptorPlan, Descriptors, ListenerUse},
    hosts::AllowedHosts,
    http::{self, HttpLimits},
    lifecycle::{Lifecycle, OnExit, ProcessOutcome, stop_signals},
    line_queue::LineQueue,
    metrics::MetricsRegistry,
    request_threads::{RequestClass, RequestThreads},
};
use tokio::net::TcpListener;
use tracing::error;

use crate::{
    backends::{OpenBackends, register_layer_metrics, register_log_metrics, register_role_metrics},
    check::check,
    config::{BackendKey, Config, EventsBackend},
    listeners::{Addresses, Listeners},
    retention::Retention,
    roles::{RoleSet, Startup},
    telemetry::ProcessTelemetry,
    toolsets::MakeToolsets,
};

/// Longest time that listeners keep accepting connections after the drain has begun.
const LONGEST_LINGER: Duration = Duration::from_secs(5);

/// How often readiness is checked until the ready line is printed.
const READY_INTERVAL: Duration = Duration::from_millis(10);

/// The sentence about a failed backend, once there is one.
type BackendFailure = Arc<OnceLock<String>>;

/// A process whose roles have been started.
pub(crate) struct RunningProcess {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) addresses: Addresses,
    pub(crate) metrics: Arc<MetricsRegistry>,
    backends: OpenBackends,
    _request_threads: Vec<RequestThreads>,
    stops: BoxStream<'static, ()>,
    failure: BackendFailure,
}

impl RunningProcess {
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

    /// Runs until a stop signal, then drains; the second one stops hard.
    ///
    /// # Errors
    /// A backend failed in a way that only a restart can mend.
    pub(crate) async fn run(self) -> anyhow::Result<ProcessOutcome> {
        let outcome = self.lifecycle.run_until(self.stops).await;
        self.backends.close().await;
        if let Some(failure) = self.failure.get() {
            bail!("{failure}");
        }
        if let Some(task) = outcome.failed_task {
            error!(task, "a task ended that must not");
        }
        Ok(outcome)
    }
}

/// Starts the roles.
///
/// # Errors
/// An unsafe configuration, a port that is in use, or a store that does not answer.
pub(crate) async fn start(
    config: &Config,
    roles: &RoleSet,
    toolsets: MakeToolsets,
    telemetry: ProcessTelemetry,
) -> anyhow::Result<RunningProcess> {
    check(config, roles)?;
    let uses = roles.iter().map(|role| role.listener_use);
    let connections = DescriptorPlan::new(Descriptors::raise(), uses);
    let listeners = Listeners::bind(config, roles)?;
    let addresses = listeners.addresses()?;
    let drain = Duration::from_secs(config.edge.drain_seconds);
    // A balancer learns with a delay that this process is no longer ready; until then we accept.
    let lifecycle = Lifecycle::with_keep_accepting(drain, (drain / 4).min(LONGEST_LINGER));
    // Before the stores answer: a process that waits for them is alive, and says what it waits for.
    let admin = serve_admin(listeners.admin, config, roles, &connections, &lifecycle)?;
    let opened = lifecycle.latch("backends");
    opened.not_ready(
        "the stores of [backends] are being opened; the log says which one does not answer",
    );
    let mut registry = MetricsRegistry::default();
    let stores = StoreMetrics::new(&mut registry);
    let uses = |key| roles.uses(config, key);
    // Clients have mailboxes: a role that has none serves no clients.
    let clients = roles.uses(config, BackendKey::Mailboxes).then(|| {
        let threads = RequestThreads::start(RequestClass::Clients);
        threads.context("starting the threads for requests")
    });
    let clients = clients.transpose()?;
    let threads = clients.as_ref().map(RequestThreads::handle);
    let creates_log = roles.creates_log();
    let backends = OpenBackends::open(config, uses, creates_log, threads, &stores).await?;
    telemetry.register(&mut registry);
    register_log_metrics(&mut registry, &backends.log);
    register_layer_metrics(&mut registry, &backends.layer_failures);
    spawn_retention(config, &backends, &mut registry, &lifecycle);
    register_role_metrics(&mut registry, &backends.trust);
    observe_keys(&backends.trust, &lifecycle);
    backends.register_driver_metrics(&mut registry);
    let bodies = BodyBudget::new(&mut registry);
    let mut startup = Startup {
        config,
        backends: &backends,
        registry: &mut registry,
        lifecycle: &lifecycle,
        connections: &connections,
        client_threads: clients,
        request_threads: Vec::new(),
        bodies,
        listeners: listeners.roles,
        toolsets,
        local_resources: None,
        local_mirror: None,
        local_finder: None,
        details: Vec::new(),
    };
    for role in roles.iter() {
        (role.start)(&mut startup)?;
    }
    let Startup {
        details,
        request_threads,
        ..
    } = startup;
    let registry = Arc::new(registry);
    telemetry.start(Arc::clone(&registry), &lifecycle)?;
    let routes = admin_routes(&lifecycle, Arc::clone(&registry), roles);
    let routes = details
        .into_iter()
        .fold(routes, |routes, (role, detail)| routes.detail(role, detail));
    admin.show(routes);
    let failure = watch_backends(&backends, &lifecycle);
    // Before the first probe is answered: a process that shows itself as ready also stops in order.
    let stops = stop_signals().boxed();
    // Every latch of the roles is there by now.
    opened.ready();
    Ok(RunningProcess {
        lifecycle,
        addresses,
        metrics: registry,
        backends,
        _request_threads: request_threads,
        stops,
        failure,
    })
}

/// Shows in `/health` that another process has other keys of the roles: the counter and the log name them too.
fn observe_keys(trust: &RoleTrust, lifecycle: &Lifecycle) {
    if !trust.has_keys() {
        return;
    }
    let trust = trust.clone();
    dependency::observe(lifecycle, "keys of the roles", move || {
        let mismatch = trust.recent_mismatch();
        async move { mismatch.map_or(Ok(()), |mismatch| Err(mismatch.into())) }
    });
}

fn admin_routes(
    lifecycle: &Lifecycle,
    registry: Arc<MetricsRegistry>,
    roles: &RoleSet,
) -> AdminRoutes {
    AdminRoutes::new(lifecycle.clone(), registry, env!("CARGO_PKG_VERSION"))
        .roles(roles.iter().map(|role| role.name))
}

/// Serves the admin routes, which have no metrics and no details yet. Probes are answered until the end, so
/// that a balancer sees "not ready" and not a refused connection; they have descriptors of their own.
fn serve_admin(
    listener: TcpListener,
    config: &Config,
    roles: &RoleSet,
    connections: &DescriptorPlan,
    lifecycle: &Lifecycle,
) -> anyhow::Result<AdminSlot> {
    let routes = admin_routes(lifecycle, Arc::default(), roles);
    let admin = AdminSlot::new(routes);
    // On another address, a NetworkPolicy or firewall decides who asks, and probes name addresses of their own.
    let router = match listener.local_addr()?.ip().is_loopback() {
        true => {
            let names = config.edge.allowed_hosts.iter();
            admin.router_for(AllowedHosts::new(names.map(String::as_str)))
        }
        false => admin.router(),
    };
    let limits = HttpLimits {
        max_connections: connections.max_connections(ListenerUse::Probes),
        ..HttpLimits::default()
    };
    let serving = http::serve_until_closed(listener, router, limits, lifecycle.clone());
    lifecycle.spawn_until_closed("admin-http", OnExit::EndsProcess, serving);
    Ok(admin)
}

/// Ends the process when a backend fails in a way that only a restart can mend.
fn watch_backends(backends: &OpenBackends, lifecycle: &Lifecycle) -> BackendFailure {
    let failure = BackendFailure::default();
    let (failing, seen) = (backends.failed(), Arc::clone(&failure));
    let draining = lifecycle.draining();
    lifecycle.spawn("backends", OnExit::EndsProcess, async move {
        if let Some(sentence) = draining.run_until_cancelled(failing).await {
            error!("{sentence}");
            // It is the only task that sets it.
            let _ = seen.set(sentence);
        }
    });
    failure
}

fn spawn_retention(
    config: &Config,
    backends: &OpenBackends,
    registry: &mut MetricsRegistry,
    lifecycle: &Lifecycle,
) {
    if config.backends.chosen(BackendKey::Log).trims_itself {
        return;
    }
    let is_in_database = config.backends.log() == EventsBackend::Sqlite;
    let retention = Retention {
        log: Arc::clone(&backends.log),
        clock: Arc::clone(&backends.clock),
        database: backends.database().filter(|_| is_in_database),
        keep: config.retention.events(),
        behind_seconds: Retention::gauge(registry),
    };
    let trimming = retention.run(lifecycle.draining());
    lifecycle.spawn("retention", OnExit::EndsProcess, trimming);
}

/// `forgewire run`: starts, prints the ready line, runs until a signal.
///
/// # Errors
/// As [`start`].
pub(crate) async fn run(
    config: &Config,
    roles: &RoleSet,
    toolsets: MakeToolsets,
    telemetry: ProcessTelemetry,
) -> anyhow::Result<bool> {
    let running = start(config, roles, toolsets, telemetry).await?;
    let line = running.addresses.ready_line();
    let ready = running.ready();
    running
        .lifecycle
        .spawn("ready-line", OnExit::MayFinish, async move {
            if ready.await {
                print_line(&line);
            }
        });
    Ok(running.run().await?.clean)
}

/// Prints a line on stdout, which carries the ready line and nothing else. Its own thread writes it: a
/// pipe that is full must not delay the process, and a closed one is not an error.
fn print_line(line: &str) {
    match LineQueue::start("ready-line", io::stdout(), |_| String::new()) {
        Ok(stdout) => stdout.push(format!("{line}\n").as_bytes()),
        Err(error) => error!(%error, "the ready line cannot be printed"),
    }
}
