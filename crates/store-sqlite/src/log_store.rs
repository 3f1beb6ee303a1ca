//! The log: rows of opaque bytes.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use model::{Clock, EventId, Sequence, SystemClock, Timestamp};
use ports::{
    AppendResult, BoxError, EntryContent, EntryFault, EntryName, EntryPage, LogEntry, LogHead,
    LogStore, MAX_PAGE_BYTES, ReadEntry, SeekResult, StoreFailure,
};
use rusqlite::{Connection, OptionalExtension, Params, Row, params, types::ValueRef};

use crate::{Database, SqliteCallError, backlog::Lane, database::CALL_DEADLINE};

/// Maximum number of events in one page, whatever limit is requested.
const MAX_PAGE_EVENTS: usize = 10_000;
/// A receive time that is further ahead of this process's clock is not believed: the clock by which the
/// event was received was wrong.
const MAX_AHEAD: Duration = Duration::from_secs(60);
/// Maximum number of events that one transaction removes, so that appends can run in between.
const TRIM_EVENTS: u64 = 2000;
/// Key in `meta`: the latest time at which a removed event was received.
const NEWEST_TRIMMED: &str = "newest_trimmed";
/// Key in `meta`: the value of `trimmed_through` to which [`NEWEST_TRIMMED`] belongs.
const NEWEST_TRIMMED_THROUGH: &str = "newest_trimmed_through";

/// The position of an id.
const POSITION_OF_ID: &str = "SELECT sequence FROM events WHERE id = ?1";

/// The log in a SQLite file. Sequences are dense.
#[derive(Clone, Debug)]
pub struct SqliteLogStore(Database);

impl Database {
    /// Returns the log in this file.
    #[must_use]
    pub fn log_store(&self) -> SqliteLogStore {
        SqliteLogStore(self.clone())
    }
}

impl SqliteLogStore {
    async fn read<T: Send + 'static>(
        &self,
        op: &'static str,
        read: impl FnOnce(&Connection) -> Result<T, SqliteCallError> + Send + 'static,
    ) -> Result<T, StoreFailure> {
        self.0
            .0
            .readers
            .run(CALL_DEADLINE, read)
            .await
            .map_err(|error| error.failing(op))
    }

    async fn write<T: Send + 'static>(
        &self,
        op: &'static str,
        bytes: usize,
        write: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreFailure> {
        let written = self
            .0
            .0
            .writer
            .run(Lane::State, CALL_DEADLINE, bytes, write)
            .await;
        written.map_err(|error| error.failing(op))
    }
}

/// Converts a position to a SQLite integer; no event is stored beyond its range.
fn column(sequence: Sequence) -> i64 {
    i64::try_from(sequence.0).unwrap_or(i64::MAX)
}

