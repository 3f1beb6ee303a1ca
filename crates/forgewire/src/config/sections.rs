//! Sections that belong to the process, not to a role. In the schema they have their short names.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::config::Secret;

/// SQLite.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Sqlite")]
pub(crate) struct SqliteSection {
    /// The database file; its folder is created if it does not exist.
    pub(crate) path: PathBuf,
}

impl Default for SqliteSection {
    fn default() -> Self {
        Self {
            path: PathBuf::from("forgewire-data/forgewire.db"),
        }
    }
}

/// Redis.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Redis")]
pub(crate) struct RedisSection {
    /// URL of the server, for instance `redis://user:password@redis:6379/0`. Default: this machine.
    pub(crate) url: Secret,
    /// Prefix of every key, so that several installations can share one Redis.
    pub(crate) key_prefix: String,
}

impl Default for RedisSection {
    fn default() -> Self {
        Self {
            url: Secret::new("redis://127.0.0.1:6379"),
            key_prefix: "forgewire:".to_owned(),
        }
    }
}

/// NATS.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Nats")]
pub(crate) struct NatsSection {
    /// URL of the server, for instance `nats://user:password@nats:4222`. Default: this machine.
    pub(crate) url: Secret,
    /// Prefix of every subject, stream and consumer, so that several installations can share one
    /// server: with `team`, the stream is `team_FORGEWIRE_EVENTS`, its subjects are
    /// `team.forgewire.events.*`, and those of the bus `team.mcp.>`. Letters, digits, `-` and `_`, up to
    /// 64. Every role needs the same one; with another one, a role uses another, empty event log.
    pub(crate) prefix: String,
    /// Copies of the event log that JetStream keeps; 1 for a single server, 3 in production. A start of
    /// the ingest role raises the number but never lowers it; see `forgewire log apply`.
    pub(crate) replicas: usize,
}

impl Default for NatsSection {
    fn default() -> Self {
        Self {
            url: Secret::new("nats://127.0.0.1:4222"),
            prefix: String::new(),
            replicas: 1,
        }
    }
}

/// PostgreSQL (not in this build yet).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Postgres")]
pub(crate) struct PostgresSection {
    /// URL of the server, for instance `postgres://user:password@postgres/forgewire`.
    pub(crate) url: Option<Secret>,
}

/// Retention: how long each kind of data is kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Retention")]
pub(crate) struct RetentionSection {
    /// Days that events are kept; at least 3, GitHub's redelivery window, because a redelivery of an
    /// event that has been removed is not recognised as a duplicate. With JetStream, a start of the ingest
    /// role lengthens what the stream has but never shortens it; see `forgewire log apply`.
    pub(crate) event_days: u32,
    /// Maximum number of events that the memory log keeps (`backends.events = "memory"` only).
    pub(crate) max_memory_events: usize,
}

impl Default for RetentionSection {
    fn default() -> Self {
        Self {
            event_days: 7,
            max_memory_events: 100_000,
        }
    }
}

impl RetentionSection {
    /// How long events are kept.
    pub(crate) fn events(&self) -> Duration {
        Duration::from_secs(u64::from(self.event_days) * 24 * 60 * 60)
    }
}

/// Authentication of clients at the edge. See docs/production.md, "Who may use the edge".
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Auth")]
pub(crate) struct AuthSection {
    /// How the principal of a request is determined.
    pub(crate) mode: AuthMode,
    /// With `mode = "tokens"`: file with the digests of the tokens (`forgewire tokens new` creates an
    /// entry). The edge checks it for changes every 2 s; replace it by rename.
    pub(crate) token_file: Option<PathBuf>,
    /// Required with `mode = "none"` on an address that is not loopback: declares that something in
    /// front of the edge controls access, since any client that reaches it may read all events.
    pub(crate) i_understand: bool,
}

/// How the principal of a request is determined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AuthMode {
    /// All clients are one principal.
    #[default]
    None,
    /// The bearer token of a request identifies its principal.
    Tokens,
}

/// The admin listener: `/livez`, `/readyz`, `/health`, `/metrics`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Admin")]
pub(crate) struct AdminSection {
    /// Address to listen on; port 0 picks a free one, and the ready line on stdout names it.
    pub(crate) listen: SocketAddr,
}

impl Default for AdminSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3009)),
        }
    }
}
