//! RC-17, RC-18 with several handles and reopens.

use std::sync::Arc;

use anyhow::{Result, ensure};
use ports::{NewRecord, RecordCreation, RecordLimits, Records};

use super::{
    LONG_TTL, WIDE, all,
    bounds::exactly_the_bounds_fit,
    create, heavy, is_missing, is_refused, is_stored, key, of, owner, record, replace,
    revisions::{one_create_wins, one_replace_wins},
};
use crate::{Harness, RecordsFixture};

/// Three handles on one store.
async fn three(fixture: &RecordsFixture) -> Result<[Arc<dyn Records>; 3]> {
    let (second, third) = (fixture.handles.peer().await?, fixture.handles.peer().await?);
    Ok([fixture.records(), second, third])
}

pub(super) async fn what_was_acknowledged_outlives_a_reopen(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = harness.records().await?;
    let store = fixture.records();
    let created = create(&*store, &record(0), WIDE).await?;
    let revision = create(&*store, &record(1), WIDE).await?;
    let replaced = replace(&*store, 1, "new", revision).await?;
    create(&*store, &record(2), WIDE).await?;
    assert!(store.end(&key(2)).await?);
    let large = NewRecord {
        state: heavy(3),
        ..of(1, 3)
    };
    let large_revision = create(&*store, &large, WIDE).await?;
    drop(store);
    fixture.store = fixture.handles.reopen().await?;
    let store = &*fixture.records();
    is_stored(store, &record(0), created).await?;
    let next = NewRecord {
        state: "new".into(),
        ..record(1)
    };
    is_stored(store, &next, replaced).await?;
    is_stored(store, &large, large_revision).await?;
    is_missing(store, 2).await?;
    let again = store.create(&record(2), WIDE).await?;
    ensure!(again == RecordCreation::Ended, "{again:?}");
    assert_eq!(all(store, Some(&owner(0)), 10).await?.len(), 2);
    // What is there still counts, and weighs what it did.
    let limits = RecordLimits {
        max_records_per_owner: 2,
        max_bytes: 5 * super::STEP,
        ..WIDE
    };
    is_refused(store, &record(5), limits).await?;
    is_refused(store, &of(2, 5), limits).await?;
    ensure!(replace(store, 1, "newer", replaced).await? > replaced);
    Ok(())
}

pub(super) async fn what_one_handle_changed_another_sees_at_once(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let [first, second, _] = three(&fixture).await?;
    for n in 0..20 {
        let (here, there) = match n % 2 {
            0 => (&*first, &*second),
            _ => (&*second, &*first),
        };
        let revision = create(here, &record(n), WIDE).await?;
        is_stored(there, &record(n), revision).await?;
        let again = there.create(&record(n), WIDE).await?;
        ensure!(matches!(again, RecordCreation::Exists(_)), "{again:?}");
        let higher = replace(there, n, "new", revision).await?;
        let next = NewRecord {
            state: "new".into(),
            ..record(n)
        };
        is_stored(here, &next, higher).await?;
        ensure!(here.touch(&key(n), LONG_TTL * 2).await?);
        let ends = (
            here.expires_at(&key(n)).await?,
            there.expires_at(&key(n)).await?,
        );
        ensure!(ends.0 == ends.1, "{ends:?}");
        ensure!(here.end(&key(n)).await?);
        is_missing(there, n).await?;
    }
    let mut last = first.time().await?;
    for handle in [&second, &first, &second] {
        let time = handle.time().await?;
        ensure!(time >= last, "{time} after {last}");
        last = time;
    }
    Ok(())
}

pub(super) async fn winners_and_limits_hold_across_handles(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    exactly_the_bounds_fit(&three(&fixture).await?).await?;
    let fixture = harness.records().await?;
    let handles = three(&fixture).await?;
    one_create_wins(&handles).await?;
    one_replace_wins(&handles).await
}
