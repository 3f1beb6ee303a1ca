//! RC-11, RC-13, RC-14: the number of records.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use ports::{NewRecord, RecordCreation, RecordLife, RecordLimits, Records, RecordsError};
use tokio::time::Instant;

use super::{LONG_TTL, WIDE, create, is_refused, key, of, replace};
use crate::{Harness, RecordsFixture};

/// Maximum time that an expired record may count if the suite does not control the clock.
const EXPIRY_DEADLINE: Duration = Duration::from_secs(5);

/// Room for three records.
const THREE: RecordLimits = RecordLimits {
    max_records: 3,
    ..WIDE
};
/// Room for three records per owner.
const THREE_EACH: RecordLimits = RecordLimits {
    max_records_per_owner: 3,
    ..WIDE
};

/// Creates a record once there is room, which must be within the deadline.
pub(super) async fn is_admitted(
    fixture: &RecordsFixture,
    record: &NewRecord,
    limits: RecordLimits,
) -> Result<()> {
    let store = fixture.records();
    let deadline = Instant::now() + EXPIRY_DEADLINE;
    while let Err(refused) = store.create(record, limits).await {
        let late = fixture.clock.is_some() || Instant::now() > deadline;
        ensure!(!late, "an expired record still counts: {refused:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

pub(super) async fn beyond_a_number_a_record_is_refused_and_nothing_changes(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let store = &*fixture.records();
    let mut first = create(store, &of(0, 0), THREE).await?;
    for n in 1..3 {
        create(store, &of(n, n), THREE).await?;
    }
    is_refused(store, &of(3, 3), THREE).await?;
    is_refused(store, &of(0, 3), THREE).await?;
    // Living records can still be changed, do not count twice, and are reported before the bound.
    first = replace(store, 0, "new", first).await?;
    ensure!(store.touch(&key(1), LONG_TTL).await?, "it is living");
    for who in 0..2 {
        let there = store.create(&of(who, 1), THREE).await?;
        ensure!(matches!(there, RecordCreation::Exists(_)), "{there:?}");
    }
    is_refused(store, &of(3, 3), THREE).await?;
    // The bound is an argument of the call, and may change; the key has stayed free.
    let four = RecordLimits {
        max_records: 4,
        ..THREE
    };
    create(store, &of(3, 3), four).await?;
    is_refused(store, &of(4, 4), four).await?;
    is_refused(store, &of(4, 4), THREE).await?;
    replace(store, 0, "newer", first).await?;
    // The same per owner: others have room.
    for n in 10..12 {
        create(store, &of(0, n), THREE_EACH).await?;
    }
    is_refused(store, &of(0, 12), THREE_EACH).await?;
    for n in 20..22 {
        create(store, &of(1, n), THREE_EACH).await?;
    }
    is_refused(store, &of(1, 22), THREE_EACH).await?;
    create(store, &of(0, 12), WIDE).await?;
    is_refused(store, &of(0, 13), THREE_EACH).await
}

pub(super) async fn what_ended_or_expired_does_not_count(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let (store, ttl) = (&*fixture.records(), fixture.short_ttl());
    for n in 0..3 {
        create(store, &of(0, n), THREE).await?;
    }
    for n in 3..8 {
        is_refused(store, &of(0, n), THREE).await?;
        ensure!(store.end(&key(n - 3)).await?, "there was one to end");
        // Ending it twice makes room only once.
        store.end(&key(n - 3)).await?;
        create(store, &of(0, n), THREE).await?;
    }
    is_refused(store, &of(7, 9), THREE).await?;
    // 5, 6 and 7 live. One is touched to a short life, one replaced to it.
    ensure!(store.touch(&key(5), ttl).await?, "it is living");
    let sixth = super::loaded(store, 6).await?;
    let life = RecordLife::For(ttl);
    store
        .replace(&key(6), sixth.state, sixth.revision, life, WIDE)
        .await?;
    fixture.advance_time(ttl).await;
    for n in 10..12 {
        is_admitted(&fixture, &of(0, n), THREE).await?;
    }
    is_refused(store, &of(0, 12), THREE).await?;
    // What was touched counts for as long as it lives; per owner too.
    let mut living = 0;
    for n in 20..23 {
        let new = NewRecord { ttl, ..of(1, n) };
        create(store, &new, THREE_EACH).await?;
        // It may expire before that on a busy machine: then it is gone and does not count.
        living += u64::from(store.touch(&key(n), LONG_TTL).await?);
    }
    fixture.advance_time(ttl * 2).await;
    for n in 23..(26 - living) {
        is_admitted(&fixture, &of(1, n), THREE_EACH).await?;
    }
    is_refused(store, &of(1, 29), THREE_EACH).await
}

/// Thirty creates at once, alternating between the handles: exactly as many succeed as there is
/// room for.
pub(super) async fn exactly_the_bounds_fit(stores: &[Arc<dyn Records>]) -> Result<()> {
    let all = RecordLimits {
        max_records: 7,
        max_records_per_owner: 3,
        ..WIDE
    };
    // Two owners have room for three records each; with a third owner, the total bound is seven.
    for (from, owners, fit) in [(200, 2, 6), (300, 3, 1)] {
        let creates: Vec<_> = (0..30)
            .zip(stores.iter().cycle())
            .map(|(n, store)| {
                let (store, new) = (Arc::clone(store), of(n % owners, from + n));
                tokio::spawn(async move { store.create(&new, all).await })
            })
            .collect();
        let mut created = 0;
        for create in creates {
            match create.await? {
                Ok(RecordCreation::Created(_)) => created += 1,
                Err(RecordsError::NoRoom { .. }) => {}
                other => anyhow::bail!("{other:?}"),
            }
        }
        assert_eq!(created, fit, "of {owners} owners");
    }
    Ok(())
}

pub(super) async fn creates_at_once_do_not_pass_the_bounds(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    exactly_the_bounds_fit(&[fixture.records()]).await
}
