//! TS-10, TS-11 with several handles and reopens.

use std::sync::Arc;

use anyhow::Result;
use edge_records::{NewTask, TaskLimits, TaskRecordsError};

use super::{
    Tasks, WIDE, bounds::exactly_the_bound_fits, changed, is_missing, is_stored, replace,
    revisions::one_replace_wins, task, tasks_of,
};
use crate::{Harness, RecordsFixture};

/// Three handles on one store.
async fn three(fixture: &RecordsFixture) -> Result<[Tasks; 3]> {
    let (second, third) = (fixture.handles.peer().await?, fixture.handles.peer().await?);
    Ok([&fixture.store, &second, &third].map(tasks_of))
}

pub(super) async fn what_was_acknowledged_outlives_a_reopen(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = harness.records().await?;
    let before = tasks_of(&fixture.store);
    let endless = NewTask {
        ttl: None,
        ..task(2)
    };
    let created = before.create(&task(0), WIDE).await?;
    let revision = before.create(&task(1), WIDE).await?;
    let next = changed(&task(1), 1);
    let replaced = replace(&before, &next, revision, WIDE).await?;
    let unending = before.create(&endless, WIDE).await?;
    drop(before);
    fixture.store = fixture.handles.reopen().await?;
    let store = &tasks_of(&fixture.store);
    is_stored(store, &task(0), created).await?;
    is_stored(store, &next, replaced).await?;
    is_stored(store, &endless, unending).await?;
    is_missing(store, &task(3)).await?;
    // The earlier tasks still count.
    let limits = TaskLimits {
        max_tasks_per_owner: 3,
        ..WIDE
    };
    let refused = store.create(&task(3), limits).await;
    let overloaded = matches!(refused, Err(TaskRecordsError::NoRoom { .. }));
    assert!(overloaded, "{refused:?}");
    let higher = replace(store, &task(1), replaced, WIDE).await?;
    assert!(higher > replaced);
    Ok(())
}

pub(super) async fn what_one_handle_stored_another_loads_at_once(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let [first, peer, _] = three(&fixture).await?;
    for n in 0..20 {
        let (here, there) = if n % 2 == 0 {
            (&first, &peer)
        } else {
            (&peer, &first)
        };
        let revision = here.create(&task(n), WIDE).await?;
        is_stored(there, &task(n), revision).await?;
        let again = there.create(&task(n), WIDE).await;
        assert!(matches!(again, Err(TaskRecordsError::Exists)), "{again:?}");
        let next = changed(&task(n), n);
        let higher = replace(there, &next, revision, WIDE).await?;
        is_stored(here, &next, higher).await?;
    }
    Ok(())
}

pub(super) async fn of_concurrent_replaces_over_handles_one_wins(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    one_replace_wins(&three(&fixture).await?).await
}

pub(super) async fn the_bound_holds_over_all_handles(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    exactly_the_bound_fits(&three(&fixture).await?).await
}
