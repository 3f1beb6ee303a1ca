//! Trial writes. After a write that failed, for instance on a full disk, a write of its size tells whether the
//! next one would succeed. Otherwise a check writes nothing.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use rusqlite::Connection;

use crate::{SqliteCallError, backlog::Lane, writer::Writer};

/// Maximum size of a trial write; the write that failed may be larger, and is rare then.
const MAX_TRIAL_BYTES: usize = 1 << 20;

/// What the checks of one kind of write know of the last one.
#[derive(Debug, Default)]
pub(crate) struct TrialWrites {
    /// Size of the last write that failed, if none of this size has succeeded since; otherwise 0.
    failed_bytes: AtomicUsize,
}

impl TrialWrites {
    /// Notes the outcome of a write of this size.
    pub(crate) fn note<T>(&self, bytes: usize, written: &Result<T, SqliteCallError>) {
        match written {
            // A smaller one may fit where the next one of that size does not.
            Ok(_) if bytes < self.failed_bytes.load(Ordering::Relaxed) => {}
            Ok(_) => self.failed_bytes.store(0, Ordering::Relaxed),
            Err(
                SqliteCallError::Commit(_)
                | SqliteCallError::Statement(_)
                | SqliteCallError::TimedOut(_),
            ) => self.failed_bytes.store(bytes.max(1), Ordering::Relaxed),
            Err(_) => {}
        }
    }

    /// Checks that the next write would succeed, as far as that can be known.
    pub(crate) async fn check(
        &self,
        writer: &Writer,
        deadline: Duration,
    ) -> Result<(), SqliteCallError> {
        writer.check()?;
        let bytes = self.failed_bytes.load(Ordering::Relaxed);
        if bytes == 0 {
            return Ok(());
        }
        let bytes = bytes.min(MAX_TRIAL_BYTES);
        let filled = writer.run(Lane::Log, deadline, bytes, move |connection| {
            write(connection, bytes)
        });
        filled.await?;
        // In a transaction of its own: pages that one transaction fills and frees are not written.
        let emptied = writer.run(Lane::Log, deadline, 0, |connection| write(connection, 0));
        emptied.await?;
        self.failed_bytes.store(0, Ordering::Relaxed);
        Ok(())
    }
}

/// Fills the row for trial writes, which nothing reads.
fn write(connection: &Connection, bytes: usize) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO meta (key, value) VALUES ('trial_write', zeroblob(?1))";
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    connection.prepare_cached(sql)?.execute([bytes])?;
    Ok(())
}
