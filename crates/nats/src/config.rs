//! What can be set, and every bound with its reason.

use std::{fmt, time::Duration};

/// How to connect.
#[derive(Clone)]
pub struct NatsConfig {
    /// Servers, separated by commas: `nats://host:4222`, `tls://…`, with credentials if needed
    /// (`nats://user:password@host`, `nats://token@host`).
    pub url: String,
    /// The name that the server's monitoring shows for this connection.
    pub client_name: String,
    /// Goes before every subject (`<prefix>.mcp.broadcast`) and stream name
    /// (`<prefix>_FORGEWIRE_EVENTS`), so that several installations, or tests, share a server.
    /// Letters, digits, `-` and `_`; empty for none.
    pub prefix: String,
    /// How long [`crate::NatsConnection::connect`] tries before it gives up.
    pub startup_timeout: Duration,
}

impl NatsConfig {
    /// Connects to `url`, without a prefix; tries for 10 s.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            client_name: "forgewire".to_owned(),
            prefix: String::new(),
            startup_timeout: Duration::from_secs(10),
        }
    }
}

/// Leaves the URL out: it may hold a password.
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
    /// Messages that one subscription keeps for a reader that does not read; then it gets a gap.
    pub queue_messages: usize,
    /// Bytes that one subscription keeps; then it gets a gap.
    pub queue_bytes: usize,
}

impl Default for BusConfig {
    /// 4,096 messages, 32 MiB: a second of a busy bus, and four of the largest messages.
    fn default() -> Self {
        Self {
            queue_messages: 4096,
            queue_bytes: 32 * 1024 * 1024,
        }
    }
}

/// What the event log's stream looks like.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// How long the server keeps an event; `None` keeps all. Dedupe reaches as far back, so at
    /// least the three days for which GitHub redelivers.
    pub retention: Option<Duration>,
    /// Copies in a NATS cluster: 1, 3 or 5.
    pub replicas: usize,
    /// How long one call may take, outages and retries included.
    pub deadline: Duration,
}

impl Default for LogConfig {
    /// 30 days, one copy, 5 s.
    fn default() -> Self {
        Self {
            retention: Some(Duration::from_secs(30 * 24 * 3600)),
            replicas: 1,
            deadline: Duration::from_secs(5),
        }
    }
}

/// One TCP connect with the handshake.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// One request to the server and back. Shorter than a call's deadline, so that a lost one is
/// retried.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that is silent for two of these is closed (the driver's own default is a minute).
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(2);
/// Shortest and longest pause between two tries to reconnect. There is no last try.
pub(crate) const RECONNECT_PAUSE: (Duration, Duration) =
    (Duration::from_millis(20), Duration::from_secs(1));
/// Pause before a call is tried again within its deadline.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Commands that the driver keeps for the socket; a publisher beyond that waits (and times out).
pub(crate) const CLIENT_COMMANDS: usize = 4096;
/// Messages that the driver keeps per subscription. More than the largest page of the log, and than
/// what arrives while a loaded machine does not schedule the task that takes them out.
pub(crate) const SUBSCRIPTION_MESSAGES: usize = 16 * 1024;
