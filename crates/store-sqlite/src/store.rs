//! The store of records, mailboxes and leases, which the ports of this crate are implemented for.

use std::{fmt, sync::Arc};

use model::{Clock, Timestamp};
use rusqlite::Connection;

use crate::{Database, SqliteCallError, backlog::Lane, database::CALL_DEADLINE};

/// The records, mailboxes and leases in a SQLite file.
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

impl Database {
    /// Returns the store of records, mailboxes and leases in this file; `clock` decides when a time to live is over.
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

    /// Runs a write of approximately `bytes` bytes.
    pub(crate) async fn write_now<T: Send + 'static>(
        &self,
        bytes: usize,
        write: impl FnOnce(&Connection, Timestamp) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SqliteCallError> {
        let clock = Arc::clone(&self.clock);
        let write = move |connection: &Connection| write(connection, clock.now());
        let inner = &self.database.0;
        let written = inner
            .writer
            .run(Lane::State, CALL_DEADLINE, bytes, write)
            .await;
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
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
