//! What can go wrong with the sync role.

use model::{Classified, ErrorClass};

/// The configuration makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A bound that would keep nothing.
    #[error("sync.{key} is {given}, it has to be between {least} and {most}")]
    OutOfRange {
        /// Which key.
        key: &'static str,
        /// What was given.
        given: u64,
        /// The smallest value.
        least: u64,
        /// The largest value.
        most: u64,
    },
    /// Not `owner/name`.
    #[error("sync.repositories has {given:?}, which is not owner/name")]
    Repository {
        /// What was given.
        given: String,
    },
}

impl Classified for BuildError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

/// The client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not an address like `http://sync:3002`.
    #[error("sync.endpoint cannot be used")]
    Endpoint(#[source] service_kit::grpc::GrpcError),
}

impl Classified for ConnectError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

/// The gRPC server ended on its own.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport gave up.
    #[error("gRPC server cannot go on")]
    Transport(#[source] tonic::transport::Error),
}

impl Classified for ServeError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}
