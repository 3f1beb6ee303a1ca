//! The store: the connection, and the calls through which every port uses it.

use std::{fmt, future::Future, time::Duration};

use fred::{
    error::{Error, ErrorKind},
    interfaces::LuaInterface,
    types::{FromValue, Value, scripts::Script},
};
use ports::StoreFailure;
use tokio::time::{Instant, timeout};

use crate::{
    RedisConfig, RedisError,
    budget_scripts::BudgetScripts,
    check_scripts::CheckScripts,
    config::MAX_TTL,
    connection::RedisConnection,
    lease_scripts::LeaseScripts,
    mailbox::{accounts::AccountScripts, scripts::MailboxScripts},
    records::{RecordIndexScripts, RecordKeys, RecordScripts},
    refusal::RedisRefusal,
    store_keys::StoreKeys,
};

/// Records, mailboxes, leases and budgets on a Redis server or cluster. Dropping it closes the connection.
pub struct RedisSessionStore {
    pub(crate) connection: RedisConnection,
    pub(crate) check_scripts: CheckScripts,
    pub(crate) mailbox_scripts: MailboxScripts,
    pub(crate) account_scripts: AccountScripts,
    pub(crate) lease_scripts: LeaseScripts,
    pub(crate) budget_scripts: BudgetScripts,
    pub(crate) keys: StoreKeys,
    pub(crate) record_scripts: RecordScripts,
    pub(crate) record_index_scripts: RecordIndexScripts,
    pub(crate) record_keys: RecordKeys,
    call_timeout: Duration,
}

impl fmt::Debug for RedisSessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisSessionStore")
    }
}

const FULL: &str = "the Redis server has no memory left";

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
        let record_keys = RecordKeys::new(config.key_prefix.clone());
        let (keys, call_timeout) = (StoreKeys::new(config.key_prefix), config.call_timeout);
        let store = Self {
            connection,
            check_scripts: CheckScripts::new(),
            mailbox_scripts: MailboxScripts::new(),
            account_scripts: AccountScripts::new(),
            lease_scripts: LeaseScripts::new(),
            budget_scripts: BudgetScripts::new(),
            keys,
            record_scripts: RecordScripts::new(),
            record_index_scripts: RecordIndexScripts::new(),
            record_keys,
            call_timeout,
        };
        store.warn_of_weak_settings().await;
        Ok(store)
    }

    /// Limits the duration of a whole call, because the driver's own timeouts apply per command and
    /// do not cover all of its waits. Also reports to the connection whether the server answered.
    pub(crate) async fn bounded<T, E: From<StoreFailure>>(
        &self,
        op: &'static str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let began = Instant::now();
        match timeout(self.call_timeout, call).await {
            Ok(outcome) => {
                if outcome.is_ok() {
                    self.connection.record_answer();
                }
                outcome
            }
            Err(elapsed) => Err(match self.connection.refused_credentials() {
                Some(reason) => StoreFailure::unavailable(op, reason),
                None => {
                    self.connection.record_timeout(began);
                    StoreFailure::unavailable(op, elapsed)
                }
            }
            .into()),
        }
    }

    /// Converts an error of the driver, of a command that began at this time. A refusal of the credentials is the
    /// reason of every error that comes of having no connection.
    pub(crate) fn failed(&self, op: &'static str, began: Instant, error: Error) -> StoreFailure {
        // Another program's value is stored under the key or in one of the fields.
        let is_foreign = *error.kind() == ErrorKind::Parse || error.details().contains("WRONGTYPE");
        let is_full = error.details().contains("OOM ");
        match error.kind() {
            // There was no answer at all, rather than one that is not usable now.
            ErrorKind::Timeout => self.connection.record_timeout(began),
            _ if is_foreign || is_full => self.connection.record_answer(),
            _ => {}
        }
        let source = self.connection.hide(error);
        match (is_foreign, is_full) {
            (true, _) => StoreFailure::Corrupt { op, source },
            (_, true) => StoreFailure::Overloaded {
                what: FULL,
                source: Some(source),
            },
            _ if source.is::<RedisRefusal>() => StoreFailure::Unavailable { op, source },
            _ => {
                let source = self.connection.refused_credentials().unwrap_or(source);
                StoreFailure::Unavailable { op, source }
            }
        }
    }

    /// Runs a script on keys of one slot. A server that restarted, or another node of a cluster,
    /// does not know it: then the whole script is sent, which also loads it into the server.
    pub(crate) async fn run<R: FromValue>(
        &self,
        op: &'static str,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Value>,
    ) -> Result<R, StoreFailure> {
        let began = Instant::now();
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
        match outcome {
            Ok(answer) => {
                self.connection.record_answer();
                Ok(answer)
            }
            Err(error) => Err(self.failed(op, began, error)),
        }
    }
}
