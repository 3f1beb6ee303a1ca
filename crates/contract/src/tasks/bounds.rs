//! TS-08, TS-09, TS-13: refusals at a bound, and what makes room.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use edge_records::{NewTask, TaskLimits, TaskRecordsError};
use tokio::time::Instant;

use super::{
    Tasks, WIDE, changed, is_missing, is_stored, owner, replace, task, tasks_of, with_ttl,
};
use crate::Harness;

/// Room for three tasks.
const NARROW: TaskLimits = TaskLimits {
    max_tasks_per_owner: 3,
    ..WIDE
};

async fn is_refused(store: &Tasks, task: &NewTask, limits: TaskLimits) -> Result<()> {
    let refused = store.create(task, limits).await;
    let overloaded = matches!(refused, Err(TaskRecordsError::NoRoom { .. }));
    ensure!(overloaded, "{refused:?}");
    is_missing(store, task).await
}

pub(super) async fn what_is_too_large_is_refused_and_changes_nothing(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let tasks = tasks_of(&fixture.store);
    let store = &tasks;
    let of = |n: u64, bytes: usize| NewTask {
        state: vec![b'x'; bytes].into(),
        ..task(n)
    };
    let most = TaskLimits::MAX_STATE_BYTES;
    let refused = store.create(&of(1, most + 1), WIDE).await;
    assert!(
        matches!(refused, Err(TaskRecordsError::TooLarge { bytes }) if bytes == most + 1),
        "{refused:?}"
    );
    is_missing(store, &task(1)).await?;
    let revision = store.create(&of(1, most), WIDE).await?;
    is_stored(store, &of(1, most), revision).await?;
    let refused = replace(store, &of(1, most + 1), revision, WIDE).await;
    assert!(
        matches!(refused, Err(TaskRecordsError::TooLarge { bytes }) if bytes == most + 1),
        "{refused:?}"
    );
    is_stored(store, &of(1, most), revision).await
}

pub(super) async fn beyond_its_owners_bound_a_task_is_refused(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let tasks = tasks_of(&fixture.store);
    let store = &tasks;
    let mut revisions = Vec::new();
    for n in 0..3 {
        revisions.push(store.create(&task(n), NARROW).await?);
    }
    is_refused(store, &task(3), NARROW).await?;
    // An existing id is reported before the bound.
    let exists = store.create(&task(1), NARROW).await;
    assert!(
        matches!(exists, Err(TaskRecordsError::Exists)),
        "{exists:?}"
    );
    let next = changed(&task(1), 1);
    let replaced = replace(store, &next, revisions[1], NARROW).await?;
    is_stored(store, &next, replaced).await?;
    for n in [0, 2] {
        is_stored(store, &task(n), revisions[usize::try_from(n)?]).await?;
    }
    // A task that was replaced many times counts once; other owners have room.
    is_refused(store, &task(3), NARROW).await?;
    let theirs = NewTask {
        owner: owner(1),
        ..task(3)
    };
    store.create(&theirs, NARROW).await?;
    // The bound is an argument of the call, and may change.
    let wider = TaskLimits {
        max_tasks_per_owner: 4,
        ..NARROW
    };
    store.create(&task(3), wider).await?;
    is_refused(store, &task(4), wider).await
}

/// Thirty creates at once, alternating between the handles: exactly as many succeed as there is
/// room for.
pub(super) async fn exactly_the_bound_fits(stores: &[Tasks]) -> Result<()> {
    let creates: Vec<_> = (0..30)
        .zip(stores.iter().cycle())
        .map(|(n, store)| {
            let store = store.clone();
            tokio::spawn(async move { store.create(&task(n), NARROW).await })
        })
        .collect();
    let mut created = 0;
    for create in creates {
        match create.await? {
            Ok(_) => created += 1,
            Err(TaskRecordsError::NoRoom { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    assert_eq!(created, NARROW.max_tasks_per_owner);
    Ok(())
}

pub(super) async fn creates_at_once_do_not_pass_the_bound(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let tasks = tasks_of(&fixture.store);
    exactly_the_bound_fits(&[tasks]).await
}

/// The task that expires first gives its place to a new one, if its time is nearly over.
pub(super) async fn a_task_that_can_be_spared_makes_room(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let tasks = tasks_of(&fixture.store);
    let store = &tasks;
    const HOUR: Duration = Duration::from_secs(3600);
    let sparing = TaskLimits {
        spare_ttl: 2 * HOUR,
        ..NARROW
    };
    let worked_on = with_ttl(&task(0), 4 * HOUR);
    let revision = store.create(&worked_on, sparing).await?;
    store.create(&with_ttl(&task(1), 2 * HOUR), sparing).await?;
    store.create(&with_ttl(&task(2), 3 * HOUR), sparing).await?;
    let theirs = NewTask {
        owner: owner(1),
        ..with_ttl(&task(9), HOUR)
    };
    store.create(&theirs, sparing).await?;
    is_refused(store, &task(3), NARROW).await?;
    // Over since a moment, and so with less time left than the other one that can be spared.
    replace(store, &with_ttl(&task(0), HOUR), revision, sparing).await?;
    for (new, spared) in [(3, 0), (4, 1)] {
        let new = with_ttl(&task(new), 3 * HOUR);
        store.create(&new, sparing).await?;
        is_missing(store, &task(spared)).await?;
    }
    is_refused(store, &task(5), sparing).await?;
    for kept in [2, 3, 4] {
        let kept = task(kept);
        let found = store.load(&kept.owner, &kept.id).await?;
        ensure!(found.is_some(), "{} is gone", kept.id);
    }
    let found = store.load(&theirs.owner, &theirs.id).await?;
    ensure!(found.is_some(), "another owner's task is gone");
    Ok(())
}

pub(super) async fn what_expired_does_not_count(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let tasks = tasks_of(&fixture.store);
    let (store, ttl) = (&tasks, fixture.short_ttl());
    store.create(&task(0), NARROW).await?;
    let revision = store.create(&task(1), NARROW).await?;
    // One task is created with a short time to live, the other is shortened.
    store.create(&with_ttl(&task(2), ttl), NARROW).await?;
    let shortened = with_ttl(&task(1), ttl);
    replace(store, &shortened, revision, NARROW).await?;
    fixture.advance_time(ttl).await;
    let deadline = Instant::now() + Duration::from_secs(5);
    for n in 3..5 {
        while let Err(refused) = store.create(&task(n), NARROW).await {
            let late = fixture.clock.is_some() || Instant::now() > deadline;
            ensure!(!late, "an expired task still counts: {refused:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    is_refused(store, &task(5), NARROW).await
}
