//! `forgewire run`: roles in one process, from bound sockets to a drained stop.

use std::{io::Write, sync::Arc, time::Duration};

use futures_util::Stream;
use service_kit::{
    admin::AdminRoutes,
    descriptors::Descriptors,
    http::{self, HttpLimits},
    lifecycle::{Lifecycle, OnExit, ProcessOutcome, stop_signals},
    metrics::MetricsRegistry,
};
use tracing::error;

use crate::{
    backends::{OpenBackends, register_log_metrics},
    check::check,
    config::{BackendKey, Config},
    listeners::{Addresses, Listeners},
    retention,
    roles::{RoleSet, Startup},
    toolsets::MakeToolsets,
};

/// Longest time that listeners keep accepting connections after the drain has begun.
const LONGEST_LINGER: Duration = Duration::from_secs(5);

/// How often readiness is checked until the ready line is printed.
const READY_INTERVAL: Duration = Duration::from_millis(10);

/// A process whose roles have been started.
pub(crate) struct RunningProcess {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) addresses: Addresses,
    backends: OpenBackends,
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

    /// Runs until the first of `stops`, then drains; the second one stops hard.
    pub(crate) async fn until(self, stops: impl Stream<Item = ()>) -> ProcessOutcome {
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
/// An unsafe configuration, a port that is in use, or a store that does not answer.
pub(crate) async fn start(
    config: &Config,
    roles: &RoleSet,
    toolsets: MakeToolsets,
) -> anyhow::Result<RunningProcess> {
    check(config, roles)?;
    let descriptors = Descriptors::raise();
    let listeners = Listeners::bind(config, roles)?;
    let addresses = listeners.addresses()?;
    let drain = Duration::from_secs(config.edge.drain_seconds);
    // A balancer learns with a delay that this process is no longer ready; until then we accept.
    let lifecycle = Lifecycle::with_keep_accepting(drain, (drain / 4).min(LONGEST_LINGER));
    let backends = OpenBackends::open(config, |key| roles.uses(key), roles.creates_log()).await?;
    let mut registry = MetricsRegistry::default();
    register_log_metrics(&mut registry, &backends.log);
    let mut startup = Startup {
        config,
        backends: &backends,
        registry: &mut registry,
        lifecycle: &lifecycle,
        descriptors,
        listeners: listeners.roles,
        toolsets,
        local_resources: None,
    };
    for role in roles.iter() {
        (role.start)(&mut startup)?;
    }
    let admin = AdminRoutes::new(
        lifecycle.clone(),
        Arc::new(registry),
        env!("CARGO_PKG_VERSION"),
    );
    let serving = http::serve(
        listeners.admin,
        admin.router(),
        HttpLimits::default(),
        lifecycle.clone(),
    );
    lifecycle.spawn("admin-http", OnExit::EndsProcess, serving);
    spawn_retention(config, &backends, &lifecycle);
    Ok(RunningProcess {
        lifecycle,
        addresses,
        backends,
    })
}

fn spawn_retention(config: &Config, backends: &OpenBackends, lifecycle: &Lifecycle) {
    if config.backends.chosen(BackendKey::Events).trims_itself {
        return;
    }
    let trim = retention::trim(
        Arc::clone(&backends.log),
        Arc::clone(&backends.clock),
        config.retention.events(),
        lifecycle.draining(),
    );
    lifecycle.spawn("retention", OnExit::MayFinish, trim);
}

/// `forgewire run`: starts, prints the ready line, runs until a signal.
///
/// # Errors
/// As [`start`].
pub(crate) async fn run(
    config: &Config,
    roles: &RoleSet,
    toolsets: MakeToolsets,
) -> anyhow::Result<bool> {
    let running = start(config, roles, toolsets).await?;
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

/// Stdout carries the ready line and nothing else; a closed pipe is not an error.
fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
