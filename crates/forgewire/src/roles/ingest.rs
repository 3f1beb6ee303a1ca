//! The ingest role: receives webhooks.

use std::sync::Arc;

use anyhow::ensure;
use github_sync::client;
use ports::ResourceFinder;
use service_kit::{descriptors::ListenerUse, http::HttpLimits, request_threads::RequestClass};
use tracing::warn;

use super::{
    role::{RoleSet, RoleSpec},
    startup::Startup,
};
use crate::{
    config::{BackendKey, BusBackend, Config},
    trust,
};

pub(super) static ROLE: RoleSpec = RoleSpec {
    name: "ingest",
    is_required: true,
    uses: &[BackendKey::Log, BackendKey::Bus],
    uses_with: |_| &[],
    creates_log: true,
    listen: |config| config.ingest.listen,
    listener_use: ListenerUse::Requests,
    check_section: |config| Ok(config.ingest.check()?),
    check,
    start,
};

fn check(config: &Config, _: &RoleSet) -> anyhow::Result<()> {
    let ingest = &config.ingest;
    ensure!(
        !ingest.webhook_secrets.is_empty() || !ingest.webhook_secret_files.is_empty(),
        "no webhook secret: without one, anyone could send events; set ingest.webhook_secrets or \
         ingest.webhook_secret_files (FORGEWIRE_INGEST__WEBHOOK_SECRETS, WEBHOOK_SECRET)"
    );
    trust::check_sync_endpoint(&config.roles, config.sync.endpoint.as_deref())
}

fn start(startup: &mut Startup<'_>) -> anyhow::Result<()> {
    let listener = startup.take_listener(ROLE.name)?;
    let backends = startup.backends;
    let deps = webhook_ingest::IngestDeps {
        log: Arc::clone(&backends.log),
        bus: Arc::clone(&backends.bus),
        has_peers: startup.config.backends.bus != BusBackend::InProcess,
        clock: Arc::clone(&backends.clock),
        ids: Arc::clone(&backends.ids),
        finder: resource_finder(startup)?,
        bodies: Arc::clone(&startup.bodies),
    };
    let service =
        webhook_ingest::IngestService::build(&startup.config.ingest, deps, startup.registry)?;
    let running = service.spawn(startup.lifecycle);
    startup.details.push((ROLE.name, running.health()));
    let limits = startup.config.ingest.http_limits();
    let possible = startup.connections.max_connections(ROLE.listener_use);
    let limits = HttpLimits {
        max_connections: limits.max_connections.min(possible),
        ..limits
    };
    let name = ("ingest-http", RequestClass::Webhooks);
    startup.serve(name, listener, running.router(), limits)
}

/// What knows where issues are: `sync.endpoint` takes precedence over the sync role of this process.
fn resource_finder(startup: &Startup<'_>) -> anyhow::Result<Option<Arc<dyn ResourceFinder>>> {
    let Some(endpoint) = &startup.config.sync.endpoint else {
        if startup.local_finder.is_none() {
            warn!(
                "this ingest runs without the sync role in its process, and sync.endpoint does not say where it is: \
                 events of projects' items will have no repository and no number"
            );
        }
        return Ok(startup.local_finder.clone());
    };
    let trust = startup.backends.trust.clone();
    let patience = webhook_ingest::limits::ITEM_CONTENT_PATIENCE;
    Ok(Some(client::connect_finder(endpoint, patience, trust)?))
}
