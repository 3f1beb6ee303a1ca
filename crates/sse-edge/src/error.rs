//! Errors of the edge.

use access::{AuthError, NoPlace};
use edge_records::{SessionRecordsError, TaskRecordsError};
use event_flow::history::HistoryError;
use fanout::HubError;
use mcp::{ErrorCode, HttpRefusal, RpcError, params::InputError};
use mcp_server::{CallError, RateLimited, RegistryError};
use model::{Classified, CursorError, ErrorClass, PublicError};
use ports::{MailboxError, MailboxLimits, RecordBound};
use service_kit::bodies::BodyRefusal;
use subscriptions::SubscriptionRecordsError;
use tokio::time::error::Elapsed;

use crate::{
    limits::{ANSWER_RETRY_MILLIS, FOLLOWED_BYTES},
    parameters::ParameterError,
};

/// What a client reads when its own messages leave no room for another one.
const UNREAD_FULL: &str = "the unread messages and answers of this client's sessions have reached their limit; \
                           read them, then try again";

/// A configuration, or a set of toolsets, with which the edge cannot run.
#[derive(Debug, thiserror::Error)]
pub enum EdgeBuildError {
    /// A value out of bounds.
    #[error("{key}: {reason}")]
    Value {
        /// The key.
        key: &'static str,
        /// The problem, and which values are valid.
        reason: String,
    },
    /// Two toolsets offer the same name.
    #[error(transparent)]
    Offers(#[from] RegistryError),
}

/// An error of the edge.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EdgeError {
    #[error(transparent)]
    Hub(HubError),
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error("no room for another NDJSON connection: {0}")]
    TooManyLineConnections(NoPlace),
    #[error("{field}: {error}")]
    Cursor {
        /// The parameter that has it.
        field: &'static str,
        error: CursorError,
    },
    #[error(transparent)]
    Query(#[from] ParameterError),
    /// A body that was not read to its end.
    #[error(transparent)]
    Body(#[from] BodyRefusal),
    #[error("{field}: {reason}")]
    Parameter { field: String, reason: String },
    /// A body that does not fit; the error names the field.
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Limited(#[from] RateLimited),
    #[error("the session is being changed by too many requests at once")]
    Busy,
    #[error("no room for another session: {what}")]
    TooManySessions { what: &'static str },
    #[error(
        "no room for another task: {bound} has reached its limit; wait until one ends, or cancel one"
    )]
    TooManyTasks { bound: RecordBound },
    #[error("too many calls are running for this session, or on this server")]
    TooManyCalls,
    #[error(
        "too many bytes of answers are being made or have not been read yet, for this client or for all together; \
         read them, then try again in a second, or ask for less"
    )]
    AnswersFull,
    #[error("the session has ended")]
    SessionGone,
    #[error(
        "there is no such session of this client, or it has ended: open its stream again, and use the id with which that begins"
    )]
    NoSuchSession,
    #[error(
        "there is no such subscription of this client: list what there is with GET /events/subscribe, or make it again"
    )]
    NoSuchSubscription,
    #[error(
        "too many subscriptions are being read for streams of this client, or of all together; try again in a second, \
         or use fewer subscriptions for each clientId"
    )]
    SubscriptionsBusy,
    #[error(
        "the subscriptions of this clientId take more than {FOLLOWED_BYTES} bytes together, which no stream can follow; \
         delete some of them, or use several names"
    )]
    TooMuchToFollow,
    #[error("no room for another subscription: {}", too_many(*bound, *own))]
    TooManySubscriptions { bound: RecordBound, own: u64 },
    #[error(
        "the Origin header names a page that this server does not serve: add the page's origin to \
         edge.allowed_origins"
    )]
    Origin,
    #[error(
        "the Host header names neither this machine nor a host of edge.allowed_hosts: add the name there, \
         or let the proxy send the address of this edge as Host"
    )]
    Host,
    #[error(transparent)]
    Denied(#[from] AuthError),
    #[error("session store failed")]
    Sessions(#[from] SessionRecordsError),
    #[error("mailbox failed")]
    Mailbox(#[from] MailboxError),
    #[error("task store failed")]
    Tasks(#[source] TaskRecordsError),
    #[error(transparent)]
    Subscriptions(SubscriptionRecordsError),
    #[error("the record of a task cannot be read or written")]
    TaskRecord { source: serde_json::Error },
    #[error("a store did not answer in time")]
    Timeout(#[from] Elapsed),
}

impl From<HubError> for EdgeError {
    fn from(error: HubError) -> Self {
        match error {
            HubError::Denied(denied) => Self::Denied(denied),
            error => Self::Hub(error),
        }
    }
}

impl From<TaskRecordsError> for EdgeError {
    fn from(error: TaskRecordsError) -> Self {
        match error {
            TaskRecordsError::NoRoom { bound } => Self::TooManyTasks { bound },
            error => Self::Tasks(error),
        }
    }
}

impl From<SubscriptionRecordsError> for EdgeError {
    fn from(error: SubscriptionRecordsError) -> Self {
        match error {
            SubscriptionRecordsError::Missing => Self::NoSuchSubscription,
            error => Self::Subscriptions(error),
        }
    }
}

/// What helps who has too many subscriptions, over REST and with tools.
const DELETE_ONE: &str = "delete one first, with DELETE at its address (the Location with which it was made) or with the \
                       tool manage_events";

/// The bound of subscriptions that is reached, and what helps.
fn too_many(bound: RecordBound, own: u64) -> String {
    match bound {
        RecordBound::RecordsOfOwner => {
            format!("one client may have {own}, and you have them; {DELETE_ONE}")
        }
        RecordBound::BytesOfOwner => format!(
            "those of one client may take {own} bytes; {DELETE_ONE}, or use fewer filters and tags"
        ),
        RecordBound::Records | RecordBound::Bytes => {
            "this server has as many as it may have; try again later".to_owned()
        }
    }
}

impl Classified for EdgeError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Hub(error) => error.class(),
            Self::History(error) => error.class(),
            Self::Timeout(_) => ErrorClass::Transient,
            Self::Limited(_)
            | Self::TooManyLineConnections(_)
            | Self::TooManySessions { .. }
            | Self::TooManyTasks { .. }
            | Self::Busy
            | Self::AnswersFull
            | Self::SubscriptionsBusy
            | Self::TooManyCalls => ErrorClass::Overloaded,
            Self::Body(refusal) if refusal.is_overload() => ErrorClass::Overloaded,
            Self::Cursor { .. }
            | Self::Query(_)
            | Self::Parameter { .. }
            | Self::Input(_)
            | Self::Body(_) => ErrorClass::Caller,
            Self::SessionGone | Self::NoSuchSession | Self::NoSuchSubscription => {
                ErrorClass::Missing
            }
            Self::TooMuchToFollow => ErrorClass::Conflict,
            Self::TooManySubscriptions { bound, .. } => {
                SubscriptionRecordsError::NoRoom { bound: *bound }.class()
            }
            Self::Subscriptions(error) => error.class(),
            Self::Origin | Self::Host | Self::Denied(_) => ErrorClass::Unauthorized,
            Self::Sessions(error) => error.class(),
            Self::Mailbox(error) => error.class(),
            Self::Tasks(error) => error.class(),
            Self::TaskRecord { .. } => ErrorClass::Permanent,
        }
    }
}

impl EdgeError {
    /// Whether a store has no room, rather than a bound of the edge.
    fn is_full_store(&self) -> bool {
        let is_of_store = matches!(
            self,
            Self::Sessions(_)
                | Self::Mailbox(_)
                | Self::Tasks(_)
                | Self::Subscriptions(SubscriptionRecordsError::Failed(_))
        );
        is_of_store && self.class() == ErrorClass::Overloaded
    }

    /// Whether the client, its rights or its rates are the reason.
    pub(crate) fn is_refusal(&self) -> bool {
        let class = self.class();
        matches!(self, Self::Limited(_))
            || matches!(
                class,
                ErrorClass::Caller | ErrorClass::Unauthorized | ErrorClass::Missing
            )
    }
}

impl PublicError for EdgeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Hub(error) => error.code(),
            Self::History(error) => error.code(),
            Self::TooManyLineConnections(_) => "too-many-streams",
            Self::TooManySessions { .. } => "too-many-sessions",
            Self::Cursor { error, .. } => cursor_code(*error),
            Self::Query(_) | Self::Parameter { .. } | Self::Input(_) => "parameter-invalid",
            Self::NoSuchSubscription => "subscription-not-found",
            Self::TooManySubscriptions { .. } | Self::TooMuchToFollow => "too-many-subscriptions",
            Self::SubscriptionsBusy => "subscriptions-busy",
            Self::Subscriptions(error) if error.class() == ErrorClass::Caller => {
                "parameter-invalid"
            }
            Self::Subscriptions(SubscriptionRecordsError::Busy) => "subscription-busy",
            Self::Limited(_) => "rate-limited",
            Self::Body(refusal) => body_code(*refusal),
            Self::Busy => "session-busy",
            Self::TooManyCalls => "too-many-calls",
            Self::AnswersFull => "answers-full",
            Self::SessionGone => "session-gone",
            Self::NoSuchSession => "session-not-found",
            Self::Origin => "origin-refused",
            Self::Host => "host-refused",
            Self::Denied(denied) => denied.code(),
            error if error.is_full_store() => "store-full",
            // The log has deadlines of its own, in the errors of the hub and of the history.
            Self::Mailbox(MailboxError::TooLarge { .. }) => "parameter-invalid",
            Self::Sessions(_) | Self::Mailbox(_) | Self::Timeout(_) => "session-store-unavailable",
            Self::Subscriptions(_) => "subscription-store-unavailable",
            Self::TooManyTasks { .. } => "too-many-tasks",
            Self::Tasks(_) | Self::TaskRecord { .. } => "task-store-unavailable",
        }
    }

    fn public_text(&self) -> String {
        match self {
            Self::Hub(error) => error.public_text(),
            Self::History(error) => error.public_text(),
            Self::Mailbox(error) if error.is_owner_full() => UNREAD_FULL.to_owned(),
            Self::Mailbox(MailboxError::TooLarge { .. }) => {
                let most = MailboxLimits::MAX_PAYLOAD_BYTES;
                format!("message: must be at most {most} bytes, as it is put on the stream")
            }
            error if error.is_full_store() || error.class().is_ours() => {
                error.class().failure_text().to_owned()
            }
            error => error.to_string(),
        }
    }
}

