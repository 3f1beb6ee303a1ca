//! Combinations that cannot be safe are refused at start, with a sentence that names the fix.

use std::{collections::BTreeSet, net::SocketAddr};

use access::Authenticator;
use anyhow::{Context, bail};

use super::{
    Config,
    sections::{Auth, AuthMode},
};
use crate::{
    config::{BusBackend, EventsBackend, SessionsBackend},
    roles::Role,
};

/// Checks what one section alone cannot know.
///
/// # Errors
/// The combination is unsafe or not in this build; the text names the fix.
pub(crate) fn check(config: &Config, roles: &BTreeSet<Role>) -> anyhow::Result<()> {
    known_backends(config)?;
    shared_backends(config, roles)?;
    config.edge.check()?;
    config.ingest.check()?;
    config.sync.check()?;
    if roles.contains(&Role::Ingest)
        && config.ingest.webhook_secrets.is_empty()
        && config.ingest.webhook_secret_files.is_empty()
    {
        bail!(
            "no webhook secret: without one anybody could send events; set ingest.webhook_secrets or \
             ingest.webhook_secret_files (FORGEWIRE_INGEST__WEBHOOK_SECRETS, WEBHOOK_SECRET)"
        );
    }
    if roles.contains(&Role::Edge) {
        principals(&config.auth, config.edge.listen)?;
        if !roles.contains(&Role::Sync) && config.sync.endpoint.is_none() {
            bail!(
                "this edge runs without the sync role and does not know where it is; \
                 set sync.endpoint, for instance http://sync:3002"
            );
        }
    }
    if config.retention.event_days < 3 {
        bail!(
            "retention.event_days = {} is shorter than GitHub's redelivery window; use 3 or more",
            config.retention.event_days
        );
    }
    Ok(())
}

/// Who may use an edge that listens on `edge`.
fn principals(auth: &Auth, edge: SocketAddr) -> anyhow::Result<()> {
    match (auth.mode, &auth.token_file) {
        (AuthMode::None, Some(_)) => bail!(
            "auth.token_file is set, but auth.mode = \"none\" asks nobody for a token; \
             set auth.mode = \"tokens\", or leave the file out"
        ),
        (AuthMode::None, None) if !edge.ip().is_loopback() && !auth.i_understand => bail!(
            "auth.mode = \"none\" would let everybody who reaches {edge} read all events; \
             set auth.mode = \"tokens\", listen on 127.0.0.1 (edge.listen), \
             or set auth.i_understand = true"
        ),
        (AuthMode::None, None) => Ok(()),
        (AuthMode::Tokens, None) => bail!(
            "auth.mode = \"tokens\" needs auth.token_file; \
             `forgewire tokens new --principal NAME` makes an entry for it"
        ),
        (AuthMode::Tokens, Some(file)) => Authenticator::check_file(file)
            .with_context(|| format!("auth.token_file: {} is refused", file.display())),
    }
}

fn known_backends(config: &Config) -> anyhow::Result<()> {
    let events = match config.backends.events {
        EventsBackend::Postgres => Some("postgres"),
        EventsBackend::Redis => Some("redis"),
        _ => None,
    };
    if let Some(events) = events {
        bail!(
            "backends.events = \"{events}\" is not in this build yet; use sqlite, memory or jetstream"
        );
    }
    if config.backends.sessions == SessionsBackend::Postgres {
        bail!(
            "backends.sessions = \"postgres\" is not in this build yet; use sqlite, memory or redis"
        );
    }
    Ok(())
}

