//! Sessions of the handshake era, with their owners and subscriptions.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use model::{Classified, ErrorClass, RecordId, Session, SessionId, Timestamp};
use ports::{
    BoxError, Collection, NewRecord, RecordBound, RecordCreation, RecordKey, RecordLife,
    RecordLimits, Records, RecordsError, Revision, StoreFailure, StoredRecord,
};
use tracing::debug;

use crate::state_version::{of_version, with_version};

/// Where sessions are kept.
const SESSIONS: Collection = Collection::new("sessions");
/// The version of their states; see SS-17.
const VERSION: u8 = 1;

/// Limits on the living sessions and on their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionLimits {
    /// Maximum number of living sessions in the store; at the limit, a create is refused.
    pub max_sessions: u64,
    /// Maximum number of living sessions of one owner; at the limit, a create is refused.
    pub max_sessions_per_owner: u32,
    /// Maximum bytes of all sessions, in steps of [`RecordLimits::WEIGHT_STEP_BYTES`] for each.
    pub max_bytes: u64,
    /// Maximum bytes of the sessions of one owner.
    pub max_bytes_per_owner: u64,
}

impl SessionLimits {
    const fn of_records(&self) -> RecordLimits {
        RecordLimits {
            max_records: self.max_sessions,
            max_records_per_owner: self.max_sessions_per_owner,
            max_bytes: self.max_bytes,
            max_bytes_per_owner: self.max_bytes_per_owner,
            spare_ttl: Duration::ZERO,
        }
    }
}

/// One million and 8 GiB in all, 10,000 and 256 MiB per owner.
impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            max_sessions: 1_000_000,
            max_sessions_per_owner: 10_000,
            max_bytes: 8 << 30,
            max_bytes_per_owner: 256 << 20,
        }
    }
}

