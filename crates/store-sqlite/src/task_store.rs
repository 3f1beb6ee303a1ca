//! Tasks, in one table.

use std::{cmp::Ordering, time::Duration};

use async_trait::async_trait;
use model::{PrincipalId, TaskId, Timestamp};
use ports::{Revision, TaskLimits, TaskRecord, TaskStore, TaskStoreError, VersionedTask};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{SqliteCallError, SqliteSessionStore, numbers::next_number};

/// Number of expired rows that each create deletes: more than one, so that they never accumulate.
const SWEEP_ROWS: u32 = 16;

/// The reason why a write changed nothing.
enum TaskRefusal {
    Exists,
    Missing,
    Conflict(Revision),
    TooMany,
}

impl From<TaskRefusal> for TaskStoreError {
    fn from(refusal: TaskRefusal) -> Self {
        match refusal {
            TaskRefusal::Exists => Self::Exists,
            TaskRefusal::Missing => Self::Missing,
            TaskRefusal::Conflict(current) => Self::Conflict { current },
            TaskRefusal::TooMany => Self::too_many(),
        }
    }
}

/// The result of a write, or the reason for its refusal.
type Outcome = rusqlite::Result<Result<Revision, TaskRefusal>>;

fn revision(column: i64) -> Revision {
    Revision(column.cast_unsigned())
}

/// A connection and the time of the call.
struct TaskScope<'a> {
    connection: &'a Connection,
    now: Timestamp,
}

impl TaskScope<'_> {
    /// The revision of a living task.
    fn find(&self, task: &TaskRecord) -> rusqlite::Result<Option<Revision>> {
        let sql = "SELECT revision FROM tasks WHERE owner = ?1 AND id = ?2 AND expires_at > ?3";
        let now = self.now.unix_millis();
        let mut statement = self.connection.prepare_cached(sql)?;
        let columns = params![task.owner.as_str(), task.id.as_str(), now];
        let found = statement.query_row(columns, |row| row.get(0)).optional()?;
        Ok(found.map(revision))
    }

    /// Number of living tasks of an owner.
    fn count(&self, owner: &PrincipalId) -> rusqlite::Result<u32> {
        let sql = "SELECT count(*) FROM tasks WHERE owner = ?1 AND expires_at > ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let columns = params![owner.as_str(), self.now.unix_millis()];
        statement.query_row(columns, |row| row.get(0))
    }

    /// Removes the task of an owner that expires first, if it has at most `spare_ttl` left; returns whether
    /// there was one.
    fn remove_first_expiring(
        &self,
        owner: &PrincipalId,
        spare_ttl: Duration,
    ) -> rusqlite::Result<bool> {
        let sql = "DELETE FROM tasks WHERE rowid IN \
                   (SELECT rowid FROM tasks WHERE owner = ?1 AND expires_at > ?2 AND expires_at <= ?3 \
                   ORDER BY expires_at LIMIT 1)";
        let until = self.now.plus(spare_ttl).unix_millis();
        let columns = params![owner.as_str(), self.now.unix_millis(), until];
        let removed = self.connection.prepare_cached(sql)?.execute(columns)?;
        Ok(removed == 1)
    }

    fn sweep(&self) -> rusqlite::Result<()> {
        let sql = "DELETE FROM tasks WHERE rowid IN \
                   (SELECT rowid FROM tasks WHERE expires_at <= ?1 LIMIT ?2)";
        let mut statement = self.connection.prepare_cached(sql)?;
        let columns = params![self.now.unix_millis(), SWEEP_ROWS];
        statement.execute(columns).map(drop)
    }

    fn create(&self, task: &TaskRecord, limits: TaskLimits) -> Outcome {
        if self.find(task)?.is_some() {
            return Ok(Err(TaskRefusal::Exists));
        }
        let has_room = match self.count(&task.owner)?.cmp(&limits.max_tasks_per_owner) {
            Ordering::Less => true,
            Ordering::Equal => self.remove_first_expiring(&task.owner, limits.spare_ttl)?,
            Ordering::Greater => false,
        };
        if !has_room {
            return Ok(Err(TaskRefusal::TooMany));
        }
        // An existing row with that id can only be an expired one. Its revision continues, so that
        // a caller that still holds the old task cannot replace the new one.
        let sql = "INSERT INTO tasks (owner, id, revision, expires_at, endless, state) \
                   VALUES (?1, ?2, 1, ?3, ?4, ?5) \
                   ON CONFLICT (owner, id) DO UPDATE SET revision = revision + 1, \
                   expires_at = excluded.expires_at, endless = excluded.endless, \
                   state = excluded.state RETURNING revision";
        let mut statement = self.connection.prepare_cached(sql)?;
        let expires_at = self.now.plus(limits.time_to_live(task.ttl)).unix_millis();
        let columns = params![
            task.owner.as_str(),
            task.id.as_str(),
            expires_at,
            task.ttl.is_none(),
            &task.state[..],
        ];
        let written = statement.query_row(columns, |row| row.get(0))?;
        self.sweep()?;
        Ok(Ok(revision(written)))
    }

    fn replace(&self, task: &TaskRecord, expected: Revision, limits: TaskLimits) -> Outcome {
        let current = match self.find(task)? {
            None => return Ok(Err(TaskRefusal::Missing)),
            Some(current) if current != expected => return Ok(Err(TaskRefusal::Conflict(current))),
            Some(current) => current,
        };
        let next = Revision(next_number(current.0, self.now));
        let sql = "UPDATE tasks SET revision = ?3, expires_at = ?4, endless = ?5, state = ?6 \
                   WHERE owner = ?1 AND id = ?2";
        let expires_at = self.now.plus(limits.time_to_live(task.ttl)).unix_millis();
        let columns = params![
            task.owner.as_str(),
            task.id.as_str(),
            next.0.cast_signed(),
            expires_at,
            task.ttl.is_none(),
            &task.state[..],
        ];
        self.connection.prepare_cached(sql)?.execute(columns)?;
        Ok(Ok(next))
    }

    fn load(
        &self,
        owner: PrincipalId,
        id: TaskId,
    ) -> Result<Option<VersionedTask>, SqliteCallError> {
        let sql = "SELECT revision, expires_at, endless, state FROM tasks \
                   WHERE owner = ?1 AND id = ?2 AND expires_at > ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let columns = params![owner.as_str(), id.as_str(), self.now.unix_millis()];
        let found = statement.query_row(columns, |row| self.columns(row));
        Ok(found.optional()?.map(|(revision, ttl, state)| {
            let state = state.into();
            let record = TaskRecord {
                id,
                owner,
                state,
                ttl,
            };
            VersionedTask { record, revision }
        }))
    }

    fn columns(&self, row: &Row<'_>) -> rusqlite::Result<(Revision, Option<Duration>, Vec<u8>)> {
        let (expires_at, endless): (i64, bool) = (row.get(1)?, row.get(2)?);
        let left = Timestamp::from_unix_millis(expires_at).since(self.now);
        let ttl = (!endless).then_some(left);
        Ok((revision(row.get(0)?), ttl, row.get(3)?))
    }
}

