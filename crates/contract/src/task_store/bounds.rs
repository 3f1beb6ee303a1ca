//! TS-08, TS-09, TS-13: refusals at a bound, and what makes room.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use ports::{TaskLimits, TaskRecord, TaskStoreError};
use tokio::time::Instant;

use super::{WIDE, changed, is_missing, is_stored, owner, task, with_ttl};
use crate::{Harness, SessionPorts};

/// Room for three tasks.
const NARROW: TaskLimits = TaskLimits {
    max_tasks_per_owner: 3,
    ..WIDE
};

async fn is_refused(store: &dyn SessionPorts, task: &TaskRecord, limits: TaskLimits) -> Result<()> {
    let refused = store.create_task(task, limits).await;
    let overloaded = matches!(refused, Err(TaskStoreError::Overloaded { .. }));
    ensure!(overloaded, "{refused:?}");
    is_missing(store, task).await
}

pub(super) async fn what_is_too_large_is_refused_and_changes_nothing(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.session_store().await?;
    let store = &*fixture.store;
    let of = |n: u64, bytes: usize| TaskRecord {
        state: vec![b'x'; bytes].into(),
        ..task(n)
    };
    let most = TaskLimits::MAX_STATE_BYTES;
    let refused = store.create_task(&of(1, most + 1), WIDE).await;
    assert!(
        matches!(refused, Err(TaskStoreError::TooLarge { bytes }) if bytes == most + 1),
        "{refused:?}"
    );
    is_missing(store, &task(1)).await?;
    let revision = store.create_task(&of(1, most), WIDE).await?;
    is_stored(store, &of(1, most), revision).await?;
    let refused = store.replace_task(&of(1, most + 1), revision, WIDE).await;
    assert!(
        matches!(refused, Err(TaskStoreError::TooLarge { bytes }) if bytes == most + 1),
        "{refused:?}"
    );
    is_stored(store, &of(1, most), revision).await
}

pub(super) async fn beyond_its_owners_bound_a_task_is_refused(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.session_store().await?;
    let store = &*fixture.store;
    let mut revisions = Vec::new();
    for n in 0..3 {
        revisions.push(store.create_task(&task(n), NARROW).await?);
    }
    is_refused(store, &task(3), NARROW).await?;
    // An existing id is reported before the bound.
    let exists = store.create_task(&task(1), NARROW).await;
    assert!(matches!(exists, Err(TaskStoreError::Exists)), "{exists:?}");
    let next = changed(&task(1), 1);
    let replaced = store.replace_task(&next, revisions[1], NARROW).await?;
    is_stored(store, &next, replaced).await?;
    for n in [0, 2] {
        is_stored(store, &task(n), revisions[usize::try_from(n)?]).await?;
    }
    // A task that was replaced many times counts once; other owners have room.
    is_refused(store, &task(3), NARROW).await?;
    let theirs = TaskRecord {
        owner: owner(1),
        ..task(3)
    };
    store.create_task(&theirs, NARROW).await?;
    // The bound is an argument of the call, and may change.
    let wider = TaskLimits {
        max_tasks_per_owner: 4,
        ..NARROW
    };
    store.create_task(&task(3), wider).await?;
    is_refused(store, &task(4), wider).await
}

/// Thirty creates at once, alternating between the handles: exactly as many succeed as there is
/// room for.
pub(super) async fn exactly_the_bound_fits(stores: &[Arc<dyn SessionPorts>]) -> Result<()> {
    let creates: Vec<_> = (0..30)
        .zip(stores.iter().cycle())
        .map(|(n, store)| {
            let store = Arc::clone(store);
            tokio::spawn(async move { store.create_task(&task(n), NARROW).await })
        })
        .collect();
    let mut created = 0;
    for create in creates {
        match create.await? {
            Ok(_) => created += 1,
            Err(TaskStoreError::Overloaded { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    assert_eq!(created, NARROW.max_tasks_per_owner);
    Ok(())
}

pub(super) async fn creates_at_once_do_not_pass_the_bound(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    exactly_the_bound_fits(&[fixture.store]).await
}

/// The task that expires first gives its place to a new one, if its time is nearly over.
pub(super) async fn a_task_that_can_be_spared_makes_room(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    let store = &*fixture.store;
    const HOUR: Duration = Duration::from_secs(3600);
    let sparing = TaskLimits {
        spare_ttl: 2 * HOUR,
        ..NARROW
    };
    let worked_on = with_ttl(&task(0), 4 * HOUR);
    let revision = store.create_task(&worked_on, sparing).await?;
    store
        .create_task(&with_ttl(&task(1), 2 * HOUR), sparing)
        .await?;
    store
        .create_task(&with_ttl(&task(2), 3 * HOUR), sparing)
        .await?;
    let theirs = TaskRecord {
        owner: owner(1),
        ..with_ttl(&task(9), HOUR)
    };
    store.create_task(&theirs, sparing).await?;
    is_refused(store, &task(3), NARROW).await?;
    // Over since a moment, and so with less time left than the other one that can be spared.
    store
        .replace_task(&with_ttl(&task(0), HOUR), revision, sparing)
        .await?;
    for (new, spared) in [(3, 0), (4, 1)] {
        let new = with_ttl(&task(new), 3 * HOUR);
        store.create_task(&new, sparing).await?;
        is_missing(store, &task(spared)).await?;
    }
    is_refused(store, &task(5), sparing).await?;
    for kept in [2, 3, 4] {
        let kept = task(kept);
        let found = store.load_task(&kept.owner, &kept.id).await?;
        ensure!(found.is_some(), "{} is gone", kept.id);
    }
    let found = store.load_task(&theirs.owner, &theirs.id).await?;
    ensure!(found.is_some(), "another owner's task is gone");
    Ok(())
}

pub(super) async fn what_expired_does_not_count(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    let (store, ttl) = (&*fixture.store, fixture.short_ttl());
    store.create_task(&task(0), NARROW).await?;
    let revision = store.create_task(&task(1), NARROW).await?;
    // One task is created with a short time to live, the other is shortened.
    store.create_task(&with_ttl(&task(2), ttl), NARROW).await?;
    let shortened = with_ttl(&task(1), ttl);
    store.replace_task(&shortened, revision, NARROW).await?;
    fixture.advance_time(ttl).await;
    let deadline = Instant::now() + Duration::from_secs(5);
    for n in 3..5 {
        while let Err(refused) = store.create_task(&task(n), NARROW).await {
            let late = fixture.clock.is_some() || Instant::now() > deadline;
            ensure!(!late, "an expired task still counts: {refused:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    is_refused(store, &task(5), NARROW).await
}
