//! The event log.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use model::{EventId, Sequence, Sequenced, StoredEvent, Timestamp};
use ports::{
    AppendResult, BoxError, EventLog, EventLogError, EventPage, EventsBefore, LogHead, PageEntries,
    UndecodableEntries,
};
use rusqlite::{Connection, OptionalExtension, Params, params, types::ValueRef};
use tracing::warn;

use crate::{Database, SqliteCallError, database::CALL_DEADLINE};

/// Maximum number of events in one page, whatever limit is requested.
const MAX_PAGE_EVENTS: usize = 10_000;
/// Maximum bytes of events in one page; a single larger event still fits.
const MAX_PAGE_BYTES: usize = 64 << 20;
/// Maximum number of events that one transaction removes, so that appends can run in between.
const TRIM_EVENTS: u64 = 2000;

/// The event log in a SQLite file. Sequences are dense.
#[derive(Clone, Debug)]
pub struct SqliteEventLog(Database, UndecodableEntries);

/// An event, encoded and ready to be written.
struct Row {
    id: EventId,
    received_at: i64,
    body: Vec<u8>,
}

impl Database {
    /// Returns the event log in this file.
    #[must_use]
    pub fn event_log(&self) -> SqliteEventLog {
        SqliteEventLog(self.clone(), UndecodableEntries::default())
    }
}

