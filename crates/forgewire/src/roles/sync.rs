//! The sync role: keeps the state of resources.

use std::sync::Arc;

use anyhow::ensure;
use github::{GithubClient, GithubDeps, GithubMetrics};
use github_sync::SyncGithub;
use service_kit::{descriptors::ListenerUse, lifecycle::OnExit, request_threads::RequestClass};
use tracing::warn;

use super::{
    role::{RoleSet, RoleSpec},
    startup::Startup,
};
use crate::{
    config::{BackendKey, Config},
    trust,
};

pub(super) static ROLE: RoleSpec = RoleSpec {
    name: "sync",
    is_required: true,
    uses: &[BackendKey::Log, BackendKey::Bus],
    uses_with: |config| match mirrors(config) || sweeps(config) {
        // One replica sweeps, or compares a place, at a time, and others learn of it.
        true => &[BackendKey::Leases, BackendKey::Records],
        false => &[],
    },
    creates_log: false,
    // Roles of the same process call it directly; its port is for other processes.
    listen: |config| config.sync.listen,
    listener_use: ListenerUse::Calls,
    check_section: |config| Ok(config.sync.check()?),
    check,
    start,
};

fn check(config: &Config, _: &RoleSet) -> anyhow::Result<()> {
    ensure!(
        !config.sync.app_webhook || config.github.app_id.is_some(),
        "sync.app_webhook needs the App: set github.app_id and github.private_key_file, or leave it out"
    );
    if config.github.has_credentials() {
        GithubClient::check_secret(&config.github.client()?)?;
    }
    trust::check_sync_port(&config.roles, config.sync.listen)
}

/// Whether lost webhooks are looked for.
fn sweeps(config: &Config) -> bool {
    let sync = &config.sync;
    config.github.has_credentials() && sync.names_webhooks() && sync.sweep_seconds > 0
}

/// Whether the mirror is compared with GitHub.
fn mirrors(config: &Config) -> bool {
    config.github.has_credentials() && config.sync.compares()
}

/// GitHub, as sync uses it. Its metrics are there with and without credentials.
fn github(startup: &mut Startup<'_>) -> anyhow::Result<Option<SyncGithub>> {
    let metrics = GithubMetrics::new(startup.registry);
    let (config, backends) = (startup.config, startup.backends);
    if !config.github.has_credentials() {
        return Ok(None);
    }
    let are_shared = config.backends.chosen(BackendKey::Leases).is_shared;
    let clock = Arc::clone(&backends.clock);
    let deps = GithubDeps {
        budget: backends.budget(),
        clock: Arc::clone(&clock),
        metrics,
    };
    Ok(Some(SyncGithub {
        client: GithubClient::new(&config.github.client()?, deps)?,
        // A lease that outlives its only possible holder would delay the next start.
        leases: backends.leases().filter(|_| are_shared),
        clock,
    }))
}

fn start(startup: &mut Startup<'_>) -> anyhow::Result<()> {
    let listener = startup.take_listener(ROLE.name)?;
    let github = github(startup)?;
    let backends = startup.backends;
    let uses_records = sweeps(startup.config) || mirrors(startup.config);
    let deps = github_sync::SyncDeps {
        log: Arc::clone(&backends.log),
        bus: Arc::clone(&backends.bus),
        ids: Arc::clone(&backends.ids),
        trust: backends.trust.clone(),
        github,
        records: backends.records().filter(|_| uses_records),
    };
    let service = github_sync::SyncService::build(&startup.config.sync, deps, startup.registry)?;
    let running = service.spawn(startup.lifecycle);
    startup.details.push((ROLE.name, running.health()));
    startup.local_resources = Some(running.reader());
    startup.local_mirror = Some(running.mirror_reads());
    startup.local_finder = Some(running.finder());
    let max_connections = startup.connections.max_connections(ROLE.listener_use);
    let serving = async move {
        if let Err(error) = running.serve_grpc(listener, max_connections).await {
            warn!(%error, "gRPC server ended");
        }
    };
    // Edges call on behalf of their clients, and strangers may reach the port.
    startup.on_threads_for(RequestClass::Clients, |lifecycle| {
        lifecycle.spawn("sync-grpc", OnExit::EndsProcess, serving);
    })
}
