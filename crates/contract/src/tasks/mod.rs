//! Cases for [`edge_records::TaskRecords`].

mod bounds;
mod handles;
mod life;
mod revisions;
mod set_back;
mod unreadable;

use std::{ops::Deref, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use edge_records::{KeptTask, NewTask, TaskLife, TaskLimits, TaskRecords, TaskRecordsError};
use model::{PrincipalId, TaskId, Timestamp};
use ports::{Records, Revision};

crate::case::cases! {
    "TS-01" Nothing life::what_was_created_is_loaded_as_it_was;
    "TS-01" Nothing life::what_is_not_there_is_none;
    "TS-02" Nothing revisions::of_several_creates_one_wins;
    "TS-03" Nothing life::a_task_is_its_owners_alone;
    "TS-04" Nothing revisions::replace_with_the_current_revision_stores_a_higher_one;
    "TS-04" Nothing revisions::replace_with_another_revision_changes_nothing;
    "TS-05" Nothing revisions::of_concurrent_replaces_one_wins;
    "TS-05" Nothing revisions::no_concurrent_change_is_lost;
    "TS-06" Nothing life::a_task_goes_after_its_ttl;
    "TS-06" Nothing life::a_replace_sets_the_ttl_anew;
    "TS-06" Nothing life::a_load_says_when_it_ends_and_a_replace_may_leave_that;
    "TS-07" Nothing life::the_longest_life_holds_for_every_task;
    "TS-08" Nothing bounds::what_is_too_large_is_refused_and_changes_nothing;
    "TS-09" Nothing bounds::beyond_its_owners_bound_a_task_is_refused;
    "TS-09" Nothing bounds::creates_at_once_do_not_pass_the_bound;
    "TS-09" Nothing bounds::what_expired_does_not_count;
    "TS-10" Durable handles::what_was_acknowledged_outlives_a_reopen;
    "TS-11" Shared handles::what_one_handle_stored_another_loads_at_once;
    "TS-11" Shared handles::of_concurrent_replaces_over_handles_one_wins;
    "TS-11" Shared handles::the_bound_holds_over_all_handles;
    "TS-13" Nothing bounds::a_task_that_can_be_spared_makes_room;
    "TS-14" Nothing life::a_task_exists_as_long_as_it_is_loaded_and_for_its_owner;
    "TS-12" GoesBack set_back::a_revision_of_a_lost_time_is_not_given_out_again;
    "TS-15" Nothing unreadable::a_task_of_another_version_concerns_itself_alone;
}

/// A time to live that exceeds the duration of every case.
const LONG_TTL: Duration = Duration::from_secs(3600);

/// Limits that no case reaches.
const WIDE: TaskLimits = TaskLimits {
    max_tasks_per_owner: 100_000,
    spare_ttl: Duration::ZERO,
    max_ttl: Duration::from_secs(30 * 24 * 3600),
    max_bytes_per_owner: 1 << 30,
    max_bytes: 1 << 30,
};

/// The tasks in a store, and the store for its time.
#[derive(Clone)]
struct Tasks {
    tasks: TaskRecords,
    records: Arc<dyn Records>,
}

impl Deref for Tasks {
    type Target = TaskRecords;

    fn deref(&self) -> &TaskRecords {
        &self.tasks
    }
}

fn tasks_of(store: &Arc<dyn Records>) -> Tasks {
    let records = Arc::clone(store);
    Tasks {
        tasks: TaskRecords::new(Arc::clone(&records)),
        records,
    }
}

/// Stores a task anew, whatever is there.
async fn replace(
    store: &TaskRecords,
    task: &NewTask,
    expected: Revision,
    limits: TaskLimits,
) -> Result<Revision, TaskRecordsError> {
    let kept = KeptTask {
        state: task.state.clone(),
        revision: expected,
        is_endless: task.ttl.is_none(),
        expires_at: Timestamp::default(),
    };
    let of = (&task.owner, &task.id);
    store
        .replace(of, &kept, TaskLife::For(task.ttl), limits)
        .await
}

/// An owner; odd numbers have characters that a store could handle wrongly in a key.
fn owner(n: u64) -> PrincipalId {
    let name = match n % 2 {
        0 => format!("user:{n}@example.org"),
        _ => format!("}}a{{{n}}}%7d"),
    };
    PrincipalId::new(&name).expect("visible ASCII")
}

fn id(n: u64) -> TaskId {
    TaskId::new(&format!("task_{n}-x")).expect("a token")
}

/// The `n`-th task of owner 0.
fn task(n: u64) -> NewTask {
    NewTask {
        id: id(n),
        owner: owner(0),
        state: format!("state {n}").into(),
        ttl: Some(LONG_TTL),
    }
}

/// The same task with a visible change.
fn changed(task: &NewTask, mark: u64) -> NewTask {
    NewTask {
        state: format!("changed {mark}").into(),
        ..task.clone()
    }
}

fn with_ttl(task: &NewTask, ttl: Duration) -> NewTask {
    NewTask {
        ttl: Some(ttl),
        ..task.clone()
    }
}

/// Checks that the task is stored as given, under that revision, and with no longer time to live.
async fn is_stored(store: &Tasks, task: &NewTask, revision: Revision) -> Result<()> {
    let found = store.load(&task.owner, &task.id).await?;
    let found = found.with_context(|| format!("{} is not stored", task.id))?;
    let is_same = (found.revision, &found.state) == (revision, &task.state);
    ensure!(is_same, "{found:?} instead of {task:?} under {revision:?}");
    ensure!(found.is_endless == task.ttl.is_none(), "{found:?}");
    let latest = store
        .records
        .time()
        .await?
        .plus(WIDE.time_to_live(task.ttl));
    ensure!(found.expires_at <= latest, "{found:?} outlives {latest}");
    let exists = store.exists(&task.owner, &task.id).await?;
    ensure!(exists, "{} is loaded and does not exist", task.id);
    Ok(())
}

/// Checks that every call but a create reports the task as missing.
async fn is_missing(store: &Tasks, task: &NewTask) -> Result<()> {
    for revision in 0..4 {
        let loaded = store.load(&task.owner, &task.id).await?;
        ensure!(loaded.is_none(), "{loaded:?}");
        let exists = store.exists(&task.owner, &task.id).await?;
        ensure!(!exists, "{} is missing and exists", task.id);
        let replaced = replace(store, task, Revision(revision), WIDE).await;
        let missing = matches!(replaced, Err(TaskRecordsError::Missing));
        ensure!(missing, "{replaced:?}");
    }
    Ok(())
}
