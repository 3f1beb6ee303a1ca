//! Work that goes on after its answer, so that any edge can say how it is.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use model::{Classified, ErrorClass, PrincipalId, TaskId};

use crate::{Expected, Revision, Source};

/// How many tasks are kept, and for how long at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskLimits {
    /// Most living tasks of one owner; beyond, a create is refused.
    pub max_tasks_per_owner: u32,
    /// No task lives longer without a change, whatever was asked for.
    pub max_ttl: Duration,
}

/// 1,000 tasks, 30 days.
impl Default for TaskLimits {
    fn default() -> Self {
        Self {
            max_tasks_per_owner: 1000,
            max_ttl: Duration::from_secs(30 * 24 * 3600),
        }
    }
}

impl TaskLimits {
    /// Longest state of one task: 1 MiB.
    pub const MAX_STATE_BYTES: usize = 1 << 20;

    /// How long a task lives for which that `ttl` was asked: at least 1 ms, at most `max_ttl`.
    #[must_use]
    pub fn time_to_live(&self, ttl: Option<Duration>) -> Duration {
        let asked = ttl.unwrap_or(self.max_ttl);
        asked.min(self.max_ttl).max(Duration::from_millis(1))
    }
}

/// A task as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskRecord {
    /// Its id, unguessable and not used again.
    pub id: TaskId,
    /// Whose it is. Nobody else finds it.
    pub owner: PrincipalId,
    /// Everything else; the store does not look into it. At most
    /// [`TaskLimits::MAX_STATE_BYTES`].
    pub state: Bytes,
    /// How much longer it lives, counted from the create or replace that it goes into, or from the
    /// load that it comes from. `None`: no end was asked for. So a loaded record that goes into a
    /// replace keeps its end.
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

/// What can go wrong with a task store.
#[derive(Debug, thiserror::Error)]
pub enum TaskStoreError {
    /// The store does not answer, or not in time. Nothing is known about a change.
    #[error("task store cannot {op} now")]
    Unavailable {
        /// What we were doing.
        op: &'static str,
        /// What the driver said.
        #[source]
        source: Source,
    },
    /// Its owner has no such task, or its time is over.
    #[error("no such task")]
    Missing,
    /// Its owner has a task of that id.
    #[error("the task exists already")]
    Exists,
    /// Somebody changed it first.
    #[error("the task was changed meanwhile; its revision is {}", current.0)]
    Conflict {
        /// What is stored now.
        current: Revision,
    },
    /// The state is longer than [`TaskLimits::MAX_STATE_BYTES`].
    #[error(
        "a task state of {bytes} bytes is longer than {} bytes",
        TaskLimits::MAX_STATE_BYTES
    )]
    TooLarge {
        /// How long it is.
        bytes: usize,
    },
    /// The owner has as many tasks as one may have, or the store is full; nothing was changed.
    #[error("no room for the task: {what}")]
    Overloaded {
        /// Which bound.
        what: &'static str,
    },
    /// What the store holds is not what we wrote.
    #[error("task store has an entry that cannot be read while trying to {op}")]
    Corrupt {
        /// What we were doing.
        op: &'static str,
        /// What is wrong with it.
        #[source]
        source: Source,
    },
}

impl TaskStoreError {
    /// The owner has [`TaskLimits::max_tasks_per_owner`] living tasks.
    #[must_use]
    pub const fn too_many() -> Self {
        Self::Overloaded {
            what: "its owner has as many tasks as one may have",
        }
    }

    /// Refuses a state that is too long, before anything is sent anywhere.
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

/// Tasks of the stateless era, shared by all edges. A task is named by its owner and its id
/// together, so a caller cannot forget to ask whose it is. What a task may become, for instance
/// that one which is over stays so, is the caller's: it looks before it replaces.
///
/// # Contract
/// - **TS-01** `create_task` stores a task; `load_task` gives its state back byte for byte, with
///   its revision, also with no bytes at all.
/// - **TS-02** of several `create_task` of one id of one owner exactly one wins, the others get
///   `Exists` and change nothing.
/// - **TS-03** a task is its owner's alone: to any other owner it is not there, and the id is free.
/// - **TS-04** `replace_task` with the current revision stores and gives a higher revision; with
///   any other it is refused with `Conflict` and the current one, and changes nothing; a task that
///   is not there is `Missing`.
/// - **TS-05** of several concurrent `replace_task` with the same revision exactly one wins.
/// - **TS-06** each create and replace sets the `ttl` anew, and a load says what is left of it.
///   When it is over the task is not there to any call, and `replace_task` cannot revive it.
/// - **TS-07** a task without `ttl`, or with a longer one, lives for the limits' `max_ttl` after
///   its last change. A load of one without `ttl` says none.
/// - **TS-08** a state longer than 1 MiB is `TooLarge` and changes nothing; one of 1 MiB fits.
/// - **TS-09** a create that would be one more than `max_tasks_per_owner` living tasks of its owner
///   is `Overloaded` and changes nothing, also beside others. Those that expired do not count, nor
///   do other owners', and what is there can be replaced all the same.
/// - **TS-10** (durable) what a call acknowledged is there after a reopen.
/// - **TS-11** (shared) what one handle stored, another loads at once; the bound and the one winner
///   hold over all handles.
#[async_trait]
pub trait TaskStore: fmt::Debug + Send + Sync + 'static {
    /// Stores a new task; see TS-01, TS-02, TS-09. It is durable when this returns.
    ///
    /// # Errors
    /// `Exists`, `TooLarge`, `Overloaded`, or the store is unavailable: then the task may be there
    /// or not.
    async fn create_task(
        &self,
        task: &TaskRecord,
        limits: TaskLimits,
    ) -> Result<Revision, TaskStoreError>;

    /// Loads a living task of an owner.
    ///
    /// # Errors
    /// The store is unavailable or holds something unreadable. A task that is not there is `None`.
    async fn load_task(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
    ) -> Result<Option<VersionedTask>, TaskStoreError>;

    /// Stores a changed task with a new `ttl`; see TS-04 to TS-07.
    ///
    /// # Errors
    /// `Missing`, `Conflict`, `TooLarge`, `Overloaded` when the store as a whole is full, or the
    /// store is unavailable: then the change may have happened or not.
    async fn replace_task(
        &self,
        task: &TaskRecord,
        expected: Expected,
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
