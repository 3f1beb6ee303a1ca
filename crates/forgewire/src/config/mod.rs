//! The whole configuration: each section belongs to whoever uses it, this is where they meet.

mod backends;
mod older_names;
mod sections;

use std::path::PathBuf;

use anyhow::Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::{
    config::{Names, Override, load_with},
    telemetry::TelemetryConfig,
};

pub(crate) use backends::{
    BackendKey, BackendProfile, Backends, BusBackend, EventsBackend, Presence, SessionsBackend,
};
use sections::{Admin, Github, Nats, Postgres, Redis, Retention, Sqlite};
pub(crate) use sections::{Auth, AuthMode};

/// Forgewire's configuration. Layers: defaults, TOML files, environment
/// (`FORGEWIRE_<SECTION>__<KEY>`), flags; later ones win. Unknown keys are refused.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The edge role.
    pub(crate) edge: sse_edge::Config,
    /// The ingest role.
    pub(crate) ingest: webhook_ingest::Config,
    /// The sync role, and where the other roles find it.
    pub(crate) sync: github_sync::Config,
    /// GitHub's API.
    pub(crate) github: Github,
    /// Which store and bus are used.
    pub(crate) backends: Backends,
    /// SQLite.
    pub(crate) sqlite: Sqlite,
    /// Redis.
    pub(crate) redis: Redis,
    /// NATS.
    pub(crate) nats: Nats,
    /// PostgreSQL.
    pub(crate) postgres: Postgres,
    /// How long what is kept.
    pub(crate) retention: Retention,
    /// Who may use the edge.
    pub(crate) auth: Auth,
    /// Logs.
    pub(crate) telemetry: TelemetryConfig,
    /// The admin listener of every process.
    pub(crate) admin: Admin,
}

impl Config {
    /// Loads all layers.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key or a malformed value; the text names key and origin.
    pub(crate) fn load(files: &[PathBuf], flags: &[Override]) -> anyhow::Result<Self> {
        let names = Names {
            older: &older_names::TABLE,
            ignored: &OTHER_NAMES,
        };
        load_with(files, std::env::vars_os(), flags, names).context("configuration refused")
    }
}

/// Variables with our prefix that are not configuration.
const OTHER_NAMES: [&str; 2] = ["FORGEWIRE_BIN", "FORGEWIRE_WEBHOOK_EXAMPLES"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_older_name_sets_a_key_of_today() {
        let defaults = serde_json::to_value(Config::default()).unwrap();
        for older in older_names::TABLE {
            let pointer = format!("/{}", older.key.replace('.', "/"));
            assert!(
                defaults.pointer(&pointer).is_some(),
                "{} -> {}",
                older.name,
                older.key
            );
        }
    }
}
