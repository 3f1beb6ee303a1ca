//! What the server refuses to this store's user: the password, a command or a key.

use fred::error::{Error, ErrorKind};
use parking_lot::Mutex;
use ports::BoxError;
use tracing::error;

/// The words in which servers report a command or a key that the user's ACL forbids: of a command that is
/// sent, and of one within a script (Redis 6 and 7.0; 7.2 and later; Valkey).
const DENIED: [&str; 3] = [
    "NOPERM",
    "user executing the script can't",
    "ACL failure in script",
];

/// The server refuses the user. The server's words name the command, but no argument of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RedisRefusal {
    /// NOAUTH or WRONGPASS.
    #[error(
        "the Redis server refuses the credentials of redis.url: correct user and password there"
    )]
    Credentials {
        #[source]
        source: BoxError,
    },
    /// NOPERM.
    #[error(
        "the Redis user of redis.url lacks a permission: allow it all commands of the store, `+@all` or those in \
         docs/production.md, and the keys of redis.key_prefix"
    )]
    Permission {
        #[source]
        source: BoxError,
    },
}

impl RedisRefusal {
    /// Wraps an error of the driver, if the server refused the user; `hidden` is the same error for logs.
    pub(crate) fn explain(error: &Error, hide: impl FnOnce() -> BoxError) -> Option<BoxError> {
        if *error.kind() == ErrorKind::Auth {
            return Some(Self::Credentials { source: hide() }.into());
        }
        let is_denied = DENIED.iter().any(|words| error.details().contains(words));
        is_denied.then(|| Self::Permission { source: hide() }.into())
    }
}

/// A refusal of the credentials. The driver gives calls that wait meanwhile another error, because it has no
/// connection.
#[derive(Debug, Default)]
pub(crate) struct SeenRefusal(Mutex<Option<String>>);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ServerWords(String);

impl SeenRefusal {
    /// Notes the server's words; the first of them since the last answer is a line of the log.
    pub(crate) fn note(&self, said: &BoxError) {
        let mut seen = self.0.lock();
        if seen.is_none() {
            error!(error = %said, "the Redis server refuses the credentials of redis.url: correct user and password there");
        }
        *seen = Some(said.to_string());
    }

    /// The server has answered: the credentials are right.
    pub(crate) fn clear(&self) {
        *self.0.lock() = None;
    }

    /// The reason for which there is no connection, if it is the credentials.
    pub(crate) fn reason(&self) -> Option<BoxError> {
        let seen = self.0.lock();
        let words = seen.as_ref()?;
        let source = ServerWords(words.clone()).into();
        Some(RedisRefusal::Credentials { source }.into())
    }
}