const fn cursor_code(error: CursorError) -> &'static str {
    match error {
        CursorError::Malformed => "cursor-malformed",
        CursorError::Foreign => "cursor-foreign",
    }
}

const fn body_code(refusal: BodyRefusal) -> &'static str {
    match refusal {
        BodyRefusal::TooLarge { .. } => "body-too-large",
        BodyRefusal::Incomplete => "body-incomplete",
        BodyRefusal::TimedOut { .. } => "body-timeout",
        BodyRefusal::TooSlow | BodyRefusal::Stalled => "body-stalled",
        BodyRefusal::Share | BodyRefusal::Full => "too-many-bodies",
    }
}

impl From<EdgeError> for CallError {
    fn from(error: EdgeError) -> Self {
        match error {
            EdgeError::Denied(denied) => Self::Denied(denied),
            EdgeError::SessionGone => Self::SessionGone,
            EdgeError::Limited(limited) => Self::Limited(limited),
            EdgeError::AnswersFull => Self::Rpc(answers_full(&error)),
            error => Self::failed(error),
        }
    }
}

impl From<EdgeError> for RpcError {
    fn from(error: EdgeError) -> Self {
        CallError::from(error).into_rpc()
    }
}

impl From<EdgeError> for HttpRefusal {
    fn from(error: EdgeError) -> Self {
        RpcError::from(error).into()
    }
}

