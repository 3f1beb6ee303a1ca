//! RC-01, RC-05 to RC-08, RC-20, RC-21: life and end of a record.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use model::Timestamp;
use ports::{NewRecord, RecordCreation, RecordKey, RecordLife, Records, RecordsError};
use tokio::time::Instant;

use super::{
    LONG_TTL, OTHERS, THINGS, WIDE, all, create, id, is_missing, is_stored, key, loaded, of, owner,
    record, replace,
};
use crate::{Harness, RecordsFixture};

/// Maximum time between the end of a record's time to live and its removal.
const EXPIRY_DEADLINE: Duration = Duration::from_secs(5);
/// Number of attempts of a case when a time to live ended too early on a slow machine.
const ATTEMPTS: u64 = 10;

pub(super) async fn what_was_created_is_loaded_as_it_was(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let store = &*fixture.records();
    let all_bytes: Vec<u8> = (0..=255).cycle().take(9000).collect();
    for (n, state) in (0..).zip([
        Bytes::from_static(b"{\"a\":1}"),
        Bytes::new(),
        Bytes::from_static(b"0"),
        Bytes::from_static(b"-12345678901234567890"),
        all_bytes.into(),
    ]) {
        let new = NewRecord { state, ..of(n, n) };
        let revision = create(store, &new, WIDE).await?;
        is_stored(store, &new, revision).await?;
    }
    Ok(())
}

pub(super) async fn what_is_not_there_is_none(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let store = &*fixture.records();
    is_missing(store, 1).await?;
    create(store, &record(2), WIDE).await?;
    is_missing(store, 1).await
}

pub(super) async fn an_ended_record_stays_ended(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let (store, ttl) = (&*fixture.records(), fixture.short_ttl());
    let new = NewRecord { ttl, ..record(1) };
    create(store, &new, WIDE).await?;
    ensure!(store.end(&key(1)).await?, "there was one to end");
    is_missing(store, 1).await?;
    let again = store.create(&record(1), WIDE).await?;
    // The time to live may be over on a slow machine, but not with a clock of the suite.
    ensure!(
        fixture.clock.is_none() || again == RecordCreation::Ended,
        "{again:?}"
    );
    create(store, &record(2), WIDE).await?;
    ensure!(store.end(&key(2)).await?, "there was one to end");
    for who in 0..2 {
        let again = store.create(&of(who, 2), WIDE).await?;
        ensure!(again == RecordCreation::Ended, "{again:?}");
    }
    is_missing(store, 2).await
}

pub(super) async fn of_several_ends_one_ends_it(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let store = fixture.records();
    create(&*store, &record(1), WIDE).await?;
    let ends: Vec<_> = (0..8)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.end(&key(1)).await })
        })
        .collect();
    let mut ended = 0;
    for end in ends {
        ended += u32::from(end.await??);
    }
    assert_eq!(ended, 1);
    is_missing(&*store, 1).await
}

