//! The settings of a stream that is there: those with which it cannot keep the log's promises, those
//! that limit it, and those in which it differs from the configuration.
//!
//! A start never weakens what is there: see `adr/001-a-start-never-weakens-the-stream.md`.

use std::time::Duration;

use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType,
};
use parking_lot::Mutex;
use tracing::{info, warn};

use super::stream::StreamNames;
use crate::{LogConfig, NatsError};

/// Refuses a stream that cannot keep what it acknowledges.
pub(super) fn check(names: &StreamNames, found: &Config) -> Result<(), NatsError> {
    let refused = |setting: &'static str, fix: &'static str| {
        Err(NatsError::StreamSetting {
            stream: names.stream.clone(),
            setting,
            fix,
        })
    };
    let subjects = names.all_subjects();
    let edit = "change it with `nats stream edit`";
    let make = "back up or drain the stream, delete it, and let ingest create it";
    match found {
        _ if found.storage != StorageType::File => refused(
            "has memory storage, so a restart of the server loses every event",
            make,
        ),
        _ if found.retention != RetentionPolicy::Limits => refused(
            "has a retention policy other than `limits`, so events vanish once they are read",
            make,
        ),
        _ if found.no_ack => refused("has `no_ack`, so an append is never confirmed", edit),
        _ if found.persist_mode == Some(PersistenceMode::Async) => refused(
            "has `persist_mode: async`, so it confirms events before it stores them",
            make,
        ),
        _ if found.discard == DiscardPolicy::New => refused(
            "has `discard: new`, so at a limit it refuses new events instead of removing old ones",
            "change it to `old` with `nats stream edit --discard old`",
        ),
        _ if found.sealed => refused("is sealed, so it takes no events", make),
        _ if found.mirror.is_some() => refused("is a mirror, so it takes no events", make),
        _ if !found
            .subjects
            .iter()
            .any(|subject| covers(subject, &subjects)) =>
        {
            refused(
                "does not listen on the events' subjects",
                "add them with `nats stream edit --subjects`, see the description of nats.prefix",
            )
        }
        _ => Ok(()),
    }
}

/// Whether a subject pattern includes the events' subjects: it is the same, or a shorter one that ends
/// with `>`.
fn covers(pattern: &str, subjects: &str) -> bool {
    let open = pattern.strip_suffix('>');
    pattern == subjects || open.is_some_and(|prefix| subjects.starts_with(prefix))
}

/// The limits that a stream can have beside its retention; without one at -1.
fn limits(found: &Config) -> [(&'static str, i64); 4] {
    [
        ("max_msgs", found.max_messages),
        ("max_bytes", found.max_bytes),
        ("max_msg_size", i64::from(found.max_message_size)),
        ("max_consumers", i64::from(found.max_consumers)),
    ]
}

/// Warns of limits because of which the stream keeps less than its retention says.
pub(super) fn warn_of_limits(names: &StreamNames, found: &Config) {
    let limits = limits(found).into_iter();
    for (setting, limit) in limits.filter(|(_, limit)| *limit > 0) {
        warn!(
            stream = names.stream,
            setting,
            limit,
            "the event log's stream has a limit: it may remove or refuse events within \
             retention.event_days; set it to -1 with `nats stream edit`"
        );
    }
}

/// The settings of a stream that the configuration decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StreamDurability {
    /// How long an event is kept; zero for ever.
    max_age: Duration,
    replicas: usize,
}

impl StreamDurability {
    pub(super) fn configured(log: &LogConfig) -> Self {
        Self {
            max_age: log.retention.unwrap_or_default(),
            replicas: log.replicas,
        }
    }

    pub(super) fn found(config: &Config) -> Self {
        Self {
            max_age: config.max_age,
            replicas: config.num_replicas,
        }
    }

    /// These settings with the copies of `found`, unless its server is in a cluster. A server without a
    /// cluster accepts more copies for a stream that is there, and cannot recover the stream at its next
    /// start (observed with NATS 2.9).
    pub(super) fn feasible(self, found: &Info) -> Self {
        let replicas = match found.cluster {
            Some(_) => self.replicas,
            None => found.config.num_replicas,
        };
        Self { replicas, ..self }
    }

