//! Sections that belong to the process, not to a role.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::config::Secret;

/// SQLite.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sqlite {
    /// The database file; its folder is made if it is missing.
    pub(crate) path: PathBuf,
}

impl Default for Sqlite {
    fn default() -> Self {
        Self {
            path: PathBuf::from("forgewire-data/forgewire.db"),
        }
    }
}

/// Redis.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Redis {
    /// For instance `redis://user:password@redis:6379/0`.
    pub(crate) url: Secret,
    /// Put before every key, so that several installations can share a Redis.
    pub(crate) key_prefix: String,
}

impl Default for Redis {
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
pub(crate) struct Nats {
    /// For instance `nats://user:password@nats:4222`.
    pub(crate) url: Secret,
    /// Copies of the event log that JetStream keeps; 1 for a single server, 3 in production.
    pub(crate) replicas: usize,
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            url: Secret::new("nats://127.0.0.1:4222"),
            replicas: 1,
        }
    }
}

/// PostgreSQL (not in this build yet).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Postgres {
    /// For instance `postgres://user:password@postgres/forgewire`.
    pub(crate) url: Option<Secret>,
}

/// How long what is kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Retention {
    /// Days that events are kept; at least 3, GitHub's redelivery window, because an event that is no
    /// longer there cannot be recognised as a duplicate.
    pub(crate) event_days: u32,
    /// Most events that the memory log keeps (`backends.events = "memory"` only).
    pub(crate) max_memory_events: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            event_days: 7,
            max_memory_events: 100_000,
        }
    }
}

impl Retention {
    /// How long events are kept.
    pub(crate) fn events(&self) -> Duration {
        Duration::from_secs(u64::from(self.event_days) * 24 * 60 * 60)
    }
}

/// Who may use the edge.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Auth {
    /// How principals are found.
    pub(crate) mode: AuthMode,
    /// With `mode = "tokens"`: file with the digests of the tokens (`forgewire tokens new` makes an
    /// entry). Looked at every 2 s while the edge runs; replace it by rename.
    pub(crate) token_file: Option<PathBuf>,
    /// With `mode = "none"` on an address that is not loopback: yes, everybody who reaches it reads all
    /// events.
    pub(crate) i_understand: bool,
}

/// How principals are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AuthMode {
    /// Everybody is the same principal.
    #[default]
    None,
    /// The bearer token of a request says who it is.
    Tokens,
}

/// GitHub's API. Read by the sync role from a later version on; checked now.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Github {
    /// REST.
    pub(crate) api_url: String,
    /// GraphQL.
    pub(crate) graphql_url: String,
    /// File with a token.
    pub(crate) token_file: Option<PathBuf>,
    /// GitHub App.
    pub(crate) app_id: Option<u64>,
    /// The App's private key.
    pub(crate) private_key_file: Option<PathBuf>,
}

impl Default for Github {
    fn default() -> Self {
        Self {
            api_url: "https://api.github.com".to_owned(),
            graphql_url: "https://api.github.com/graphql".to_owned(),
            token_file: None,
            app_id: None,
            private_key_file: None,
        }
    }
}

/// The admin listener: `/livez`, `/readyz`, `/health`, `/metrics`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admin {
    /// Address to listen on; port 0 picks a free one.
    pub(crate) listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3009)),
        }
    }
}
