//! The readers of every setting, and the settings that were set although nothing reads them.
//!
//! A file or an environment is shared by processes with other roles and other backends, so a setting
//! without effect in this process is a warning. A flag belongs to this process alone: there it is an
//! error. See ADR 003.

use std::fmt;

use anyhow::bail;
use service_kit::config::{GivenKey, LeftVariables, SettingOrigin};

use crate::{
    config::{AuthMode, BackendKey, BusBackend, Config, EventsBackend, SessionsBackend},
    roles::RoleSet,
};

/// What reads a setting.
#[derive(Debug, Clone, Copy)]
enum Reader {
    /// Every process, whatever its roles.
    Process,
    /// The roles of these names.
    Roles(&'static [&'static str]),
    /// These roles, while a condition on the other settings holds.
    While(&'static [&'static str], Condition),
    /// No role yet: the reason.
    Planned(&'static str),
}

/// A condition on the other settings.
#[derive(Debug, Clone, Copy)]
struct Condition {
    holds: fn(&Config, &RoleSet) -> bool,
    /// What has to be set, as the rest of a sentence after "counts only with".
    needs: &'static str,
}

const INGEST: &[&str] = &["ingest"];
const EDGE: &[&str] = &["edge"];
const SYNC: &[&str] = &["sync"];
const ALL: &[&str] = &["ingest", "sync", "edge"];
const NO_POSTGRES: &str = "this version has no PostgreSQL backend";

const NATS: Condition = Condition {
    holds: |config, _| {
        config.backends.bus == BusBackend::Nats || config.backends.log() == EventsBackend::Jetstream
    },
    needs: "backends.log = \"jetstream\" or backends.bus = \"nats\"",
};
const JETSTREAM: Condition = Condition {
    holds: |config, _| config.backends.log() == EventsBackend::Jetstream,
    needs: "backends.log = \"jetstream\"",
};
const REDIS: Condition = Condition {
    holds: |config, _| config.backends.keeps_state_in(SessionsBackend::Redis),
    needs: "\"redis\" for one of backends.records, backends.mailboxes and backends.leases",
};
const SQLITE: Condition = Condition {
    holds: |config, roles| {
        let keeps_state = config.backends.keeps_state_in(SessionsBackend::Sqlite);
        (keeps_state && roles.uses(config, BackendKey::Leases))
            || config.backends.log() == EventsBackend::Sqlite
    },
    needs: "\"sqlite\" for one of backends.log, backends.records, backends.mailboxes and backends.leases",
};
const MEMORY_LOG: Condition = Condition {
    holds: |config, _| config.backends.log() == EventsBackend::Memory,
    needs: "backends.log = \"memory\"",
};
const EVENTS_KEY: Condition = Condition {
    holds: |config, _| config.backends.log.is_none(),
    needs: "no backends.log",
};
const SESSIONS_KEY: Condition = Condition {
    holds: |config, _| {
        let backends = &config.backends;
        let own = [backends.records, backends.mailboxes, backends.leases];
        own.iter().any(Option::is_none)
    },
    needs: "one of backends.records, backends.mailboxes and backends.leases left out",
};
const SEAL_KEYS: Condition = Condition {
    holds: |config, _| config.layers.has_keys(),
    needs: "a key in layers.seal_keys or layers.seal_key_files",
};
const TOKENS: Condition = Condition {
    holds: |config, _| config.auth.mode == AuthMode::Tokens,
    needs: "auth.mode = \"tokens\"",
};
const NO_TOKENS: Condition = Condition {
    holds: |config, _| config.auth.mode == AuthMode::None,
    needs: "auth.mode = \"none\"",
};
const ROLE_KEYS: Condition = Condition {
    holds: |config, _| config.roles.has_keys(),
    needs: "a key in roles.keys or roles.key_files",
};
const NO_ROLE_KEYS: Condition = Condition {
    holds: |config, _| !config.roles.has_keys(),
    needs: "no key in roles.keys and roles.key_files",
};
const SOCKETS: Condition = Condition {
    holds: |config, _| config.edge.take_over_sockets,
    needs: "edge.take_over_sockets = true",
};
/// `--skip-sync` is no mistake where nothing would be compared.
const CREDENTIALS_OR_ZERO: Condition = Condition {
    holds: |config, _| config.github.has_credentials() || config.sync.initial_timeout_seconds == 0,
    needs: CREDENTIALS.needs,
};
const SYNC_ENDPOINT: Condition = Condition {
    holds: |config, _| config.sync.endpoint.is_some(),
    needs: "sync.endpoint: the sync role of the same process is read without a cache",
};
const CREDENTIALS: Condition = Condition {
    holds: |config, _| config.github.has_credentials(),
    needs: "github.token_file, or github.app_id and github.private_key_file",
};
const COLLECTOR: Condition = Condition {
    holds: |config, _| config.telemetry.collector().is_some(),
    needs: "telemetry.endpoint",
};

