//! Cases for [`ports::TaskStore`].

mod bounds;
mod handles;
mod life;
mod revisions;
mod set_back;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::{PrincipalId, TaskId};
use ports::{Revision, TaskLimits, TaskRecord};

use crate::SessionPorts;

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
    "TS-06" Nothing life::a_load_says_what_is_left_of_the_ttl;
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
    "TS-12" GoesBack set_back::a_revision_of_a_lost_time_is_not_given_out_again;
}

/// A time to live that exceeds the duration of every case.
const LONG_TTL: Duration = Duration::from_secs(3600);

/// Limits that no case reaches.
const WIDE: TaskLimits = TaskLimits {
    max_tasks_per_owner: 100_000,
    spare_ttl: Duration::ZERO,
    max_ttl: Duration::from_secs(30 * 24 * 3600),
};

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
fn task(n: u64) -> TaskRecord {
    TaskRecord {
        id: id(n),
        owner: owner(0),
        state: format!("state {n}").into(),
        ttl: Some(LONG_TTL),
    }
}

/// The same task with a visible change.
fn changed(task: &TaskRecord, mark: u64) -> TaskRecord {
    TaskRecord {
        state: format!("changed {mark}").into(),
        ..task.clone()
    }
}

fn with_ttl(task: &TaskRecord, ttl: Duration) -> TaskRecord {
    TaskRecord {
        ttl: Some(ttl),
        ..task.clone()
    }
}

/// Checks that the task is stored as given, under that revision, and with no longer time to live
/// than requested.
async fn is_stored(store: &dyn SessionPorts, task: &TaskRecord, revision: Revision) -> Result<()> {
    let loaded = store.load_task(&task.owner, &task.id).await?;
    let loaded = loaded.with_context(|| format!("{} is not stored", task.id))?;
    let (found, left) = (loaded.record, loaded.revision);
    ensure!(left == revision, "{left:?} instead of {revision:?}");
    ensure!(found.ttl <= task.ttl, "{:?} of {:?}", found.ttl, task.ttl);
    ensure!(found.ttl.is_some() == task.ttl.is_some(), "{:?}", found.ttl);
    let (id, owner, state) = (&found.id, &found.owner, &found.state);
    let same = (id, owner, state) == (&task.id, &task.owner, &task.state);
    ensure!(same, "{found:?} instead of {task:?}");
    Ok(())
}

/// Checks that every call but a create reports the task as missing.
async fn is_missing(store: &dyn SessionPorts, task: &TaskRecord) -> Result<()> {
    for revision in 0..4 {
        let loaded = store.load_task(&task.owner, &task.id).await?;
        ensure!(loaded.is_none(), "{loaded:?}");
        let replaced = store.replace_task(task, Revision(revision), WIDE).await;
        let missing = matches!(replaced, Err(ports::TaskStoreError::Missing));
        ensure!(missing, "{replaced:?}");
    }
    Ok(())
}
