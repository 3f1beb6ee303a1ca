//! Mailboxes, in three tables; the rows of streams and messages are deleted together with the mailbox's row.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use model::{PrincipalId, Sequence, Sequenced, SessionId, StreamId, Timestamp};
use ports::{Mailbox, MailboxError, MailboxLimits, MailboxPage};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    SqliteCallError, SqliteSessionStore,
    mail_account::MailAccount,
    mailbox_life::{end_mailbox, mailbox_is_living, open_mailbox, touch_mailbox},
    numbers::next_number,
};

/// The reason why a call changed nothing.
enum MailboxRefusal {
    Missing,
    Closed,
    OwnerIsFull,
}

impl From<MailboxRefusal> for MailboxError {
    fn from(refusal: MailboxRefusal) -> Self {
        match refusal {
            MailboxRefusal::Missing => Self::Missing,
            MailboxRefusal::Closed => Self::Closed,
            MailboxRefusal::OwnerIsFull => Self::owner_is_full(),
        }
    }
}

/// The result of a statement, or the reason why it could not be applied.
type Outcome<T> = rusqlite::Result<Result<T, MailboxRefusal>>;

struct Stream {
    opened: i64,
    lost_through: i64,
    closed: bool,
}

/// The positions that a mailbox has given out.
struct GivenSequences {
    began: i64,
    last: i64,
    /// Streams that ended up to here may have been forgotten.
    forgotten_through: i64,
}

/// A session's stream as seen through a connection, in a mailbox that is living.
struct StreamScope<'a> {
    connection: &'a Connection,
    session: &'a str,
    stream: &'a str,
}

/// Converts a position to a SQLite integer; no message is stored beyond its range.
fn column(sequence: Sequence) -> i64 {
    i64::try_from(sequence.0).unwrap_or(i64::MAX)
}

/// Converts a column to a position; SQLite never counts below zero.
fn position(column: i64) -> Sequence {
    Sequence(u64::try_from(column).unwrap_or_default())
}

/// A column that never counts below zero.
fn number(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
}

fn size(payload: &[u8]) -> i64 {
    i64::try_from(payload.len()).unwrap_or(i64::MAX)
}

