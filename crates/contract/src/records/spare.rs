//! RC-15: a record that can be spared makes room.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use ports::{NewRecord, RecordCreation, RecordLife, RecordLimits};

use super::{
    STEP, WIDE, all, create, heavy, is_missing, is_refused, is_stored, key, loaded, of, owner,
    record,
};
use crate::Harness;

const HOUR: Duration = Duration::from_secs(3600);

/// Room for three records of an owner, of which those with up to two hours left can be spared.
const SPARING: RecordLimits = RecordLimits {
    max_records_per_owner: 3,
    spare_ttl: HOUR.saturating_mul(2),
    ..WIDE
};

fn living(n: u64, ttl: Duration) -> NewRecord {
    NewRecord { ttl, ..record(n) }
}

pub(super) async fn a_record_that_can_be_spared_makes_room(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let store = &*fixture.records();
    let revision = create(store, &living(0, HOUR * 4), SPARING).await?;
    create(store, &living(1, HOUR * 2), SPARING).await?;
    create(store, &living(2, HOUR * 3), SPARING).await?;
    let theirs = NewRecord {
        ttl: HOUR,
        ..of(1, 9)
    };
    create(store, &theirs, SPARING).await?;
    let stingy = RecordLimits {
        spare_ttl: Duration::ZERO,
        ..SPARING
    };
    is_refused(store, &record(3), stingy).await?;
    // Shortened, it has less time left than the other one that can be spared.
    let life = RecordLife::For(HOUR);
    let state = loaded(store, 0).await?.state;
    store
        .replace(&key(0), state, revision, life, SPARING)
        .await?;
    for (new, spared) in [(3, 0), (4, 1)] {
        create(store, &living(new, HOUR * 3), SPARING).await?;
        is_missing(store, spared).await?;
    }
    is_refused(store, &record(5), SPARING).await?;
    for kept in [2, 3, 4, 9] {
        loaded(store, kept).await?;
    }
    // The key of a record that was spared is free; beyond the limit nothing is spared.
    create(store, &living(0, HOUR), WIDE).await?;
    is_refused(store, &record(5), SPARING).await
}

pub(super) async fn a_refused_create_spares_nothing(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let store = &*fixture.records();
    let narrow = RecordLimits {
        max_bytes_per_owner: 4 * STEP,
        ..SPARING
    };
    for n in 0..3 {
        create(store, &living(n, HOUR), narrow).await?;
    }
    let large = |steps| NewRecord {
        state: heavy(steps),
        ..living(3, HOUR * 3)
    };
    is_refused(store, &large(3), narrow).await?;
    for n in 0..3 {
        loaded(store, n).await?;
    }
    // The weight of what is spared makes room as well.
    create(store, &large(2), narrow).await?;
    let mut left = 0;
    for n in 0..3 {
        left += u32::from(store.load(&key(n)).await?.is_some());
    }
    ensure!(left == 2, "{left} of three are left");
    Ok(())
}

/// Of a key that is in use: by a living record of the owner or of another one, or by an ended one.
pub(super) async fn a_create_of_a_key_in_use_spares_nothing(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let store = &*fixture.records();
    let theirs = NewRecord {
        ttl: HOUR,
        ..of(1, 8)
    };
    let revision = create(store, &theirs, SPARING).await?;
    create(store, &living(9, HOUR), SPARING).await?;
    ensure!(store.end(&key(9)).await?, "there was one to end");
    for n in 0..3 {
        create(store, &living(n, HOUR), SPARING).await?;
    }
    let mine = all(store, Some(&owner(0)), 10).await?;
    for n in [8, 2, 9, 8, 9] {
        let there = store.create(&living(n, HOUR * 3), SPARING).await?;
        let is_in_use = matches!(there, RecordCreation::Exists(_)) == (n != 9);
        ensure!(
            is_in_use && !matches!(there, RecordCreation::Created(_)),
            "{there:?}"
        );
        for kept in 0..3 {
            loaded(store, kept).await?;
        }
        ensure!(
            all(store, Some(&owner(0)), 10).await? == mine,
            "the list changed"
        );
    }
    is_stored(store, &theirs, revision).await?;
    // They still count.
    let stingy = RecordLimits {
        spare_ttl: Duration::ZERO,
        ..SPARING
    };
    is_refused(store, &record(3), stingy).await?;
    create(store, &living(3, HOUR * 3), SPARING).await?;
    ensure!(all(store, Some(&owner(0)), 10).await?.len() == 3);
    Ok(())
}