/// Waits until an expired record is gone.
pub(super) async fn is_gone(fixture: &RecordsFixture, store: &dyn Records, n: u64) -> Result<()> {
    let deadline = Instant::now() + EXPIRY_DEADLINE;
    while let Some(found) = store.load(&key(n)).await? {
        if fixture.clock.is_some() || Instant::now() > deadline {
            bail!("it outlives its time to live: {found:?}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    is_missing(store, n).await
}

pub(super) async fn an_expired_record_is_missing_and_its_key_is_free(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let (store, ttl) = (&*fixture.records(), fixture.short_ttl());
    let stays = create(store, &record(0), WIDE).await?;
    let short = NewRecord { ttl, ..record(1) };
    let before = create(store, &short, WIDE).await?;
    if fixture.clock.is_some() {
        fixture.advance_time(ttl - Duration::from_millis(1)).await;
        ensure!(store.load(&key(1)).await?.is_some(), "gone before its time");
        fixture.advance_time(Duration::from_millis(1)).await;
    } else {
        fixture.advance_time(ttl).await;
    }
    is_gone(&fixture, store, 1).await?;
    is_stored(store, &record(0), stays).await?;
    // Another owner may have the key now, and a caller that still knows the old record cannot replace it.
    let again = create(store, &of(1, 1), WIDE).await?;
    ensure!(again > before, "{again:?} after {before:?}");
    let late = replace(store, 1, "late", before).await;
    let refused = matches!(late, Err(RecordsError::Conflict { current }) if current == again);
    ensure!(refused, "{late:?}");
    is_stored(store, &of(1, 1), again).await
}

/// What remains of a time to live, by the store's clock.
async fn left(store: &dyn Records, key: &RecordKey) -> Result<Duration> {
    let expires_at = store.expires_at(key).await?.context("it is there")?;
    Ok(expires_at.since(store.time().await?))
}

pub(super) async fn touch_and_replace_set_the_ttl_as_asked(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let (store, ttl) = (&*fixture.records(), fixture.short_ttl());
    for n in 0..ATTEMPTS {
        let (started, short) = (Instant::now(), NewRecord { ttl, ..record(n) });
        let revision = create(store, &short, WIDE).await?;
        fixture.advance_time(ttl / 2).await;
        if !store.touch(&key(n), LONG_TTL).await? {
            // It expired on a busy machine: retry with another one.
            ensure!(started.elapsed() >= ttl, "touch found nothing");
            continue;
        }
        fixture.advance_time(ttl).await;
        is_stored(store, &record(n), revision).await?;
        ensure!(left(store, &key(n)).await? <= LONG_TTL);
        // A replace leaves the end as it is, or sets it.
        let end = loaded(store, n).await?.expires_at;
        let revision = replace(store, n, "second", revision).await?;
        ensure!(loaded(store, n).await?.expires_at == end, "it moved");
        let life = RecordLife::For(LONG_TTL * 2);
        let third = Bytes::from_static(b"third");
        let of = key(n);
        let revision = store.replace(&of, third, revision, life, WIDE).await?;
        ensure!(left(store, &key(n)).await? > LONG_TTL);
        let life = RecordLife::For(ttl);
        let fourth = Bytes::from_static(b"fourth");
        store.replace(&of, fourth, revision, life, WIDE).await?;
        fixture.advance_time(ttl).await;
        is_gone(&fixture, store, n).await?;
        // A touch can shorten it as well.
        create(store, &record(n), WIDE).await?;
        ensure!(store.touch(&key(n), ttl).await?, "it is living");
        fixture.advance_time(ttl).await;
        return is_gone(&fixture, store, n).await;
    }
    bail!("every attempt was overtaken by the time to live of {ttl:?}")
}

pub(super) async fn collections_do_not_know_each_other(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let store = &*fixture.records();
    let one = ports::RecordLimits {
        max_records: 1,
        max_records_per_owner: 1,
        ..WIDE
    };
    let other = NewRecord {
        key: RecordKey {
            collection: OTHERS,
            id: id(1),
        },
        state: "other".into(),
        ..record(1)
    };
    let revision = create(store, &record(1), one).await?;
    let theirs = create(store, &other, one).await?;
    is_stored(store, &record(1), revision).await?;
    is_stored(store, &other, theirs).await?;
    assert_eq!(all(store, None, 10).await?, [id(1)]);
    assert_eq!(all(store, Some(&owner(0)), 10).await?, [id(1)]);
    ensure!(store.end(&key(1)).await?, "there was one to end");
    is_stored(store, &other, theirs).await?;
    let listed = store.list(OTHERS, None, None, 10).await?;
    assert_eq!(listed.records.len(), 1);
    Ok(())
}

pub(super) async fn the_stores_time_is_the_one_that_records_expire_by(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let (store, ttl) = (&*fixture.records(), fixture.short_ttl());
    let mut last = Timestamp::default();
    for n in 0..3 {
        let before = store.time().await?;
        ensure!(before >= last, "{before} after {last}");
        let new = NewRecord { ttl, ..record(n) };
        create(store, &new, WIDE).await?;
        let expires_at = store.expires_at(&new.key).await?;
        last = store.time().await?;
        if let Some(at) = expires_at {
            ensure!(
                (before.plus(ttl)..=last.plus(ttl)).contains(&at),
                "created between {before} and {last}, it ends at {at}"
            );
        }
        fixture.advance_time(ttl).await;
    }
    Ok(())
}

pub(super) async fn a_check_accepts_and_leaves_nothing(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let store = &*fixture.records();
    for _ in 0..3 {
        store.check(THINGS).await?;
        ensure!(all(store, None, 10).await?.is_empty());
    }
    create(store, &record(1), WIDE).await?;
    store.check(THINGS).await?;
    assert_eq!(all(store, None, 10).await?, [id(1)]);
    Ok(())
}
