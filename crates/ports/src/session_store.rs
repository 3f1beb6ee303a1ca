//! Who, and what they asked for.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use model::{Classified, ErrorClass, Session, SessionId};

use crate::Source;

/// A version of a stored session; rises with each change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Revision(pub u64);

/// What a replace expects to find.
pub type Expected = Revision;

/// A session with its revision.
#[derive(Clone, PartialEq, Debug)]
pub struct Versioned {
    /// The session.
    pub session: Session,
    /// Its revision.
    pub revision: Revision,
}

/// How many sessions may live at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionLimits {
    /// Most living sessions in the store; beyond, a create is refused.
    pub max_sessions: u64,
    /// Most living sessions of one owner; beyond, a create is refused.
    pub max_sessions_per_owner: u32,
}

/// A million, and 10,000 of one owner.
impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            max_sessions: 1_000_000,
            max_sessions_per_owner: 10_000,
        }
    }
}

/// A part of the list of sessions.
#[derive(Clone, PartialEq, Debug)]
pub struct SessionPage {
    /// Sessions, ordered by id.
    pub sessions: Vec<Versioned>,
    /// List on after this one; `None` at the end.
    pub next: Option<SessionId>,
}

/// What can go wrong with a session store.
#[derive(Debug, thiserror::Error)]
pub enum SessionStoreError {
    /// The store does not answer, or not in time.
    #[error("session store cannot {op} now")]
    Unavailable {
        /// What we were doing.
        op: &'static str,
        /// What the driver said.
        #[source]
        source: Source,
    },
    /// No such session, or it expired or ended.
    #[error("no such session")]
    Missing,
    /// The id is taken (also by a session that has ended).
    #[error("the session exists already")]
    Exists,
    /// Somebody changed it first.
    #[error("the session was changed meanwhile; its revision is {}", current.0)]
    Conflict {
        /// What is stored now.
        current: Revision,
    },
    /// As many sessions live as may, of all or of the owner; nothing was changed.
    #[error("no room for the session: {what}")]
    Overloaded {
        /// Which bound.
        what: &'static str,
    },
    /// What the store holds is not what we wrote.
    #[error("stored session cannot be read")]
    Corrupt {
        /// What is wrong with it.
        #[source]
        source: Source,
    },
}

impl SessionStoreError {
    /// The store has [`SessionLimits::max_sessions`] living sessions.
    #[must_use]
    pub const fn too_many() -> Self {
        Self::Overloaded {
            what: "as many sessions are open as the server keeps",
        }
    }

    /// The owner has [`SessionLimits::max_sessions_per_owner`] living sessions.
    #[must_use]
    pub const fn too_many_of_owner() -> Self {
        Self::Overloaded {
            what: "its owner has as many sessions open as one may have",
        }
    }
}

impl Classified for SessionStoreError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unavailable { .. } => ErrorClass::Transient,
            Self::Missing => ErrorClass::Missing,
            Self::Exists | Self::Conflict { .. } => ErrorClass::Conflict,
            Self::Overloaded { .. } => ErrorClass::Overloaded,
            Self::Corrupt { .. } => ErrorClass::Permanent,
        }
    }
}

/// Sessions of the handshake era, shared by all edges.
///
/// # Contract
/// - **SS-01** `create` stores a session for `ttl`; `load` gives it back as it was, with its revision.
/// - **SS-02** of several `create` of one id exactly one wins, the others get `Exists`.
/// - **SS-03** `replace` with the current revision stores and gives a higher revision; with any other it
///   is refused with `Conflict` and the current one, and changes nothing.
/// - **SS-04** `end` is sticky: afterwards the session is `Missing` to every call, and `create`,
///   `replace` and `touch` cannot bring it back while it would still have lived. `end` says whether
///   there was anything to end.
/// - **SS-05** a session that was not touched for its `ttl` is `Missing`; `replace` cannot revive it.
/// - **SS-06** `touch` restarts the `ttl` without changing the revision, and says whether the session lives.
/// - **SS-07** `list` gives every living session once, in pages of at most `limit`, ordered by id.
/// - **SS-08** of several concurrent `replace` with the same revision exactly one wins.
/// - **SS-09** (durable) what a call acknowledged is there after a reopen, ended sessions stay ended.
/// - **SS-10** (shared) what one handle stored, another loads at once.
/// - **SS-11** beyond `max_sessions` living sessions in the store, or `max_sessions_per_owner` of the
///   session's owner, `create` is `Overloaded` and changes nothing: the id stays free. Nothing else is
///   ever refused for it. The bounds are the caller's, and may change from call to call.
/// - **SS-12** what ended or expired does not count; it makes room for the next `create`.
/// - **SS-13** the bounds are not passed by `create`s at the same time, nor by those of other handles.
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

    /// Loads a living session.
    ///
    /// # Errors
    /// The store is unavailable or holds something unreadable. A session that is not there is `None`.
    async fn load(&self, id: &SessionId) -> Result<Option<Versioned>, SessionStoreError>;

    /// Stores a changed session and restarts its `ttl`; see SS-03, SS-08.
    ///
    /// # Errors
    /// `Missing`, `Conflict`, or the store is unavailable.
    async fn replace(
        &self,
        session: &Session,
        expected: Expected,
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

    /// Lists living sessions after an id; see SS-07.
    ///
    /// # Errors
    /// The store is unavailable or holds something unreadable.
    async fn list(
        &self,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<SessionPage, SessionStoreError>;

    /// Whether the store answers now; readiness asks this.
    ///
    /// # Errors
    /// It does not.
    async fn check(&self) -> Result<(), SessionStoreError>;
}
