//! The connection: the driver with bounds in every place where its defaults wait for ever.

use std::time::Duration;

use fred::{
    clients::Client,
    error::ErrorKind,
    interfaces::ClientLike,
    types::{
        Builder,
        config::{Config, ConnectionConfig, ReconnectPolicy, UnresponsiveConfig},
    },
};
use ports::Source;
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    RedisConfig, RedisError,
    config::{
        CONNECT_TIMEOUT, QUEUED_COMMANDS, RECONNECT_PAUSE_MILLIS, UNRESPONSIVE_POLL,
        UNRESPONSIVE_TIMEOUT,
    },
};

/// Pause between two tries while starting.
const STARTUP_PAUSE: Duration = Duration::from_millis(100);

/// A client that reconnects for ever, and closes its connection when it is dropped.
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// The driver's task owns the connection, and does not end by itself.
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Connects; tries until `startup_timeout` is over.
    pub(crate) async fn open(config: &RedisConfig) -> Result<Self, RedisError> {
        check_prefix(&config.key_prefix)?;
        let builder = builder(config)?;
        let deadline = Instant::now() + config.startup_timeout;
        loop {
            let error = match try_open(&builder).await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            match error {
                Failure::Refused(source) => return Err(RedisError::Refused { source }),
                Failure::Silent(source) if Instant::now() >= deadline => {
                    return Err(RedisError::Unreachable {
                        waited: config.startup_timeout,
                        source,
                    });
                }
                Failure::Silent(_) => sleep(STARTUP_PAUSE).await,
            }
        }
    }
}

enum Failure {
    Refused(Source),
    Silent(Source),
}

async fn try_open(builder: &Builder) -> Result<Connection, Failure> {
    let client = builder
        .build()
        .map_err(|error| Failure::Silent(error.into()))?;
    match timeout(CONNECT_TIMEOUT * 2, client.init()).await {
        Ok(Ok(task)) => Ok(Connection {
            client,
            task: task.abort_handle(),
        }),
        Ok(Err(error)) if *error.kind() == ErrorKind::Auth => Err(Failure::Refused(error.into())),
        Ok(Err(error)) => Err(Failure::Silent(error.into())),
        Err(elapsed) => Err(Failure::Silent(elapsed.into())),
    }
}

fn check_prefix(prefix: &str) -> Result<(), RedisError> {
    // A brace would make a hash tag of its own, and put all sessions into one slot.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte);
    if prefix.len() <= 64 && prefix.bytes().all(fits) {
        return Ok(());
    }
    let what = "redis.key_prefix has letters, digits, '-', '_', ':' and '.' only, at most 64";
    Err(RedisError::Config { what })
}

fn builder(config: &RedisConfig) -> Result<Builder, RedisError> {
    // The driver would connect in the clear without a word.
    if config.url.starts_with("rediss") || config.url.starts_with("valkeys") {
        let what = "TLS (rediss://) is not built in; use redis:// within a trusted network";
        return Err(RedisError::Config { what });
    }
    let server = Config::from_url(&config.url).map_err(|error| RedisError::Url {
        source: error.into(),
    })?;
    let (first, longest) = RECONNECT_PAUSE_MILLIS;
    let mut builder = Builder::from_config(server);
    builder
        .set_policy(ReconnectPolicy::new_exponential(0, first, longest, 2))
        .with_performance_config(|performance| {
            performance.default_command_timeout = config.call_timeout;
        })
        .set_connection_config(ConnectionConfig {
            connection_timeout: CONNECT_TIMEOUT,
            internal_command_timeout: CONNECT_TIMEOUT,
            // A command whose answer was lost may have been done: sent again, a create would find
            // its own session and say `Exists`.
            max_command_attempts: 1,
            max_command_buffer_len: QUEUED_COMMANDS,
            unresponsive: UnresponsiveConfig {
                max_timeout: Some(UNRESPONSIVE_TIMEOUT),
                interval: UNRESPONSIVE_POLL,
            },
            ..ConnectionConfig::default()
        });
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_cannot_make_a_hash_tag() {
        assert!(check_prefix("team-1:forgewire.").is_ok() && check_prefix("").is_ok());
        assert!(check_prefix("{team}:").is_err() && check_prefix("a b").is_err());
    }

    #[test]
    fn tls_is_refused_rather_than_left_out() {
        let refused = builder(&RedisConfig::new("rediss://host"));
        assert!(matches!(refused, Err(RedisError::Config { .. })));
        assert!(builder(&RedisConfig::new("redis://user:secret@host:6380/2")).is_ok());
    }

    #[test]
    fn a_configuration_does_not_show_its_password() {
        let shown = format!("{:?}", RedisConfig::new("redis://user:secret@host"));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
