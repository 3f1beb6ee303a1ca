//! Settings, and every bound with its reason.

use std::{fmt, net::IpAddr, time::Duration};

use async_nats::ConnectOptions;
use role_keys::RoleTrust;

use crate::{NatsError, credentials};

/// Settings of the connection.
#[derive(Clone)]
pub struct NatsConfig {
    /// Servers, separated by commas: `nats://host:4222`, `tls://…`, with credentials if needed
    /// (`nats://user:password@host`, `nats://token@host`).
    pub url: String,
    /// The name of this connection in the server's monitoring.
    pub client_name: String,
    /// Prefix of every subject (`<prefix>.mcp.broadcast`) and stream name
    /// (`<prefix>_FORGEWIRE_EVENTS`), so that several installations, or tests, can share a server.
    /// Letters, digits, `-` and `_`; empty for no prefix.
    pub prefix: String,
    /// Maximum time that [`crate::NatsConnection::connect`] keeps trying before it fails.
    pub startup_timeout: Duration,
    /// The rule by which messages and entries are believed: anybody who can publish on the server can
    /// write some.
    pub trust: RoleTrust,
}

impl NatsConfig {
    /// Settings for `url` without a prefix, with a startup timeout of 10 s, believing everything.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            client_name: "forgewire".to_owned(),
            prefix: String::new(),
            startup_timeout: Duration::from_secs(10),
            trust: RoleTrust::none(),
        }
    }

    /// Whether every server of the URL is on this machine.
    ///
    /// # Errors
    /// The URL is none.
    pub fn is_loopback(&self) -> Result<bool, NatsError> {
        let (servers, _) = credentials::separate(&self.url, ConnectOptions::new())?;
        Ok(servers.iter().all(|server| is_this_machine(server.host())))
    }

    /// Checks the settings that need no server.
    ///
    /// # Errors
    /// The prefix contains a character with a meaning in subjects, or is too long.
    pub fn check(&self) -> Result<(), NatsError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if self.prefix.len() <= 64 && self.prefix.bytes().all(fits) {
            return Ok(());
        }
        let what = "nats.prefix may contain only letters, digits, '-' and '_', up to 64 characters";
        Err(NatsError::Config { what })
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = address.parse().ok();
    host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

/// Omits the URL, because it may contain a password.
impl fmt::Debug for NatsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsConfig")
            .field("client_name", &self.client_name)
            .field("prefix", &self.prefix)
            .field("startup_timeout", &self.startup_timeout)
            .finish_non_exhaustive()
    }
}

/// Bounds of the bus.
#[derive(Clone, Debug)]
pub struct BusConfig {
    /// Maximum number of messages that one subscription queues for a slow reader; beyond that it
    /// gets a gap.
    pub queue_messages: usize,
    /// Maximum bytes that one subscription queues; beyond that it gets a gap.
    pub queue_bytes: usize,
}

impl Default for BusConfig {
    /// 4,096 messages and 32 MiB: one second of a busy bus, and four of the largest messages.
    fn default() -> Self {
        Self {
            queue_messages: 4096,
            queue_bytes: 32 * 1024 * 1024,
        }
    }
}

/// Settings of the event log's stream.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Whether this process creates the stream if it does not exist, and strengthens it where these
    /// settings ask for more. Of the roles only ingest does; the others wait for the stream.
    pub creates_stream: bool,
    /// How long the server keeps an event; `None` keeps all events. Deduplication covers the same
    /// period, so set at least the three days for which GitHub redelivers.
    pub retention: Option<Duration>,
    /// Number of copies in a NATS cluster: 1, 3 or 5.
    pub replicas: usize,
    /// Maximum duration of one call, including outages and retries.
    pub deadline: Duration,
    /// Whether concurrent appends are stored together.
    pub batches: BatchUse,
}

/// When concurrent appends are stored as one batch of the server (NATS 2.12 and later).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BatchUse {
    /// Once storing each by itself proves slow under load, and as long as batches are faster: where the server
    /// syncs each message.
    #[default]
    Measured,
    /// Whenever two or more wait: for tests.
    Always,
}

impl Default for LogConfig {
    /// Waits for the stream; 30 days, one copy, 5 s.
    fn default() -> Self {
        Self {
            creates_stream: false,
            retention: Some(Duration::from_secs(30 * 24 * 3600)),
            replicas: 1,
            deadline: Duration::from_secs(5),
            batches: BatchUse::default(),
        }
    }
}

/// Timeout of one TCP connect including the handshake.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout of one request to the server and its answer. Shorter than the deadline of a call, so
/// that a lost request is retried.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that is silent for two of these intervals is closed (the driver's default is a
/// minute).
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(2);
/// Shortest and longest pause between reconnection attempts. The number of attempts is not limited.
pub(crate) const RECONNECT_PAUSE: (Duration, Duration) =
    (Duration::from_millis(20), Duration::from_secs(1));
/// Pause before a call is retried within its deadline.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Maximum number of commands that the driver buffers for the socket; beyond that a publisher waits
/// (and times out).
pub(crate) const CLIENT_COMMANDS: usize = 4096;
/// Maximum number of messages that the driver buffers per subscription. Larger than the largest
/// page of the log, and than the number of messages that arrive while a loaded machine does not
/// schedule the receiving task.
pub(crate) const SUBSCRIPTION_MESSAGES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_of_this_machine_only_if_all_its_servers_are() {
        let is_loopback = |url| NatsConfig::new(url).is_loopback().unwrap();
        for here in [
            "nats://127.0.0.1:4222",
            "nats://me:secret@localhost",
            "tls://[::1]:4222",
        ] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in [
            "nats://nats:4222",
            "nats://127.0.0.1,nats://10.0.0.7",
            "nats://localhost.example",
        ] {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
        assert!(NatsConfig::new("").is_loopback().is_err());
    }

    #[test]
    fn a_prefix_cannot_change_a_subject() {
        let check = |prefix: &str| {
            let prefix = prefix.to_owned();
            NatsConfig {
                prefix,
                ..NatsConfig::new("")
            }
            .check()
        };
        for hostile in ["a.b", "*", ">", "a b", "\u{e9}"] {
            assert!(check(hostile).is_err(), "{hostile:?}");
        }
        assert!(check("").is_ok() && check("team-1").is_ok());
    }
}
