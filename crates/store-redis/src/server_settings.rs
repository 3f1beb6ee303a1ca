//! Settings of the Redis server with which it cannot keep what the store promises.

use std::fmt;

use fred::{error::Error, interfaces::ClientLike, types::InfoKind};
use tracing::{debug, warn};

use crate::RedisSessionStore;

/// A setting of the server that weakens what the store promises.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeakRedisSetting {
    /// The server removes keys when its memory is full (Redis documentation, "Key eviction"): every key
    /// of the store has an expiry, so every policy but `noeviction` applies to it.
    Evicts {
        /// The server's `maxmemory-policy`.
        policy: String,
    },
    /// Nothing is written to an append-only file: a restart loses every session.
    NoAppendOnlyFile,
}

impl fmt::Display for WeakRedisSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evicts { policy } => write!(
                f,
                "Redis has `maxmemory-policy {policy}`: it removes sessions and unread messages when its \
                 memory is full; set `maxmemory-policy noeviction`, so that new ones are refused instead"
            ),
            Self::NoAppendOnlyFile => f.write_str(
                "Redis has `appendonly no`: a restart of the server loses all sessions and unread messages; \
                 set `appendonly yes` and `appendfsync always`",
            ),
        }
    }
}

/// The value of a field of `INFO`.
fn field<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    let mut values = info.lines().filter_map(|line| line.split_once(':'));
    values
        .find(|(field, _)| *field == name)
        .map(|(_, value)| value.trim())
}

fn weak_settings(memory: &str, persistence: &str) -> Vec<WeakRedisSetting> {
    let mut weak = Vec::new();
    if let Some(policy) = field(memory, "maxmemory_policy").filter(|p| *p != "noeviction") {
        let policy = policy.to_owned();
        weak.push(WeakRedisSetting::Evicts { policy });
    }
    if field(persistence, "aof_enabled") == Some("0") {
        weak.push(WeakRedisSetting::NoAppendOnlyFile);
    }
    weak
}

impl RedisSessionStore {
    /// The settings of the server that weaken what the store promises; none if the server does not say.
    /// On a cluster these are the settings of one node.
    pub async fn weak_settings(&self) -> Vec<WeakRedisSetting> {
        let client = self.connection.client();
        let read = async {
            let memory: String = client.info(Some(InfoKind::Memory)).await?;
            let persistence: String = client.info(Some(InfoKind::Persistence)).await?;
            Ok::<_, Error>(weak_settings(&memory, &persistence))
        };
        match read.await {
            Ok(weak) => weak,
            // Some services forbid INFO; that is no reason not to start.
            Err(error) => {
                let error = self.connection.hide(error);
                debug!(%error, "the settings of Redis cannot be read");
                Vec::new()
            }
        }
    }

    pub(crate) async fn warn_of_weak_settings(&self) {
        for setting in self.weak_settings().await {
            warn!("{setting}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_says_nothing_is_not_blamed() {
        assert_eq!(weak_settings("", "# Persistence\r\n"), []);
        let memory = "used_memory:1\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n";
        assert_eq!(weak_settings(memory, "aof_enabled:1\r\n"), []);
    }
}
