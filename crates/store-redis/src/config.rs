//! What can be set, and every bound with its reason.

use std::{fmt, time::Duration};

/// How to connect.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user:password@]host:6379[/database]`, or for Redis Cluster
    /// `redis-cluster://host:6379?node=other:6379`.
    pub url: String,
    /// Goes before every key, so that several installations share a server: letters, digits, `-`,
    /// `_`, `:` and `.`, at most 64.
    pub key_prefix: String,
    /// How long one call may take; then it is `Unavailable`.
    pub call_timeout: Duration,
    /// How long [`crate::RedisSessionStore::connect`] tries before it gives up.
    pub startup_timeout: Duration,
}

impl RedisConfig {
    /// Connects to `url` with the prefix `forgewire:`; calls take at most 2 s, starting 10 s.
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

/// Leaves the URL out: it may hold a password.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("key_prefix", &self.key_prefix)
            .field("call_timeout", &self.call_timeout)
            .field("startup_timeout", &self.startup_timeout)
            .finish_non_exhaustive()
    }
}

/// One TCP connect, and one of the driver's own commands (the default of both is 10 s).
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection on which an answer is overdue for so long is closed (the driver's default: never).
pub(crate) const UNRESPONSIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// How often overdue answers are looked for.
pub(crate) const UNRESPONSIVE_POLL: Duration = Duration::from_millis(500);
/// First and longest pause between two tries to reconnect, in milliseconds. There is no last try.
pub(crate) const RECONNECT_PAUSE_MILLIS: (u32, u32) = (50, 1000);
/// Commands that wait for the connection; what comes on top fails at once (the driver's default:
/// all).
pub(crate) const QUEUED_COMMANDS: usize = 10_000;
/// Longest time to live that is passed on; Redis refuses times beyond its own clock's end.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Most sessions of one page.
pub(crate) const MAX_PAGE_SESSIONS: usize = 1000;
/// Sessions that are looked at side by side.
pub(crate) const PIPELINED: usize = 64;
