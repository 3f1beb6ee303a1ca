//! Work that goes on after its answer (tasks extension, SEP-2663; stateless era): stored before the client
//! hears of it, so that any edge says how it is, takes answers for it and ends it.
//!
//! The edge that took the call does the work and renews a lease in the task's record. When the lease is
//! over the edge is gone, and whoever looks next says that the task failed.

mod asking;
mod following;
mod record;
mod run;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use model::{Clock, IdSource, PrincipalId, TaskId};
use parking_lot::Mutex;
use ports::{Bus, EdgeNews, Expected, TaskLimits, TaskStore, TaskStoreError, Topic};
use serde_json::value::RawValue;
use tokio::{sync::watch, time::timeout};
use tracing::warn;

pub(crate) use following::{TaskNews, tell, watch_tasks};

use self::record::Stored;
use crate::{
    background::Background,
    error::EdgeError,
    limits::{CALL_DEADLINE, UPDATE_TRIES},
};

/// The tasks, as one principal at a time sees them: somebody else's task is not there.
#[derive(Debug)]
pub(crate) struct Tasks {
    store: Arc<dyn TaskStore>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    background: Background,
    running: Arc<Mutex<HashMap<TaskId, Arc<Running>>>>,
}

/// What tasks are made of.
#[derive(Debug)]
pub(crate) struct TaskDeps {
    pub(crate) store: Arc<dyn TaskStore>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) background: Background,
}

/// A task that this edge works on.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// Rises when it was changed, maybe by another edge.
    changed: watch::Sender<u64>,
}

/// What a look at a task changes.
enum Change<T> {
    /// Store it.
    Store(T),
    /// Leave it.
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
        }
    }

    /// A task as it is; `None` if it is not this principal's, or its time is over. One whose edge is gone
    /// has failed.
    pub(crate) async fn load(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
    ) -> Result<Option<Stored>, EdgeError> {
        let now = self.clock.now();
        let load = timeout(CALL_DEADLINE, self.store.load_task(owner, id));
        let Some(found) = load.await?? else {
            return Ok(None);
        };
        let stored = Stored::decode(&found.record.state)?;
        if !stored.is_abandoned(now) {
            return Ok(Some(stored));
        }
        let ended = self.change(owner, id, |stored| {
            if stored.is_abandoned(now) && stored.task.fail(&record::abandoned(), now).is_ok() {
                Change::Store(stored.clone())
            } else {
                Change::Keep(stored.clone())
            }
        });
        ended.await
    }

    /// Changes a task and tells all edges. `change` may run several times, because another edge may
    /// change the task meanwhile. `None` if there is no such task.
    async fn change<T>(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
        change: impl FnMut(&mut Stored) -> Change<T>,
    ) -> Result<Option<T>, EdgeError> {
        let Some((answer, changed)) = self.change_quietly(owner, id, change).await? else {
            return Ok(None);
        };
        if changed {
            self.tell(owner, id).await;
        }
        Ok(Some(answer))
    }

    /// Changes a task and tells nobody; also says whether it was stored.
    async fn change_quietly<T>(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
        mut change: impl FnMut(&mut Stored) -> Change<T>,
    ) -> Result<Option<(T, bool)>, EdgeError> {
        for _ in 0..UPDATE_TRIES {
            let load = timeout(CALL_DEADLINE, self.store.load_task(owner, id));
            let Some(mut found) = load.await?? else {
                return Ok(None);
            };
            let mut stored = Stored::decode(&found.record.state)?;
            let answer = match change(&mut stored) {
                Change::Keep(answer) => return Ok(Some((answer, false))),
                Change::Store(answer) => answer,
            };
            found.record.state = stored.encode()?;
            let revision: Expected = found.revision;
            let limits = TaskLimits::default();
            let replace = self.store.replace_task(&found.record, revision, limits);
            match timeout(CALL_DEADLINE, replace).await? {
                Ok(_) => return Ok(Some((answer, true))),
                Err(TaskStoreError::Conflict { .. }) => {}
                Err(TaskStoreError::Missing) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Err(EdgeError::Busy)
    }

    /// A lost message costs time only: whoever waits also looks now and then.
    async fn tell(&self, owner: &PrincipalId, id: &TaskId) {
        let news = EdgeNews::TaskChanged {
            owner: owner.clone(),
            task: id.clone(),
        };
        if let Err(error) = self.bus.publish(&Topic::Broadcast, news.into(), None).await {
            warn!(%error, "other edges hear of a task's change later");
        }
        self.hint(id);
    }

    /// The task changed: the work on it, if it is here, looks.
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

    /// Takes answers to the questions of a task. Those that answer none are ignored. `None` if there is no
    /// such task.
    pub(crate) async fn answer(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
        responses: BTreeMap<String, Box<RawValue>>,
    ) -> Result<Option<()>, EdgeError> {
        let now = self.clock.now();
        let changed = self.change(owner, id, |stored| {
            let taken = stored.task.answer(responses.clone(), now);
            if taken.is_empty() {
                return Change::Keep(());
            }
            stored.answers.extend(taken);
            Change::Store(())
        });
        changed.await
    }

    /// Cancels a task; one that is over stays as it is. `None` if there is no such task.
    pub(crate) async fn cancel(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
    ) -> Result<Option<()>, EdgeError> {
        let now = self.clock.now();
        let changed = self.change(owner, id, |stored| match stored.task.cancel(now) {
            Ok(()) => Change::Store(()),
            Err(_) => Change::Keep(()),
        });
        changed.await
    }

    fn begin(&self, id: &TaskId) -> Begun {
        let running = Arc::new(Running::default());
        self.running.lock().insert(id.clone(), Arc::clone(&running));
        Begun {
            id: id.clone(),
            running,
            table: Arc::clone(&self.running),
        }
    }
}

/// A task that this edge works on, until it is dropped.
#[derive(Debug)]
struct Begun {
    id: TaskId,
    running: Arc<Running>,
    table: Arc<Mutex<HashMap<TaskId, Arc<Running>>>>,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.table.lock().remove(&self.id);
    }
}