/// Every key and what reads it. A test compares it with the schema.
const READERS: &[(&str, Reader)] = &[
    ("admin.listen", Reader::Process),
    ("auth.i_understand", Reader::While(EDGE, NO_TOKENS)),
    ("auth.mode", Reader::Roles(EDGE)),
    ("auth.token_file", Reader::Roles(EDGE)),
    ("backends.bus", Reader::Process),
    ("backends.events", Reader::While(ALL, EVENTS_KEY)),
    ("backends.leases", Reader::Roles(&["edge", "sync"])),
    ("backends.log", Reader::Process),
    ("backends.mailboxes", Reader::Roles(EDGE)),
    ("backends.records", Reader::Roles(&["edge", "sync"])),
    (
        "backends.sessions",
        Reader::While(&["edge", "sync"], SESSIONS_KEY),
    ),
    ("edge.accept_older_cursors", Reader::Roles(EDGE)),
    ("edge.allowed_hosts", Reader::Roles(EDGE)),
    ("edge.allowed_origins", Reader::Roles(EDGE)),
    ("edge.channels", Reader::Roles(EDGE)),
    ("edge.compress_answers", Reader::Roles(EDGE)),
    ("edge.demo_page", Reader::Roles(EDGE)),
    ("edge.query_tokens", Reader::Roles(EDGE)),
    ("edge.proxies.header", Reader::Roles(EDGE)),
    ("edge.proxies.trusted", Reader::Roles(EDGE)),
    ("edge.base_path", Reader::Roles(EDGE)),
    // The drain of every process lasts as long.
    ("edge.drain_seconds", Reader::Process),
    ("edge.heartbeat_seconds", Reader::Roles(EDGE)),
    ("edge.idle_seconds", Reader::Roles(EDGE)),
    ("edge.issues_include_pull_requests", Reader::Roles(EDGE)),
    ("edge.listen", Reader::Roles(EDGE)),
    ("edge.lockdown", Reader::Roles(EDGE)),
    ("edge.max_behind_events", Reader::Roles(EDGE)),
    ("edge.max_behind_seconds", Reader::Roles(EDGE)),
    ("edge.max_body_bytes", Reader::Roles(EDGE)),
    ("edge.max_sessions", Reader::Roles(EDGE)),
    (
        "edge.max_sessions_per_principal",
        Reader::While(EDGE, TOKENS),
    ),
    ("edge.max_stream_seconds", Reader::Roles(EDGE)),
    ("edge.max_streams", Reader::Roles(EDGE)),
    (
        "edge.mirror_cache_bytes",
        Reader::While(EDGE, SYNC_ENDPOINT),
    ),
    ("edge.rates.memory_calls_per_second", Reader::Roles(EDGE)),
    ("edge.rates.store_calls_per_second", Reader::Roles(EDGE)),
    ("edge.rates.waiting_calls", Reader::Roles(EDGE)),
    ("edge.session_idle_seconds", Reader::Roles(EDGE)),
    ("edge.session_max_seconds", Reader::Roles(EDGE)),
    ("edge.state_key_files", Reader::Roles(EDGE)),
    ("edge.state_keys", Reader::Roles(EDGE)),
    ("edge.stream_threads", Reader::While(EDGE, SOCKETS)),
    ("edge.take_over_sockets", Reader::Roles(EDGE)),
    ("github.api_url", Reader::Roles(SYNC)),
    ("github.api_version", Reader::Roles(SYNC)),
    ("github.app_id", Reader::Roles(SYNC)),
    ("github.graphql_url", Reader::Roles(SYNC)),
    ("github.private_key_file", Reader::Roles(SYNC)),
    ("github.proxy", Reader::Roles(SYNC)),
    ("github.token", Reader::Roles(SYNC)),
    ("github.token_file", Reader::Roles(SYNC)),
    ("ingest.body_timeout_seconds", Reader::Roles(INGEST)),
    ("ingest.failures_per_minute", Reader::Roles(INGEST)),
    ("ingest.never_limited", Reader::Roles(INGEST)),
    ("ingest.proxies.header", Reader::Roles(INGEST)),
    ("ingest.proxies.trusted", Reader::Roles(INGEST)),
    ("ingest.idle_seconds", Reader::Roles(INGEST)),
    ("ingest.order_window_milliseconds", Reader::Roles(INGEST)),
    ("ingest.listen", Reader::Roles(INGEST)),
    ("ingest.max_body_bytes", Reader::Roles(INGEST)),
    ("ingest.webhook_secret_files", Reader::Roles(INGEST)),
    ("ingest.webhook_secrets", Reader::Roles(INGEST)),
    ("layers.accept_unsealed", Reader::While(ALL, SEAL_KEYS)),
    ("layers.compress", Reader::Process),
    ("layers.seal_key_files", Reader::Process),
    ("layers.seal_keys", Reader::Process),
    ("nats.prefix", Reader::While(ALL, NATS)),
    ("nats.replicas", Reader::While(INGEST, JETSTREAM)),
    ("nats.url", Reader::While(ALL, NATS)),
    ("postgres.url", Reader::Planned(NO_POSTGRES)),
    ("redis.key_prefix", Reader::While(&["edge", "sync"], REDIS)),
    ("redis.url", Reader::While(&["edge", "sync"], REDIS)),
    ("retention.event_days", Reader::Process),
    (
        "retention.max_memory_events",
        Reader::While(ALL, MEMORY_LOG),
    ),
    ("roles.i_understand", Reader::While(ALL, NO_ROLE_KEYS)),
    ("roles.key_files", Reader::Process),
    ("roles.keys", Reader::Process),
    ("roles.unsigned_until", Reader::While(ALL, ROLE_KEYS)),
    ("sqlite.path", Reader::While(ALL, SQLITE)),
    ("sync.app_webhook", Reader::While(SYNC, CREDENTIALS)),
    ("sync.deadline_seconds", Reader::Roles(&["sync", "edge"])),
    ("sync.derived", Reader::While(SYNC, CREDENTIALS)),
    ("sync.due_milestone_hours", Reader::While(SYNC, CREDENTIALS)),
    ("sync.endpoint", Reader::Roles(EDGE)),
    (
        "sync.initial_timeout_seconds",
        Reader::While(SYNC, CREDENTIALS_OR_ZERO),
    ),
    ("sync.interval_seconds", Reader::While(SYNC, CREDENTIALS)),
    ("sync.listen", Reader::Roles(SYNC)),
    ("sync.max_resources", Reader::Roles(SYNC)),
    ("sync.organizations", Reader::While(SYNC, CREDENTIALS)),
    (
        "sync.pending_checks_minutes",
        Reader::While(SYNC, CREDENTIALS),
    ),
    ("sync.repositories", Reader::While(SYNC, CREDENTIALS)),
    ("sync.resources", Reader::While(SYNC, CREDENTIALS)),
    ("sync.sweep_seconds", Reader::While(SYNC, CREDENTIALS)),
    (
        "sync.waiting_review_hours",
        Reader::While(SYNC, CREDENTIALS),
    ),
    ("sync.webhook_url", Reader::While(SYNC, CREDENTIALS)),
    ("telemetry.endpoint", Reader::Process),
    (
        "telemetry.export_timeout_seconds",
        Reader::While(ALL, COLLECTOR),
    ),
    ("telemetry.filter", Reader::Process),
    (
        "telemetry.follow_client_sampling",
        Reader::While(ALL, COLLECTOR),
    ),
    ("telemetry.format", Reader::Process),
    ("telemetry.header_files", Reader::While(ALL, COLLECTOR)),
    ("telemetry.headers", Reader::While(ALL, COLLECTOR)),
    (
        "telemetry.metrics_interval_seconds",
        Reader::While(ALL, COLLECTOR),
    ),
    ("telemetry.protocol", Reader::While(ALL, COLLECTOR)),
    ("telemetry.queue_spans", Reader::While(ALL, COLLECTOR)),
    (
        "telemetry.resource_attributes",
        Reader::While(ALL, COLLECTOR),
    ),
    ("telemetry.sampling_ratio", Reader::While(ALL, COLLECTOR)),
    ("telemetry.service_name", Reader::While(ALL, COLLECTOR)),
];

