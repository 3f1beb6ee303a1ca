//! The ingest role: receives webhooks.

use std::sync::Arc;

use anyhow::ensure;
use service_kit::{descriptors::ListenerUse, http::HttpLimits, request_threads::RequestClass};

use super::{
    role::{RoleSet, RoleSpec},
    startup::Startup,
};
use crate::config::{BackendKey, Config};

pub(super) static ROLE: RoleSpec = RoleSpec {
    name: "ingest",
    is_required: true,
    uses: &[BackendKey::Log, BackendKey::Bus],
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
    Ok(())
}

fn start(startup: &mut Startup<'_>) -> anyhow::Result<()> {
    let listener = startup.take_listener(ROLE.name)?;
    let backends = startup.backends;
    let deps = webhook_ingest::IngestDeps {
        log: Arc::clone(&backends.log),
        bus: Arc::clone(&backends.bus),
        clock: Arc::clone(&backends.clock),
        ids: Arc::clone(&backends.ids),
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
