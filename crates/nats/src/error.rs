//! Errors before a bus or a log exists.

use std::time::Duration;

use model::{Classified, ErrorClass};
use ports::BoxError;

/// An error of connecting or of setting up the stream.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// The configuration is invalid.
    #[error("NATS configuration: {what}")]
    Config {
        /// The problem, and how to correct it.
        what: &'static str,
    },
    /// The URL is not a NATS URL.
    #[error("nats.url is not a NATS URL (write for instance nats://host:4222)")]
    Url {
        /// The parser's error.
        #[source]
        source: BoxError,
    },
    /// The server rejects the credentials.
    #[error("the NATS server refuses the credentials of nats.url")]
    Refused {
        /// The server's error.
        #[source]
        source: BoxError,
    },
    /// The server's messages are too small for any event.
    #[error(
        "the NATS server of nats.url takes messages of up to {max_bytes} bytes: set max_payload in its \
         configuration to {min_bytes} or more (its default is 1 MiB)"
    )]
    MaxPayload {
        /// The server's bound.
        max_bytes: usize,
        /// The smallest bound that works.
        min_bytes: usize,
    },
    /// No server answers.
    #[error("no NATS server answers within {} s", waited.as_secs())]
    Unreachable {
        /// Duration of the attempts.
        waited: Duration,
        /// The error of the last attempt.
        #[source]
        source: BoxError,
    },
    /// The stream that is there cannot keep what it acknowledges.
    #[error("JetStream stream {stream} {setting}; {fix}")]
    StreamSetting {
        /// The stream's name.
        stream: String,
        /// The setting, and its consequence.
        setting: &'static str,
        /// How to correct it.
        fix: &'static str,
    },
    /// The stream cannot be created or changed.
    #[error("JetStream stream {stream} cannot be set up")]
    Stream {
        /// The stream's name.
        stream: String,
        /// The server's error.
        #[source]
        source: BoxError,
    },
}

impl Classified for NatsError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unreachable { .. } => ErrorClass::Transient,
            Self::Config { .. }
            | Self::Url { .. }
            | Self::Refused { .. }
            | Self::MaxPayload { .. }
            | Self::StreamSetting { .. }
            | Self::Stream { .. } => ErrorClass::Permanent,
        }
    }
}
