//! Errors before a store exists.

use std::time::Duration;

use model::{Classified, ErrorClass};
use ports::BoxError;

/// An error of connecting to Redis.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The configuration is invalid.
    #[error("Redis configuration: {what}")]
    Config {
        /// The problem, and how to correct it.
        what: &'static str,
    },
    /// The URL is not a Redis URL.
    #[error("redis.url is not a Redis URL (write for instance redis://host:6379)")]
    Url {
        /// The parser's error.
        #[source]
        source: BoxError,
    },
    /// The server rejects the credentials.
    #[error("the Redis server refuses the credentials of redis.url")]
    Refused {
        /// The server's error.
        #[source]
        source: BoxError,
    },
    /// The server does not answer.
    #[error("the Redis server does not answer within {} s", waited.as_secs())]
    Unreachable {
        /// Duration of the attempts.
        waited: Duration,
        /// The error of the last attempt.
        #[source]
        source: BoxError,
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