impl StreamScope<'_> {
    fn account(&self) -> MailAccount<'_> {
        MailAccount {
            connection: self.connection,
            session: self.session,
        }
    }

    fn find(&self) -> rusqlite::Result<Option<Stream>> {
        let sql = "SELECT opened, lost_through, closed FROM mailbox_streams \
                   WHERE session = ?1 AND stream = ?2";
        let stream = |row: &Row<'_>| {
            Ok(Stream {
                opened: row.get(0)?,
                lost_through: row.get(1)?,
                closed: row.get(2)?,
            })
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        statement
            .query_row(params![self.session, self.stream], stream)
            .optional()
    }

    fn given(&self) -> rusqlite::Result<GivenSequences> {
        let sql = "SELECT began, last, forgotten_through FROM mailboxes WHERE session = ?1";
        let given = |row: &Row<'_>| {
            Ok(GivenSequences {
                began: row.get(0)?,
                last: row.get(1)?,
                forgotten_through: row.get(2)?,
            })
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.query_row([self.session], given)
    }

    /// Raises and returns the mailbox's sequence; see [`next_number`].
    fn next(&self, now: Timestamp) -> rusqlite::Result<i64> {
        let sql = "UPDATE mailboxes SET last = max(last + 1, ?2) WHERE session = ?1 RETURNING last";
        let mut statement = self.connection.prepare_cached(sql)?;
        let floor = next_number(0, now).cast_signed();
        statement.query_row(params![self.session, floor], |row| row.get(0))
    }

    /// Adds the stream after forgetting other streams to make room for it.
    fn add(&self, opened: i64, limits: MailboxLimits) -> rusqlite::Result<()> {
        let sql = "SELECT count(*) FROM mailbox_streams WHERE session = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let known: i64 = statement.query_row([self.session], |row| row.get(0))?;
        for _ in 0..known.min(known + 1 - i64::from(limits.max_streams)) {
            self.forget_another()?;
        }
        let sql = "INSERT INTO mailbox_streams (session, stream, opened, last, lost_through) \
                   VALUES (?1, ?2, ?3, ?3, ?4)";
        let lost = self.given()?.forgotten_through;
        let columns = params![self.session, self.stream, opened, lost];
        self.connection.prepare_cached(sql)?.execute(columns)?;
        Ok(())
    }

    fn forget_another(&self) -> rusqlite::Result<()> {
        let sql = "SELECT stream, last FROM mailbox_streams WHERE session = ?1 \
                   ORDER BY closed DESC, last LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let (stream, last): (String, i64) =
            statement.query_row([self.session], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let other = StreamScope {
            stream: &stream,
            ..*self
        };
        other.remove_through(i64::MAX)?;
        let sql = "DELETE FROM mailbox_streams WHERE session = ?1 AND stream = ?2";
        let columns = params![self.session, stream];
        self.connection.prepare_cached(sql)?.execute(columns)?;
        let sql = "UPDATE mailboxes SET forgotten_through = max(forgotten_through, ?2) \
                   WHERE session = ?1";
        let columns = params![self.session, last];
        self.connection.prepare_cached(sql)?.execute(columns)?;
        Ok(())
    }

    /// Removes the stream's messages up to a position; returns how many were removed.
    fn remove_through(&self, through: i64) -> rusqlite::Result<i64> {
        let sql = "SELECT count(*), coalesce(sum(length(payload)), 0), max(sequence) \
                   FROM mailbox_messages WHERE session = ?1 AND stream = ?2 AND sequence <= ?3";
        let columns = params![self.session, self.stream, through];
        let mut statement = self.connection.prepare_cached(sql)?;
        let (count, bytes, last): (i64, i64, Option<i64>) =
            statement.query_row(columns, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let Some(last) = last else {
            return Ok(0);
        };
        let sql = "DELETE FROM mailbox_messages \
                   WHERE session = ?1 AND stream = ?2 AND sequence <= ?3";
        self.connection.prepare_cached(sql)?.execute(columns)?;
        let sql = "UPDATE mailboxes SET messages = messages - ?2, bytes = bytes - ?3 \
                   WHERE session = ?1";
        let columns = params![self.session, count, bytes];
        self.connection.prepare_cached(sql)?.execute(columns)?;
        self.account().lighten()?;
        let sql = "UPDATE mailbox_streams SET lost_through = ?3 WHERE session = ?1 AND stream = ?2";
        let columns = params![self.session, self.stream, last];
        self.connection.prepare_cached(sql)?.execute(columns)?;
        Ok(count)
    }

    fn open(&self, limits: MailboxLimits, now: Timestamp) -> Outcome<Sequence> {
        if let Some(stream) = self.find()? {
            let opened = position(stream.opened);
            return Ok(if stream.closed {
                Err(MailboxRefusal::Closed)
            } else {
                Ok(opened)
            });
        }
        let opened = self.next(now)?;
        self.add(opened, limits)?;
        Ok(Ok(position(opened)))
    }

    fn append(&self, payload: &[u8], limits: MailboxLimits, now: Timestamp) -> Outcome<Sequence> {
        let stream = self.find()?;
        if stream.as_ref().is_some_and(|stream| stream.closed) {
            return Ok(Err(MailboxRefusal::Closed));
        }
        let Some(room) = self.account().room_for(payload, limits, now)? else {
            return Ok(Err(MailboxRefusal::OwnerIsFull));
        };
        let before = self.given()?.last;
        let sequence = self.next(now)?;
        if stream.is_none() {
            self.add(before, limits)?;
        }
        let sql = "INSERT INTO mailbox_messages (session, sequence, stream, appended_at, payload) \
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        let at = now.unix_millis();
        let columns = params![self.session, sequence, self.stream, at, payload];
        self.connection.prepare_cached(sql)?.execute(columns)?;
        let sql = "UPDATE mailbox_streams SET last = ?3 WHERE session = ?1 AND stream = ?2";
        let columns = params![self.session, self.stream, sequence];
        self.connection.prepare_cached(sql)?.execute(columns)?;
        let sql = "UPDATE mailboxes SET messages = messages + 1, bytes = bytes + ?2 \
                   WHERE session = ?1";
        let columns = params![self.session, size(payload)];
        self.connection.prepare_cached(sql)?.execute(columns)?;
        while self.remove_oldest_beyond((limits, room), now, sequence)? {}
        self.account().count(now)?;
        Ok(Ok(position(sequence)))
    }

    /// Removes the mailbox's oldest message if it exceeds the limits and is not the newest one.
    fn remove_oldest_beyond(
        &self,
        (limits, room): (MailboxLimits, u64),
        now: Timestamp,
        newest: i64,
    ) -> rusqlite::Result<bool> {
        let sql = "SELECT sequence, stream, appended_at, messages, bytes \
                   FROM mailbox_messages JOIN mailboxes USING (session) \
                   WHERE session = ?1 ORDER BY sequence LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([self.session])?;
        let Some(row) = rows.next()? else {
            return Ok(false);
        };
        let (sequence, stream): (i64, String) = (row.get(0)?, row.get(1)?);
        let at = Timestamp::from_unix_millis(row.get(2)?);
        let (messages, bytes): (i64, i64) = (row.get(3)?, row.get(4)?);
        let beyond = messages > i64::from(limits.max_messages)
            || number(bytes) > limits.max_bytes
            || MailboxLimits::weight(number(messages), number(bytes)) > room
            || at.plus(limits.max_age) <= now;
        if !beyond || sequence == newest {
            return Ok(false);
        }
        drop(rows);
        // The oldest message of the mailbox is also the oldest of its stream.
        let oldest = StreamScope {
            stream: &stream,
            ..*self
        };
        oldest.remove_through(sequence)?;
        Ok(true)
    }

    fn page(&self, after: Sequence, limit: usize) -> rusqlite::Result<MailboxPage> {
        let given = self.given()?;
        let (began, end) = (position(given.began), position(given.last));
        let forgotten = position(given.forgotten_through);
        let Some(stream) = self.find()? else {
            return Ok(MailboxPage {
                messages: Vec::new(),
                through: after.max(forgotten),
                at_head: true,
                resumes_after: (after < forgotten).then_some(forgotten),
                closed: forgotten > Sequence::START && after <= forgotten,
                began,
                end,
            });
        };
        let (messages, more) = self.messages(after, limit)?;
        let lost = position(stream.lost_through);
        let through = messages
            .last()
            .map_or(after.max(lost), |last| last.sequence);
        Ok(MailboxPage {
            messages,
            through,
            at_head: !more,
            resumes_after: (after < lost).then_some(lost),
            closed: stream.closed,
            began,
            end,
        })
    }

    /// Returns the messages that fit into a page, and whether there are more.
    fn messages(
        &self,
        after: Sequence,
        limit: usize,
    ) -> rusqlite::Result<(Vec<Sequenced<Bytes>>, bool)> {
        let sql = "SELECT sequence, payload FROM mailbox_messages \
                   WHERE session = ?1 AND stream = ?2 AND sequence > ?3 ORDER BY sequence";
        let limit = limit.min(MailboxPage::MAX_MESSAGES);
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![self.session, self.stream, column(after)])?;
        let (mut messages, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let payload = row.get_ref(1)?.as_blob()?;
            bytes += payload.len();
            let full = bytes > MailboxPage::MAX_BYTES && !messages.is_empty();
            if full || messages.len() >= limit {
                return Ok((messages, true));
            }
            messages.push(Sequenced {
                sequence: position(row.get(0)?),
                item: Bytes::copy_from_slice(payload),
            });
        }
        Ok((messages, false))
    }

    fn close(&self) -> rusqlite::Result<()> {
        let sql = "UPDATE mailbox_streams SET closed = 1 WHERE session = ?1 AND stream = ?2";
        let columns = params![self.session, self.stream];
        self.connection.prepare_cached(sql)?.execute(columns)?;
        Ok(())
    }
}

