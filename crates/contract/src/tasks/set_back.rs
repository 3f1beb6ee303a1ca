//! TS-12, after the store went back to an earlier state.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use edge_records::TaskRecordsError;

use super::{WIDE, changed, is_stored, replace, task, tasks_of};
use crate::Harness;

pub(super) async fn a_revision_of_a_lost_time_is_not_given_out_again(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = harness.records().await?;
    let before = tasks_of(&fixture.store);
    let kept = before.create(&task(0), WIDE).await?;
    let saved = before.load(&task(0).owner, &task(0).id).await?;
    let set_back = fixture.handles.set_back()?;
    (set_back.save)().await?;
    let lost = changed(&task(0), 1);
    let lost = replace(&before, &lost, kept, WIDE).await?;
    drop(before);
    fixture.store = (set_back.restore)().await?;
    fixture.advance_time(Duration::from_millis(1)).await;
    let store = &tasks_of(&fixture.store);
    is_stored(store, &task(0), kept).await?;
    let found = store.load(&task(0).owner, &task(0).id).await?;
    assert_eq!(found, saved);
    let stored = changed(&task(0), 2);
    let next = replace(store, &stored, kept, WIDE).await?;
    assert!(next > lost, "{next:?} after {lost:?}");
    let late = replace(store, &changed(&task(0), 3), lost, WIDE).await;
    let refused = matches!(late, Err(TaskRecordsError::Conflict { current }) if current == next);
    assert!(refused, "{late:?}");
    is_stored(store, &stored, next).await
}
