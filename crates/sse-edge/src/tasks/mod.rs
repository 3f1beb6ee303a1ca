//! Work that continues after its answer (tasks extension, SEP-2663; stateless era). A task is
//! stored before the client learns of it, so that any edge can report its state, accept answers for
//! it and cancel it.
//!
//! The edge that took the call does the work and renews a lease in the task's record. An expired
//! lease means that the edge is gone; the next edge that loads the task then marks it as failed.

mod asking;
mod record;
mod run;
mod teller;
mod watcher;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use edge_records::{KeptTask, TaskLife, TaskRecords, TaskRecordsError};
use model::{Clock, IdSource, PrincipalId, TaskId, Timestamp};
use parking_lot::Mutex;
use ports::{Bus, EdgeNews, Topic};
use serde_json::value::RawValue;
use tokio::{sync::watch, time::timeout};
use tracing::warn;

pub(crate) use self::{teller::TaskTeller, watcher::watch_tasks};

use self::record::StoredTask;
use crate::{
    background::Background,
    error::EdgeError,
    limits::{CALL_DEADLINE, LOGGED_TASKS, TASK_LIMITS, TASK_OUTCOME_TTL, UPDATE_ATTEMPTS},
    store_clock::StoreClock,
};

/// The tasks. A principal finds only its own.
#[derive(Debug)]
pub(crate) struct Tasks {
    store: TaskRecords,
    bus: Arc<dyn Bus>,
    clock: Arc<StoreClock>,
    ids: Arc<dyn IdSource>,
    background: Background,
    running: Arc<Mutex<HashMap<TaskId, Arc<RunningTask>>>>,
    /// Tasks whose record cannot be read and of which the log has a line.
    unreadable: Mutex<HashSet<TaskId>>,
}

/// The dependencies of [`Tasks`].
#[derive(Debug)]
pub(crate) struct TaskDeps {
    pub(crate) store: TaskRecords,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Arc<StoreClock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) background: Background,
}

/// A task that this edge works on.
#[derive(Debug, Default)]
pub(crate) struct RunningTask {
    /// Increases with each change of the task, maybe by another edge.
    changed: watch::Sender<u64>,
}

/// The outcome of a change of a task.
enum TaskChange<T> {
    /// Store the changed task.
    Store(T),
    /// Leave the stored task unchanged.
    Keep(T),
}

impl Tasks {
    pub(crate) fn new(deps: TaskDeps) -> Self {
        let TaskDeps {
            store,
            bus,
            clock,
            ids,
            background,
        } = deps;
        Self {
            store,
            bus,
            clock,
            ids,
            background,
            running: Arc::default(),
            unreadable: Mutex::default(),
        }
    }

    /// Loads a task; `None` if it belongs to another principal or has expired. A task whose edge is
    /// gone has failed.
    pub(crate) async fn load(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
    ) -> Result<Option<StoredTask>, EdgeError> {
        let now = self.now();
        let Some((_, stored)) = self.find(owner, id).await? else {
            return Ok(None);
        };
        if !stored.is_abandoned(now) {
            return Ok(Some(stored));
        }
        // The failure is stored for all edges, so it is judged by the store's own answer and not by what
        // this edge believes of the store's clock.
        let now = self.clock.read().await?;
        let ended = self.change(owner, id, |stored| {
            if stored.is_abandoned(now) && stored.task.fail(&record::abandoned_error(), now).is_ok()
            {
                TaskChange::Store(stored.clone())
            } else {
                TaskChange::Keep(stored.clone())
            }
        });
        ended.await
    }