impl SqliteSessionStore {
    /// Changes a living mailbox.
    async fn change<T: Send + 'static>(
        &self,
        op: &'static str,
        bytes: usize,
        (session, stream): (&SessionId, &StreamId),
        change: impl FnOnce(&StreamScope<'_>, Timestamp) -> Outcome<T> + Send + 'static,
    ) -> Result<T, MailboxError> {
        let (session, stream) = (session.clone(), stream.clone());
        let write = move |connection: &Connection, now| {
            if !mailbox_is_living(connection, session.as_str(), now)? {
                return Ok(Err(MailboxRefusal::Missing));
            }
            let scope = StreamScope {
                connection,
                session: session.as_str(),
                stream: stream.as_str(),
            };
            change(&scope, now)
        };
        let outcome = self.write_now(bytes, write).await;
        let outcome = outcome.map_err(|error| error.failing(op))?;
        Ok(outcome?)
    }
}

#[async_trait]
impl Mailbox for SqliteSessionStore {
    async fn open(
        &self,
        session: &SessionId,
        owner: &PrincipalId,
        ttl: Duration,
    ) -> Result<(), MailboxError> {
        let (session, owner) = (session.clone(), owner.clone());
        let open = move |connection: &Connection, now: Timestamp| {
            open_mailbox(connection, (&session, &owner), (now, now.plus(ttl)))
        };
        let opened = self.write_now(0, open).await;
        opened.map_err(|error| error.failing("open a mailbox").into())
    }

