//! The session store.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use model::{Clock, PrincipalId, Session, SessionId, Timestamp};
use ports::{
    Revision, SessionLimits, SessionPage, SessionStore, SessionStoreError, StoreFailure,
    VersionedSession,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tracing::debug;

use crate::{Database, SqliteCallError, database::CALL_DEADLINE, numbers::next_number};

/// Maximum number of sessions in one page, whatever limit is requested.
const MAX_PAGE_SESSIONS: usize = 1000;
/// Number of expired rows that each `create` deletes: more than one, so that they never accumulate.
const SWEEP_ROWS: u32 = 16;

/// The session store in a SQLite file.
#[derive(Clone)]
pub struct SqliteSessionStore {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
}

impl fmt::Debug for SqliteSessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqliteSessionStore")
            .field(&self.database)
            .finish()
    }
}

/// The state of a row that has not expired.
struct SessionRow {
    revision: Revision,
    ended: bool,
}

/// The result of a write that competes with other writes.
enum WriteOutcome {
    Done(Revision),
    Exists,
    Missing,
    Conflict(Revision),
    TooMany,
    TooManyOfOwner,
}

impl WriteOutcome {
    fn into_result(self) -> Result<Revision, SessionStoreError> {
        match self {
            Self::Done(revision) => Ok(revision),
            Self::Exists => Err(SessionStoreError::Exists),
            Self::Missing => Err(SessionStoreError::Missing),
            Self::Conflict(current) => Err(SessionStoreError::Conflict { current }),
            Self::TooMany => Err(SessionStoreError::too_many()),
            Self::TooManyOfOwner => Err(SessionStoreError::too_many_of_owner()),
        }
    }
}

fn encode(session: &Session) -> Result<Vec<u8>, SessionStoreError> {
    serde_json::to_vec(session)
        .map_err(|error| StoreFailure::corrupt("encode a session", error).into())
}

fn revision(column: i64) -> Revision {
    Revision(column.cast_unsigned())
}

fn find_row(
    connection: &Connection,
    id: &str,
    now: Timestamp,
) -> rusqlite::Result<Option<SessionRow>> {
    let sql = "SELECT revision, body IS NULL FROM sessions WHERE id = ?1 AND expires_at > ?2";
    let row = |row: &Row<'_>| {
        Ok(SessionRow {
            revision: revision(row.get(0)?),
            ended: row.get(1)?,
        })
    };
    connection
        .prepare_cached(sql)?
        .query_row(params![id, now.unix_millis()], row)
        .optional()
}

fn sweep(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "DELETE FROM sessions WHERE rowid IN \
               (SELECT rowid FROM sessions WHERE expires_at <= ?1 LIMIT ?2)";
    connection
        .prepare_cached(sql)?
        .execute(params![now.unix_millis(), SWEEP_ROWS])?;
    Ok(())
}

/// Number of living sessions, in total or of one owner; expired ones count until they are swept.
fn count(connection: &Connection, owner: Option<&str>) -> rusqlite::Result<u64> {
    let sql = match owner {
        None => "SELECT value FROM meta WHERE key = 'living_sessions' AND ?1 IS NULL",
        Some(_) => "SELECT sessions FROM session_owners WHERE owner = ?1",
    };
    let mut statement = connection.prepare_cached(sql)?;
    let found: Option<i64> = statement.query_row([owner], |row| row.get(0)).optional()?;
    Ok(found.map_or(0, |count| u64::try_from(count).unwrap_or(0)))
}

