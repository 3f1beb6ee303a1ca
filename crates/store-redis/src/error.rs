//! What can go wrong before there is a store.

use std::time::Duration;

use model::{Classified, ErrorClass};
use ports::Source;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The configuration cannot work.
    #[error("Redis configuration: {what}")]
    Config {
        /// What is wrong and what to write instead.
        what: &'static str,
    },
    /// The URL is not one.
    #[error("redis.url is not a Redis URL (write for instance redis://host:6379)")]
    Url {
        /// What the parser said.
        #[source]
        source: Source,
    },
    /// The server does not accept our credentials.
    #[error("the Redis server refuses the credentials of redis.url")]
    Refused {
        /// What the server said.
        #[source]
        source: Source,
    },
    /// The server does not answer.
    #[error("the Redis server does not answer within {} s", waited.as_secs())]
    Unreachable {
        /// How long we tried.
        waited: Duration,
        /// What the last try said.
        #[source]
        source: Source,
    },
}

impl Classified for RedisError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unreachable { .. } => ErrorClass::Transient,
            Self::Config { .. } | Self::Url { .. } | Self::Refused { .. } => ErrorClass::Permanent,
        }
    }
}
