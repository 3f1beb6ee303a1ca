//! Work that continues after its first answer, stored so that any edge can report its state.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use model::{Classified, ErrorClass, PrincipalId, TaskId};

use crate::{BoxError, Revision};

/// Limits on the number of tasks and on their time to live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskLimits {
    /// Maximum number of live tasks of one owner; at the limit, a create takes the place of a task that
    /// can be spared, or is refused.
    pub max_tasks_per_owner: u32,
    /// A task with at most this much time left can be spared: its caller gives tasks that are over a
    /// shorter time to live than those that are worked on. Zero: none.
    pub spare_ttl: Duration,
    /// Maximum time that a task lives without a change, whatever was requested.
    pub max_ttl: Duration,
}

/// 1,000 tasks, of which none can be spared, 30 days.
impl Default for TaskLimits {
    fn default() -> Self {
        Self {
            max_tasks_per_owner: 1000,
            spare_ttl: Duration::ZERO,
            max_ttl: Duration::from_secs(30 * 24 * 3600),
        }
    }
}

impl TaskLimits {
    /// Maximum state of one task in bytes: 1 MiB.
    pub const MAX_STATE_BYTES: usize = 1 << 20;

    /// The time to live of a task for which `ttl` was requested: at least 1 ms, at most `max_ttl`.
    #[must_use]
    pub fn time_to_live(&self, ttl: Option<Duration>) -> Duration {
        let asked = ttl.unwrap_or(self.max_ttl);
        asked.min(self.max_ttl).max(Duration::from_millis(1))
    }
}

/// A task as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskRecord {
    /// Its id, unguessable and never reused.
    pub id: TaskId,
    /// Its owner. No other principal can find it.
    pub owner: PrincipalId,
    /// Everything else, opaque to the store; up to [`TaskLimits::MAX_STATE_BYTES`].
    pub state: Bytes,
    /// The remaining time to live, counted from the create or replace to which the record is passed, or
    /// from the load that returned it. `None`: no end was requested. A loaded record that is passed to a
    /// replace therefore keeps its end.
    pub ttl: Option<Duration>,
}

/// A task with its revision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionedTask {
    /// The task.
    pub record: TaskRecord,
    /// Its revision.
    pub revision: Revision,
}

/// Errors of a task store.
#[derive(Debug, thiserror::Error)]
pub enum TaskStoreError {
    /// The store does not answer, or answers too late. The outcome of a change is unknown.
    #[error("task store cannot {op} now")]
    Unavailable {
        /// The operation that failed.
        op: &'static str,
        /// The driver's error.
        #[source]
        source: BoxError,
    },
    /// The owner has no such task, or it has expired.
    #[error("no such task")]
    Missing,
    /// The owner already has a task with this id.
    #[error("the task exists already")]
    Exists,
    /// Another caller changed it first.
    #[error("the task was changed meanwhile; its revision is {}", current.0)]
    Conflict {
        /// The revision that is stored now.
        current: Revision,
    },
    /// The state is longer than [`TaskLimits::MAX_STATE_BYTES`].
    #[error(
        "a task state of {bytes} bytes is longer than {} bytes",
        TaskLimits::MAX_STATE_BYTES
    )]
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The owner has reached the limit of live tasks, or the store is full; nothing was changed.
    #[error("no room for the task: {what}")]
    Overloaded {
        /// The limit that was reached.
        what: &'static str,
    },
    /// The stored data is not what was written.
    #[error("task store has an entry that cannot be read while trying to {op}")]
    Corrupt {
        /// The operation that failed.
        op: &'static str,
        /// The reason why it cannot be read.
        #[source]
        source: BoxError,
    },
}

impl TaskStoreError {
    /// The owner has [`TaskLimits::max_tasks_per_owner`] live tasks.
    #[must_use]
    pub const fn too_many() -> Self {
        Self::Overloaded {
            what: "its owner has reached the limit of tasks",
        }
    }

    /// Refuses a state that is too long, before anything is sent to the store.
    ///
    /// # Errors
    /// [`TaskStoreError::TooLarge`].
    pub fn check_state(state: &[u8]) -> Result<(), Self> {
        let bytes = state.len();
        if bytes > TaskLimits::MAX_STATE_BYTES {
            return Err(Self::TooLarge { bytes });
        }
        Ok(())
    }
}