/// Parts that live in one process cannot be shared by roles that run in several.
fn shared_backends(config: &Config, roles: &BTreeSet<Role>) -> anyhow::Result<()> {
    if roles.len() == Role::ALL.len() {
        return Ok(());
    }
    let own = |fix: &str, key: &str, value: &str| {
        bail!(
            "backends.{key} = \"{value}\" belongs to one process, but only some roles run in this one; \
             use {fix}, or run all roles in one process (no --role)"
        )
    };
    match config.backends.events {
        EventsBackend::Sqlite => return own("\"jetstream\"", "events", "sqlite"),
        EventsBackend::Memory => return own("\"jetstream\"", "events", "memory"),
        _ => {}
    }
    if config.backends.bus == BusBackend::InProcess {
        return own("\"nats\"", "bus", "in-process");
    }
    match config.backends.sessions {
        _ if !roles.contains(&Role::Edge) => Ok(()),
        SessionsBackend::Sqlite => own("\"redis\"", "sessions", "sqlite"),
        SessionsBackend::Memory => own("\"redis\"", "sessions", "memory"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_secret() -> Config {
        let mut config = Config::default();
        config.ingest.webhook_secrets = vec![service_kit::config::Secret::new("s")];
        config
    }

    fn refusal(roles: &[Role], change: impl FnOnce(&mut Config)) -> String {
        let mut config = with_secret();
        change(&mut config);
        let roles = roles.iter().copied().collect();
        check(&config, &roles).expect_err("refused").to_string()
    }

    fn cluster(config: &mut Config) {
        config.backends.events = EventsBackend::Jetstream;
        config.backends.sessions = SessionsBackend::Redis;
        config.backends.bus = BusBackend::Nats;
        config.sync.endpoint = Some("http://sync:3002".to_owned());
    }

    #[test]
    fn the_defaults_are_safe_for_one_process() {
        check(&with_secret(), &Role::ALL.into()).unwrap();
    }

    #[test]
    fn a_cluster_is_safe_role_by_role() {
        let mut config = with_secret();
        cluster(&mut config);
        for role in Role::ALL {
            check(&config, &[role].into()).unwrap();
        }
    }

    #[test]
    fn parts_of_one_process_are_refused_for_split_roles_with_the_fix() {
        assert!(refusal(&[Role::Edge], |_| {}).contains("jetstream"));
        let text = refusal(&[Role::Ingest], |config| {
            config.backends.events = EventsBackend::Jetstream;
        });
        assert!(text.contains("nats"), "{text}");
        let text = refusal(&[Role::Edge], |config| {
            cluster(config);
            config.backends.sessions = SessionsBackend::Sqlite;
        });
        assert!(text.contains("redis"), "{text}");
    }

    #[test]
    fn an_open_edge_wants_to_be_understood() {
        let open = |config: &mut Config| config.edge.listen = "0.0.0.0:3000".parse().unwrap();
        assert!(refusal(&Role::ALL, open).contains("auth.i_understand"));
        let mut config = with_secret();
        open(&mut config);
        config.auth.i_understand = true;
        check(&config, &Role::ALL.into()).unwrap();
    }

    #[test]
    fn tokens_need_a_good_file_and_open_any_address() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let tokens = |config: &mut Config| {
            config.edge.listen = "0.0.0.0:3000".parse().unwrap();
            config.auth.mode = AuthMode::Tokens;
        };
        let text = refusal(&Role::ALL, tokens);
        assert!(
            text.contains("auth.token_file") && text.contains("tokens new"),
            "{text}"
        );
        let mut config = with_secret();
        tokens(&mut config);
        config.auth.token_file = Some(file.path().to_owned());
        check(&config, &Role::ALL.into()).unwrap();
        std::fs::write(file.path(), "[[token]]\nid = 7\n").unwrap();
        let error = check(&config, &Role::ALL.into()).unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("auth.token_file") && text.contains("line "),
            "{text}"
        );
    }

    #[test]
    fn a_token_file_that_nobody_reads_is_refused() {
        let text = refusal(&Role::ALL, |config| {
            config.auth.token_file = Some("tokens.toml".into());
        });
        assert!(text.contains("auth.mode = \"tokens\""), "{text}");
    }

    #[test]
    fn an_edge_without_sync_has_to_know_where_it_is() {
        let text = refusal(&[Role::Edge], |config| {
            cluster(config);
            config.sync.endpoint = None;
        });
        assert!(text.contains("sync.endpoint"), "{text}");
    }

    #[test]
    fn ingest_without_a_secret_is_refused_and_names_the_key() {
        let none = |config: &mut Config| config.ingest.webhook_secrets.clear();
        assert!(refusal(&Role::ALL, none).contains("ingest.webhook_secrets"));
        let mut config = Config::default();
        cluster(&mut config);
        check(&config, &[Role::Edge].into()).unwrap();
    }

    #[test]
    fn what_is_not_built_yet_says_so() {
        let text = refusal(&Role::ALL, |config| {
            config.backends.events = EventsBackend::Postgres;
        });
        assert!(text.contains("not in this build"), "{text}");
        assert!(refusal(&Role::ALL, |c| c.retention.event_days = 1).contains("redelivery"));
    }
}