    /// The longer retention and the higher number of copies of both.
    pub(super) fn strongest(self, other: Self) -> Self {
        let max_age = match self.max_age.is_zero() || other.max_age.is_zero() {
            true => Duration::ZERO,
            false => self.max_age.max(other.max_age),
        };
        Self {
            max_age,
            replicas: self.replicas.max(other.replicas),
        }
    }

    /// Changes only these settings: an operator may have set placement or limits.
    pub(super) fn apply_to(self, config: &mut Config) {
        config.max_age = self.max_age;
        config.num_replicas = self.replicas;
    }
}

impl std::fmt::Display for StreamDurability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DAY_SECONDS: u64 = 24 * 3600;
        match self.max_age.as_secs() {
            0 => f.write_str("events for ever")?,
            seconds if seconds.is_multiple_of(DAY_SECONDS) => {
                write!(f, "events for {} days", seconds / DAY_SECONDS)?;
            }
            seconds => write!(f, "events for {seconds} s")?,
        }
        match self.replicas {
            1 => f.write_str(" in 1 copy"),
            replicas => write!(f, " in {replicas} copies"),
        }
    }
}

/// The settings of the stream as they were last seen: somebody may change them while this process runs.
#[derive(Debug, Default)]
pub(super) struct SeenSettings(Mutex<Option<StreamSettings>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct StreamSettings {
    kept: StreamDurability,
    limits: [(&'static str, i64); 4],
    takes_batches: bool,
    /// The reason why the stream cannot keep what it acknowledges.
    refusal: Option<String>,
}

impl SeenSettings {
    /// Notes the settings; says what was changed since they were last seen.
    pub(super) fn look(&self, names: &StreamNames, found: &Config) {
        let refused = check(names, found).err();
        let now = StreamSettings {
            kept: StreamDurability::found(found),
            limits: limits(found),
            takes_batches: found.allow_atomic_publish,
            refusal: refused.map(|refused| refused.to_string()),
        };
        let before = self.0.lock().replace(now.clone());
        let Some(before) = before.filter(|before| *before != now) else {
            return;
        };
        let stream = &names.stream;
        if before.kept != now.kept {
            let (before, kept) = (before.kept, now.kept);
            warn!(stream, %before, %kept, "the event log's stream was changed while this process runs");
        }
        if before.limits != now.limits {
            warn_of_limits(names, found);
        }
        if before.refusal != now.refusal {
            match &now.refusal {
                Some(refusal) => warn!(
                    refusal,
                    "the event log's stream was changed while this process runs"
                ),
                None => info!(stream, "the event log's stream can keep events again"),
            }
        }
    }

    /// Whether the stream, as last seen, stores batches as a whole or not at all.
    pub(super) fn takes_batches(&self) -> bool {
        let seen = self.0.lock();
        seen.as_ref().is_some_and(|seen| seen.takes_batches)
    }

    /// The reason why the stream, as last seen, cannot keep what it acknowledges.
    pub(super) fn refusal(&self) -> Option<String> {
        self.0.lock().as_ref()?.refusal.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_of_two_settings_takes_the_longer_and_the_more() {
        let kept = |days: u64, replicas| StreamDurability {
            max_age: Duration::from_secs(days * 24 * 3600),
            replicas,
        };
        assert_eq!(kept(30, 1).strongest(kept(3, 3)), kept(30, 3));
        assert_eq!(kept(0, 1).strongest(kept(3, 1)), kept(0, 1), "for ever");
        assert_eq!(kept(30, 3).to_string(), "events for 30 days in 3 copies");
    }

    #[test]
    fn a_pattern_covers_the_subjects_or_not() {
        for covering in [
            "forgewire.events.*",
            "forgewire.events.>",
            "forgewire.>",
            ">",
        ] {
            assert!(covers(covering, "forgewire.events.*"), "{covering}");
        }
        for other in [
            "forgewire.event",
            "forgewire.events",
            "other.>",
            "one.forgewire.events.*",
        ] {
            assert!(!covers(other, "forgewire.events.*"), "{other}");
        }
    }
}