/// A living session as it is stored.
#[derive(Clone, PartialEq, Debug)]
pub struct VersionedSession {
    /// The session.
    pub session: Session,
    /// Its revision.
    pub revision: Revision,
    /// When it ends if it is not used, in the store's time.
    pub expires_at: Timestamp,
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

/// Errors of a call on sessions.
#[derive(Debug, thiserror::Error)]
pub enum SessionRecordsError {
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
    /// The session is longer than [`RecordLimits::MAX_STATE_BYTES`] in its stored form.
    #[error(
        "a session of {bytes} bytes is longer than {} bytes",
        RecordLimits::MAX_STATE_BYTES
    )]
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
    /// A limit is reached; nothing was changed.
    #[error("no room for the session: {bound} has reached its limit")]
    NoRoom {
        /// The limit.
        bound: RecordBound,
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

impl From<RecordsError> for SessionRecordsError {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::Missing => Self::Missing,
            RecordsError::Conflict { current } => Self::Conflict { current },
            RecordsError::TooLarge { bytes } => Self::TooLarge { bytes },
            RecordsError::NoRoom { bound } => Self::NoRoom { bound },
            RecordsError::Unreadable { source } => Self::Unreadable { source },
            RecordsError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl Classified for SessionRecordsError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Missing => ErrorClass::Missing,
            Self::Exists | Self::Conflict { .. } => ErrorClass::Conflict,
            Self::TooLarge { .. } => ErrorClass::Caller,
            Self::NoRoom { .. } => ErrorClass::Overloaded,
            Self::Unreadable { .. } => ErrorClass::Permanent,
            Self::Failed(failure) => failure.class(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the session under this id is another one")]
struct OtherSession;

fn unreadable(source: impl Into<BoxError>) -> SessionRecordsError {
    let source = source.into();
    SessionRecordsError::Unreadable { source }
}

fn encode(session: &Session) -> Result<Bytes, SessionRecordsError> {
    let json = serde_json::to_vec(session);
    let json = json.map_err(|error| StoreFailure::corrupt("encode a session", error))?;
    Ok(with_version(VERSION, &json))
}

fn decode(stored: StoredRecord) -> Result<VersionedSession, SessionRecordsError> {
    let json = of_version(VERSION, stored.state).map_err(unreadable)?;
    let session: Session = serde_json::from_slice(&json).map_err(unreadable)?;
    if session.id.as_str() != stored.id.as_str() {
        return Err(unreadable(OtherSession));
    }
    Ok(VersionedSession {
        session,
        revision: stored.revision,
        expires_at: stored.expires_at,
    })
}

fn record_id(id: &SessionId) -> RecordId {
    RecordId::new(id.as_str()).expect("a session's id has the characters and length of a record's")
}

fn key(id: &SessionId) -> RecordKey {
    RecordKey {
        collection: SESSIONS,
        id: record_id(id),
    }
}

/// Sessions of the handshake era, shared by all edges.
///
/// # Contract
/// - **SS-01** `create` stores a session for `ttl`; `load` returns it unchanged, with its revision and its end.
/// - **SS-02** of several `create` calls for one id exactly one succeeds; the others get `Exists`.
/// - **SS-03** `replace` with the current revision stores the session and returns a higher revision; with
///   any other revision it is refused with `Conflict`, which carries the current one, and changes nothing.
/// - **SS-04** `end` is sticky: afterwards the session is `Missing` to every call, and `create`,
///   `replace` and `touch` cannot revive it for as long as it would have lived. `end` returns whether
///   there was a session to end.
/// - **SS-05** a session that was not touched for its `ttl` is `Missing`; `replace` cannot revive it.
/// - **SS-06** `touch` restarts the `ttl` without changing the revision, and returns whether the session
///   is living. `replace` restarts it too.
/// - **SS-07** `list` returns every living session once, in pages of up to `limit`, ordered by id.
/// - **SS-08** of several concurrent `replace` calls with the same revision exactly one succeeds.
/// - **SS-09** (durable) every acknowledged change is still there after a reopen, and ended sessions
///   stay ended.
/// - **SS-10** (shared) a session that one handle stored can be loaded through another at once.
/// - **SS-11** when the store has `max_sessions` living sessions, or the session's owner has
///   `max_sessions_per_owner`, `create` is `NoRoom` and changes nothing: the id stays free. No other
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
/// - **SS-17** a state carries a version. One that this build does not write, or that is damaged, concerns its
///   session alone: `load` is `Unreadable`, `list` leaves it out and counts it in `unreadable`, and `end` ends it.
/// - **SS-18** a `create`, or a `replace` by a session of more weight, that would take the bytes of all sessions or
///   those of the owner's beyond the limits, is `NoRoom` and changes nothing. Any other `replace` has room.
#[derive(Clone, Debug)]
pub struct SessionRecords {
    records: Arc<dyn Records>,
}

impl SessionRecords {
    /// The sessions in a store.
    #[must_use]
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// Stores a new session; see SS-01, SS-02, SS-11, SS-18. It is durable when this returns.
    ///
    /// # Errors
    /// `Exists`, `NoRoom`, `TooLarge`, `Unreadable` if what is there is damaged, or the store failed.
    pub async fn create(
        &self,
        session: &Session,
        ttl: Duration,
        limits: SessionLimits,
    ) -> Result<Revision, SessionRecordsError> {
        let record = NewRecord {
            key: key(&session.id),
            owner: session.owner.clone(),
            state: encode(session)?,
            ttl,
        };
        match self.records.create(&record, limits.of_records()).await? {
            RecordCreation::Created(revision) => Ok(revision),
            RecordCreation::Exists(_) | RecordCreation::Ended => Err(SessionRecordsError::Exists),
        }
    }

    /// Loads a living session.
    ///
    /// # Errors
    /// `Unreadable`, or the store failed. A session that does not exist is `None`.
    pub async fn load(
        &self,
        id: &SessionId,
    ) -> Result<Option<VersionedSession>, SessionRecordsError> {
        let found = self.records.load(&key(id)).await?;
        found.map(decode).transpose()
    }

    /// The time at which a living session ends if it is not used, without its state. `None` if it does not exist.
    ///
    /// # Errors
    /// `Unreadable`, or the store failed.
    pub async fn expires_at(
        &self,
        id: &SessionId,
    ) -> Result<Option<Timestamp>, SessionRecordsError> {
        Ok(self.records.expires_at(&key(id)).await?)
    }

    /// Stores a changed session and restarts its `ttl`; see SS-03, SS-08, SS-18. Its owner stays.
    ///
    /// # Errors
    /// `Missing`, `Conflict`, `NoRoom`, `TooLarge`, `Unreadable`, or the store failed.
    pub async fn replace(
        &self,
        session: &Session,
        expected: Revision,
        ttl: Duration,
        limits: SessionLimits,
    ) -> Result<Revision, SessionRecordsError> {
        let (key, state) = (key(&session.id), encode(session)?);
        let (life, limits) = (RecordLife::For(ttl), limits.of_records());
        let replaced = self.records.replace(&key, state, expected, life, limits);
        Ok(replaced.await?)
    }

    /// Ends a session for good; see SS-04.
    ///
    /// # Errors
    /// The store failed.
    pub async fn end(&self, id: &SessionId) -> Result<bool, SessionRecordsError> {
        Ok(self.records.end(&key(id)).await?)
    }

    /// Restarts the `ttl`; see SS-06.
    ///
    /// # Errors
    /// `Unreadable`, or the store failed.
    pub async fn touch(&self, id: &SessionId, ttl: Duration) -> Result<bool, SessionRecordsError> {
        Ok(self.records.touch(&key(id), ttl).await?)
    }

    /// Lists living sessions after an id; see SS-07. A page has fewer than `limit` if its bytes, or records that
    /// cannot be read, fill it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(
        &self,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<SessionPage, SessionRecordsError> {
        let after = after.map(record_id);
        let listed = self.records.list(SESSIONS, None, after.as_ref(), limit);
        let found = listed.await?;
        let next = found.next.map(|next| SessionId::new(next.as_str()));
        let next = next.transpose();
        let mut page = SessionPage {
            sessions: Vec::with_capacity(found.records.len()),
            unreadable: found.unreadable,
            next: next.map_err(|error| StoreFailure::corrupt("list sessions", error))?,
        };
        for record in found.records {
            let id = record.id.clone();
            match decode(record) {
                Ok(session) => page.sessions.push(session),
                Err(error) => {
                    debug!(session = %id, %error, "a session is left out of the list");
                    page.unreadable += 1;
                }
            }
        }
        Ok(page)
    }

    /// Checks whether the store accepts changes of sessions now; used for readiness. See SS-16.
    ///
    /// # Errors
    /// The store does not answer, or refuses changes.
    pub async fn check(&self) -> Result<(), StoreFailure> {
        self.records.check(SESSIONS).await
    }

    /// The store's own time, by which all processes judge what they share; see SS-15.
    ///
    /// # Errors
    /// The store failed.
    pub async fn time(&self) -> Result<Timestamp, StoreFailure> {
        self.records.time().await
    }
}
