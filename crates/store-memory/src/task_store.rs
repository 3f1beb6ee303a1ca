//! In-memory tasks.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use bytes::Bytes;
use model::{PrincipalId, TaskId, Timestamp};
use parking_lot::Mutex;
use ports::{Expected, Revision, TaskLimits, TaskRecord, TaskStore, TaskStoreError, VersionedTask};

use crate::MemorySessionStore;

/// Maximum bytes of state over all tasks. At this bound `create_task` and `replace_task` are
/// refused as overloaded until tasks expire.
const MAX_TOTAL_BYTES: usize = 256 << 20;
/// Bytes that each task counts in addition to its state, so that the bound also limits the number
/// of small tasks.
const TASK_BYTES: usize = 512;

/// All tasks of a store.
#[derive(Default)]
pub(crate) struct Tasks(Mutex<State>);

#[derive(Default)]
struct State {
    by_owner: HashMap<PrincipalId, HashMap<TaskId, Entry>>,
    by_expiry: BTreeSet<(Timestamp, PrincipalId, TaskId)>,
    bytes: usize,
}

struct Entry {
    state: Bytes,
    revision: Revision,
    expires_at: Timestamp,
    /// The caller asked for no expiry.
    endless: bool,
}

/// Bytes that a task counts.
fn size(state: &Bytes) -> usize {
    state.len() + TASK_BYTES
}

impl Entry {
    fn new(task: &TaskRecord, revision: Revision, (now, limits): (Timestamp, TaskLimits)) -> Self {
        Self {
            // A slice of a larger buffer would keep the whole buffer alive, uncounted.
            state: Bytes::copy_from_slice(&task.state),
            revision,
            expires_at: now.plus(limits.time_to_live(task.ttl)),
            endless: task.ttl.is_none(),
        }
    }
}

impl State {
    fn forget_expired(&mut self, now: Timestamp) {
        while let Some((expires_at, owner, id)) = self.by_expiry.first()
            && *expires_at <= now
        {
            let (owner, id) = (owner.clone(), id.clone());
            self.remove(&owner, &id);
        }
    }

    fn find(&self, owner: &PrincipalId, id: &TaskId) -> Option<&Entry> {
        self.by_owner.get(owner)?.get(id)
    }

    fn remove(&mut self, owner: &PrincipalId, id: &TaskId) {
        let Some(tasks) = self.by_owner.get_mut(owner) else {
            return;
        };
        if let Some(gone) = tasks.remove(id) {
            self.bytes -= size(&gone.state);
            self.by_expiry
                .remove(&(gone.expires_at, owner.clone(), id.clone()));
        }
        if tasks.is_empty() {
            self.by_owner.remove(owner);
        }
    }

    /// Stores an entry, replacing an existing one.
    fn put(&mut self, task: &TaskRecord, entry: Entry) -> Result<Revision, TaskStoreError> {
        let (owner, id, revision) = (&task.owner, &task.id, entry.revision);
        let before = self.find(owner, id).map_or(0, |before| size(&before.state));
        if self.bytes - before + size(&entry.state) > MAX_TOTAL_BYTES {
            let what = "the tasks of all owners together";
            return Err(TaskStoreError::Overloaded { what });
        }
        self.remove(owner, id);
        self.bytes += size(&entry.state);
        self.by_expiry
            .insert((entry.expires_at, owner.clone(), id.clone()));
        let tasks = self.by_owner.entry(owner.clone()).or_default();
        tasks.insert(id.clone(), entry);
        Ok(revision)
    }
}

impl MemorySessionStore {
    /// Runs `work` on the tasks that have not expired.
    fn with_tasks<T>(&self, work: impl FnOnce(&mut State, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let mut state = self.tasks.0.lock();
        state.forget_expired(now);
        work(&mut state, now)
    }
}

#[async_trait]
impl TaskStore for MemorySessionStore {
    async fn create_task(
        &self,
        task: &TaskRecord,
        limits: TaskLimits,
    ) -> Result<Revision, TaskStoreError> {
        TaskStoreError::check_state(&task.state)?;
        self.with_tasks(|state, now| {
            let tasks = state.by_owner.get(&task.owner);
            if tasks.is_some_and(|tasks| tasks.contains_key(&task.id)) {
                return Err(TaskStoreError::Exists);
            }
            let count = tasks.map_or(0, HashMap::len);
            if u32::try_from(count).unwrap_or(u32::MAX) >= limits.max_tasks_per_owner {
                return Err(TaskStoreError::too_many());
            }
            state.put(task, Entry::new(task, Revision(1), (now, limits)))
        })
    }

    async fn load_task(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
    ) -> Result<Option<VersionedTask>, TaskStoreError> {
        Ok(self.with_tasks(|state, now| {
            let entry = state.find(owner, id)?;
            let record = TaskRecord {
                id: id.clone(),
                owner: owner.clone(),
                state: entry.state.clone(),
                ttl: (!entry.endless).then(|| entry.expires_at.since(now)),
            };
            let revision = entry.revision;
            Some(VersionedTask { record, revision })
        }))
    }

    async fn replace_task(
        &self,
        task: &TaskRecord,
        expected: Expected,
        limits: TaskLimits,
    ) -> Result<Revision, TaskStoreError> {
        TaskStoreError::check_state(&task.state)?;
        self.with_tasks(|state, now| {
            let stored = state.find(&task.owner, &task.id);
            let current = stored.ok_or(TaskStoreError::Missing)?.revision;
            if current != expected {
                return Err(TaskStoreError::Conflict { current });
            }
            let next = Revision(current.0 + 1);
            state.put(task, Entry::new(task, next, (now, limits)))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use model::ManualClock;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn task(n: usize, bytes: usize) -> TaskRecord {
        TaskRecord {
            id: TaskId::new(&format!("task-{n}")).unwrap(),
            owner: PrincipalId::new(&format!("owner-{}", n % 3)).unwrap(),
            state: vec![7; bytes].into(),
            ttl: Some(MINUTE),
        }
    }

    #[tokio::test]
    async fn all_tasks_together_have_a_bound_and_leave_nothing() {
        let clock = Arc::new(ManualClock::default());
        let store = MemorySessionStore::new(clock.clone(), 1);
        let limits = TaskLimits::default();
        let largest = TaskLimits::MAX_STATE_BYTES;
        let mut stored = 0;
        let refused = loop {
            match store.create_task(&task(stored, largest), limits).await {
                Ok(_) => stored += 1,
                Err(refused) => break refused,
            }
        };
        let overloaded = matches!(refused, TaskStoreError::Overloaded { .. });
        assert!(overloaded && stored == 255, "{refused:?} after {stored}");
        // A task of the same size fits when it replaces the first one.
        let first = task(0, largest);
        let replaced = store.replace_task(&first, Revision(1), limits).await;
        assert_eq!(replaced.unwrap(), Revision(2));
        store
            .create_task(&task(stored, 1000), limits)
            .await
            .unwrap();
        clock.advance(MINUTE);
        let gone = task(0, 0);
        let loaded = store.load_task(&gone.owner, &gone.id).await.unwrap();
        assert_eq!(loaded, None);
        let state = store.tasks.0.lock();
        assert!(state.by_owner.is_empty() && state.by_expiry.is_empty());
        assert_eq!(state.bytes, 0);
    }
}