/// Waits for a hint that the task changed, or for so long that a lost one does no harm.
async fn hinted(hints: &mut watch::Receiver<u64>) {
    const LOOK: Duration = Duration::from_secs(2);
    let _ = timeout(LOOK, hints.changed()).await;
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use mcp::task::{Task, TaskStatus};
    use model::{ManualClock, SystemClock};
    use ports::TaskRecord;
    use store_memory::{InProcessBus, MemorySessionStore};

    use super::*;
    use crate::limits::TASK_LEASE;

    #[tokio::test]
    async fn a_task_whose_edge_is_gone_has_failed_for_whoever_looks_next() {
        let clock = Arc::new(ManualClock::default());
        let store = Arc::new(MemorySessionStore::new(Arc::new(SystemClock), 10));
        let bus = Arc::new(InProcessBus::new(NonZeroUsize::MIN));
        let lifecycle = service_kit::lifecycle::Lifecycle::new(Duration::from_secs(1));
        let tasks = Tasks::new(TaskDeps {
            store: store.clone(),
            bus,
            clock: clock.clone(),
            ids: Arc::new(model::RandomIds),
            background: Background::new(&lifecycle),
        });
        let (owner, id) = (PrincipalId::anonymous(), TaskId::new("t").unwrap());
        let stored = Stored {
            task: Task::new(id.clone(), clock.now(), None, None),
            answers: std::collections::BTreeMap::new(),
            lease_until: clock.now().plus(TASK_LEASE),
        };
        let record = TaskRecord {
            id: id.clone(),
            owner: owner.clone(),
            state: stored.encode().unwrap(),
            ttl: None,
        };
        let limits = TaskLimits::default();
        store.create_task(&record, limits).await.unwrap();
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
}
