//! The table of tasks, bounded in bytes.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use model::{PrincipalId, TaskId, Timestamp};
use ports::{Revision, TaskLimits, TaskRecord, TaskStoreError};

/// Maximum bytes of state over all tasks. At this bound `create_task` and `replace_task` are
/// refused as overloaded until tasks expire.
const MAX_TOTAL_BYTES: usize = 256 << 20;
/// Bytes that each task counts in addition to its state, so that the bound also limits the number
/// of small tasks.
const TASK_BYTES: usize = 512;

/// All tasks of a store.
#[derive(Clone, Default)]
pub(crate) struct TaskTable {
    by_owner: HashMap<PrincipalId, HashMap<TaskId, TaskEntry>>,
    by_expiry: BTreeSet<(Timestamp, PrincipalId, TaskId)>,
    bytes: usize,
}

/// A stored task.
#[derive(Clone)]
pub(crate) struct TaskEntry {
    pub(crate) state: Bytes,
    pub(crate) revision: Revision,
    pub(crate) expires_at: Timestamp,
    /// The caller asked for no expiry.
    pub(crate) endless: bool,
}

/// Bytes that a task counts.
fn size(state: &Bytes) -> usize {
    state.len() + TASK_BYTES
}

impl TaskEntry {
    /// Computes the expiry from the time of the call.
    pub(crate) fn new(
        task: &TaskRecord,
        revision: Revision,
        (now, limits): (Timestamp, TaskLimits),
    ) -> Self {
        Self {
            // A slice of a larger buffer would keep the whole buffer alive, uncounted.
            state: Bytes::copy_from_slice(&task.state),
            revision,
            expires_at: now.plus(limits.time_to_live(task.ttl)),
            endless: task.ttl.is_none(),
        }
    }
}

impl TaskTable {
    pub(crate) fn forget_expired(&mut self, now: Timestamp) {
        while let Some((expires_at, owner, id)) = self.by_expiry.first()
            && *expires_at <= now
        {
            let (owner, id) = (owner.clone(), id.clone());
            self.remove(&owner, &id);
        }
    }

    /// Number of tasks of an owner.
    pub(crate) fn count(&self, owner: &PrincipalId) -> usize {
        self.by_owner.get(owner).map_or(0, HashMap::len)
    }

    /// Removes the task of an owner that expires first, if that is by `until`; returns whether there was
    /// one.
    pub(crate) fn remove_first_expiring(&mut self, owner: &PrincipalId, until: Timestamp) -> bool {
        let tasks = self.by_owner.get(owner).into_iter().flatten();
        let spare = tasks.filter(|(_, task)| task.expires_at <= until);
        let first = spare.min_by_key(|(_, task)| task.expires_at);
        let id = first.map(|(id, _)| id.clone());
        if let Some(id) = &id {
            self.remove(owner, id);
        }
        id.is_some()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.by_owner.is_empty() && self.by_expiry.is_empty() && self.bytes == 0
    }

    pub(crate) fn find(&self, owner: &PrincipalId, id: &TaskId) -> Option<&TaskEntry> {
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
    pub(crate) fn put(
        &mut self,
        task: &TaskRecord,
        entry: TaskEntry,
    ) -> Result<Revision, TaskStoreError> {
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
