//! The sync role: keeps the state of resources.

use std::sync::Arc;

use service_kit::lifecycle::OnExit;
use tracing::warn;

use super::{role::RoleSpec, startup::Startup};
use crate::{config::BackendKey, trust};

pub(super) static ROLE: RoleSpec = RoleSpec {
    name: "sync",
    is_required: true,
    uses: &[BackendKey::Events, BackendKey::Bus],
    creates_log: false,
    // Roles of the same process call it directly; its port is for other processes.
    listen: |config| config.sync.listen,
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
    startup
        .lifecycle
        .spawn("sync-grpc", OnExit::EndsProcess, async move {
            if let Err(error) = running.serve_grpc(listener).await {
                warn!(%error, "gRPC server ended");
            }
        });
    Ok(())
}
