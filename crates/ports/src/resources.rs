//! The sync role as its callers see it: over gRPC in a cluster, in process when embedded.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use model::{
    Classified, ErrorClass, EventId, PublicError, ResourceUri, Sequence, Timestamp, TraceContext,
};

use crate::BoxError;

/// The last known state of a resource.
#[derive(Clone, PartialEq, Debug)]
pub struct ResourceState {
    /// The resource.
    pub uri: ResourceUri,
    /// GitHub's object as JSON, as the event carried it.
    pub json: Bytes,
    /// The event that reported this state.
    pub event_id: EventId,
    /// The event's position in the log.
    pub sequence: Sequence,
    /// The time of the change, according to GitHub.
    pub updated_at: Timestamp,
    /// Whether it was deleted on GitHub.
    pub deleted: bool,
}

/// The progress of the sync role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SyncStatus {
    /// Everything in the log up to and including this position has been applied.
    pub position: Sequence,
    /// The log's last sequence, as the sync role last saw it.
    pub head: Sequence,
    /// The number of resources that it knows.
    pub resources: u64,
    /// Whether it has caught up with the log since it started.
    pub caught_up: bool,
}

/// Errors of calls to the sync role.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// The sync role does not answer, or not within the deadline.
    #[error("the sync role cannot {op} now")]
    Unavailable {
        /// The operation that failed.
        op: &'static str,
        /// The transport's error.
        #[source]
        source: BoxError,
    },
    /// Its answer cannot be read.
    #[error("the sync role's answer cannot be read")]
    Malformed {
        /// The reason why it cannot be read.
        #[source]
        source: BoxError,
    },
}

impl Classified for ResourceError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unavailable { .. } => ErrorClass::Transient,
            Self::Malformed { .. } => ErrorClass::Permanent,
        }
    }
}

impl PublicError for ResourceError {
    fn code(&self) -> &'static str {
        "sync-unavailable"
    }
}

/// Reads the last known state of resources.
#[async_trait]
pub trait ResourceReader: fmt::Debug + Send + Sync + 'static {
    /// The last known state, `None` if no event has mentioned the resource yet.
    ///
    /// # Errors
    /// The sync role does not answer within its deadline.
    async fn get_resource(
        &self,
        uri: &ResourceUri,
        trace: Option<TraceContext>,
    ) -> Result<Option<ResourceState>, ResourceError>;

    /// The progress of the sync role.
    ///
    /// # Errors
    /// The sync role does not answer within its deadline.
    async fn status(&self, trace: Option<TraceContext>) -> Result<SyncStatus, ResourceError>;
}
