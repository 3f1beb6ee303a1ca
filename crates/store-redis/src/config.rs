//! Settings, and every bound with its reason.

use std::{fmt, time::Duration};

/// Settings of the connection.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user:password@]host:6379[/database]`, or for Redis Cluster
    /// `redis-cluster://host:6379?node=other:6379`.
    pub url: String,
    /// Prefix of every key, so that several installations can share a server: letters, digits, `-`,
    /// `_`, `:` and `.`, up to 64 characters.
    pub key_prefix: String,
    /// Maximum duration of one call; beyond that it fails as `Unavailable`.
    pub call_timeout: Duration,
    /// Maximum time that [`crate::RedisSessionStore::connect`] keeps trying before it fails.
    pub startup_timeout: Duration,
}

impl RedisConfig {
    /// Settings for `url` with the prefix `forgewire:`, a call timeout of 2 s and a startup timeout
    /// of 10 s.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            key_prefix: "forgewire:".to_owned(),
            call_timeout: Duration::from_secs(2),
            startup_timeout: Duration::from_secs(10),
        }
    }
}

/// Omits the URL, because it may contain a password.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("key_prefix", &self.key_prefix)
            .field("call_timeout", &self.call_timeout)
            .field("startup_timeout", &self.startup_timeout)
            .finish_non_exhaustive()
    }
}

/// Timeout of one TCP connect, and of one internal command of the driver (the driver's default for
/// both is 10 s).
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection with an answer overdue by this time is closed (the driver's default: never).
pub(crate) const UNRESPONSIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Interval between checks for overdue answers.
pub(crate) const UNRESPONSIVE_POLL: Duration = Duration::from_millis(500);
/// First and longest pause between reconnection attempts, in milliseconds. The number of attempts
/// is not limited.
pub(crate) const RECONNECT_PAUSE_MILLIS: (u32, u32) = (50, 1000);
/// Maximum number of commands that wait for the connection; further ones fail at once (the driver's
/// default: unlimited).
pub(crate) const QUEUED_COMMANDS: usize = 10_000;
/// Longest time to live that is passed to Redis, which refuses times beyond the range of its own
/// clock.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Seconds for which the key that a check writes is kept: a few intervals of the probes of readiness.
pub(crate) const CHECK_SECONDS: i64 = 10;
/// Number of records that are looked up concurrently.
pub(crate) const PIPELINED: usize = 64;
