//! [`ports::TaskStore`].

use std::cmp::Ordering;

use async_trait::async_trait;
use model::{PrincipalId, TaskId, Timestamp, next_number};
use ports::{Revision, TaskLimits, TaskRecord, TaskStore, TaskStoreError, VersionedTask};

use crate::{
    MemorySessionStore,
    task_table::{TaskEntry, TaskTable},
};

impl MemorySessionStore {
    /// Runs `work` on the tasks that have not expired.
    fn with_tasks<T>(&self, work: impl FnOnce(&mut TaskTable, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let mut tasks = self.tasks.lock();
        tasks.forget_expired(now);
        work(&mut tasks, now)
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
        self.with_tasks(|tasks, now| {
            if tasks.find(&task.owner, &task.id).is_some() {
                return Err(TaskStoreError::Exists);
            }
            let count = u32::try_from(tasks.count(&task.owner)).unwrap_or(u32::MAX);
            let spare_until = now.plus(limits.spare_ttl);
            let has_room = match count.cmp(&limits.max_tasks_per_owner) {
                Ordering::Less => true,
                Ordering::Equal => tasks.remove_first_expiring(&task.owner, spare_until),
                Ordering::Greater => false,
            };
            if !has_room {
                return Err(TaskStoreError::too_many());
            }
            tasks.put(
                task,
                TaskEntry::new(task, Revision(next_number(0, now)), (now, limits)),
            )
        })
    }

    async fn load_task(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
    ) -> Result<Option<VersionedTask>, TaskStoreError> {
        Ok(self.with_tasks(|tasks, now| {
            let entry = tasks.find(owner, id)?;
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
        expected: Revision,
        limits: TaskLimits,
    ) -> Result<Revision, TaskStoreError> {
        TaskStoreError::check_state(&task.state)?;
        self.with_tasks(|tasks, now| {
            let stored = tasks.find(&task.owner, &task.id);
            let current = stored.ok_or(TaskStoreError::Missing)?.revision;
            if current != expected {
                return Err(TaskStoreError::Conflict { current });
            }
            let next = Revision(next_number(current.0, now));
            tasks.put(task, TaskEntry::new(task, next, (now, limits)))
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
        assert!(store.tasks.lock().is_empty());
    }
}
