//! TS-10, TS-11 with several handles and reopens.

use std::sync::Arc;

use anyhow::Result;
use ports::{TaskLimits, TaskRecord, TaskStoreError};

use super::{
    WIDE, bounds::exactly_the_bound_fits, changed, is_missing, is_stored,
    revisions::one_replace_wins, task,
};
use crate::{Harness, SessionPorts, SessionStoreFixture};

/// Three handles on one store.
async fn three(fixture: &SessionStoreFixture) -> Result<[Arc<dyn SessionPorts>; 3]> {
    let (second, third) = (fixture.handles.peer().await?, fixture.handles.peer().await?);
    Ok([Arc::clone(&fixture.store), second, third])
}

pub(super) async fn what_was_acknowledged_outlives_a_reopen(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = harness.session_store().await?;
    let endless = TaskRecord {
        ttl: None,
        ..task(2)
    };
    let created = fixture.store.create_task(&task(0), WIDE).await?;
    let revision = fixture.store.create_task(&task(1), WIDE).await?;
    let next = changed(&task(1), 1);
    let replaced = fixture.store.replace_task(&next, revision, WIDE).await?;
    let unending = fixture.store.create_task(&endless, WIDE).await?;
    fixture.store = fixture.handles.reopen().await?;
    let store = &*fixture.store;
    is_stored(store, &task(0), created).await?;
    is_stored(store, &next, replaced).await?;
    is_stored(store, &endless, unending).await?;
    is_missing(store, &task(3)).await?;
    // The earlier tasks still count.
    let limits = TaskLimits {
        max_tasks_per_owner: 3,
        ..WIDE
    };
    let refused = store.create_task(&task(3), limits).await;
    let overloaded = matches!(refused, Err(TaskStoreError::Overloaded { .. }));
    assert!(overloaded, "{refused:?}");
    let higher = store.replace_task(&task(1), replaced, WIDE).await?;
    assert!(higher > replaced);
    Ok(())
}

pub(super) async fn what_one_handle_stored_another_loads_at_once(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.session_store().await?;
    let peer = fixture.handles.peer().await?;
    for n in 0..20 {
        let (here, there) = if n % 2 == 0 {
            (&*fixture.store, &*peer)
        } else {
            (&*peer, &*fixture.store)
        };
        let revision = here.create_task(&task(n), WIDE).await?;
        is_stored(there, &task(n), revision).await?;
        let again = there.create_task(&task(n), WIDE).await;
        assert!(matches!(again, Err(TaskStoreError::Exists)), "{again:?}");
        let next = changed(&task(n), n);
        let higher = there.replace_task(&next, revision, WIDE).await?;
        is_stored(here, &next, higher).await?;
    }
    Ok(())
}

pub(super) async fn of_concurrent_replaces_over_handles_one_wins(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.session_store().await?;
    one_replace_wins(&three(&fixture).await?).await
}

pub(super) async fn the_bound_holds_over_all_handles(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    exactly_the_bound_fits(&three(&fixture).await?).await
}
