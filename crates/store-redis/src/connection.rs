//! The connection: the driver with bounds wherever its defaults wait without limit, and a
//! replacement driver if it stops responding nevertheless.

use std::{sync::Arc, time::Duration};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike, EventInterface},
    types::{
        Builder,
        config::{
            Config, ConnectionConfig, ReconnectError, ReconnectPolicy, Server, TcpConfig,
            UnresponsiveConfig,
        },
    },
};
use parking_lot::Mutex;
use ports::BoxError;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    task::{AbortHandle, JoinHandle},
    time::{Instant, sleep, sleep_until},
};
use tracing::warn;

use crate::{
    RedisConfig, RedisError,
    config::{
        CONNECT_TIMEOUT, QUEUED_COMMANDS, RECONNECT_PAUSE_MILLIS, UNRESPONSIVE_POLL,
        UNRESPONSIVE_TIMEOUT,
    },
    refusal::{RedisRefusal, SeenRefusal},
};

/// Pause between two attempts while starting.
const STARTUP_PAUSE: Duration = Duration::from_millis(100);

/// A connection that always reconnects, and is closed when it is dropped.
///
/// The driver reconnects by itself when a connection closes. It does not detect a connection that
/// is silent while commands are still being sent (it measures silence from the last command that it
/// wrote), and some errors end its task permanently. Both cases look alike from here: a call
/// received no answer, and neither did any other call since it began. Then the driver is discarded,
/// including its socket, and replaced by a new one.
pub(crate) struct RedisConnection {
    builder: Builder,
    password: Option<String>,
    refusal: Arc<SeenRefusal>,
    state: Mutex<State>,
}

struct State {
    driver: Driver,
    /// The time of the server's last answer, or of the driver's start.
    last_answer_at: Instant,
}

struct Driver {
    client: Client,
    /// The driver's task owns the connection, and does not end by itself.
    task: AbortHandle,
    /// Reads the driver's own errors.
    errors: AbortHandle,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
        self.errors.abort();
    }
}

impl Driver {
    fn start(
        builder: &Builder,
        refusal: &Arc<SeenRefusal>,
        password: Option<&str>,
    ) -> Result<(Self, JoinHandle<Result<(), Error>>), Error> {
        let client = builder.build()?;
        let errors = tokio::spawn(note_refusals(
            client.error_rx(),
            Arc::clone(refusal),
            password.map(ToOwned::to_owned),
        ));
        let task = client.connect();
        let driver = Self {
            client,
            task: task.abort_handle(),
            errors: errors.abort_handle(),
        };
        Ok((driver, task))
    }
}

impl RedisConnection {
    /// Connects; retries until `startup_timeout` has passed.
    pub(crate) async fn open(config: &RedisConfig) -> Result<Self, RedisError> {
        check_prefix(&config.key_prefix)?;
        let (mut builder, password) = builder(config)?;
        let deadline = Instant::now() + config.startup_timeout;
        let (mut is_told, refusal) = (false, Arc::new(SeenRefusal::default()));
        let driver = loop {
            let error = match try_start(&builder, &refusal, password.as_deref(), deadline).await {
                Ok(driver) => break driver,
                Err(error) => error,
            };
            let refused = *error.kind() == ErrorKind::Auth;
            let source = hide(error, password.as_deref());
            if refused {
                return Err(RedisError::Refused { source });
            }
            if Instant::now() + STARTUP_PAUSE >= deadline {
                return Err(RedisError::Unreachable {
                    waited: config.startup_timeout,
                    source,
                });
            }
            if !is_told {
                is_told = true;
                let seconds = config.startup_timeout.as_secs();
                warn!(error = %source, "Redis does not answer at redis.url yet; trying for {seconds} s");
            }
            sleep(STARTUP_PAUSE).await;
        };
        // A driver that replaces another one has to wait for the server.
        builder.with_config(|server| server.fail_fast = false);
        let last_answer_at = Instant::now();
        Ok(Self {
            builder,
            password,
            refusal,
            state: Mutex::new(State {
                driver,
                last_answer_at,
            }),
        })
    }

    /// The current driver. Obtain it anew for each call, because it may be replaced.
    pub(crate) fn client(&self) -> Client {
        self.state.lock().driver.client.clone()
    }

    /// Records that the server has answered.
    pub(crate) fn record_answer(&self) {
        self.refusal.clear();
        self.state.lock().last_answer_at = Instant::now();
    }

    /// Replaces the driver if neither a call that began at this time nor any other call since then
    /// received an answer.
    pub(crate) fn record_timeout(&self, began: Instant) {
        let mut state = self.state.lock();
        if state.last_answer_at >= began {
            return; // Another call was answered, or the driver is new.
        }
        match Driver::start(&self.builder, &self.refusal, self.password.as_deref()) {
            Ok((driver, _)) => {
                if self.refused_credentials().is_none() {
                    warn!("Redis does not answer; opening a new connection");
                }
                state.driver = driver;
                state.last_answer_at = Instant::now();
            }
            Err(error) => warn!(error = %self.hide(error), "cannot open a new Redis connection"),
        }
    }

