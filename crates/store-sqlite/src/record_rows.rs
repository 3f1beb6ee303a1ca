//! The rows of records: statements on one connection, at the time of one call. Their bounds are in
//! `record_bounds`.

use bytes::Bytes;
use model::{PrincipalId, RecordId, Timestamp};
use ports::{
    Collection, NewRecord, RecordBound, RecordLife, RecordLimits, RecordPage, RecordsError,
    Revision, StoredRecord,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{SqliteCallError, numbers::next_number};

/// The reason why a write changed nothing.
pub(crate) enum RecordRefusal {
    Missing,
    Conflict(Revision),
    NoRoom(RecordBound),
}

impl From<RecordRefusal> for RecordsError {
    fn from(refusal: RecordRefusal) -> Self {
        match refusal {
            RecordRefusal::Missing => Self::Missing,
            RecordRefusal::Conflict(current) => Self::Conflict { current },
            RecordRefusal::NoRoom(bound) => Self::NoRoom { bound },
        }
    }
}

/// The answer to a create that was not refused.
pub(crate) enum CreatedRow {
    Created(Revision),
    /// A living row has the key; it may not decode.
    Exists(RawRecord),
    Ended,
}

/// The columns of a living row.
pub(crate) struct RawRecord {
    id: String,
    owner: String,
    revision: i64,
    expires_at: i64,
    state: Vec<u8>,
}

const COLUMNS: &str = "id, owner, revision, expires_at, state";

impl RawRecord {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            owner: row.get(1)?,
            revision: row.get(2)?,
            expires_at: row.get(3)?,
            state: row.get(4)?,
        })
    }

    pub(crate) fn decode(self) -> Result<StoredRecord, SqliteCallError> {
        let corrupt = |error: model::InvalidId| SqliteCallError::Corrupt(error.into());
        Ok(StoredRecord {
            id: RecordId::new(&self.id).map_err(corrupt)?,
            owner: PrincipalId::new(&self.owner).map_err(corrupt)?,
            state: self.state.into(),
            revision: Revision(self.revision.cast_unsigned()),
            expires_at: Timestamp::from_unix_millis(self.expires_at),
        })
    }
}

/// A row that has not expired.
struct Found {
    revision: i64,
    ended: bool,
    steps: i64,
    owner: String,
}

fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn number(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
}

/// A collection on a connection, at the time of the call.
pub(crate) struct RecordRows<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) collection: Collection,
    pub(crate) now: Timestamp,
}

