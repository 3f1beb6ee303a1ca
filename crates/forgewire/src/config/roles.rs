//! `[roles]`: how the roles of an installation recognise each other.

use std::path::PathBuf;

use anyhow::Context;
use model::Timestamp;
use role_keys::{RoleKeyError, RoleKeys};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::config::Secret;

/// The key by which the roles of an installation recognise each other on NATS and over gRPC. See
/// docs/production.md, "Keys of the roles".
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Roles")]
pub(crate) struct RolesSection {
    /// Keys that all roles share, 32 to 1,024 characters each, up to 4 including those in files, for
    /// instance the output of `openssl rand -base64 32`. The first key stamps, every key verifies. To
    /// rotate: add the new key at the end everywhere, then move it to the front, and remove the old one
    /// after `retention.event_days`. Required where roles meet on an address that is not loopback
    /// (`sync.listen`, `sync.endpoint`, `nats.url`).
    pub(crate) keys: Vec<Secret>,
    /// Files with such keys, one key per file; their keys come after those of `keys`. Read once at start.
    pub(crate) key_files: Vec<PathBuf>,
    /// Until this time (RFC 3339, in quotes: `"2026-12-01T00:00:00Z"`), messages and calls without a stamp
    /// are believed too, and for ever the entries that JetStream stored before it. Set it when an
    /// installation that has run without a key gets its first one, to a time at which every process has the
    /// key.
    pub(crate) unsigned_until: Option<String>,
    /// Required to run without a key where roles meet on an address that is not loopback: declares that only
    /// roles of this installation reach NATS and the sync role, since anybody else who does can make up
    /// events and read all resources.
    pub(crate) i_understand: bool,
}

impl RolesSection {
    /// The keys, files included; `None` if there is none.
    ///
    /// # Errors
    /// A key or a file is refused; the text names it.
    pub(crate) fn keys(&self) -> Result<Option<RoleKeys>, RoleKeyError> {
        RoleKeys::read(self.keys.iter().map(Secret::expose), &self.key_files)
    }

    /// Whether there is a key.
    pub(crate) fn has_keys(&self) -> bool {
        !self.keys.is_empty() || !self.key_files.is_empty()
    }

    /// The time until which messages without a stamp are believed.
    ///
    /// # Errors
    /// The text is no time.
    pub(crate) fn unsigned_until(&self) -> anyhow::Result<Option<Timestamp>> {
        let Some(text) = &self.unsigned_until else {
            return Ok(None);
        };
        let until = Timestamp::parse(text);
        let until = until
            .context("roles.unsigned_until is no time; write it as \"2026-12-01T00:00:00Z\"")?;
        Ok(Some(until))
    }
}
