//! Tasks of the stateless era: work that goes on after its answer.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use model::{Classified, ErrorClass, PrincipalId, RecordId, TaskId, Timestamp};
use ports::{
    BoxError, Collection, NewRecord, RecordBound, RecordCreation, RecordKey, RecordLife,
    RecordLimits, Records, RecordsError, Revision, StoreFailure, StoredRecord,
};

use crate::state_version::{of_version, with_version};

/// Where tasks are kept.
const TASKS: Collection = Collection::new("tasks");
/// The version of their states; see TS-15.
const VERSION: u8 = 1;

/// Limits on the number of tasks, on their bytes and on their time to live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskLimits {
    /// Maximum number of living tasks of one owner.
    pub max_tasks_per_owner: u32,
    /// At that limit, a task with at most this much time left makes room for a new one. Zero: none does.
    pub spare_ttl: Duration,
    /// Longest time to live.
    pub max_ttl: Duration,
    /// Maximum bytes of the states of one owner, in steps of [`RecordLimits::WEIGHT_STEP_BYTES`].
    pub max_bytes_per_owner: u64,
    /// Maximum bytes of all states.
    pub max_bytes: u64,
}

impl TaskLimits {
    /// Maximum state of one task in bytes: 1 MiB.
    pub const MAX_STATE_BYTES: usize = 1 << 20;

    /// The time to live of a task: what is asked for, at least a millisecond and at most `max_ttl`.
    #[must_use]
    pub fn time_to_live(&self, asked: Option<Duration>) -> Duration {
        let asked = asked.unwrap_or(self.max_ttl);
        asked.max(Duration::from_millis(1)).min(self.max_ttl)
    }

    const fn of_records(&self) -> RecordLimits {
        RecordLimits {
            max_records: u64::MAX,
            max_records_per_owner: self.max_tasks_per_owner,
            max_bytes: self.max_bytes,
            max_bytes_per_owner: self.max_bytes_per_owner,
            spare_ttl: self.spare_ttl,
        }
    }
}

/// 1,000 tasks of an owner, of which none can be spared, even of the largest states; 8 GiB in all; 30 days.
impl Default for TaskLimits {
    fn default() -> Self {
        Self {
            max_tasks_per_owner: 1000,
            spare_ttl: Duration::ZERO,
            max_ttl: Duration::from_secs(30 * 24 * 3600),
            // 1,000 times 1 MiB and a further step each.
            max_bytes_per_owner: 1010 << 20,
            max_bytes: 8 << 30,
        }
    }
}

/// A task to be created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTask {
    /// Its id, unique among those of its owner.
    pub id: TaskId,
    /// Its owner.
    pub owner: PrincipalId,
    /// Its state; up to [`TaskLimits::MAX_STATE_BYTES`].
    pub state: Bytes,
    /// Time to live; `None` requests no expiry.
    pub ttl: Option<Duration>,
}

/// A living task as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptTask {
    /// Its state.
    pub state: Bytes,
    /// Its revision.
    pub revision: Revision,
    /// Whether no expiry was requested: `expires_at` is only the store's own bound.
    pub is_endless: bool,
    /// When it ends, in the store's time.
    pub expires_at: Timestamp,
}

/// The time to live of a task that is replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskLife {
    /// As it was: it ends when it would have ended, and one without an expiry lives on for the longest time.
    Unchanged,
    /// From now on; `None` requests no expiry.
    For(Option<Duration>),
}

