//! The sync role as its callers see it: over gRPC in a cluster, in process when embedded.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use model::{
    Classified, ErrorClass, EventId, FoundResource, GithubIds, LogPosition, PublicError,
    ResourceId, ResourceUri, Sequence, Timestamp, TraceContext,
};

use crate::BoxError;

/// The last known state of a resource.
#[derive(Clone, PartialEq, Debug)]
pub struct ResourceState {
    /// The resource, under its present address as far as the reader knows it.
    pub uri: ResourceUri,
    /// The present holder of that address: what may be seen is decided by its ids. Empty where no event had them, and
    /// from a sync role of an older build.
    pub ids: GithubIds,
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
    /// The sync role has not read the log far enough (RR-02): the state that it knows may be older than
    /// one that a client was notified of.
    #[error("the sync role has not read the event log as far as its caller")]
    Behind,
    /// It cannot answer this, whatever its state is.
    #[error("{field}: {problem}")]
    Refused {
        /// The part of the request.
        field: &'static str,
        /// What is wrong with it, and what helps.
        problem: String,
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
            Self::Unavailable { .. } | Self::Behind => ErrorClass::Transient,
            Self::Refused { .. } => ErrorClass::Caller,
            Self::Malformed { .. } => ErrorClass::Permanent,
        }
    }
}

impl PublicError for ResourceError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } | Self::Malformed { .. } => "sync-unavailable",
            Self::Behind => "sync-behind",
            Self::Refused { .. } => "invalid-mirror-request",
        }
    }

    fn public_text(&self) -> String {
        let text = match self {
            Self::Unavailable { .. } | Self::Malformed { .. } => self.class().failure_text(),
            Self::Refused { .. } => return self.to_string(),
            Self::Behind => {
                "the newest events about this resource are not in its state yet; try again in a moment"
            }
        };
        text.to_owned()
    }
}

/// Reads the last known state of resources.
///
/// # Contract
/// - **RR-01** `get_resource` returns the newest state that the log's events report of a resource, whatever
///   the order and spelling in which they do; `None` if no event has mentioned it. An address means its present
///   holder alone, and a former one that nobody has taken the one that left it.
/// - **RR-02** with `seen`, the answer is at least as new as every event that was in the log when the call
///   began, whichever caller was notified of it. A reader that cannot get as far within its deadline is
///   `Behind`; it never answers with an older state, nor with `None` in place of a newer one.
/// - **RR-03** a position of another log, or beyond the log's end, is not waited for: the log as it is
///   decides. While the log does not answer, `seen` alone decides.
/// - **RR-04** without `seen`, the answer is what is known at the moment.
#[async_trait]
pub trait ResourceReader: fmt::Debug + Send + Sync + 'static {
    /// The last known state, `None` if no event has mentioned the resource yet; see RR-01 to RR-04. `seen`
    /// is the caller's position in the log.
    ///
    /// # Errors
    /// The sync role does not answer within its deadline, or is behind.
    async fn get_resource(
        &self,
        uri: &ResourceUri,
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Option<ResourceState>, ResourceError>;

    /// The progress of the sync role.
    ///
    /// # Errors
    /// The sync role does not answer within its deadline.
    async fn status(&self, trace: Option<TraceContext>) -> Result<SyncStatus, ResourceError>;
}

/// Finds resources by their node ids.
///
/// # Contract
/// - **RF-01** `find` returns the present address of the issue, pull request or other numbered resource of a repository of
///   which an event in the log has shown the state under this id; `None` if none has. With it come the ids, the title, the
///   page and the labels that the resource has in the newest state, as far as the log's events have them.
/// - **RF-02** it knows every event that was in the log when the call began. A finder that cannot get as far within its
///   deadline is `Behind`.
#[async_trait]
pub trait ResourceFinder: fmt::Debug + Send + Sync + 'static {
    /// The resource with this node id; see RF-01 and RF-02.
    ///
    /// # Errors
    /// The sync role does not answer within its deadline, or is behind.
    async fn find(
        &self,
        id: &ResourceId,
        trace: Option<TraceContext>,
    ) -> Result<Option<FoundResource>, ResourceError>;

    /// Whether it can be asked.
    ///
    /// # Errors
    /// The sync role does not answer within its deadline.
    async fn check(&self) -> Result<(), ResourceError>;
}
