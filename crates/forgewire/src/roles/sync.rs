//! The sync role: keeps the state of resources.

use std::sync::Arc;

use service_kit::{descriptors::ListenerUse, lifecycle::OnExit, request_threads::RequestClass};
use tracing::warn;

use super::{role::RoleSpec, startup::Startup};
use crate::{config::BackendKey, trust};

pub(super) static ROLE: RoleSpec = RoleSpec {
    name: "sync",
    is_required: true,
    uses: &[BackendKey::Log, BackendKey::Bus],
    creates_log: false,
    // Roles of the same process call it directly; its port is for other processes.
    listen: |config| config.sync.listen,
    listener_use: ListenerUse::Calls,
    check_section: |config| Ok(config.sync.check()?),
    check: |config, _| trust::check_sync_port(&config.roles, config.sync.listen),
    start,
};

fn start(startup: &mut Startup<'_>) -> anyhow::Result<()> {
    let listener = startup.take_listener(ROLE.name)?;
    let backends = startup.backends;
    let deps = github_sync::SyncDeps {
        log: Arc::clone(&backends.log),
        bus: Arc::clone(&backends.bus),
        ids: Arc::clone(&backends.ids),
        trust: backends.trust.clone(),
    };
    let service = github_sync::SyncService::build(&startup.config.sync, deps, startup.registry)?;
    let running = service.spawn(startup.lifecycle);
    startup.details.push((ROLE.name, running.health()));
    startup.local_resources = Some(running.reader());
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