    /// The reason for which there is no connection, if the server refuses the credentials.
    pub(crate) fn refused_credentials(&self) -> Option<BoxError> {
        self.refusal.reason()
    }

    /// A driver error for errors and logs, without the password; a refusal of the server with its fix.
    pub(crate) fn hide(&self, error: Error) -> BoxError {
        let password = self.password.as_deref();
        let is_refused = *error.kind() == ErrorKind::Auth;
        let explained = RedisRefusal::explain(&error, || hide(error.clone(), password));
        if is_refused {
            self.refusal.note(&hide(error.clone(), password));
        }
        explained.unwrap_or_else(|| hide(error, password))
    }
}

/// Notes refusals of the credentials that the driver meets while it connects again.
async fn note_refusals(
    mut errors: Receiver<(Error, Option<Server>)>,
    refusal: Arc<SeenRefusal>,
    password: Option<String>,
) {
    loop {
        match errors.recv().await {
            Ok((error, _)) if *error.kind() == ErrorKind::Auth => {
                refusal.note(&hide(error, password.as_deref()));
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Servers repeat the arguments of an unknown command in their error, including those of `AUTH`.
fn hide(error: Error, password: Option<&str>) -> BoxError {
    match password {
        Some(password) if error.details().contains(password) => {
            let what = "the server's message is omitted, because it contains the password";
            Error::new(error.kind().clone(), what).into()
        }
        _ => error.into(),
    }
}

/// Waits for an answer, so that the returned driver has a connection on which the server accepts
/// commands.
async fn try_start(
    builder: &Builder,
    refusal: &Arc<SeenRefusal>,
    password: Option<&str>,
    deadline: Instant,
) -> Result<Driver, Error> {
    let (driver, task) = Driver::start(builder, refusal, password)?;
    tokio::select! {
        biased;
        // With `fail_fast` the task ends if it cannot connect.
        ended = task => Err(match ended {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => Error::new(ErrorKind::Canceled, "the driver has ended"),
        }),
        answer = driver.client.ping::<String>(None) => answer.map(|_| driver),
        () = sleep_until(deadline) => Err(Error::new(ErrorKind::Timeout, "no answer in time")),
    }
}

fn check_prefix(prefix: &str) -> Result<(), RedisError> {
    // A brace would create its own hash tag and put all sessions into one slot.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte);
    if prefix.len() <= 64 && prefix.bytes().all(fits) {
        return Ok(());
    }
    let what = "redis.key_prefix may contain only letters, digits, '-', '_', ':' and '.', \
                up to 64 characters";
    Err(RedisError::Config { what })
}

fn builder(config: &RedisConfig) -> Result<(Builder, Option<String>), RedisError> {
    // The driver would silently connect without encryption.
    if config.url.starts_with("rediss") || config.url.starts_with("valkeys") {
        let what = "TLS (rediss://) is not built in; use redis:// within a trusted network";
        return Err(RedisError::Config { what });
    }
    let server = Config::from_url(&config.url).map_err(|error| RedisError::Url {
        source: error.into(),
    })?;
    let password = server
        .password
        .clone()
        .filter(|password| !password.is_empty());
    let (first, longest) = RECONNECT_PAUSE_MILLIS;
    let mut builder = Builder::from_config(server);
    builder
        .set_policy(ReconnectPolicy::new_exponential(0, first, longest, 2))
        .with_performance_config(|performance| {
            // Shorter than the timeout of the call, so that the driver does not send a command
            // after its caller has given up.
            performance.default_command_timeout = config.call_timeout * 9 / 10;
        })
        .set_connection_config(ConnectionConfig {
            connection_timeout: CONNECT_TIMEOUT,
            internal_command_timeout: CONNECT_TIMEOUT,
            // A command whose answer was lost may have been executed: on a retry, a create would
            // find its own session and return `Exists`.
            max_command_attempts: 1,
            max_command_buffer_len: QUEUED_COMMANDS,
            unresponsive: UnresponsiveConfig {
                max_timeout: Some(UNRESPONSIVE_TIMEOUT),
                interval: UNRESPONSIVE_POLL,
            },
            // A server returns these errors after it was demoted or while it loads its data:
            // resolve the address again.
            reconnect_errors: vec![
                ReconnectError::ClusterDown,
                ReconnectError::Loading,
                ReconnectError::ReadOnly,
            ],
            tcp: TcpConfig {
                nodelay: Some(true),
                ..TcpConfig::default()
            },
            ..ConnectionConfig::default()
        });
    Ok((builder, password))
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
