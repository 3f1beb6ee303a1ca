//! The store: the connection, and the calls through which every port uses it.

use std::{fmt, future::Future, time::Duration};

use fred::{
    error::{Error, ErrorKind},
    interfaces::LuaInterface,
    types::{FromValue, Value, scripts::Script},
};
use ports::BoxError;
use tokio::time::{Instant, error::Elapsed, timeout};

use crate::{
    RedisConfig, RedisError, bound_scripts::BoundScripts, config::MAX_TTL,
    connection::RedisConnection, index::SessionIndex, lock_scripts::LockScripts,
    mailbox::MailboxScripts, port_error::PortError, session_scripts::SessionScripts,
    task_scripts::TaskScripts,
};

/// Sessions on a Redis server or cluster. Dropping it closes the connection.
pub struct RedisSessionStore {
    pub(crate) connection: RedisConnection,
    pub(crate) session_scripts: SessionScripts,
    pub(crate) bound_scripts: BoundScripts,
    pub(crate) mailbox_scripts: MailboxScripts,
    pub(crate) lock_scripts: LockScripts,
    pub(crate) task_scripts: TaskScripts,
    pub(crate) index: SessionIndex,
    call_timeout: Duration,
}

impl fmt::Debug for RedisSessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisSessionStore")
    }
}

/// Returns whether there was no answer at all, rather than one that is not usable now.
fn is_timeout(source: &BoxError) -> bool {
    let driver = source.downcast_ref::<Error>();
    source.is::<Elapsed>() || driver.is_some_and(|error| *error.kind() == ErrorKind::Timeout)
}

/// Milliseconds, at least one: every key has an expiry, and zero would mean "delete".
pub(crate) fn millis(ttl: Duration) -> String {
    ttl.min(MAX_TTL).as_millis().max(1).to_string()
}

impl RedisSessionStore {
    /// Connects; retries until `startup_timeout` has passed. Warns of settings of the server with which it
    /// cannot keep what the store promises.
    ///
    /// # Errors
    /// The configuration is unusable, the credentials are refused, or the server does not answer in
    /// time.
    pub async fn connect(config: RedisConfig) -> Result<Self, RedisError> {
        let connection = RedisConnection::open(&config).await?;
        let (index, call_timeout) = (SessionIndex::new(config.key_prefix), config.call_timeout);
        let store = Self {
            connection,
            session_scripts: SessionScripts::new(),
            bound_scripts: BoundScripts::new(),
            mailbox_scripts: MailboxScripts::new(),
            lock_scripts: LockScripts::new(),
            task_scripts: TaskScripts::new(),
            index,
            call_timeout,
        };
        store.warn_of_weak_settings().await;
        Ok(store)
    }

    /// Limits the duration of a whole call, because the driver's own timeouts apply per command and
    /// do not cover all of its waits. Also reports to the connection whether the server answered.
    pub(crate) async fn bounded<T, E: PortError>(
        &self,
        op: &'static str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let began = Instant::now();
        let outcome = timeout(self.call_timeout, call).await;
        let outcome = outcome.unwrap_or_else(|elapsed| Err(E::unavailable(op, elapsed.into())));
        match outcome.as_ref().err().and_then(PortError::unavailability) {
            Some(source) if is_timeout(source) => self.connection.record_timeout(began),
            Some(_) => {}
            None => self.connection.record_answer(),
        }
        outcome
    }

    /// Converts an error of the driver to an error of the port.
    pub(crate) fn failed<E: PortError>(&self, op: &'static str, error: Error) -> E {
        // Another program's value is stored under the key or in one of the fields.
        let foreign = *error.kind() == ErrorKind::Parse || error.details().contains("WRONGTYPE");
        let full = error.details().contains("OOM ");
        let source = self.connection.hide(error);
        match (foreign, full) {
            (true, _) => E::corrupt(op, source),
            (_, true) => E::full(op, source),
            _ => E::unavailable(op, source),
        }
    }

    /// Runs a script on keys of one slot. A server that restarted, or another node of a cluster,
    /// does not know it: then the whole script is sent, which also loads it into the server.
    pub(crate) async fn run<R: FromValue, E: PortError>(
        &self,
        op: &'static str,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Value>,
    ) -> Result<R, E> {
        let client = self.connection.client();
        let outcome = script
            .evalsha(&client, keys.clone(), arguments.clone())
            .await;
        let outcome = match (outcome, script.lua()) {
            (Err(error), Some(lua)) if error.details().starts_with("NOSCRIPT") => {
                client.eval(lua.clone(), keys, arguments).await
            }
            (outcome, _) => outcome,
        };
        outcome.map_err(|error| self.failed(op, error))
    }
}
