//! The whole configuration. Each section belongs to the crate that uses it; here they are combined.

mod backends;
mod layers;
mod older_names;
mod reference;
mod roles;
mod sections;

use std::path::PathBuf;

use anyhow::Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::{
    config::{EnvNames, LoadedConfig, Override, load_with},
    telemetry::TelemetryConfig,
};

pub(crate) use backends::{
    BackendKey, BackendProfile, BackendsSection, BusBackend, EventsBackend, Presence,
    SessionsBackend,
};
use layers::LayersSection;
pub(crate) use reference::markdown;
pub(crate) use roles::RolesSection;
use sections::{
    AdminSection, GithubSection, NatsSection, PostgresSection, RedisSection, RetentionSection,
    SqliteSection,
};
pub(crate) use sections::{AuthMode, AuthSection};

/// Forgewire's configuration. Layers: defaults, TOML files, environment
/// (`FORGEWIRE_<SECTION>__<KEY>`), flags; later ones win. Unknown keys are refused.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The edge role.
    pub(crate) edge: sse_edge::EdgeConfig,
    /// The ingest role.
    pub(crate) ingest: webhook_ingest::IngestConfig,
    /// The sync role, and where the other roles find it.
    pub(crate) sync: github_sync::SyncConfig,
    /// GitHub's API.
    pub(crate) github: GithubSection,
    /// Which stores and which bus are used.
    pub(crate) backends: BackendsSection,
    /// What lies between events and records and their stores.
    pub(crate) layers: LayersSection,
    /// SQLite.
    pub(crate) sqlite: SqliteSection,
    /// Redis.
    pub(crate) redis: RedisSection,
    /// NATS.
    pub(crate) nats: NatsSection,
    /// PostgreSQL.
    pub(crate) postgres: PostgresSection,
    /// Retention: how long each kind of data is kept.
    pub(crate) retention: RetentionSection,
    /// Authentication of clients at the edge.
    pub(crate) auth: AuthSection,
    /// The key by which roles recognise each other.
    pub(crate) roles: RolesSection,
    /// Logs, and what is sent to an OpenTelemetry collector.
    pub(crate) telemetry: TelemetryConfig,
    /// The admin listener of every process.
    pub(crate) admin: AdminSection,
}

impl Config {
    /// Loads all layers.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key or a malformed value; the text names key and origin.
    pub(crate) fn load(
        files: &[PathBuf],
        flags: &[Override],
    ) -> anyhow::Result<LoadedConfig<Self>> {
        let names = EnvNames {
            older: &older_names::TABLE,
            ignored: &OTHER_NAMES,
        };
        load_with(files, std::env::vars_os(), flags, names).context("configuration refused")
    }
}

/// Variables with our prefix that are not configuration.
const OTHER_NAMES: [&str; 3] = [
    "FORGEWIRE_BIN",
    // Read by `forgewire stdio`.
    "FORGEWIRE_TOKEN",
    "FORGEWIRE_WEBHOOK_EXAMPLES",
];

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