/// Checks that there is room for one more session, in total or of one owner; at the bound it first
/// deletes expired sessions.
fn has_room(
    connection: &Connection,
    owner: Option<&str>,
    most: u64,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let sql = match owner {
        None => {
            "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions \
             WHERE body IS NOT NULL AND expires_at <= ?1 AND ?3 IS NULL LIMIT ?2)"
        }
        Some(_) => {
            "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions \
             WHERE body IS NOT NULL AND expires_at <= ?1 AND owner = ?3 LIMIT ?2)"
        }
    };
    // Each round deletes a batch of expired rows, until the count is below the bound or none is
    // left.
    while count(connection, owner)? >= most {
        let mut statement = connection.prepare_cached(sql)?;
        if statement.execute(params![now.unix_millis(), SWEEP_ROWS, owner])? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A session to be created.
struct SessionInsert {
    id: SessionId,
    owner: PrincipalId,
    body: Vec<u8>,
    ttl: Duration,
}

fn create(
    connection: &Connection,
    new: &SessionInsert,
    limits: SessionLimits,
    now: Timestamp,
) -> rusqlite::Result<WriteOutcome> {
    let (id, owner) = (new.id.as_str(), new.owner.as_str());
    if find_row(connection, id, now)?.is_some() {
        return Ok(WriteOutcome::Exists);
    }
    if !has_room(connection, None, limits.max_sessions, now)? {
        return Ok(WriteOutcome::TooMany);
    }
    let most = u64::from(limits.max_sessions_per_owner);
    if !has_room(connection, Some(owner), most, now)? {
        return Ok(WriteOutcome::TooManyOfOwner);
    }
    // An existing row with that id can only be an expired one. Its revision continues, so that a
    // caller that still holds the old session cannot replace the new one.
    let sql = "INSERT INTO sessions (id, revision, expires_at, body, owner) \
               VALUES (?1, 1, ?2, ?3, ?4) \
               ON CONFLICT (id) DO UPDATE SET revision = revision + 1, \
               expires_at = excluded.expires_at, body = excluded.body, owner = excluded.owner \
               RETURNING revision";
    let mut statement = connection.prepare_cached(sql)?;
    let expires_at = now.plus(new.ttl).unix_millis();
    let written =
        statement.query_row(params![id, expires_at, new.body, owner], |row| row.get(0))?;
    sweep(connection, now)?;
    Ok(WriteOutcome::Done(revision(written)))
}

fn replace(
    connection: &Connection,
    (id, body): (&str, &[u8]),
    expected: Revision,
    now: Timestamp,
    ttl: Duration,
) -> rusqlite::Result<WriteOutcome> {
    match find_row(connection, id, now)? {
        None | Some(SessionRow { ended: true, .. }) => Ok(WriteOutcome::Missing),
        Some(SessionRow { revision, .. }) if revision != expected => {
            Ok(WriteOutcome::Conflict(revision))
        }
        Some(_) => {
            let next = Revision(next_number(expected.0, now));
            let sql = "UPDATE sessions SET revision = ?2, expires_at = ?3, body = ?4 WHERE id = ?1";
            let expires_at = now.plus(ttl).unix_millis();
            let columns = params![id, next.0.cast_signed(), expires_at, body];
            connection.prepare_cached(sql)?.execute(columns)?;
            Ok(WriteOutcome::Done(next))
        }
    }
}

fn versioned((number, body): (i64, Vec<u8>)) -> Result<VersionedSession, SqliteCallError> {
    let session = serde_json::from_slice(&body);
    let session = session.map_err(|error| SqliteCallError::Corrupt(error.into()))?;
    Ok(VersionedSession {
        session,
        revision: revision(number),
    })
}

fn columns(row: &Row<'_>) -> rusqlite::Result<(i64, Vec<u8>)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn page(
    connection: &Connection,
    after: &str,
    limit: usize,
    now: Timestamp,
) -> Result<SessionPage, SqliteCallError> {
    let limit = limit.min(MAX_PAGE_SESSIONS);
    let sql = "SELECT revision, body, id FROM sessions \
               WHERE id > ?1 AND expires_at > ?2 AND body IS NOT NULL ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![after, now.unix_millis()])?;
    let mut page = SessionPage {
        sessions: Vec::new(),
        unreadable: 0,
        next: None,
    };
    let mut last = None;
    while let Some(row) = rows.next()? {
        // The next page begins after the last row of this one, which has to have a name.
        if page.sessions.len() + page.unreadable >= limit && last.is_some() {
            page.next = last;
            break;
        }
        let id = row.get_ref(2)?.as_str().unwrap_or_default();
        last = SessionId::new(id).ok();
        match columns(row)
            .map_err(SqliteCallError::from)
            .and_then(versioned)
        {
            Ok(session) => page.sessions.push(session),
            Err(error @ SqliteCallError::Corrupt(_)) => {
                debug!(session = id, %error, "a session is left out of the list");
                page.unreadable += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(page)
}

impl Database {
    /// Returns the session store in this file; `clock` decides when a time to live is over.
    #[must_use]
    pub fn session_store(&self, clock: Arc<dyn Clock>) -> SqliteSessionStore {
        SqliteSessionStore {
            database: self.clone(),
            clock,
        }
    }
}

impl SqliteSessionStore {
    /// Runs a read; the clock is read when the work is done, not when it is queued.
    pub(crate) async fn read_now<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection, Timestamp) -> Result<T, SqliteCallError> + Send + 'static,
    ) -> Result<T, SqliteCallError> {
        let clock = Arc::clone(&self.clock);
        let read = move |connection: &Connection| read(connection, clock.now());
        self.database.0.readers.run(CALL_DEADLINE, read).await
    }

    /// Like [`Self::read_now`], for a read of a few rows by key.
    pub(crate) async fn read_few<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection, Timestamp) -> Result<T, SqliteCallError> + Send + 'static,
    ) -> Result<T, SqliteCallError> {
        let clock = Arc::clone(&self.clock);
        let read = move |connection: &Connection| read(connection, clock.now());
        self.database.0.readers.run_short(CALL_DEADLINE, read).await
    }

    /// Like [`Self::read_now`], for a write of approximately `bytes` bytes.
    pub(crate) async fn write_now<T: Send + 'static>(
        &self,
        bytes: usize,
        write: impl FnOnce(&Connection, Timestamp) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SqliteCallError> {
        let clock = Arc::clone(&self.clock);
        let write = move |connection: &Connection| write(connection, clock.now());
        let inner = &self.database.0;
        let written = inner.writer.run(CALL_DEADLINE, bytes, write).await;
        inner.store_trials.note(bytes, &written);
        written
    }

    /// Checks that the file can be written and read.
    pub(crate) async fn check_file(&self) -> Result<(), SqliteCallError> {
        let inner = &self.database.0;
        let checked = inner.store_trials.check(&inner.writer, CALL_DEADLINE);
        checked.await?;
        let read =
            |connection: &Connection, _| Ok(connection.query_row("SELECT 1", [], |_| Ok(()))?);
        self.read_now(read).await
    }

    async fn read<T: Send + 'static>(
        &self,
        op: &'static str,
        read: impl FnOnce(&Connection, Timestamp) -> Result<T, SqliteCallError> + Send + 'static,
    ) -> Result<T, SessionStoreError> {
        let answer = self.read_now(read).await;
        answer.map_err(|error| error.in_sessions(op))
    }

    async fn write<T: Send + 'static>(
        &self,
        op: &'static str,
        bytes: usize,
        write: impl FnOnce(&Connection, Timestamp) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SessionStoreError> {
        let answer = self.write_now(bytes, write).await;
        answer.map_err(|error| error.in_sessions(op))
    }
}

