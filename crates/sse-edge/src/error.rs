//! What can go wrong at the edge, and how it reads outside MCP.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use model::{Classified, CursorError, ErrorClass, FilterError};
use ports::{EventLogError, MailboxError, ResourceError, SessionStoreError, TaskStoreError};
use service_kit::problem::Problem;
use tokio::time::error::Elapsed;
use tracing::warn;

use crate::{auth::Denied, fanout::bounds::StreamBound, policy::Limited};

/// An error of the edge.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EdgeError {
    #[error("the edge has not reached the event log yet")]
    NotReady,
    #[error("this edge serves at most {max_streams} {bound}")]
    TooManyStreams {
        max_streams: usize,
        bound: StreamBound,
    },
    #[error("{0}")]
    Cursor(#[from] CursorError),
    #[error("{0}")]
    Filter(#[from] FilterError),
    #[error("{field}: {reason}")]
    Parameter { field: String, reason: String },
    #[error("the session is being changed by too many requests at once")]
    Busy,
    #[error("no room for another session: {what}")]
    TooManySessions { what: &'static str },
    #[error("too many calls are running for this session, or on this server")]
    TooManyCalls,
    #[error("the session has ended")]
    SessionGone,
    #[error("there is no such session")]
    NoSuchSession,
    #[error("the Origin header names a page that this server does not serve")]
    Origin,
    #[error("the Host header does not name this machine")]
    Host,
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error("event log failed")]
    Log(#[from] EventLogError),
    #[error("session store failed")]
    Sessions(#[from] SessionStoreError),
    #[error("mailbox failed")]
    Mailbox(#[from] MailboxError),
    #[error("task store failed")]
    Tasks(#[from] TaskStoreError),
    #[error("the record of a task cannot be read or written")]
    TaskRecord { source: serde_json::Error },
    #[error("resource reader failed")]
    Resources(#[from] ResourceError),
    #[error("a store did not answer in time")]
    Timeout(#[from] Elapsed),
}

impl Classified for EdgeError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::NotReady | Self::Timeout(_) => ErrorClass::Transient,
            Self::TooManyStreams { .. }
            | Self::TooManySessions { .. }
            | Self::Busy
            | Self::TooManyCalls
            | Self::Limited(_) => ErrorClass::Overloaded,
            Self::Cursor(_) | Self::Filter(_) | Self::Parameter { .. } => ErrorClass::Caller,
            Self::SessionGone | Self::NoSuchSession => ErrorClass::Missing,
            Self::Origin | Self::Host | Self::Denied(_) => ErrorClass::Unauthorized,
            Self::Log(error) => error.class(),
            Self::Sessions(error) => error.class(),
            Self::Mailbox(error) => error.class(),
            Self::Tasks(error) => error.class(),
            Self::TaskRecord { .. } => ErrorClass::Permanent,
            Self::Resources(error) => error.class(),
        }
    }
}

impl EdgeError {
    /// The stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotReady => "not-ready",
            Self::TooManyStreams { .. } => "too-many-streams",
            Self::TooManySessions { .. } => "too-many-sessions",
            Self::Cursor(CursorError::Malformed) => "cursor-malformed",
            Self::Cursor(CursorError::Foreign) => "cursor-foreign",
            Self::Filter(_) | Self::Parameter { .. } => "parameter-invalid",
            Self::Busy => "session-busy",
            Self::TooManyCalls => "too-many-calls",
            Self::Limited(_) => "rate-limited",
            Self::SessionGone => "session-gone",
            Self::NoSuchSession => "session-not-found",
            Self::Origin => "origin-refused",
            Self::Host => "host-refused",
            Self::Denied(denied) => denied.code(),
            Self::Log(_) | Self::Timeout(_) => "event-log-unavailable",
            Self::Sessions(_) | Self::Mailbox(_) => "session-store-unavailable",
            Self::Tasks(TaskStoreError::Overloaded { .. }) => "too-many-tasks",
            Self::Tasks(_) | Self::TaskRecord { .. } => "task-store-unavailable",
            Self::Resources(_) => "sync-unavailable",
        }
    }

    /// What the user reads: the caller's mistakes in full, our own troubles in a sentence.
    pub(crate) fn public_text(&self) -> String {
        match self.class() {
            ErrorClass::Caller | ErrorClass::Overloaded | ErrorClass::Unauthorized => {
                self.to_string()
            }
            _ => "a part of the server does not answer now; try again in a moment".to_owned(),
        }
    }
}

impl IntoResponse for EdgeError {
    fn into_response(self) -> Response {
        let class = self.class();
        if !matches!(class, ErrorClass::Caller | ErrorClass::Unauthorized) {
            let source = std::error::Error::source(&self).map(ToString::to_string);
            warn!(error = %self, source, code = self.code(), "request refused");
        }
        let problem = Problem::new(class, self.code(), "The request cannot be served")
            .detail(self.public_text());
        match self {
            Self::Origin | Self::Host => problem.status(StatusCode::FORBIDDEN).into_response(),
            Self::Denied(denied) => {
                let mut response = problem.status(denied.status()).into_response();
                let challenge = denied.challenge();
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, challenge);
                response
            }
            _ => problem.into_response(),
        }
    }
}