/// The error in place of an answer for which there is no room.
fn answers_full(error: &EdgeError) -> RpcError {
    let text = error.to_string();
    let data = serde_json::json!({
        "code": error.code(),
        "detail": text,
        "retryAfterMillis": ANSWER_RETRY_MILLIS,
    });
    RpcError::new(ErrorCode::Internal, text).with_data(data)
}

/// The error in place of an answer that shows more than its reader may see now.
pub(crate) fn rights_changed() -> RpcError {
    let text = "the answer is withheld: the call was made with rights to see more than the reader of this answer has \
                now; call again with the token that reads the answers";
    let data = serde_json::json!({ "code": "rights-changed" });
    RpcError::new(ErrorCode::InvalidRequest, text).with_data(data)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ports::{EventLogError, StoreFailure};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_store_that_does_not_answer_in_time_is_named() {
        let waited = timeout(Duration::from_secs(1), std::future::pending::<()>()).await;
        let error = EdgeError::from(waited.unwrap_err());
        assert_eq!(error.code(), "session-store-unavailable");
        assert!(!error.is_refusal(), "{error}");
    }

    #[test]
    fn a_store_without_room_is_told_in_the_same_words_whichever_it_is() {
        let full = || StoreFailure::full("the Redis server has no memory left");
        for error in [
            EdgeError::from(SessionRecordsError::from(full())),
            EdgeError::from(MailboxError::from(full())),
            EdgeError::from(TaskRecordsError::from(full())),
        ] {
            let told = RpcError::from(error);
            assert_eq!(told.data.unwrap()["code"], "store-full");
            let words = ["has no room", "try again later"];
            assert!(
                words.iter().all(|word| told.message.contains(word)),
                "{}",
                told.message
            );
        }
        let log = || EventLogError::from(full());
        let hub = EdgeError::from(HubError::from(log()));
        let history = EdgeError::from(HistoryError::from(log()));
        for error in [hub, history] {
            assert!(
                error.public_text().contains("has no room"),
                "{}",
                error.public_text()
            );
        }
        let own = EdgeError::from(MailboxError::owner_is_full()).public_text();
        assert!(own.contains("read them"), "{own}");
        assert!(!EdgeError::Busy.public_text().contains("has no room"));
    }
}
