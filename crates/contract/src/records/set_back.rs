//! RC-19, after the store went back to an earlier state.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use ports::{NewRecord, RecordsError};

use super::{WIDE, create, is_missing, is_stored, loaded, record, replace};
use crate::Harness;

pub(super) async fn a_revision_of_a_lost_time_is_not_given_out_again(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = harness.records().await?;
    let store = fixture.records();
    let kept = create(&*store, &record(0), WIDE).await?;
    let saved = loaded(&*store, 0).await?;
    let set_back = fixture.handles.set_back()?;
    (set_back.save)().await?;
    let mut lost = kept;
    for _ in 0..5 {
        lost = replace(&*store, 0, "lost", lost).await?;
    }
    let lost_create = create(&*store, &record(1), WIDE).await?;
    let lost_change = replace(&*store, 1, "lost", lost_create).await?;
    drop(store);
    fixture.store = (set_back.restore)().await?;
    fixture.advance_time(Duration::from_millis(1)).await;
    let store = &*fixture.records();
    is_stored(store, &record(0), kept).await?;
    let found = loaded(store, 0).await?;
    ensure!(found == saved, "{found:?} instead of {saved:?}");
    is_missing(store, 1).await?;
    let next = replace(store, 0, "next", kept).await?;
    ensure!(next > lost, "{next:?} after {lost:?}");
    // A caller that loaded a record in the lost time would overwrite a change that it does not know.
    let again = create(store, &record(1), WIDE).await?;
    ensure!(again > lost_change, "{again:?} after {lost_change:?}");
    for (n, lost, current) in [
        (0, lost, next),
        (1, lost_change, again),
        (1, lost_create, again),
    ] {
        let late = replace(store, n, "late", lost).await;
        let refused =
            matches!(late, Err(RecordsError::Conflict { current: told }) if told == current);
        ensure!(refused, "{late:?}");
    }
    let stored = NewRecord {
        state: "next".into(),
        ..record(0)
    };
    is_stored(store, &stored, next).await
}
