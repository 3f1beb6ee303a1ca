//! The weight of a mailbox in the account of its owner.

use model::Timestamp;
use ports::MailboxLimits;
use rusqlite::{Connection, params};

/// Mailboxes that one step empties because their messages are too old.
const OLD_MAILBOXES: u32 = 16;

/// A mailbox in the account of its owner.
pub(crate) struct MailAccount<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) session: &'a str,
}

fn number(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
}

fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl MailAccount<'_> {
    /// The weight that the mailbox may have with another message; `None` if the owner has no room for it.
    pub(crate) fn room_for(
        &self,
        payload: &[u8],
        limits: MailboxLimits,
        now: Timestamp,
    ) -> rusqlite::Result<Option<u64>> {
        let sql = "SELECT messages, bytes, owner FROM mailboxes WHERE session = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let (messages, bytes, owner): (i64, i64, String) = statement
            .query_row([self.session], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        let more = payload.len() as u64;
        let weight = MailboxLimits::weight(number(messages) + 1, number(bytes) + more);
        if weight <= MailboxLimits::UNCOUNTED_BYTES {
            return Ok(Some(weight));
        }
        self.forget_old(&owner, now.minus(limits.max_age).unix_millis())?;
        let sql = "SELECT coalesce(sum(counted), 0) FROM mailboxes \
                   WHERE owner = ?1 AND counted > 0 AND session <> ?2 AND expires_at > ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let columns = params![owner, self.session, now.unix_millis()];
        let others: i64 = statement.query_row(columns, |row| row.get(0))?;
        Ok(limits.room(number(others), payload.len()))
    }

    /// Empties mailboxes of the owner whose last message is not after `until`.
    fn forget_old(&self, owner: &str, until: i64) -> rusqlite::Result<()> {
        let sql = "SELECT session FROM mailboxes \
                   WHERE owner = ?1 AND counted > 0 AND counted_at <= ?2 LIMIT ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        loop {
            let old =
                statement.query_map(params![owner, until, OLD_MAILBOXES], |row| row.get(0))?;
            let old = old.collect::<rusqlite::Result<Vec<String>>>()?;
            if old.is_empty() {
                return Ok(());
            }
            for session in old {
                self.clear(&session)?;
            }
        }
    }

    fn clear(&self, session: &str) -> rusqlite::Result<()> {
        // The last message of each stream is its last loss.
        let sql = "UPDATE mailbox_streams SET lost_through = last WHERE session = ?1 \
                   AND stream IN (SELECT stream FROM mailbox_messages WHERE session = ?1)";
        self.connection.prepare_cached(sql)?.execute([session])?;
        let sql = "DELETE FROM mailbox_messages WHERE session = ?1";
        self.connection.prepare_cached(sql)?.execute([session])?;
        let sql = "UPDATE mailboxes SET messages = 0, bytes = 0, counted = 0 WHERE session = ?1";
        self.connection.prepare_cached(sql)?.execute([session])?;
        Ok(())
    }

    /// A message was appended: counts what the mailbox weighs now.
    pub(crate) fn count(&self, now: Timestamp) -> rusqlite::Result<()> {
        let sql = "UPDATE mailboxes SET counted = bytes + messages * ?2, counted_at = ?3 \
                   WHERE session = ?1 AND bytes + messages * ?2 > ?4";
        let each = column(MailboxLimits::MESSAGE_BYTES);
        let least = column(MailboxLimits::UNCOUNTED_BYTES);
        let columns = params![self.session, each, now.unix_millis(), least];
        self.connection.prepare_cached(sql)?.execute(columns)?;
        Ok(())
    }

    /// Messages were removed: a mailbox that counts weighs less now.
    pub(crate) fn lighten(&self) -> rusqlite::Result<()> {
        let sql = "UPDATE mailboxes SET counted = CASE \
                   WHEN bytes + messages * ?2 > ?3 THEN bytes + messages * ?2 ELSE 0 END \
                   WHERE session = ?1 AND counted > 0";
        let each = column(MailboxLimits::MESSAGE_BYTES);
        let least = column(MailboxLimits::UNCOUNTED_BYTES);
        let columns = params![self.session, each, least];
        self.connection.prepare_cached(sql)?.execute(columns)?;
        Ok(())
    }
}
