//! The whole configuration. Each section belongs to the crate that uses it; here they are combined.

mod backends;
mod github_section;
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
use github_section::GithubSection;
use layers::LayersSection;
pub(crate) use reference::markdown;
pub(crate) use roles::RolesSection;
use sections::{
    AdminSection, NatsSection, PostgresSection, RedisSection, RetentionSection, SqliteSection,
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
            others: Some(older_names::of_others),
        };
        let variables = older_names::with_joined_parts(std::env::vars_os());
        load_with(files, variables, flags, names).context("configuration refused")
    }
}

/// Variables with our prefix that are not configuration.
pub(crate) const OTHER_NAMES: [&str; 16] = [
    "FORGEWIRE_BIN",
    // Set by `forgewire watch` for its commands.
    "FORGEWIRE_EVENT_ACTION",
    "FORGEWIRE_EVENT_ACTOR",
    "FORGEWIRE_EVENT_ATTEMPT",
    "FORGEWIRE_EVENT_ID",
    "FORGEWIRE_EVENT_KIND",
    "FORGEWIRE_EVENT_NUMBER",
    "FORGEWIRE_EVENT_OWNER",
    "FORGEWIRE_EVENT_REPO",
    "FORGEWIRE_EVENT_RESOURCE_TYPE",
    "FORGEWIRE_EVENT_TYPE",
    "FORGEWIRE_EVENT_URL",
    // Read by the plugin for Claude Code.
    "FORGEWIRE_FILTER",
    // Read by `forgewire stdio` and `forgewire watch`.
    "FORGEWIRE_TOKEN",
    // Read by the plugin for Claude Code.
    "FORGEWIRE_URL",
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
