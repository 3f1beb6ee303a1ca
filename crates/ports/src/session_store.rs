//! Sessions, with their owners and subscriptions.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use model::{Classified, ErrorClass, Session, SessionId, Timestamp};

use crate::{BoxError, Revision, StoreFailure};

/// A session with its revision.
#[derive(Clone, PartialEq, Debug)]
pub struct VersionedSession {
    /// The session.
    pub session: Session,
    /// Its revision.
    pub revision: Revision,
}

/// Limits on the number of live sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionLimits {
    /// Maximum number of live sessions in the store; at the limit, a create is refused.
    pub max_sessions: u64,
    /// Maximum number of live sessions of one owner; at the limit, a create is refused.
    pub max_sessions_per_owner: u32,
}

/// One million in all, 10,000 per owner.
impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            max_sessions: 1_000_000,
            max_sessions_per_owner: 10_000,
        }
    }
}

/// A page of the list of sessions.
#[derive(Clone, PartialEq, Debug)]
pub struct SessionPage {
    /// Sessions, ordered by id.
    pub sessions: Vec<VersionedSession>,
    /// Number of further sessions in the same range whose records cannot be read (SS-17).
    pub unreadable: usize,
    /// Continue the list after this id; `None` at the end.
    pub next: Option<SessionId>,
}

/// Errors of a session store.
#[derive(Debug, thiserror::Error)]
pub enum SessionStoreError {
    /// The session does not exist, has expired or has ended.
    #[error("no such session")]
    Missing,
    /// The id is taken, possibly by a session that has ended.
    #[error("the session exists already")]
    Exists,
    /// Another caller changed it first.
    #[error("the session was changed meanwhile; its revision is {}", current.0)]
    Conflict {
        /// The revision that is stored now.
        current: Revision,
    },
    /// The limit of live sessions is reached, in the store or for the owner; nothing was changed.
    #[error("no room for the session: {what}")]
    Overloaded {
        /// The limit that was reached.
        what: &'static str,
    },
    /// The record of this session cannot be read: it is damaged, or another build wrote it. Other sessions
    /// are not affected.
    #[error("the record of the session cannot be read")]
    Unreadable {
        /// The reason why it cannot be read.
        #[source]
        source: BoxError,
    },
    /// The store failed; the outcome of a change is unknown unless it is `Overloaded`.
    #[error(transparent)]
    Failed(#[from] StoreFailure),
}

impl SessionStoreError {
    /// The store has [`SessionLimits::max_sessions`] live sessions.
    #[must_use]
    pub const fn too_many() -> Self {
        Self::Overloaded {
            what: "the server has reached its limit of open sessions",
        }
    }

    /// The owner has [`SessionLimits::max_sessions_per_owner`] live sessions.
    #[must_use]
    pub const fn too_many_of_owner() -> Self {
        Self::Overloaded {
            what: "its owner has reached the limit of open sessions",
        }
    }
}

impl Classified for SessionStoreError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Failed(failure) => failure.class(),
            Self::Missing => ErrorClass::Missing,
            Self::Exists | Self::Conflict { .. } => ErrorClass::Conflict,
            Self::Overloaded { .. } => ErrorClass::Overloaded,
            Self::Unreadable { .. } => ErrorClass::Permanent,
        }
    }
}

/// Sessions of the handshake era, shared by all edges.
///
/// # Contract
/// - **SS-01** `create` stores a session for `ttl`; `load` returns it unchanged, with its revision.
/// - **SS-02** of several `create` calls for one id exactly one succeeds; the others get `Exists`.
/// - **SS-03** `replace` with the current revision stores the session and returns a higher revision; with
///   any other revision it is refused with `Conflict`, which carries the current one, and changes nothing.
/// - **SS-04** `end` is sticky: afterwards the session is `Missing` to every call, and `create`,
///   `replace` and `touch` cannot revive it for as long as it would have lived. `end` returns whether
///   there was a session to end.
/// - **SS-05** a session that was not touched for its `ttl` is `Missing`; `replace` cannot revive it.
/// - **SS-06** `touch` restarts the `ttl` without changing the revision, and returns whether the session
///   is live.
/// - **SS-07** `list` returns every live session once, in pages of up to `limit`, ordered by id.
/// - **SS-08** of several concurrent `replace` calls with the same revision exactly one succeeds.
/// - **SS-09** (durable) every acknowledged change is still there after a reopen, and ended sessions
///   stay ended.
/// - **SS-10** (shared) a session that one handle stored can be loaded through another at once.
/// - **SS-11** when the store has `max_sessions` live sessions, or the session's owner has
///   `max_sessions_per_owner`, `create` is `Overloaded` and changes nothing: the id stays free. No other
///   call is ever refused because of these limits. The caller passes the limits, and they may change
///   from call to call.
/// - **SS-12** ended and expired sessions do not count; they make room for the next `create`.
/// - **SS-13** concurrent `create` calls do not exceed the limits, even through different handles.
/// - **SS-14** (goes back) after the store went back to an earlier state, a revision that it gave out in the
///   lost time is not given out again: a caller that still holds one gets `Conflict`, as long as the
///   store's clock goes on.
/// - **SS-15** `time` is the clock by which the store lets sessions expire, the same through every handle.
/// - **SS-16** `check` succeeds while changes are accepted, and fails while the store refuses them, though it
///   may answer: it is read-only, or has no room. It leaves nothing that another call sees.
/// - **SS-17** a record that cannot be read (damaged, or written by another build) concerns its session
///   alone: `load` is `Unreadable`, `list` leaves it out and counts it in `unreadable`, and `end` ends it.
#[async_trait]
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Stores a new session; see SS-01, SS-02, SS-11.
    ///
    /// # Errors
    /// The id is taken, there is no room, or the store is unavailable.
    async fn create(
        &self,
        session: &Session,
        ttl: Duration,
        limits: SessionLimits,
    ) -> Result<Revision, SessionStoreError>;

    /// Loads a live session.
    ///
    /// # Errors
    /// The store is unavailable, or the record is `Unreadable`. A session that does not exist is `None`.
    async fn load(&self, id: &SessionId) -> Result<Option<VersionedSession>, SessionStoreError>;

    /// Stores a changed session and restarts its `ttl`; see SS-03, SS-08.
    ///
    /// # Errors
    /// `Missing`, `Conflict`, or the store is unavailable.
    async fn replace(
        &self,
        session: &Session,
        expected: Revision,
        ttl: Duration,
    ) -> Result<Revision, SessionStoreError>;

    /// Ends a session for good; see SS-04.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn end(&self, id: &SessionId) -> Result<bool, SessionStoreError>;

    /// Restarts the `ttl`; see SS-06.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn touch(&self, id: &SessionId, ttl: Duration) -> Result<bool, SessionStoreError>;

    /// Lists live sessions after an id; see SS-07.
    ///
    /// # Errors
    /// The store is unavailable or holds unreadable data.
    async fn list(
        &self,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<SessionPage, SessionStoreError>;

    /// Checks whether the store accepts changes now; used for readiness. See SS-16.
    ///
    /// # Errors
    /// The store does not answer, or refuses changes.
    async fn check(&self) -> Result<(), SessionStoreError>;

    /// The store's own time, by which all processes judge what they share; see SS-15. `None` if the store
    /// has no clock: then each process has to trust its own.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn time(&self) -> Result<Option<Timestamp>, SessionStoreError> {
        Ok(None)
    }
}
