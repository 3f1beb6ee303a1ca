//! The sync role as its callers see it: over gRPC in a cluster, in process when embedded.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use model::{Classified, ErrorClass, EventId, ResourceUri, Sequence, Timestamp, TraceContext};

use crate::Source;

/// The last known state of a resource.
#[derive(Clone, PartialEq, Debug)]
pub struct ResourceState {
    /// Which resource.
    pub uri: ResourceUri,
    /// GitHub's object as JSON, as the event carried it.
    pub json: Bytes,
    /// The event that told us.
    pub event_id: EventId,
    /// The event's place in the log.
    pub sequence: Sequence,
    /// When GitHub says that it changed.
    pub updated_at: Timestamp,
    /// It was deleted on GitHub.
    pub deleted: bool,
}

/// How the sync role is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SyncStatus {
    /// Everything in the log up to here has been taken in.
    pub position: Sequence,
    /// The log's last sequence, as last seen.
    pub head: Sequence,
    /// How many resources it knows.
    pub resources: u64,
    /// It has caught up with the log since it started.
    pub caught_up: bool,
}

/// What can go wrong with the sync role.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// The sync role does not answer, or not within the deadline.
    #[error("the sync role cannot {op} now")]
    Unavailable {
        /// What we were doing.
        op: &'static str,
        /// What the transport said.
        #[source]
        source: Source,
    },
    /// What it answered is not what we understand.
    #[error("the sync role's answer cannot be read")]
    Malformed {
        /// What is wrong with it.
        #[source]
        source: Source,
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

/// Reads the last known state of resources.
#[async_trait]
pub trait ResourceReader: fmt::Debug + Send + Sync + 'static {
    /// The last known state, `None` if no event spoke of it yet.
    ///
    /// # Errors
    /// The sync role does not answer within its deadline.
    async fn get_resource(
        &self,
        uri: &ResourceUri,
        trace: Option<TraceContext>,
    ) -> Result<Option<ResourceState>, ResourceError>;

    /// How it is doing.
    ///
    /// # Errors
    /// The sync role does not answer within its deadline.
    async fn status(&self, trace: Option<TraceContext>) -> Result<SyncStatus, ResourceError>;
}