    async fn touch(&self, session: &SessionId, ttl: Duration) -> Result<bool, MailboxError> {
        let session = session.clone();
        let touch = move |connection: &Connection, now: Timestamp| {
            touch_mailbox(connection, &session, (now, now.plus(ttl)))
        };
        let touched = self.write_now(0, touch).await;
        touched.map_err(|error| error.failing("touch a mailbox").into())
    }

    async fn end(&self, session: &SessionId) -> Result<bool, MailboxError> {
        let session = session.clone();
        let end = move |connection: &Connection, now| end_mailbox(connection, &session, now);
        let ended = self.write_now(0, end).await;
        ended.map_err(|error| error.failing("end a mailbox").into())
    }

    async fn open_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        let open = move |scope: &StreamScope<'_>, now| scope.open(limits, now);
        self.change("open a stream", 0, (session, stream), open)
            .await
    }

    async fn append(
        &self,
        session: &SessionId,
        stream: &StreamId,
        payload: Bytes,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        MailboxError::check_payload(&payload)?;
        let bytes = payload.len();
        let append = move |scope: &StreamScope<'_>, now| scope.append(&payload, limits, now);
        self.change("append a message", bytes, (session, stream), append)
            .await
    }

    async fn read_after(
        &self,
        session: &SessionId,
        stream: &StreamId,
        after: Sequence,
        limit: usize,
    ) -> Result<MailboxPage, MailboxError> {
        let (session, stream) = (session.clone(), stream.clone());
        let read = move |connection: &Connection, now| {
            if !mailbox_is_living(connection, session.as_str(), now)? {
                return Ok(None);
            }
            let scope = StreamScope {
                connection,
                session: session.as_str(),
                stream: stream.as_str(),
            };
            scope
                .page(after, limit)
                .map(Some)
                .map_err(SqliteCallError::from)
        };
        let page = self.read_now(read).await;
        let page = page.map_err(|error| error.failing("read messages"))?;
        page.ok_or(MailboxError::Missing)
    }

    async fn trim(
        &self,
        session: &SessionId,
        stream: &StreamId,
        through: Sequence,
    ) -> Result<u64, MailboxError> {
        let trim = move |scope: &StreamScope<'_>, _| Ok(Ok(scope.remove_through(column(through))?));
        let removed = self
            .change("trim a stream", 0, (session, stream), trim)
            .await?;
        Ok(u64::try_from(removed).unwrap_or_default())
    }

    async fn close_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
    ) -> Result<(), MailboxError> {
        let close = |scope: &StreamScope<'_>, _| Ok(Ok(scope.close()?));
        self.change("close a stream", 0, (session, stream), close)
            .await
    }
}
