//! TS-01, TS-03, TS-06, TS-07, TS-14: the owner of a task, and its lifetime.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use edge_records::{NewTask, TaskLife, TaskLimits, TaskRecordsError};
use tokio::time::Instant;

use super::{
    LONG_TTL, Tasks, WIDE, changed, is_missing, is_stored, owner, replace, task, tasks_of, with_ttl,
};
use crate::{Harness, RecordsFixture};

/// Maximum time between the end of a task's time to live and its removal.
const EXPIRY_DEADLINE: Duration = Duration::from_secs(5);
/// Number of attempts of a case when a time to live ended too early on a slow machine.
const ATTEMPTS: u64 = 10;

pub(super) async fn what_was_created_is_loaded_as_it_was(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let tasks = tasks_of(&fixture.store);
    let all_bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
    for (n, state) in [
        Bytes::from_static(b"{\"status\":\"working\"}"),
        Bytes::new(),
        Bytes::from_static(b"0"),
        all_bytes.into(),
    ]
    .into_iter()
    .enumerate()
    {
        let of = owner(u64::try_from(n)?);
        for ttl in [Some(LONG_TTL), None] {
            let task = NewTask {
                owner: of.clone(),
                state: state.clone(),
                ttl,
                ..task(u64::from(ttl.is_none()))
            };
            let revision = tasks.create(&task, WIDE).await?;
            is_stored(&tasks, &task, revision).await?;
        }
    }
    Ok(())
}

pub(super) async fn what_is_not_there_is_none(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let tasks = tasks_of(&fixture.store);
    is_missing(&tasks, &task(1)).await?;
    tasks.create(&task(2), WIDE).await?;
    is_missing(&tasks, &task(1)).await
}

pub(super) async fn a_task_is_its_owners_alone(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let tasks = tasks_of(&fixture.store);
    let store = &tasks;
    let of = |n| NewTask {
        owner: owner(n),
        state: format!("of {n}").into(),
        ..task(1)
    };
    let revision = store.create(&of(0), WIDE).await?;
    for n in 1..4 {
        is_missing(store, &of(n)).await?;
    }
    is_stored(store, &of(0), revision).await?;
    for n in 1..4 {
        let theirs = store.create(&of(n), WIDE).await?;
        replace(store, &changed(&of(n), n), theirs, WIDE).await?;
    }
    is_stored(store, &of(0), revision).await
}

/// The helpers of all cases compare `exists` with `load`; here in the order of a task's life.
pub(super) async fn a_task_exists_as_long_as_it_is_loaded_and_for_its_owner(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let tasks = tasks_of(&fixture.store);
    let store = &tasks;
    let short = with_ttl(&task(1), fixture.short_ttl());
    ensure!(!store.exists(&short.owner, &short.id).await?, "not yet");
    store.create(&task(2), WIDE).await?;
    let (owner_of_two, id) = (&task(2).owner, &task(2).id);
    ensure!(store.exists(owner_of_two, id).await?, "it is stored");
    ensure!(!store.exists(&owner(9), id).await?, "of another owner");
    store.create(&short, WIDE).await?;
    fixture.advance_time(fixture.short_ttl()).await;
    is_gone(&fixture, &tasks, &short).await
}

