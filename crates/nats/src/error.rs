//! What can go wrong before there is a bus or a log.

use std::time::Duration;

use model::{Classified, ErrorClass};
use ports::Source;

/// Why there is no connection, or no stream.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// The configuration cannot work.
    #[error("NATS configuration: {what}")]
    Config {
        /// What is wrong and what to write instead.
        what: &'static str,
    },
    /// The URL is not one.
    #[error("nats.url is not a NATS URL (write for instance nats://host:4222)")]
    Url {
        /// What the parser said.
        #[source]
        source: Source,
    },
    /// The server does not accept our credentials.
    #[error("the NATS server refuses the credentials of nats.url")]
    Refused {
        /// What the server said.
        #[source]
        source: Source,
    },
    /// No server answers.
    #[error("no NATS server answers within {} s", waited.as_secs())]
    Unreachable {
        /// How long we tried.
        waited: Duration,
        /// What the last try said.
        #[source]
        source: Source,
    },
    /// The stream cannot be made or changed.
    #[error("JetStream stream {stream} cannot be set up")]
    Stream {
        /// Its name.
        stream: String,
        /// What the server said.
        #[source]
        source: Source,
    },
}

impl Classified for NatsError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unreachable { .. } => ErrorClass::Transient,
            Self::Config { .. } | Self::Url { .. } | Self::Refused { .. } | Self::Stream { .. } => {
                ErrorClass::Permanent
            }
        }
    }
}