impl SqliteSessionStore {
    async fn write_task(
        &self,
        op: &'static str,
        task: &TaskRecord,
        write: impl FnOnce(&TaskScope<'_>, &TaskRecord) -> Outcome + Send + 'static,
    ) -> Result<Revision, TaskStoreError> {
        TaskStoreError::check_state(&task.state)?;
        let (task, bytes) = (task.clone(), task.state.len());
        let write =
            move |connection: &Connection, now| write(&TaskScope { connection, now }, &task);
        let outcome = self.write_now(bytes, write).await;
        let outcome = outcome.map_err(|error| error.in_tasks(op))?;
        Ok(outcome?)
    }
}

#[async_trait]
impl TaskStore for SqliteSessionStore {
    async fn create_task(
        &self,
        task: &TaskRecord,
        limits: TaskLimits,
    ) -> Result<Revision, TaskStoreError> {
        let create = move |scope: &TaskScope<'_>, task: &TaskRecord| scope.create(task, limits);
        self.write_task("create a task", task, create).await
    }

    async fn load_task(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
    ) -> Result<Option<VersionedTask>, TaskStoreError> {
        let (owner, id) = (owner.clone(), id.clone());
        let load =
            move |connection: &Connection, now| TaskScope { connection, now }.load(owner, id);
        let loaded = self.read_now(load).await;
        loaded.map_err(|error| error.in_tasks("load a task"))
    }

    async fn replace_task(
        &self,
        task: &TaskRecord,
        expected: Revision,
        limits: TaskLimits,
    ) -> Result<Revision, TaskStoreError> {
        let replace =
            move |scope: &TaskScope<'_>, task: &TaskRecord| scope.replace(task, expected, limits);
        self.write_task("replace a task", task, replace).await
    }
}
