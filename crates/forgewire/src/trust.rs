//! The trust between the roles: their keys, and where they cannot do without.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, bail};
use model::{Clock, IdSource};
use role_keys::RoleTrust;
use service_kit::grpc;
use tracing::info;

use crate::config::{Config, RolesSection};

/// Checks `[roles]`, and the server that all roles use.
///
/// # Errors
/// A key is refused, or roles would meet strangers without one; the text names the key and the fix.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    config
        .roles
        .keys()
        .context("a key of the roles is refused")?;
    config.roles.unsigned_until()?;
    check_nats(config)
}

#[cfg(feature = "nats")]
fn check_nats(config: &Config) -> anyhow::Result<()> {
    use crate::config::{BusBackend, EventsBackend};

    let backends = &config.backends;
    if backends.bus != BusBackend::Nats && backends.log() != EventsBackend::Jetstream {
        return Ok(());
    }
    let settings = crate::backends::nats_settings(config);
    if settings.is_loopback().context("nats.url")? {
        return Ok(());
    }
    require_key(
        &config.roles,
        "nats.url leads to another machine: anybody who can publish there could make up events",
    )
}

/// Such a configuration is refused before, because this build has no NATS.
#[cfg(not(feature = "nats"))]
#[expect(clippy::unnecessary_wraps, reason = "the build with NATS needs it")]
fn check_nats(_: &Config) -> anyhow::Result<()> {
    Ok(())
}

/// Checks the port of a sync role.
///
/// # Errors
/// It would answer strangers.
pub(crate) fn check_sync_port(roles: &RolesSection, listen: SocketAddr) -> anyhow::Result<()> {
    if listen.ip().is_loopback() {
        return Ok(());
    }
    require_key(
        roles,
        &format!("sync.listen = \"{listen}\" would answer anybody who reaches it"),
    )
}

/// Checks the endpoint of a sync role elsewhere, if there is one.
///
/// # Errors
/// The sync role there could not tell this process from a stranger.
pub(crate) fn check_sync_endpoint(
    roles: &RolesSection,
    endpoint: Option<&str>,
) -> anyhow::Result<()> {
    if endpoint.is_none_or(grpc::is_loopback) {
        return Ok(());
    }
    require_key(
        roles,
        "sync.endpoint leads to another machine, where the sync role could not tell this process from a stranger",
    )
}

fn require_key(roles: &RolesSection, why: &str) -> anyhow::Result<()> {
    if roles.has_keys() || roles.i_understand {
        return Ok(());
    }
    bail!(
        "{why}; give all roles the same key in roles.key_files (`openssl rand -base64 32` makes one), or set \
         roles.i_understand = true if nothing but roles of this installation gets there"
    )
}

/// The trust that `[roles]` configures.
///
/// # Errors
/// A key is refused; the text names it.
pub(crate) fn open(
    config: &Config,
    clock: Arc<dyn Clock>,
    ids: &dyn IdSource,
) -> anyhow::Result<RoleTrust> {
    let Some(keys) = config
        .roles
        .keys()
        .context("a key of the roles is refused")?
    else {
        return Ok(RoleTrust::none());
    };
    let until = config.roles.unsigned_until()?;
    if let Some(until) = until.filter(|until| *until > clock.now()) {
        info!(%until, "messages and calls without a stamp are believed for now (roles.unsigned_until)");
    }
    Ok(RoleTrust::keyed(keys, until, clock, ids))
}

#[cfg(test)]
mod tests {
    use super::*;
    use service_kit::config::Secret;

    const KEY: &str = "a key that is as long as a key has to be";

    #[test]
    fn a_port_or_an_endpoint_on_another_machine_needs_a_key() {
        let none = RolesSection::default();
        let keyed = RolesSection {
            keys: vec![Secret::new(KEY)],
            ..RolesSection::default()
        };
        let understood = RolesSection {
            i_understand: true,
            ..RolesSection::default()
        };
        let checks = |roles: &RolesSection, open: bool| {
            let (listen, endpoint) = match open {
                true => ("0.0.0.0:3002", "http://sync:3002"),
                false => ("127.0.0.1:3002", "http://localhost:3002"),
            };
            [
                check_sync_port(roles, listen.parse().unwrap()),
                check_sync_endpoint(roles, Some(endpoint)),
            ]
        };
        for refused in checks(&none, true) {
            let text = refused.unwrap_err().to_string();
            let names = ["roles.key_files", "roles.i_understand", "sync."];
            assert!(names.iter().all(|name| text.contains(name)), "{text}");
        }
        for roles in [&keyed, &understood] {
            assert!(checks(roles, true).iter().all(Result::is_ok));
        }
        assert!(checks(&none, false).iter().all(Result::is_ok));
    }

    #[test]
    fn a_text_that_is_no_time_or_no_key_is_refused_by_its_name() {
        let mut config = Config::default();
        config.roles.unsigned_until = Some("tomorrow".into());
        assert!(
            check(&config)
                .unwrap_err()
                .to_string()
                .contains("roles.unsigned_until")
        );
        config.roles.unsigned_until = Some("2026-12-01T00:00:00Z".into());
        check(&config).unwrap();
        config.roles.key_files = vec!["/nonexistent/key".into()];
        let text = format!("{:#}", check(&config).unwrap_err());
        assert!(
            text.contains("roles.key_files") && text.contains("/nonexistent/key"),
            "{text}"
        );
    }
}