impl RecordRows<'_> {
    fn find(&self, id: &RecordId) -> rusqlite::Result<Option<Found>> {
        let sql = "SELECT revision, state IS NULL, steps, owner FROM records \
                   WHERE collection = ?1 AND id = ?2 AND expires_at > ?3";
        let found = |row: &Row<'_>| {
            Ok(Found {
                revision: row.get(0)?,
                ended: row.get(1)?,
                steps: row.get(2)?,
                owner: row.get(3)?,
            })
        };
        let columns = params![self.collection.name(), id.as_str(), self.now.unix_millis()];
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.query_row(columns, found).optional()
    }

    pub(crate) fn load(&self, id: &RecordId) -> rusqlite::Result<Option<RawRecord>> {
        let sql = "SELECT id, owner, revision, expires_at, state FROM records \
                   WHERE collection = ?1 AND id = ?2 AND expires_at > ?3 AND state IS NOT NULL";
        let columns = params![self.collection.name(), id.as_str(), self.now.unix_millis()];
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.query_row(columns, RawRecord::read).optional()
    }

    pub(crate) fn expires_at(&self, id: &RecordId) -> rusqlite::Result<Option<Timestamp>> {
        let sql = "SELECT expires_at FROM records \
                   WHERE collection = ?1 AND id = ?2 AND expires_at > ?3 AND state IS NOT NULL";
        let columns = params![self.collection.name(), id.as_str(), self.now.unix_millis()];
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(columns, |row| row.get(0)).optional()?;
        Ok(found.map(Timestamp::from_unix_millis))
    }

    /// Adds a record.
    pub(crate) fn create(
        &self,
        new: &NewRecord,
        limits: RecordLimits,
    ) -> rusqlite::Result<Result<CreatedRow, RecordRefusal>> {
        let id = &new.key.id;
        match self.find(id)? {
            Some(Found { ended: true, .. }) => return Ok(Ok(CreatedRow::Ended)),
            Some(_) => {
                let there = self.load(id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
                return Ok(Ok(CreatedRow::Exists(there)));
            }
            None => {}
        }
        if let Some(bound) = self.bound_of_create(new, limits)? {
            return Ok(Err(RecordRefusal::NoRoom(bound)));
        }
        // A row with that id can only be an expired one.
        let sql = "INSERT INTO records (collection, id, owner, revision, expires_at, steps, state) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (collection, id) DO UPDATE SET \
                   owner = excluded.owner, revision = max(revision + 1, excluded.revision), \
                   expires_at = excluded.expires_at, steps = excluded.steps, state = excluded.state \
                   RETURNING revision";
        let columns = params![
            self.collection.name(),
            id.as_str(),
            new.owner.as_str(),
            column(next_number(0, self.now)),
            self.now.plus(new.ttl).unix_millis(),
            column(RecordLimits::steps(&new.state)),
            &new.state[..],
        ];
        let mut statement = self.connection.prepare_cached(sql)?;
        let revision = statement.query_row(columns, |row| row.get(0))?;
        self.sweep()?;
        Ok(Ok(CreatedRow::Created(Revision(number(revision)))))
    }

    pub(crate) fn replace(
        &self,
        id: &RecordId,
        state: &Bytes,
        expected: Revision,
        (life, limits): (RecordLife, RecordLimits),
    ) -> rusqlite::Result<Result<Revision, RecordRefusal>> {
        let found = match self.find(id)? {
            None | Some(Found { ended: true, .. }) => return Ok(Err(RecordRefusal::Missing)),
            Some(found) => found,
        };
        let current = Revision(number(found.revision));
        if current != expected {
            return Ok(Err(RecordRefusal::Conflict(current)));
        }
        let (before, steps) = (number(found.steps), RecordLimits::steps(state));
        if steps > before
            && let Some(bound) = self.bound_of_bytes(&found.owner, steps - before, limits)?
        {
            return Ok(Err(RecordRefusal::NoRoom(bound)));
        }
        let next = next_number(current.0, self.now);
        let sql = "UPDATE records SET revision = ?3, expires_at = coalesce(?4, expires_at), \
                   steps = ?5, state = ?6 WHERE collection = ?1 AND id = ?2";
        let expires_at = match life {
            RecordLife::For(ttl) => Some(self.now.plus(ttl).unix_millis()),
            RecordLife::Unchanged => None,
        };
        let columns = params![
            self.collection.name(),
            id.as_str(),
            column(next),
            expires_at,
            column(steps),
            &state[..],
        ];
        self.connection.prepare_cached(sql)?.execute(columns)?;
        Ok(Ok(Revision(next)))
    }

    pub(crate) fn touch(&self, id: &RecordId, expires_at: Timestamp) -> rusqlite::Result<bool> {
        let sql = "UPDATE records SET expires_at = ?4 \
                   WHERE collection = ?1 AND id = ?2 AND expires_at > ?3 AND state IS NOT NULL";
        let now = self.now.unix_millis();
        let until = expires_at.unix_millis();
        let columns = params![self.collection.name(), id.as_str(), now, until];
        Ok(self.connection.prepare_cached(sql)?.execute(columns)? > 0)
    }

    pub(crate) fn end(&self, id: &RecordId) -> rusqlite::Result<bool> {
        let sql = "UPDATE records SET state = NULL \
                   WHERE collection = ?1 AND id = ?2 AND expires_at > ?3 AND state IS NOT NULL";
        let columns = params![self.collection.name(), id.as_str(), self.now.unix_millis()];
        Ok(self.connection.prepare_cached(sql)?.execute(columns)? > 0)
    }

    /// A page after an id; an empty one is before all others.
    pub(crate) fn page(
        &self,
        owner: Option<&str>,
        after: &str,
        limit: usize,
    ) -> Result<RecordPage, SqliteCallError> {
        let of_owner = owner.map_or("", |_| "AND owner = ?4");
        let sql = format!(
            "SELECT {COLUMNS} FROM records WHERE collection = ?1 AND id > ?2 AND expires_at > ?3 \
             AND state IS NOT NULL {of_owner} ORDER BY id"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let (name, now) = (self.collection.name(), self.now.unix_millis());
        let rows = match owner {
            Some(owner) => statement.query(params![name, after, now, owner]),
            None => statement.query(params![name, after, now]),
        };
        collect_page(rows?, limit.clamp(1, RecordPage::MAX_RECORDS))
    }
}

impl RecordRows<'_> {
    /// A page of one owner after an id and before a text.
    pub(crate) fn page_between(
        &self,
        owner: &str,
        (after, before): (&str, &str),
        limit: usize,
    ) -> Result<RecordPage, SqliteCallError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM records WHERE collection = ?1 AND id > ?2 AND id < ?3 \
             AND expires_at > ?4 AND state IS NOT NULL AND owner = ?5 ORDER BY id"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let (name, now) = (self.collection.name(), self.now.unix_millis());
        let rows = statement.query(params![name, after, before, now, owner])?;
        collect_page(rows, limit.clamp(1, RecordPage::MAX_RECORDS))
    }
}

fn collect_page(mut rows: rusqlite::Rows<'_>, limit: usize) -> Result<RecordPage, SqliteCallError> {
    let (mut page, mut bytes, mut last) = (RecordPage::default(), 0, None);
    while let Some(row) = rows.next()? {
        let id = row.get_ref(0)?.as_str().ok();
        let id = id.and_then(|id| RecordId::new(id).ok());
        let raw = RawRecord::read(row).map_err(SqliteCallError::from);
        bytes += raw.as_ref().map_or(0, |raw| raw.state.len());
        let seen = page.records.len() + page.unreadable;
        let is_full = seen >= limit || (bytes > RecordPage::MAX_BYTES && seen > 0);
        // The next page begins after the last row of this one, which has to have a name.
        if is_full && last.is_some() {
            page.next = last;
            break;
        }
        last = id;
        match raw.and_then(RawRecord::decode) {
            Ok(record) => page.records.push(record),
            Err(SqliteCallError::Corrupt(_)) => page.unreadable += 1,
            Err(failed) => return Err(failed),
        }
    }
    Ok(page)
}
