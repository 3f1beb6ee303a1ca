//! How long a mailbox lives: from its opening to its end or expiry.

use model::{PrincipalId, SessionId, Timestamp};
use rusqlite::{Connection, params};

use crate::numbers::next_number;

/// Number of expired mailboxes that each opening deletes: more than one, so that they never accumulate, and few,
/// because each may hold the largest number of messages.
const SWEPT_MAILBOXES: u32 = 4;

/// Returns whether a mailbox is living.
pub(crate) fn mailbox_is_living(
    connection: &Connection,
    session: &str,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM mailboxes WHERE session = ?1 AND expires_at > ?2";
    let mut statement = connection.prepare_cached(sql)?;
    statement.exists(params![session, now.unix_millis()])
}

/// Opens a mailbox, or gives the one that is living the new end; then deletes a few expired ones.
pub(crate) fn open_mailbox(
    connection: &Connection,
    (session, owner): (&SessionId, &PrincipalId),
    (now, expires_at): (Timestamp, Timestamp),
) -> rusqlite::Result<()> {
    if touch_mailbox(connection, session, (now, expires_at))? {
        return Ok(());
    }
    // An expired one, whose sequences the new one must not repeat.
    delete(connection, session)?;
    let sql = "INSERT INTO mailboxes (session, owner, expires_at, began, last) \
               SELECT ?1, ?2, ?3, max(value + 1, ?4), max(value + 1, ?4) \
               FROM meta WHERE key = 'mailboxes_through'";
    let floor = next_number(0, now).cast_signed();
    let until = expires_at.unix_millis();
    let columns = params![session.as_str(), owner.as_str(), until, floor];
    connection.prepare_cached(sql)?.execute(columns)?;
    sweep(connection, now)
}

/// Sets the end of a living mailbox; returns whether there is one.
pub(crate) fn touch_mailbox(
    connection: &Connection,
    session: &SessionId,
    (now, expires_at): (Timestamp, Timestamp),
) -> rusqlite::Result<bool> {
    let sql = "UPDATE mailboxes SET expires_at = ?3 WHERE session = ?1 AND expires_at > ?2";
    let (now, until) = (now.unix_millis(), expires_at.unix_millis());
    let columns = params![session.as_str(), now, until];
    Ok(connection.prepare_cached(sql)?.execute(columns)? > 0)
}

/// Deletes a mailbox; returns whether it was living.
pub(crate) fn end_mailbox(
    connection: &Connection,
    session: &SessionId,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let lived = mailbox_is_living(connection, session.as_str(), now)?;
    delete(connection, session)?;
    Ok(lived)
}

fn delete(connection: &Connection, session: &SessionId) -> rusqlite::Result<()> {
    let sql = "DELETE FROM mailboxes WHERE session = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute([session.as_str()]).map(drop)
}

fn sweep(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "DELETE FROM mailboxes WHERE session IN \
               (SELECT session FROM mailboxes WHERE expires_at <= ?1 LIMIT ?2)";
    let columns = params![now.unix_millis(), SWEPT_MAILBOXES];
    connection.prepare_cached(sql)?.execute(columns).map(drop)
}