/// Errors of a call on tasks.
#[derive(Debug, thiserror::Error)]
pub enum TaskRecordsError {
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
    /// A limit is reached; nothing was changed.
    #[error("no room for the task: {bound} has reached its limit")]
    NoRoom {
        /// The limit.
        bound: RecordBound,
    },
    /// The task is damaged, or another build wrote it. Others are not affected.
    #[error("the task cannot be read")]
    Unreadable {
        /// The reason why it cannot be read.
        #[source]
        source: BoxError,
    },
    /// The store failed; the outcome of a change is unknown unless it is `Overloaded`.
    #[error(transparent)]
    Failed(#[from] StoreFailure),
}

impl From<RecordsError> for TaskRecordsError {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::Missing => Self::Missing,
            RecordsError::Conflict { current } => Self::Conflict { current },
            RecordsError::TooLarge { bytes } => Self::TooLarge { bytes },
            RecordsError::NoRoom { bound } => Self::NoRoom { bound },
            RecordsError::Unreadable { source } => Self::Unreadable { source },
            RecordsError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl Classified for TaskRecordsError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Missing => ErrorClass::Missing,
            Self::Exists | Self::Conflict { .. } => ErrorClass::Conflict,
            Self::TooLarge { .. } => ErrorClass::Caller,
            Self::NoRoom { .. } => ErrorClass::Overloaded,
            Self::Unreadable { .. } => ErrorClass::Permanent,
            Self::Failed(failure) => failure.class(),
        }
    }
}

fn check_state(state: &[u8]) -> Result<(), TaskRecordsError> {
    let bytes = state.len();
    match bytes > TaskLimits::MAX_STATE_BYTES {
        true => Err(TaskRecordsError::TooLarge { bytes }),
        false => Ok(()),
    }
}

/// What stands before the state: the version, and whether no expiry was requested.
fn encode(is_endless: bool, state: &[u8]) -> Bytes {
    with_version(VERSION, &[&[u8::from(is_endless)], state].concat())
}

fn decode(stored: StoredRecord) -> Result<KeptTask, TaskRecordsError> {
    let unreadable = |source: BoxError| TaskRecordsError::Unreadable { source };
    let body = of_version(VERSION, stored.state).map_err(|error| unreadable(error.into()))?;
    let is_endless = match body.first() {
        Some(0) => false,
        Some(1) => true,
        _ => {
            return Err(unreadable(
                "the state of a task has no mark of its expiry".into(),
            ));
        }
    };
    Ok(KeptTask {
        state: body.slice(1..),
        revision: stored.revision,
        is_endless,
        expires_at: stored.expires_at,
    })
}

fn key(owner: &PrincipalId, id: &TaskId) -> RecordKey {
    RecordKey {
        collection: TASKS,
        id: RecordId::scoped(id, owner),
    }
}

/// Tasks of the stateless era, shared by all edges. A task is identified by its owner and its id
/// together, so a caller cannot forget to check the owner. The allowed changes of state are up to the
/// caller, for instance that a finished task stays finished: it checks before it replaces.
///
/// # Contract
/// - **TS-01** `create` stores a task; `load` returns its state byte for byte, with its revision, even if the
///   state is empty.
/// - **TS-02** of several `create` calls for one id of one owner exactly one succeeds; the others get `Exists` and
///   change nothing.
/// - **TS-03** a task belongs to its owner alone: for any other owner it does not exist, and the id is free.
/// - **TS-04** `replace` with the current revision stores the task and returns a higher revision; with any
///   other revision it is refused with `Conflict`, which carries the current one, and changes nothing; a task that
///   does not exist is `Missing`.
/// - **TS-05** of several concurrent `replace` calls with the same revision exactly one succeeds.
/// - **TS-06** a create sets the `ttl`; a replace sets it anew, or leaves the end of the task as it is. A load
///   returns this end. When it is over, the task does not exist for any call, and `replace` cannot revive it.
/// - **TS-07** a task without `ttl`, or with a longer one, lives for the limits' `max_ttl` after its last change.
///   A load says whether no `ttl` was requested.
/// - **TS-08** a state longer than 1 MiB is `TooLarge` and changes nothing; one of 1 MiB fits.
/// - **TS-09** a create that would exceed `max_tasks_per_owner` living tasks of its owner, or the limits of bytes,
///   is `NoRoom` and changes nothing, even if several run concurrently, unless a task can be spared (TS-13).
///   Expired tasks and tasks of other owners do not count, and existing tasks can still be replaced.
/// - **TS-10** (durable) every acknowledged change is still there after a reopen.
/// - **TS-11** (shared) a task that one handle stored can be loaded through another at once; the limit
///   and the single success hold across all handles.
/// - **TS-12** (goes back) after the store went back to an earlier state, a revision that it gave out in the
///   lost time is not given out again: a caller that still holds one gets `Conflict`, as long as the
///   store's clock goes on.
/// - **TS-13** a create at that limit removes the task of its owner that would expire first, if it has at
///   most `spare_ttl` left, and takes its place; tasks with more time left and those of other owners stay.
/// - **TS-14** `exists` says whether `load` would return a task, without its state.
/// - **TS-15** a state carries a version. One that this build does not write, or that is damaged, is `Unreadable`,
///   with a sentence that names both versions; other tasks are not affected.
#[derive(Clone, Debug)]
pub struct TaskRecords {
    records: Arc<dyn Records>,
}

