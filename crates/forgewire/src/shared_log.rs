//! `forgewire log`: the settings of the event log that all processes share.

use anyhow::bail;

use crate::config::{BackendKey, Config, EventsBackend};

/// Refuses a configuration whose event log has no shared settings.
///
/// # Errors
/// `backends.events` is not "jetstream".
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    if config.backends.log() == EventsBackend::Jetstream {
        return Ok(());
    }
    bail!(
        "backends.events = \"{}\" has no shared settings: its process applies [retention] itself; this \
         command is for \"jetstream\"",
        config.backends.chosen(BackendKey::Log).name
    )
}

/// `forgewire log apply`: sets retention and copies of the shared log to those of the configuration,
/// also where this weakens it. A start never does that.
///
/// # Errors
/// NATS does not answer, has no event log, or refuses the change.
#[cfg(feature = "nats")]
pub(crate) async fn apply(config: &Config, json: bool) -> anyhow::Result<String> {
    let applied = crate::backends::apply_log_settings(config).await?;
    let (stream, before, after) = (applied.stream, applied.before, applied.after);
    Ok(match json {
        true => {
            serde_json::json!({ "stream": stream, "before": before, "after": after }).to_string()
        }
        false => format!("{stream} kept {before}; now it keeps {after}"),
    })
}

/// As in a build with NATS.
///
/// # Errors
/// Always: this build has no NATS.
#[cfg(not(feature = "nats"))]
pub(crate) async fn apply(_: &Config, _: bool) -> anyhow::Result<String> {
    bail!(
        "this build has no NATS; build it with the cargo feature \"nats\", which is on by default"
    )
}
