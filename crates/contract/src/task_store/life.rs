//! TS-01, TS-03, TS-06, TS-07: the owner of a task, and its lifetime.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use ports::{TaskLimits, TaskRecord, TaskStoreError};
use tokio::time::Instant;

use super::{LONG_TTL, WIDE, changed, is_missing, is_stored, owner, task, with_ttl};
use crate::{Harness, SessionStoreFixture};

/// Maximum time between the end of a task's time to live and its removal.
const EXPIRY_DEADLINE: Duration = Duration::from_secs(5);
/// Number of attempts of a case when a time to live ended too early on a slow machine.
const ATTEMPTS: u64 = 10;

pub(super) async fn what_was_created_is_loaded_as_it_was(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    let all_bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
    for (n, state) in [
        Bytes::from_static(b"{\"status\":\"working\"}"),
        Bytes::new(),
        Bytes::from_static(b"0"),
        all_bytes.into(),
    ]
    .into_iter()
    .enumerate()
    {
        let of = owner(u64::try_from(n)?);
        for ttl in [Some(LONG_TTL), None] {
            let task = TaskRecord {
                owner: of.clone(),
                state: state.clone(),
                ttl,
                ..task(u64::from(ttl.is_none()))
            };
            let revision = fixture.store.create_task(&task, WIDE).await?;
            is_stored(&*fixture.store, &task, revision).await?;
        }
    }
    Ok(())
}

pub(super) async fn what_is_not_there_is_none(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    is_missing(&*fixture.store, &task(1)).await?;
    fixture.store.create_task(&task(2), WIDE).await?;
    is_missing(&*fixture.store, &task(1)).await
}

pub(super) async fn a_task_is_its_owners_alone(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    let store = &*fixture.store;
    let of = |n| TaskRecord {
        owner: owner(n),
        state: format!("of {n}").into(),
        ..task(1)
    };
    let revision = store.create_task(&of(0), WIDE).await?;
    for n in 1..4 {
        is_missing(store, &of(n)).await?;
    }
    is_stored(store, &of(0), revision).await?;
    for n in 1..4 {
        let theirs = store.create_task(&of(n), WIDE).await?;
        store
            .replace_task(&changed(&of(n), n), theirs, WIDE)
            .await?;
    }
    is_stored(store, &of(0), revision).await
}

/// Waits until an expired task is gone.
async fn is_gone(fixture: &SessionStoreFixture, task: &TaskRecord) -> Result<()> {
    let deadline = Instant::now() + EXPIRY_DEADLINE;
    while let Some(loaded) = fixture.store.load_task(&task.owner, &task.id).await? {
        if fixture.clock.is_some() || Instant::now() > deadline {
            bail!("it outlives its time to live: {loaded:?}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    is_missing(&*fixture.store, task).await
}

pub(super) async fn a_task_goes_after_its_ttl(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    let (store, ttl) = (&*fixture.store, fixture.short_ttl());
    let stays = store.create_task(&task(0), WIDE).await?;
    let short = with_ttl(&task(1), ttl);
    store.create_task(&short, WIDE).await?;
    if fixture.clock.is_some() {
        fixture.advance_time(ttl - Duration::from_millis(1)).await;
        ensure!(
            store.load_task(&short.owner, &short.id).await?.is_some(),
            "gone before its time"
        );
        fixture.advance_time(Duration::from_millis(1)).await;
    } else {
        fixture.advance_time(ttl).await;
    }
    is_gone(&fixture, &short).await?;
    is_stored(store, &task(0), stays).await?;
    // An expired task does not block its id either.
    let again = store.create_task(&task(1), WIDE).await?;
    is_stored(store, &task(1), again).await
}

pub(super) async fn a_replace_sets_the_ttl_anew(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    let (store, ttl) = (&*fixture.store, fixture.short_ttl());
    for n in 0..ATTEMPTS {
        let (started, long) = (Instant::now(), changed(&task(n), n));
        let short = with_ttl(&task(n), ttl);
        let revision = store.create_task(&short, WIDE).await?;
        fixture.advance_time(ttl / 2).await;
        let revision = match store.replace_task(&long, revision, WIDE).await {
            Ok(revision) => revision,
            // The task expired on a busy machine: retry with another one.
            Err(TaskStoreError::Missing) if fixture.clock.is_none() && started.elapsed() >= ttl => {
                continue;
            }
            Err(other) => return Err(other.into()),
        };
        fixture.advance_time(ttl).await;
        is_stored(store, &long, revision).await?;
        // A replace can also shorten the time to live or remove the expiry: the last call counts.
        let endless = TaskRecord {
            ttl: None,
            ..long.clone()
        };
        let revision = store.replace_task(&endless, revision, WIDE).await?;
        is_stored(store, &endless, revision).await?;
        store.replace_task(&short, revision, WIDE).await?;
        fixture.advance_time(ttl).await;
        return is_gone(&fixture, &short).await;
    }
    bail!("every attempt was overtaken by the time to live of {ttl:?}")
}

pub(super) async fn a_load_says_what_is_left_of_the_ttl(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    let (store, task, time) = (&*fixture.store, task(1), fixture.short_ttl());
    let began = Instant::now();
    let mut revision = store.create_task(&task, WIDE).await?;
    for rounds in 1..4 {
        fixture.advance_time(time).await;
        let loaded = store.load_task(&task.owner, &task.id).await?;
        let record = loaded.context("the task is not stored")?.record;
        let left = record.ttl.context("an expiry was requested")?;
        let most = LONG_TTL - time * rounds;
        ensure!(left <= most, "{left:?} of {most:?}");
        let passed = match fixture.clock {
            Some(_) => time * rounds,
            // One millisecond for each rounding on the way.
            None => began.elapsed() + Duration::from_millis(5),
        };
        ensure!(left >= LONG_TTL - passed, "{left:?} after {passed:?}");
        // A task that is stored again unchanged keeps its expiry.
        revision = store.replace_task(&record, revision, WIDE).await?;
    }
    Ok(())
}

pub(super) async fn the_longest_life_holds_for_every_task(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    let (store, ttl) = (&*fixture.store, fixture.short_ttl());
    let limits = TaskLimits {
        max_ttl: ttl,
        ..WIDE
    };
    let endless = TaskRecord {
        ttl: None,
        ..task(1)
    };
    let replaced = TaskRecord {
        ttl: None,
        ..task(2)
    };
    let long = task(3);
    store.create_task(&endless, limits).await?;
    store.create_task(&long, limits).await?;
    let revision = store.create_task(&replaced, WIDE).await?;
    is_stored(store, &replaced, revision).await?;
    store.replace_task(&replaced, revision, limits).await?;
    fixture.advance_time(ttl).await;
    for task in [endless, long, replaced] {
        is_gone(&fixture, &task).await?;
    }
    Ok(())
}