impl SqliteEventLog {
    async fn read<T: Send + 'static>(
        &self,
        op: &'static str,
        read: impl FnOnce(&Connection) -> Result<T, SqliteCallError> + Send + 'static,
    ) -> Result<T, EventLogError> {
        self.0
            .0
            .readers
            .run(CALL_DEADLINE, read)
            .await
            .map_err(|error| error.in_log(op))
    }

    async fn write<T: Send + 'static>(
        &self,
        op: &'static str,
        bytes: usize,
        write: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, EventLogError> {
        let written = self.0.0.writer.run(CALL_DEADLINE, bytes, write).await;
        written.map_err(|error| error.in_log(op))
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

fn insert(connection: &Connection, rows: Vec<Row>) -> rusqlite::Result<Vec<AppendResult>> {
    let mut known = connection.prepare_cached("SELECT sequence FROM events WHERE id = ?1")?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO events (id, received_at, watermark, body) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut watermark: i64 = connection
        .prepare_cached("SELECT watermark FROM events ORDER BY sequence DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or(i64::MIN);
    let mut appended = Vec::with_capacity(rows.len());
    for Row {
        id,
        received_at,
        body,
    } in rows
    {
        // Check first: an ignored insert would leave a hole in the numbering.
        let there = known
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?;
        let sequence = match there {
            Some(sequence) => sequence,
            None => {
                watermark = watermark.max(received_at);
                insert.insert(params![id.as_str(), received_at, watermark, body])?
            }
        };
        appended.push(AppendResult {
            id,
            sequence: position(sequence),
            duplicate: there.is_some(),
        });
    }
    Ok(appended)
}

/// The event in a body, or the reason why it does not decode.
fn decode(body: ValueRef<'_>) -> Result<StoredEvent, BoxError> {
    Ok(proto::decode_event(Bytes::copy_from_slice(
        body.as_blob()?,
    ))?)
}

/// Passes up to `limit` rows of a query for sequence and body to `take`, until it returns false;
/// returns whether there are more rows.
fn entries(
    connection: &Connection,
    sql: &str,
    from: Sequence,
    limit: usize,
    mut take: impl FnMut(Sequence, Result<StoredEvent, BoxError>) -> bool,
) -> Result<bool, SqliteCallError> {
    let limit = limit.min(MAX_PAGE_EVENTS);
    let mut statement = connection.prepare_cached(sql)?;
    let ask = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![column(from), ask])?;
    let (mut taken, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        if taken == limit || bytes >= MAX_PAGE_BYTES {
            return Ok(true);
        }
        let body = row.get_ref(1)?;
        if !take(position(row.get(0)?), decode(body)) {
            return Ok(true);
        }
        (taken, bytes) = (taken + 1, bytes + body.as_bytes().map_or(0, <[u8]>::len));
    }
    Ok(false)
}

/// The event; `None`, counted and logged, if it does not decode.
fn readable(
    undecodable: &UndecodableEntries,
    sequence: Sequence,
    item: Result<StoredEvent, BoxError>,
) -> Option<StoredEvent> {
    item.inspect_err(|error| {
        if undecodable.record(sequence) {
            warn!(%sequence, error, "an entry of the event log does not decode and is skipped");
        }
    })
    .ok()
}

fn page(
    connection: &Connection,
    undecodable: &UndecodableEntries,
    after: Sequence,
    limit: usize,
) -> Result<EventPage, SqliteCallError> {
    let trimmed = trimmed_through(connection)?;
    let from = after.max(trimmed);
    let sql = "SELECT sequence, body FROM events WHERE sequence > ?1 ORDER BY sequence LIMIT ?2";
    let mut read = PageEntries::default();
    let more = entries(connection, sql, from, limit, |sequence, item| {
        read.push(sequence, readable(undecodable, sequence, item))
    })?;
    let resumes_after = (after < trimmed).then_some(trimmed);
    Ok(EventPage {
        through: read.last().unwrap_or(from),
        at_head: !more,
        resumes_after: read.undecodable_through.or(resumes_after),
        undecodable: read.undecodable,
        events: read.events,
    })
}

fn page_before(
    connection: &Connection,
    undecodable: &UndecodableEntries,
    before: Sequence,
    limit: usize,
) -> Result<EventsBefore, SqliteCallError> {
    let sql =
        "SELECT sequence, body FROM events WHERE sequence < ?1 ORDER BY sequence DESC LIMIT ?2";
    let mut read = EventsBefore::default();
    entries(connection, sql, before, limit, |sequence, item| {
        match readable(undecodable, sequence, item) {
            Some(item) => read.events.push(Sequenced { sequence, item }),
            None => read.undecodable.push(sequence),
        }
        true
    })?;
    Ok(read)
}

/// Removes some events at the front that were received before `time`; returns how many.
fn trim_some(connection: &Connection, time: Timestamp) -> rusqlite::Result<u64> {
    let trimmed = trimmed_through(connection)?;
    let through = before(connection, time)?.min(Sequence(trimmed.0 + TRIM_EVENTS));
    if through <= trimmed {
        return Ok(0);
    }
    let through = column(through);
    let mut delete = connection.prepare_cached("DELETE FROM events WHERE sequence <= ?1")?;
    let removed = delete.execute([through])?;
    let sql = "UPDATE meta SET value = ?1 WHERE key = 'trimmed_through'";
    connection.prepare_cached(sql)?.execute([through])?;
    Ok(u64::try_from(removed).unwrap_or(u64::MAX))
}

#[async_trait]
impl EventLog for SqliteEventLog {
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let row = |event: StoredEvent| Row {
            received_at: event.facts.received_at.unix_millis(),
            body: proto::encode_event(&event),
            id: event.facts.id,
        };
        let rows: Vec<_> = events.into_iter().map(row).collect();
        let bytes = rows.iter().map(|row| row.body.len()).sum();
        self.write("append", bytes, move |connection| insert(connection, rows))
            .await
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        let undecodable = self.1.clone();
        self.read("read", move |connection| {
            page(connection, &undecodable, after, limit)
        })
        .await
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        let undecodable = self.1.clone();
        self.read("read backwards", move |connection| {
            page_before(connection, &undecodable, before, limit)
        })
        .await
    }

    async fn seek(&self, time: Timestamp) -> Result<Sequence, EventLogError> {
        self.read("seek", move |connection| Ok(before(connection, time)?))
            .await
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        let epoch = self.0.0.epoch;
        let head = move |connection: &Connection| {
            let trimmed_through = trimmed_through(connection)?;
            Ok(LogHead {
                epoch,
                trimmed_through,
                last: last(connection)?,
            })
        };
        let read = self.0.0.readers.run_short(CALL_DEADLINE, head).await;
        read.map_err(|error| error.in_log("read the head"))
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, EventLogError> {
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

    fn undecodable_entries(&self) -> u64 {
        self.1.count()
    }

    fn deadline(&self) -> Duration {
        CALL_DEADLINE
    }
}
