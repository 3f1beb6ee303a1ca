//! RC-12, RC-13, RC-16: the weight of records.

use std::sync::Arc;

use anyhow::{Result, ensure};
use ports::{NewRecord, RecordBound, RecordLife, RecordLimits, Records, RecordsError, Revision};

use super::{
    STEP, WIDE, bounds::is_admitted, create, heavy, is_missing, is_refused, is_stored, key, of,
    record,
};
use crate::Harness;

/// Room for ten steps in all, and six per owner.
const TEN: RecordLimits = RecordLimits {
    max_bytes: 10 * STEP,
    max_bytes_per_owner: 6 * STEP,
    ..WIDE
};

/// The `n`-th record of an owner with a state of this weight.
fn weighing(steps: u64, who: u64, n: u64) -> NewRecord {
    NewRecord {
        state: heavy(steps),
        ..of(who, n)
    }
}

async fn replace(
    store: &dyn Records,
    n: u64,
    steps: u64,
    expected: Revision,
) -> Result<Revision, RecordsError> {
    let life = RecordLife::Unchanged;
    store
        .replace(&key(n), heavy(steps), expected, life, TEN)
        .await
}

pub(super) async fn beyond_a_weight_a_record_is_refused_and_nothing_changes(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let store = &*fixture.records();
    create(store, &weighing(4, 0, 0), TEN).await?;
    is_refused(store, &weighing(3, 0, 1), TEN).await?;
    create(store, &weighing(2, 0, 1), TEN).await?;
    // A state of no bytes weighs a step as well.
    let empty = NewRecord {
        state: "".into(),
        ..of(0, 2)
    };
    is_refused(store, &empty, TEN).await?;
    create(store, &weighing(3, 1, 2), TEN).await?;
    is_refused(store, &weighing(2, 1, 3), TEN).await?;
    create(store, &weighing(1, 1, 3), TEN).await?;
    is_refused(store, &weighing(1, 2, 4), TEN).await?;
    create(store, &weighing(1, 2, 4), WIDE).await?;
    Ok(())
}

pub(super) async fn a_heavier_state_needs_room_and_a_lighter_one_gives_it_back(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let store = &*fixture.records();
    let first = create(store, &weighing(1, 0, 0), TEN).await?;
    create(store, &weighing(3, 0, 1), TEN).await?;
    let refused = replace(store, 0, 4, first).await;
    let is_owners = matches!(
        refused,
        Err(RecordsError::NoRoom {
            bound: RecordBound::BytesOfOwner
        })
    );
    ensure!(is_owners, "{refused:?}");
    is_stored(store, &weighing(1, 0, 0), first).await?;
    let heavier = replace(store, 0, 3, first).await?;
    is_refused(store, &weighing(1, 0, 2), TEN).await?;
    // A conflict takes no room, whatever the state weighs.
    let late = replace(store, 0, 2, first).await;
    ensure!(
        matches!(late, Err(RecordsError::Conflict { .. })),
        "{late:?}"
    );
    let other = create(store, &weighing(3, 1, 5), TEN).await?;
    let refused = replace(store, 5, 5, other).await;
    let is_alls = matches!(
        refused,
        Err(RecordsError::NoRoom {
            bound: RecordBound::Bytes
        })
    );
    ensure!(is_alls, "{refused:?}");
    replace(store, 5, 4, other).await?;
    is_refused(store, &weighing(1, 2, 6), TEN).await?;
    // The same weight fits beyond the limits, and less makes room.
    let narrow = RecordLimits {
        max_bytes: STEP,
        max_bytes_per_owner: STEP,
        ..TEN
    };
    let life = RecordLife::Unchanged;
    let of = key(0);
    let same = store.replace(&of, heavy(3), heavier, life, narrow).await?;
    replace(store, 0, 1, same).await?;
    create(store, &weighing(2, 0, 2), TEN).await?;
    is_refused(store, &weighing(1, 0, 3), TEN).await
}

pub(super) async fn what_ended_or_expired_weighs_nothing(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let (store, ttl) = (&*fixture.records(), fixture.short_ttl());
    for round in 0..4 {
        create(store, &weighing(6, 0, round), TEN).await?;
        is_refused(store, &weighing(1, 0, 90), TEN).await?;
        ensure!(store.end(&key(round)).await?, "there was one to end");
    }
    let short = NewRecord {
        ttl,
        ..weighing(6, 0, 10)
    };
    create(store, &short, TEN).await?;
    fixture.advance_time(ttl).await;
    is_admitted(&fixture, &weighing(6, 0, 11), TEN).await?;
    is_refused(store, &weighing(1, 0, 90), TEN).await
}

pub(super) async fn what_is_too_large_is_refused_and_changes_nothing(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let store = &*fixture.records();
    let of = |bytes: usize| NewRecord {
        state: vec![b'x'; bytes].into(),
        ..record(1)
    };
    let most = store.max_state_bytes();
    let refused = store.create(&of(most + 1), WIDE).await;
    let too_large = matches!(refused, Err(RecordsError::TooLarge { bytes }) if bytes == most + 1);
    ensure!(too_large, "{refused:?}");
    is_missing(store, 1).await?;
    let revision = create(store, &of(most), WIDE).await?;
    is_stored(store, &of(most), revision).await?;
    let refused = super::replace(store, 1, of(most + 1).state, revision).await;
    let too_large = matches!(refused, Err(RecordsError::TooLarge { bytes }) if bytes == most + 1);
    ensure!(too_large, "{refused:?}");
    is_stored(store, &of(most), revision).await
}