/// A setting that was set and does nothing in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdleSetting {
    key: String,
    origin: String,
    reason: String,
}

impl fmt::Display for IdleSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            origin,
            reason,
        } = self;
        write!(f, "{key} has no effect: {reason} (set by {origin})")
    }
}

/// The settings without effect: one warning each, and the keys that other processes read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IdleSettings {
    /// Settings that have no effect in any process of this version, or none beside the other settings.
    pub(crate) warnings: Vec<IdleSetting>,
    /// Keys that only roles of other processes read.
    pub(crate) of_other_roles: Vec<String>,
    /// Environment variables that look like settings and set no key.
    pub(crate) left: Vec<LeftVariables>,
}

impl IdleSettings {
    /// What the operator should know, a line each.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let left = self.left.iter().map(ToString::to_string);
        left.chain(self.warnings.iter().map(ToString::to_string))
    }
}

/// The settings of `given` that do nothing in a process with these roles.
///
/// # Errors
/// A flag has no effect, because no role of this process reads its key or because of other settings.
pub(crate) fn idle(
    given: &[GivenKey],
    config: &Config,
    roles: &RoleSet,
) -> anyhow::Result<IdleSettings> {
    let mut idle = IdleSettings::default();
    for GivenKey { key, origin, kind } in given {
        let Some((_, reader)) = READERS.iter().find(|(of, _)| of == key) else {
            continue;
        };
        let here = |names: &[&str]| roles.iter().any(|role| names.contains(&role.name));
        let reason = match reader {
            Reader::Planned(reason) => (*reason).to_owned(),
            Reader::Roles(names) | Reader::While(names, _) if !here(names) => {
                let reason = format!("only the role {} reads it", names.join(" or "));
                refuse_flag(*kind, origin, key, &reason)?;
                idle.of_other_roles.push(key.clone());
                continue;
            }
            Reader::While(_, condition) if !(condition.holds)(config, roles) => {
                let reason = format!("it counts only with {}", condition.needs);
                refuse_flag(*kind, origin, key, &reason)?;
                reason
            }
            Reader::Process | Reader::Roles(_) | Reader::While(..) => continue,
        };
        idle.warnings.push(IdleSetting {
            key: key.clone(),
            origin: origin.clone(),
            reason,
        });
    }
    idle.of_other_roles.sort_unstable();
    idle.of_other_roles.dedup();
    Ok(idle)
}

fn refuse_flag(kind: SettingOrigin, origin: &str, key: &str, reason: &str) -> anyhow::Result<()> {
    if kind == SettingOrigin::Flag {
        bail!("{origin} sets {key}, which has no effect: {reason}; leave the flag out");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