    /// Loads a task as it is stored. One that is damaged, or that another build wrote, is gone to its caller, which
    /// can act on that; others are not affected.
    async fn find(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
    ) -> Result<Option<(KeptTask, StoredTask)>, EdgeError> {
        let kept = match timeout(CALL_DEADLINE, self.store.load(owner, id)).await? {
            Ok(Some(kept)) => kept,
            Ok(None) => return Ok(None),
            Err(TaskRecordsError::Unreadable { source }) => {
                self.note_unreadable(id, &*source);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        match StoredTask::decode(&kept.state) {
            Ok(stored) => Ok(Some((kept, stored))),
            Err(error) => {
                self.note_unreadable(id, &error);
                Ok(None)
            }
        }
    }

    /// Whether a task exists and belongs to this principal.
    pub(crate) async fn exists(&self, owner: &PrincipalId, id: &TaskId) -> Result<bool, EdgeError> {
        Ok(timeout(CALL_DEADLINE, self.store.exists(owner, id)).await??)
    }

    /// Changes a task and announces it to all edges. `change` may run several times, because
    /// another edge may change the task at the same time. `None` if there is no such task.
    async fn change<T>(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
        change: impl FnMut(&mut StoredTask) -> TaskChange<T>,
    ) -> Result<Option<T>, EdgeError> {
        let Some((answer, changed)) = self.change_unannounced(owner, id, change).await? else {
            return Ok(None);
        };
        if changed {
            self.announce(owner, id).await;
        }
        Ok(Some(answer))
    }

    /// Changes a task without an announcement; also returns whether it was stored.
    async fn change_unannounced<T>(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
        mut change: impl FnMut(&mut StoredTask) -> TaskChange<T>,
    ) -> Result<Option<(T, bool)>, EdgeError> {
        for _ in 0..UPDATE_ATTEMPTS {
            let Some((mut kept, mut stored)) = self.find(owner, id).await? else {
                return Ok(None);
            };
            let answer = match change(&mut stored) {
                TaskChange::Keep(answer) => return Ok(Some((answer, false))),
                TaskChange::Store(answer) => answer,
            };
            let mut life = TaskLife::Unchanged;
            if stored.task.status().is_terminal() {
                stored.task.keep_for(TASK_OUTCOME_TTL, self.now());
                life = TaskLife::For(Some(TASK_OUTCOME_TTL));
            }
            kept.state = stored.encode()?;
            let replace = self.store.replace((owner, id), &kept, life, TASK_LIMITS);
            match timeout(CALL_DEADLINE, replace).await? {
                Ok(_) => return Ok(Some((answer, true))),
                Err(TaskRecordsError::Conflict { .. }) => {}
                Err(TaskRecordsError::Missing) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Err(EdgeError::Busy)
    }

    /// If the message is lost, waiting components see the change at their next periodic check.
    async fn announce(&self, owner: &PrincipalId, id: &TaskId) {
        let news = EdgeNews::TaskChanged {
            owner: owner.clone(),
            task: id.clone(),
        };
        if let Err(error) = self.bus.publish(&Topic::Broadcast, news.into(), None).await {
            warn!(%error, "other edges see the change of a task later");
        }
        self.hint(id);
    }

    /// The task changed: wakes the work on it, if it runs here.
    pub(crate) fn hint(&self, id: &TaskId) {
        if let Some(running) = self.running.lock().get(id) {
            running.changed.send_modify(|count| *count += 1);
        }
    }

    /// Some task may have changed.
    pub(crate) fn hint_all(&self) {
        let running = self.running.lock();
        let tasks = running.values();
        tasks.for_each(|task| task.changed.send_modify(|count| *count += 1));
    }

    /// Stores answers to the questions of a task; others are ignored. `None` if there is no such
    /// task.
    pub(crate) async fn answer(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
        responses: BTreeMap<String, Box<RawValue>>,
    ) -> Result<Option<()>, EdgeError> {
        let now = self.now();
        let changed = self.change(owner, id, |stored| {
            let taken = stored.task.answer(responses.clone(), now);
            if taken.is_empty() {
                return TaskChange::Keep(());
            }
            stored.answers.extend(taken);
            TaskChange::Store(())
        });
        changed.await
    }

    /// Cancels a task; a finished task stays unchanged. `None` if there is no such task.
    pub(crate) async fn cancel(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
    ) -> Result<Option<()>, EdgeError> {
        let now = self.now();
        let changed = self.change(owner, id, |stored| match stored.task.cancel(now) {
            Ok(()) => TaskChange::Store(()),
            Err(_) => TaskChange::Keep(()),
        });
        changed.await
    }

    /// Says once per task why it is gone to its caller, who may ask for it again and again.
    fn note_unreadable(&self, id: &TaskId, error: &dyn std::error::Error) {
        let mut logged = self.unreadable.lock();
        if logged.len() < LOGGED_TASKS && logged.insert(id.clone()) {
            let source = error.source().map(ToString::to_string);
            warn!(task = %id, %error, source, "the record of a task cannot be read; to its caller it is gone");
        }
    }

    /// The store's time, as far as this edge knows it.
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn begin(&self, id: &TaskId) -> RunningTaskGuard {
        let running = Arc::new(RunningTask::default());
        self.running.lock().insert(id.clone(), Arc::clone(&running));
        RunningTaskGuard {
            id: id.clone(),
            running,
            table: Arc::clone(&self.running),
        }
    }
}

/// Removes a task from the running ones when dropped.
#[derive(Debug)]
struct RunningTaskGuard {
    id: TaskId,
    running: Arc<RunningTask>,
    table: Arc<Mutex<HashMap<TaskId, Arc<RunningTask>>>>,
}

impl Drop for RunningTaskGuard {
    fn drop(&mut self) {
        self.table.lock().remove(&self.id);
    }
}

/// Waits for a hint that the task changed, or for a short time, which bounds the delay caused by a
/// lost hint.
async fn wait_for_hint(hints: &mut watch::Receiver<u64>) {
    const CHECK_INTERVAL: Duration = Duration::from_secs(2);
    let _ = timeout(CHECK_INTERVAL, hints.changed()).await;
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use edge_records::NewTask;
    use mcp::task::{Task, TaskStatus};
    use model::ManualClock;
    use service_kit::metrics::MetricsRegistry;
    use store_memory::{InProcessBus, MemorySessionStore};

    use super::*;
    use crate::{limits::TASK_LEASE, metrics::ClockMetrics};

    /// Tasks in a store in memory.
    pub(super) fn tasks_at(clock: &Arc<ManualClock>) -> Tasks {
        let store = Arc::new(MemorySessionStore::new(clock.clone(), 10));
        let lifecycle = service_kit::lifecycle::Lifecycle::new(Duration::from_secs(1));
        Tasks::new(TaskDeps {
            store: TaskRecords::new(store.clone()),
            bus: Arc::new(InProcessBus::new(NonZeroUsize::MIN)),
            clock: Arc::new(StoreClock::new(
                clock.clone(),
                store,
                ClockMetrics::new(&mut MetricsRegistry::default()),
            )),
            ids: Arc::new(model::RandomIds),
            background: Background::new(&lifecycle),
        })
    }

    /// Stores a task that is worked on from now.
    pub(super) async fn create(tasks: &Tasks, clock: &ManualClock, owner: &PrincipalId) -> TaskId {
        let id = TaskId::new("t").unwrap();
        let stored = StoredTask {
            task: Task::new(id.clone(), clock.now(), None, None),
            answers: BTreeMap::new(),
            lease_until: clock.now().plus(TASK_LEASE),
            made_for: None,
        };
        let record = NewTask {
            id: id.clone(),
            owner: owner.clone(),
            state: stored.encode().unwrap(),
            ttl: None,
        };
        tasks.store.create(&record, TASK_LIMITS).await.unwrap();
        id
    }

    #[tokio::test]
    async fn a_task_whose_edge_is_gone_has_failed_for_whoever_looks_next() {
        let clock = Arc::new(ManualClock::default());
        let (tasks, owner) = (tasks_at(&clock), PrincipalId::anonymous());
        let id = create(&tasks, &clock, &owner).await;
        let status = async || {
            let found = tasks.load(&owner, &id).await.unwrap();
            found.unwrap().task.status()
        };
        clock.advance(TASK_LEASE);
        assert_eq!(status().await, TaskStatus::Working);
        clock.advance(Duration::from_millis(1));
        assert_eq!(status().await, TaskStatus::Failed);
        let somebody = PrincipalId::new("somebody-else").unwrap();
        assert!(tasks.load(&somebody, &id).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_task_that_cannot_be_read_is_gone_and_told_once() {
        let clock = Arc::new(ManualClock::default());
        let (tasks, owner) = (tasks_at(&clock), PrincipalId::anonymous());
        let id = create(&tasks, &clock, &owner).await;
        let mut kept = tasks.store.load(&owner, &id).await.unwrap().unwrap();
        kept.state = "of another build".into();
        let of = (&owner, &id);
        let replaced = tasks
            .store
            .replace(of, &kept, TaskLife::Unchanged, TASK_LIMITS);
        replaced.await.unwrap();
        for _ in 0..3 {
            assert!(tasks.load(&owner, &id).await.unwrap().is_none());
        }
        assert_eq!(*tasks.unreadable.lock(), HashSet::from([id]));
    }
}
