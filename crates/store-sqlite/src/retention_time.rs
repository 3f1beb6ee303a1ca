//! The time that retention goes by, which the file keeps over a restart: the clock may be wrong then.

use model::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{Database, SqliteCallError, backlog::Lane, database::CALL_DEADLINE};

/// Key in `meta`: the time, in Unix milliseconds.
const RETENTION_TIME: &str = "retention_time";

impl Database {
    /// The time that [`Self::keep_retention_time`] stored last, if any.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn retention_time(&self) -> Result<Option<Timestamp>, SqliteCallError> {
        let read = |connection: &Connection| {
            let sql = "SELECT value FROM meta WHERE key = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let kept = statement.query_row([RETENTION_TIME], |row| row.get(0));
            Ok(kept.optional()?.map(Timestamp::from_unix_millis))
        };
        self.0.readers.run(CALL_DEADLINE, read).await
    }

    /// Stores the time that retention goes by.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn keep_retention_time(&self, time: Timestamp) -> Result<(), SqliteCallError> {
        let write = move |connection: &Connection| {
            let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2) \
                       ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            let mut statement = connection.prepare_cached(sql)?;
            statement.execute(params![RETENTION_TIME, time.unix_millis()])?;
            Ok(())
        };
        self.0
            .writer
            .run(Lane::State, CALL_DEADLINE, 0, write)
            .await
    }
}