/// Waits until an expired task is gone.
async fn is_gone(fixture: &RecordsFixture, tasks: &Tasks, task: &NewTask) -> Result<()> {
    let deadline = Instant::now() + EXPIRY_DEADLINE;
    while let Some(loaded) = tasks.load(&task.owner, &task.id).await? {
        if fixture.clock.is_some() || Instant::now() > deadline {
            bail!("it outlives its time to live: {loaded:?}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    is_missing(tasks, task).await
}

pub(super) async fn a_task_goes_after_its_ttl(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let tasks = tasks_of(&fixture.store);
    let (store, ttl) = (&tasks, fixture.short_ttl());
    let stays = store.create(&task(0), WIDE).await?;
    let short = with_ttl(&task(1), ttl);
    store.create(&short, WIDE).await?;
    if fixture.clock.is_some() {
        fixture.advance_time(ttl - Duration::from_millis(1)).await;
        ensure!(
            store.load(&short.owner, &short.id).await?.is_some(),
            "gone before its time"
        );
        fixture.advance_time(Duration::from_millis(1)).await;
    } else {
        fixture.advance_time(ttl).await;
    }
    is_gone(&fixture, &tasks, &short).await?;
    is_stored(store, &task(0), stays).await?;
    // An expired task does not block its id either.
    let again = store.create(&task(1), WIDE).await?;
    is_stored(store, &task(1), again).await
}

pub(super) async fn a_replace_sets_the_ttl_anew(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let tasks = tasks_of(&fixture.store);
    let (store, ttl) = (&tasks, fixture.short_ttl());
    for n in 0..ATTEMPTS {
        let (started, long) = (Instant::now(), changed(&task(n), n));
        let short = with_ttl(&task(n), ttl);
        let revision = store.create(&short, WIDE).await?;
        fixture.advance_time(ttl / 2).await;
        let revision = match replace(store, &long, revision, WIDE).await {
            Ok(revision) => revision,
            // The task expired on a busy machine: retry with another one.
            Err(TaskRecordsError::Missing)
                if fixture.clock.is_none() && started.elapsed() >= ttl =>
            {
                continue;
            }
            Err(other) => return Err(other.into()),
        };
        fixture.advance_time(ttl).await;
        is_stored(store, &long, revision).await?;
        // A replace can also shorten the time to live or remove the expiry: the last call counts.
        let endless = NewTask {
            ttl: None,
            ..long.clone()
        };
        let revision = replace(store, &endless, revision, WIDE).await?;
        is_stored(store, &endless, revision).await?;
        replace(store, &short, revision, WIDE).await?;
        fixture.advance_time(ttl).await;
        return is_gone(&fixture, &tasks, &short).await;
    }
    bail!("every attempt was overtaken by the time to live of {ttl:?}")
}

pub(super) async fn a_load_says_when_it_ends_and_a_replace_may_leave_that(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let (tasks, records) = (tasks_of(&fixture.store), fixture.records());
    let (task, time) = (task(1), fixture.short_ttl());
    let before = records.time().await?;
    tasks.create(&task, WIDE).await?;
    let after = records.time().await?;
    let load = async || {
        let loaded = tasks.load(&task.owner, &task.id).await?;
        loaded.context("the task is not stored")
    };
    let end = load().await?.expires_at;
    let ends = before.plus(LONG_TTL)..=after.plus(LONG_TTL);
    ensure!(ends.contains(&end), "{end} is not in {ends:?}");
    for mark in 0..3 {
        fixture.advance_time(time).await;
        let mut kept = load().await?;
        ensure!(kept.expires_at == end && !kept.is_endless, "{kept:?}");
        kept.state = format!("mark {mark}").into();
        let of = (&task.owner, &task.id);
        tasks.replace(of, &kept, TaskLife::Unchanged, WIDE).await?;
    }
    // One without an expiry lives on for the longest time instead.
    let endless = NewTask {
        ttl: None,
        ..super::task(2)
    };
    tasks.create(&endless, WIDE).await?;
    fixture.advance_time(time).await;
    let of = (&endless.owner, &endless.id);
    let kept = tasks.load(of.0, of.1).await?.context("it is stored")?;
    tasks.replace(of, &kept, TaskLife::Unchanged, WIDE).await?;
    let later = tasks.load(of.0, of.1).await?.context("it is stored")?;
    ensure!(
        later.is_endless && later.expires_at > kept.expires_at,
        "{later:?}"
    );
    Ok(())
}

pub(super) async fn the_longest_life_holds_for_every_task(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let tasks = tasks_of(&fixture.store);
    let (store, ttl) = (&tasks, fixture.short_ttl());
    let limits = TaskLimits {
        max_ttl: ttl,
        ..WIDE
    };
    let endless = NewTask {
        ttl: None,
        ..task(1)
    };
    let replaced = NewTask {
        ttl: None,
        ..task(2)
    };
    let long = task(3);
    store.create(&endless, limits).await?;
    store.create(&long, limits).await?;
    let revision = store.create(&replaced, WIDE).await?;
    is_stored(store, &replaced, revision).await?;
    replace(store, &replaced, revision, limits).await?;
    fixture.advance_time(ttl).await;
    for task in [endless, long, replaced] {
        is_gone(&fixture, &tasks, &task).await?;
    }
    Ok(())
}