impl TaskRecords {
    /// The tasks in a store.
    #[must_use]
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// Checks whether the store takes changes of tasks now; used for readiness.
    ///
    /// # Errors
    /// The store does not answer, or refuses changes.
    pub async fn check(&self) -> Result<(), StoreFailure> {
        self.records.check(TASKS).await
    }

    /// Stores a new task; see TS-01, TS-02, TS-09. It is durable when this returns.
    ///
    /// # Errors
    /// `Exists`, `TooLarge`, `NoRoom`, `Unreadable` if what is there is damaged, or the store failed.
    pub async fn create(
        &self,
        task: &NewTask,
        limits: TaskLimits,
    ) -> Result<Revision, TaskRecordsError> {
        check_state(&task.state)?;
        let record = NewRecord {
            key: key(&task.owner, &task.id),
            owner: task.owner.clone(),
            state: encode(task.ttl.is_none(), &task.state),
            ttl: limits.time_to_live(task.ttl),
        };
        match self.records.create(&record, limits.of_records()).await? {
            RecordCreation::Created(revision) => Ok(revision),
            RecordCreation::Exists(_) | RecordCreation::Ended => Err(TaskRecordsError::Exists),
        }
    }

    /// Loads a living task of an owner.
    ///
    /// # Errors
    /// `Unreadable`, or the store failed. A task that does not exist is `None`.
    pub async fn load(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
    ) -> Result<Option<KeptTask>, TaskRecordsError> {
        let found = self.records.load(&key(owner, id)).await?;
        found.map(decode).transpose()
    }

    /// Whether an owner has a living task with this id; see TS-14.
    ///
    /// # Errors
    /// `Unreadable`, or the store failed.
    pub async fn exists(&self, owner: &PrincipalId, id: &TaskId) -> Result<bool, TaskRecordsError> {
        Ok(self.records.expires_at(&key(owner, id)).await?.is_some())
    }

    /// Stores the changed state of a task that was loaded; see TS-04 to TS-07.
    ///
    /// # Errors
    /// `Missing`, `Conflict`, `TooLarge`, `NoRoom`, `Unreadable`, or the store failed.
    pub async fn replace(
        &self,
        (owner, id): (&PrincipalId, &TaskId),
        task: &KeptTask,
        life: TaskLife,
        limits: TaskLimits,
    ) -> Result<Revision, TaskRecordsError> {
        check_state(&task.state)?;
        let (is_endless, life) = match life {
            TaskLife::Unchanged if !task.is_endless => (false, RecordLife::Unchanged),
            TaskLife::Unchanged => (true, RecordLife::For(limits.max_ttl)),
            TaskLife::For(ttl) => (ttl.is_none(), RecordLife::For(limits.time_to_live(ttl))),
        };
        let (key, state) = (key(owner, id), encode(is_endless, &task.state));
        let limits = limits.of_records();
        let replaced = self
            .records
            .replace(&key, state, task.revision, life, limits);
        Ok(replaced.await?)
    }
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

    #[test]
    fn the_largest_state_fits_with_what_stands_before_it() {
        let state = vec![0; TaskLimits::MAX_STATE_BYTES];
        assert!(encode(true, &state).len() <= RecordLimits::MAX_STATE_BYTES);
    }
}