#[async_trait]
impl SessionStore for SqliteSessionStore {
    async fn create(
        &self,
        session: &Session,
        ttl: Duration,
        limits: SessionLimits,
    ) -> Result<Revision, SessionStoreError> {
        let new = SessionInsert {
            id: session.id.clone(),
            owner: session.owner.clone(),
            body: encode(session)?,
            ttl,
        };
        let bytes = new.body.len();
        let write = move |c: &Connection, now| create(c, &new, limits, now);
        self.write("create a session", bytes, write)
            .await?
            .into_result()
    }

    async fn load(&self, id: &SessionId) -> Result<Option<VersionedSession>, SessionStoreError> {
        let (id, clock) = (id.clone(), Arc::clone(&self.clock));
        let load = move |connection: &Connection| {
            let sql = "SELECT revision, body FROM sessions \
                       WHERE id = ?1 AND expires_at > ?2 AND body IS NOT NULL";
            let mut statement = connection.prepare_cached(sql)?;
            let now = clock.now().unix_millis();
            let found = statement.query_row(params![id.as_str(), now], columns);
            found.optional()?.map(versioned).transpose()
        };
        let readers = &self.database.0.readers;
        let loaded = readers.run_short(CALL_DEADLINE, load).await;
        loaded.map_err(|error| error.in_sessions("load a session"))
    }

    async fn replace(
        &self,
        session: &Session,
        expected: Revision,
        ttl: Duration,
    ) -> Result<Revision, SessionStoreError> {
        let (id, body) = (session.id.clone(), encode(session)?);
        let bytes = body.len();
        let write = move |c: &Connection, now| replace(c, (id.as_str(), &body), expected, now, ttl);
        self.write("replace a session", bytes, write)
            .await?
            .into_result()
    }

    async fn end(&self, id: &SessionId) -> Result<bool, SessionStoreError> {
        let id = id.clone();
        self.write("end a session", 0, move |connection, now| {
            let sql = "UPDATE sessions SET body = NULL \
                       WHERE id = ?1 AND expires_at > ?2 AND body IS NOT NULL";
            let columns = params![id.as_str(), now.unix_millis()];
            Ok(connection.prepare_cached(sql)?.execute(columns)? > 0)
        })
        .await
    }

    async fn touch(&self, id: &SessionId, ttl: Duration) -> Result<bool, SessionStoreError> {
        let id = id.clone();
        self.write("touch a session", 0, move |connection, now| {
            let sql = "UPDATE sessions SET expires_at = ?3 \
                       WHERE id = ?1 AND expires_at > ?2 AND body IS NOT NULL";
            let expires_at = now.plus(ttl).unix_millis();
            let columns = params![id.as_str(), now.unix_millis(), expires_at];
            Ok(connection.prepare_cached(sql)?.execute(columns)? > 0)
        })
        .await
    }

    async fn list(
        &self,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<SessionPage, SessionStoreError> {
        // No id is empty, so every id sorts after the empty string.
        let after = after.map(ToString::to_string).unwrap_or_default();
        self.read("list sessions", move |connection, now| {
            page(connection, &after, limit, now)
        })
        .await
    }

    async fn check(&self) -> Result<(), SessionStoreError> {
        let checked = self.check_file().await;
        checked.map_err(|error| error.in_sessions("answer"))
    }

    async fn time(&self) -> Result<Option<Timestamp>, SessionStoreError> {
        Ok(Some(self.clock.now()))
    }
}

#[cfg(test)]
#[path = "session_store_tests.rs"]
mod tests;
