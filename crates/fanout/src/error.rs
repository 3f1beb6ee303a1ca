//! Errors between a request and its stream.

use std::sync::Arc;

use access::{AuthError, NoPlace};
use model::{Classified, ErrorClass, PublicError};
use ports::EventLogError;
use tokio::time::error::Elapsed;

use crate::{bounds::StreamBound, budget::MatchBound};

/// The reason for which a stream is not opened, or a position is not found.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The edge is not ready yet.
    #[error("the edge has not reached the event log yet")]
    NotReady,
    /// A bound on streams is reached.
    #[error("this edge serves at most {max_streams} {bound}")]
    TooManyStreams {
        /// The bound.
        max_streams: usize,
        /// The setting or limit that determines it.
        bound: StreamBound,
    },
    /// The principal has its share of the places for streams.
    #[error(
        "this client has {own} streams on this edge, and the places that are left are for others"
    )]
    TooManyOwnStreams {
        /// Its number of streams.
        own: usize,
    },
    /// The filters of the stream, together with those of other open streams, would need too many comparisons
    /// for each event.
    #[error("{0}")]
    TooManyFilters(MatchBound),
    /// The open streams follow as many tasks as there is room for.
    #[error(
        "no room to follow these tasks: {0}; follow fewer, or close a stream that follows some"
    )]
    TooManyFollowedTasks(NoPlace),
    /// The token was revoked while the stream was being opened.
    #[error(transparent)]
    Denied(#[from] AuthError),
    /// The log cannot be read.
    #[error("event log failed")]
    Log(#[from] EventLogError),
    /// The page of the log that has the entry of a cursor cannot be read.
    #[error("event log failed")]
    Page(#[source] Arc<EventLogError>),
    /// The log did not answer in time.
    #[error("the event log did not answer in time")]
    Timeout(#[from] Elapsed),
}

impl Classified for HubError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::NotReady | Self::Timeout(_) => ErrorClass::Transient,
            Self::TooManyStreams { .. }
            | Self::TooManyOwnStreams { .. }
            | Self::TooManyFilters(_)
            | Self::TooManyFollowedTasks(_) => ErrorClass::Overloaded,
            Self::Denied(_) => ErrorClass::Unauthorized,
            Self::Log(error) => error.class(),
            Self::Page(error) => error.class(),
        }
    }
}

impl PublicError for HubError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotReady => "not-ready",
            Self::TooManyStreams { .. } | Self::TooManyOwnStreams { .. } => "too-many-streams",
            Self::TooManyFilters(_) => "too-many-filters",
            Self::TooManyFollowedTasks(_) => "too-many-followed-tasks",
            Self::Denied(denied) => denied.code(),
            Self::Log(_) | Self::Page(_) | Self::Timeout(_) => "event-log-unavailable",
        }
    }

    fn public_text(&self) -> String {
        match self {
            Self::NotReady | Self::Log(_) | Self::Page(_) | Self::Timeout(_) => {
                self.class().failure_text().to_owned()
            }
            error => error.to_string(),
        }
    }
}
