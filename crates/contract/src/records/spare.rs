//! RC-15: a record that can be spared makes room.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use ports::{NewRecord, RecordLife, RecordLimits};

use super::{STEP, WIDE, create, heavy, is_missing, is_refused, key, loaded, of, record};
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
    let fixture = harness.session_store().await?;
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
    let fixture = harness.session_store().await?;
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