impl Classified for TaskStoreError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unavailable { .. } => ErrorClass::Transient,
            Self::Missing => ErrorClass::Missing,
            Self::Exists | Self::Conflict { .. } => ErrorClass::Conflict,
            Self::TooLarge { .. } => ErrorClass::Caller,
            Self::Overloaded { .. } => ErrorClass::Overloaded,
            Self::Corrupt { .. } => ErrorClass::Permanent,
        }
    }
}

/// Tasks of the stateless era, shared by all edges. A task is identified by its owner and its id
/// together, so a caller cannot forget to check the owner. The allowed changes of state are up to the
/// caller, for instance that a finished task stays finished: it checks before it replaces.
///
/// # Contract
/// - **TS-01** `create_task` stores a task; `load_task` returns its state byte for byte, with its
///   revision, even if the state is empty.
/// - **TS-02** of several `create_task` calls for one id of one owner exactly one succeeds; the others
///   get `Exists` and change nothing.
/// - **TS-03** a task belongs to its owner alone: for any other owner it does not exist, and the id is free.
/// - **TS-04** `replace_task` with the current revision stores the task and returns a higher revision;
///   with any other revision it is refused with `Conflict`, which carries the current one, and changes
///   nothing; a task that does not exist is `Missing`.
/// - **TS-05** of several concurrent `replace_task` calls with the same revision exactly one succeeds.
/// - **TS-06** each create and replace sets the `ttl` anew, and a load returns the remaining time. When
///   it is over, the task does not exist for any call, and `replace_task` cannot revive it.
/// - **TS-07** a task without `ttl`, or with a longer one, lives for the limits' `max_ttl` after its
///   last change. A load of a task without `ttl` returns none.
/// - **TS-08** a state longer than 1 MiB is `TooLarge` and changes nothing; one of 1 MiB fits.
/// - **TS-09** a create that would exceed `max_tasks_per_owner` live tasks of its owner is `Overloaded`
///   and changes nothing, even if several run concurrently, unless a task can be spared (TS-13). Expired tasks and tasks of other owners do
///   not count, and existing tasks can still be replaced.
/// - **TS-10** (durable) every acknowledged change is still there after a reopen.
/// - **TS-11** (shared) a task that one handle stored can be loaded through another at once; the limit
///   and the single success hold across all handles.
/// - **TS-12** (goes back) after the store went back to an earlier state, a revision that it gave out in the
///   lost time is not given out again: a caller that still holds one gets `Conflict`, as long as the
///   store's clock goes on.
/// - **TS-13** a create at that limit removes the task of its owner that would expire first, if it has at
///   most `spare_ttl` left, and takes its place; tasks with more time left and those of other owners stay.
#[async_trait]
pub trait TaskStore: fmt::Debug + Send + Sync + 'static {
    /// Stores a new task; see TS-01, TS-02, TS-09. It is durable when this returns.
    ///
    /// # Errors
    /// `Exists`, `TooLarge`, `Overloaded`, or the store is unavailable: then the task may or may not
    /// have been stored.
    async fn create_task(
        &self,
        task: &TaskRecord,
        limits: TaskLimits,
    ) -> Result<Revision, TaskStoreError>;

    /// Loads a live task of an owner.
    ///
    /// # Errors
    /// The store is unavailable or holds unreadable data. A task that does not exist is `None`.
    async fn load_task(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
    ) -> Result<Option<VersionedTask>, TaskStoreError>;

    /// Stores a changed task with a new `ttl`; see TS-04 to TS-07.
    ///
    /// # Errors
    /// `Missing`, `Conflict`, `TooLarge`, `Overloaded` when the store as a whole is full, or the store
    /// is unavailable: then the change may or may not have been stored.
    async fn replace_task(
        &self,
        task: &TaskRecord,
        expected: Revision,
        limits: TaskLimits,
    ) -> Result<Revision, TaskStoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_task_lives_longer_than_the_limit_or_not_at_all() {
        let limits = TaskLimits::default();
        let (hour, year) = (3600, 365 * 24 * 3600);
        for (asked, given) in [
            (None, limits.max_ttl),
            (Some(Duration::from_secs(year)), limits.max_ttl),
            (Some(Duration::from_secs(hour)), Duration::from_secs(hour)),
            (Some(Duration::ZERO), Duration::from_millis(1)),
        ] {
            assert_eq!(limits.time_to_live(asked), given, "{asked:?}");
        }
    }
}
