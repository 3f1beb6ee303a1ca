//! The edge role: serves clients.

use std::{net::SocketAddr, sync::Arc};

use access::Authenticator;
use anyhow::{Context, bail};
use github_sync::client;
use mirror_cache::{
    cache::{MirrorCache, MirrorCacheParts},
    metrics::MirrorCacheMetrics,
};
use model::SharedKey;
use ports::{MirrorReads, ResourceReader};
use role_keys::RoleTrust;
use service_kit::descriptors::ListenerUse;
use tracing::warn;

use super::{
    role::{RoleSet, RoleSpec},
    startup::Startup,
    sync,
};
use crate::{
    config::{AuthMode, AuthSection, BackendKey, Config},
    toolsets::ToolsetDeps,
    trust,
};

pub(super) static ROLE: RoleSpec = RoleSpec {
    name: "edge",
    is_required: true,
    uses: &BackendKey::ALL,
    uses_with: |_| &[],
    creates_log: false,
    listen: |config| config.edge.listen,
    listener_use: ListenerUse::Streams,
    check_section: |config| Ok(config.edge.check()?),
    check,
    start,
};

fn check(config: &Config, roles: &RoleSet) -> anyhow::Result<()> {
    check_auth(&config.auth, config.edge.listen)?;
    if !roles.contains(&sync::ROLE) && config.sync.endpoint.is_none() {
        bail!(
            "this edge runs without the sync role in its process, and sync.endpoint does not say where \
             it is; set it, for instance to http://sync:3002"
        );
    }
    trust::check_sync_endpoint(&config.roles, config.sync.endpoint.as_deref())
}

/// Checks `[auth]` for an edge that listens on `edge`.
fn check_auth(auth: &AuthSection, edge: SocketAddr) -> anyhow::Result<()> {
    match (auth.mode, &auth.token_file) {
        (AuthMode::None, Some(_)) => bail!(
            "auth.token_file is set, but auth.mode = \"none\" never asks for a token; \
             set auth.mode = \"tokens\", or leave the file out"
        ),
        (AuthMode::None, None) if !edge.ip().is_loopback() && !auth.i_understand => bail!(
            "auth.mode = \"none\" would let any client that reaches {edge} read all events; \
             set auth.mode = \"tokens\", listen on 127.0.0.1 (edge.listen), \
             or set auth.i_understand = true"
        ),
        (AuthMode::None, None) => Ok(()),
        (AuthMode::Tokens, None) => bail!(
            "auth.mode = \"tokens\" needs auth.token_file; \
             `forgewire tokens new --principal NAME` creates an entry for it"
        ),
        (AuthMode::Tokens, Some(file)) => Authenticator::check_file(file)
            .with_context(|| format!("auth.token_file: {} is refused", file.display())),
    }
}

fn start(startup: &mut Startup<'_>) -> anyhow::Result<()> {
    let listener = startup.take_listener(ROLE.name)?;
    let auth = authenticator(startup)?;
    let stores = startup.backends.stores()?.clone();
    let SyncReaders {
        resources,
        mirror,
        mirror_cache,
    } = sync_readers(startup)?;
    let deps = sse_edge::EdgeDeps {
        log: stores.log,
        pages: Arc::clone(&startup.backends.pages),
        records: stores.records,
        mailboxes: stores.mailboxes,
        leases: stores.leases,
        call_lease: sse_edge::EdgeDeps::CALL_LEASE,
        bus: stores.bus,
        resources,
        mirror,
        mirror_cache,
        clock: Arc::clone(&startup.backends.clock),
        ids: Arc::clone(&startup.backends.ids),
        auth: Arc::new(auth),
        descriptors: startup.connections.streams(),
        role_keys: sealing_keys(&startup.backends.trust),
        bodies: Arc::clone(&startup.bodies),
        toolsets: (startup.toolsets)(&ToolsetDeps {
            bus: Arc::clone(&startup.backends.bus),
        }),
    };
    warn_without_keys(startup.config);
    let service = sse_edge::EdgeService::build(&startup.config.edge, deps, startup.registry)?;
    let service = service.spawn(startup.lifecycle)?;
    startup.details.push((ROLE.name, service.health()));
    let limits = service.http_limits();
    startup.serve_clients("edge-http", listener, service.router(), limits)
}

/// The keys of the roles, for what the edges seal.
fn sealing_keys(trust: &RoleTrust) -> Vec<SharedKey> {
    let secrets = trust.sealing_secrets().into_iter();
    secrets.map(SharedKey::of_secret).collect()
}

/// Readers that differ in what they see should not be able to read positions.
fn warn_without_keys(config: &Config) {
    let edge = &config.edge;
    let has_keys =
        !edge.state_keys.is_empty() || !edge.state_key_files.is_empty() || config.roles.has_keys();
    if config.auth.mode == AuthMode::Tokens && !has_keys {
        warn!(
            "no edge.state_key_files, no edge.state_keys and no key of the roles: cursors are sealed with a key that \
             is only as secret as the identity of the log; make one with `openssl rand -base64 32`"
        );
    }
}

/// The authenticator that `[auth]` configures.
fn authenticator(startup: &Startup<'_>) -> anyhow::Result<Authenticator> {
    let auth = &startup.config.auth;
    match (auth.mode, &auth.token_file) {
        (AuthMode::None, _) => Ok(Authenticator::none()),
        (AuthMode::Tokens, None) => bail!("auth.token_file is missing"),
        (AuthMode::Tokens, Some(file)) => {
            Authenticator::tokens(file, Arc::clone(&startup.backends.clock))
                .with_context(|| format!("auth.token_file: {} is refused", file.display()))
        }
    }
}

/// What the edge reads of the sync role.
struct SyncReaders {
    resources: Arc<dyn ResourceReader>,
    mirror: Option<Arc<dyn MirrorReads>>,
    /// The cache that is behind them, if there is one.
    mirror_cache: Option<Arc<MirrorCache>>,
}

/// The readers: `sync.endpoint` takes precedence over the sync role of this process. Over the network they have a cache; in
/// the same process a read costs what a look into the cache would (crates/mirror-cache/adr/001).
fn sync_readers(startup: &mut Startup<'_>) -> anyhow::Result<SyncReaders> {
    let metrics = MirrorCacheMetrics::register(startup.registry);
    let sync = &startup.config.sync;
    let Some(endpoint) = &sync.endpoint else {
        let local = startup.local_resources.as_ref();
        return Ok(SyncReaders {
            resources: Arc::clone(local.context("sync.endpoint is missing")?),
            mirror: startup.local_mirror.clone(),
            mirror_cache: None,
        });
    };
    let (deadline, trust) = (sync.deadline(), &startup.backends.trust);
    let resources = client::connect(endpoint, deadline, trust.clone())?;
    let mirror = client::connect_mirror(endpoint, deadline, trust.clone())?;
    let max_bytes = startup.config.edge.mirror_cache_bytes;
    if max_bytes == 0 {
        return Ok(SyncReaders {
            resources,
            mirror: Some(mirror),
            mirror_cache: None,
        });
    }
    let cache = MirrorCache::over(MirrorCacheParts {
        resources,
        mirror,
        log: Arc::clone(&startup.backends.pages),
        max_bytes,
        metrics,
    });
    Ok(SyncReaders {
        resources: Arc::<MirrorCache>::clone(&cache),
        mirror: Some(Arc::<MirrorCache>::clone(&cache)),
        mirror_cache: Some(cache),
    })
}