fn sequence(connection: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<Sequence> {
    connection
        .prepare_cached(sql)?
        .query_row(params, |row| row.get(0))
        .map(position)
}

/// Converts a column to a position; SQLite never counts below zero.
fn position(column: i64) -> Sequence {
    Sequence(u64::try_from(column).unwrap_or_default())
}

fn trimmed_through(connection: &Connection) -> rusqlite::Result<Sequence> {
    sequence(
        connection,
        "SELECT value FROM meta WHERE key = 'trimmed_through'",
        [],
    )
}

fn last(connection: &Connection) -> rusqlite::Result<Sequence> {
    let trimmed = column(trimmed_through(connection)?);
    sequence(
        connection,
        "SELECT coalesce(max(sequence), ?1) FROM events",
        [trimmed],
    )
}

/// The position through which the log was trimmed, and its last one.
fn ends(connection: &Connection) -> rusqlite::Result<(Sequence, Sequence)> {
    let sql = "SELECT value, coalesce((SELECT max(sequence) FROM events), value) \
               FROM meta WHERE key = 'trimmed_through'";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row([], |row| Ok((position(row.get(0)?), position(row.get(1)?))))
}

/// The last position before the first event that was received at or after `time`, or the last
/// position of the log if there is no such event. May be earlier when the log was trimmed (see
/// `watermark` in the schema).
fn before(connection: &Connection, time: Timestamp) -> rusqlite::Result<Sequence> {
    let sql = "SELECT sequence - 1 FROM events WHERE watermark >= ?1 ORDER BY watermark, sequence LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement
        .query_row([time.unix_millis()], |row| row.get(0))
        .optional()?;
    found.map(position).map_or_else(|| last(connection), Ok)
}

/// The latest receive time that is believed, in Unix milliseconds.
fn latest_millis() -> i64 {
    SystemClock.now().plus(MAX_AHEAD).unix_millis()
}

/// The last position at the front whose event was received before `time`, as far as receive times are
/// believed: events from the future go with the event that follows them.
fn old_through(connection: &Connection, time: Timestamp) -> rusqlite::Result<Option<Sequence>> {
    let sql = "SELECT sequence FROM events WHERE received_at >= ?1 AND received_at <= ?2 \
               ORDER BY sequence LIMIT 1";
    let (time, latest) = (time.unix_millis(), latest_millis());
    let mut statement = connection.prepare_cached(sql)?;
    let young: Option<i64> = statement
        .query_row([time, latest], |row| row.get(0))
        .optional()?;
    let sql = "SELECT sequence FROM events WHERE received_at < ?1 AND sequence < ?2 \
               ORDER BY sequence DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement
        .query_row([time, young.unwrap_or(i64::MAX)], |row| row.get(0))
        .optional()?;
    Ok(found.map(position))
}

/// Whether events that were received at or after `time` have been removed, or may have been.
///
/// The latest receive time of the removed events is kept with the position through which it is known. A
/// build that does not keep it moves `trimmed_through` alone; then only the first event that is left tells.
fn is_truncated(connection: &Connection, time: Timestamp) -> rusqlite::Result<bool> {
    let trimmed = column(trimmed_through(connection)?);
    if trimmed == 0 {
        return Ok(false);
    }
    let number = |key: &str| {
        let mut read = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        read.query_row([key], |row| row.get::<_, i64>(0)).optional()
    };
    if number(NEWEST_TRIMMED_THROUGH)? == Some(trimmed) {
        return Ok(number(NEWEST_TRIMMED)?.is_none_or(|newest| newest >= time.unix_millis()));
    }
    let sql = "SELECT received_at FROM events ORDER BY sequence LIMIT 1";
    let mut first = connection.prepare_cached(sql)?;
    let first: Option<i64> = first.query_row([], |row| row.get(0)).optional()?;
    Ok(first.is_none_or(|first| first > time.unix_millis()))
}

/// Keeps the latest receive time of the events up to `through`, as far as it is believed; they are about to
/// be removed. Those that were removed before are older, whichever build removed them.
fn keep_newest_trimmed(connection: &Connection, through: i64) -> rusqlite::Result<()> {
    let newest = "INSERT INTO meta (key, value) \
                  SELECT ?1, max(received_at) FROM events WHERE sequence <= ?2 AND received_at <= ?3 \
                  HAVING max(received_at) IS NOT NULL \
                  ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)";
    let mut keep = connection.prepare_cached(newest)?;
    keep.execute(params![NEWEST_TRIMMED, through, latest_millis()])?;
    let known = "INSERT INTO meta (key, value) VALUES (?1, ?2) \
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    let mut keep = connection.prepare_cached(known)?;
    keep.execute(params![NEWEST_TRIMMED_THROUGH, through])?;
    Ok(())
}

fn insert(connection: &Connection, entries: &[LogEntry]) -> rusqlite::Result<Vec<AppendResult>> {
    let mut known = connection.prepare_cached(POSITION_OF_ID)?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO events (id, received_at, watermark, body) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut watermark: i64 = connection
        .prepare_cached("SELECT watermark FROM events ORDER BY sequence DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or(i64::MIN);
    let latest = latest_millis();
    if watermark > latest {
        // A row from the future would otherwise hide the times of all later ones from a seek.
        watermark = i64::MIN;
    }
    let mut appended = Vec::with_capacity(entries.len());
    for LogEntry {
        id,
        received_at,
        body,
    } in entries
    {
        let received_at = received_at.unix_millis();
        // Check first: an ignored insert would leave a hole in the numbering.
        let there = known
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?;
        let sequence = match there {
            Some(sequence) => sequence,
            None => {
                watermark = watermark.max(received_at.min(latest));
                insert.insert(params![id.as_str(), received_at, watermark, body.as_ref()])?
            }
        };
        appended.push(AppendResult {
            id: id.clone(),
            sequence: position(sequence),
            duplicate: there.is_some(),
        });
    }
    Ok(appended)
}

/// Reads up to `limit` entries of a query for sequence, body, id and receive time, in its order; returns whether
/// there are more.
fn entries(
    connection: &Connection,
    sql: &str,
    from: Sequence,
    limit: usize,
) -> Result<(Vec<ReadEntry>, bool), SqliteCallError> {
    let limit = limit.min(MAX_PAGE_EVENTS);
    let mut statement = connection.prepare_cached(sql)?;
    let ask = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![column(from), ask])?;
    let (mut read, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        if read.len() == limit || bytes >= MAX_PAGE_BYTES {
            return Ok((read, true));
        }
        let entry = entry(row)?;
        bytes += entry.content.as_ref().map_or(0, |held| held.body.len());
        read.push(entry);
    }
    Ok((read, false))
}

/// The entry in a row. SQLite stores any type in any column: a value of another type is a fault of its entry.
fn entry(row: &Row<'_>) -> rusqlite::Result<ReadEntry> {
    let content = content(row.get_ref(1)?, row.get_ref(3)?);
    Ok(ReadEntry {
        sequence: position(row.get(0)?),
        name: name_of(row.get_ref(2)?),
        content: content.map_err(EntryFault::Unreadable),
    })
}

fn content(body: ValueRef<'_>, received_at: ValueRef<'_>) -> Result<EntryContent, BoxError> {
    Ok(EntryContent {
        received_at: Timestamp::from_unix_millis(received_at.as_i64()?),
        body: Bytes::copy_from_slice(body.as_blob()?),
    })
}

fn name_of(id: ValueRef<'_>) -> EntryName {
    let id = id.as_str().ok().and_then(|id| EventId::new(id).ok());
    id.map_or(EntryName::Unknown, EntryName::Id)
}

fn page(
    connection: &Connection,
    after: Sequence,
    limit: usize,
) -> Result<EntryPage, SqliteCallError> {
    let trimmed = trimmed_through(connection)?;
    let from = after.max(trimmed);
    let sql = "SELECT sequence, body, id, received_at FROM events WHERE sequence > ?1 \
               ORDER BY sequence LIMIT ?2";
    let (entries, more) = entries(connection, sql, from, limit)?;
    Ok(EntryPage {
        through: entries.last().map_or(from, |last| last.sequence),
        at_head: !more,
        resumes_after: (after < trimmed).then_some(trimmed),
        entries,
    })
}

fn page_before(
    connection: &Connection,
    before: Sequence,
    limit: usize,
) -> Result<Vec<ReadEntry>, SqliteCallError> {
    let sql = "SELECT sequence, body, id, received_at FROM events WHERE sequence < ?1 \
               ORDER BY sequence DESC LIMIT ?2";
    Ok(entries(connection, sql, before, limit)?.0)
}

/// Removes some events at the front that were received before `time`; returns how many.
fn trim_some(connection: &Connection, time: Timestamp) -> rusqlite::Result<u64> {
    let trimmed = trimmed_through(connection)?;
    let Some(through) = old_through(connection, time)? else {
        return Ok(0);
    };
    let through = column(through.min(Sequence(trimmed.0 + TRIM_EVENTS)));
    keep_newest_trimmed(connection, through)?;
    let mut delete = connection.prepare_cached("DELETE FROM events WHERE sequence <= ?1")?;
    let removed = delete.execute([through])?;
    let sql = "UPDATE meta SET value = ?1 WHERE key = 'trimmed_through'";
    connection.prepare_cached(sql)?.execute([through])?;
    Ok(u64::try_from(removed).unwrap_or(u64::MAX))
}

#[async_trait]
impl LogStore for SqliteLogStore {
    async fn append(&self, entries: Vec<LogEntry>) -> Result<Vec<AppendResult>, StoreFailure> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = entries.iter().map(|entry| entry.body.len()).sum();
        let inner = &self.0.0;
        let insert = move |connection: &Connection| insert(connection, &entries);
        let appended = inner.writer.append(CALL_DEADLINE, bytes, insert).await;
        inner.append_trials.note(bytes, &appended);
        appended.map_err(|error| error.failing("append"))
    }

    /// After a failed append, for instance on a full disk, a write of its size tells whether the next
    /// one would succeed. Otherwise nothing is written.
    async fn check_append(&self) -> Result<(), StoreFailure> {
        const OP: &str = "append";
        let inner = &self.0.0;
        let checked = inner.append_trials.check(&inner.writer, CALL_DEADLINE);
        checked.await.map_err(|error| error.failing(OP))
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EntryPage, StoreFailure> {
        self.read("read", move |connection| page(connection, after, limit))
            .await
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<ReadEntry>, StoreFailure> {
        self.read("read backwards", move |connection| {
            page_before(connection, before, limit)
        })
        .await
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, StoreFailure> {
        self.read("seek", move |connection| {
            Ok(SeekResult {
                position: before(connection, time)?,
                truncated: is_truncated(connection, time)?,
                read_bytes: 0,
            })
        })
        .await
    }

    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, StoreFailure> {
        let id = id.clone();
        let find = move |connection: &Connection| {
            let mut known = connection.prepare_cached(POSITION_OF_ID)?;
            let found = known
                .query_row([id.as_str()], |row| row.get(0))
                .optional()?;
            Ok(found.map(position))
        };
        self.read("find an entry", find).await
    }

    async fn head(&self) -> Result<LogHead, StoreFailure> {
        let epoch = self.0.0.epoch;
        let head = move |connection: &Connection| {
            let (trimmed_through, last) = ends(connection)?;
            Ok(LogHead {
                epoch,
                trimmed_through,
                last,
            })
        };
        let read = self.0.0.readers.run_short(CALL_DEADLINE, head).await;
        read.map_err(|error| error.failing("read the head"))
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, StoreFailure> {
        let mut removed = 0;
        loop {
            match self
                .write("trim", 0, move |connection| trim_some(connection, time))
                .await?
            {
                0 => return Ok(removed),
                some => removed += some,
            }
        }
    }

    fn deadline(&self) -> Duration {
        CALL_DEADLINE
    }
}

#[cfg(test)]
#[path = "log_store_tests.rs"]
mod tests;
