//! LK-01, LK-02, LK-06: many callers that want one lock.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use tokio::time::Instant;

use super::{AT_ONCE, LONG, acquire_free, fifty_contenders, is_taken, name};
use crate::Harness;

/// Time that a wait may exceed its limit on a busy machine.
const SLACK: Duration = Duration::from_secs(5);

pub(super) async fn of_all_who_ask_at_once_one_gets_it(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    for round in 0..10 {
        let lock = format!("round {round}").replace(' ', "/");
        let contenders: Vec<_> = (0..50)
            .map(|_| {
                let (store, lock) = (Arc::clone(&fixture.store), name(&lock));
                tokio::spawn(async move { store.acquire(&lock, LONG, AT_ONCE).await })
            })
            .collect();
        let mut holders = Vec::new();
        for contender in contenders {
            holders.extend(contender.await??);
        }
        assert_eq!(holders.len(), 1, "{holders:?}");
        assert!(is_taken(&*fixture.store, &lock).await?);
    }
    Ok(())
}

pub(super) async fn who_waits_in_vain_is_told_in_time(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    acquire_free(&*fixture.store, "held", LONG).await?;
    for wait in [0, 1, 30, 400].map(Duration::from_millis) {
        let began = Instant::now();
        let none = fixture.store.acquire(&name("held"), LONG, wait).await?;
        assert!(none.is_none(), "{none:?}");
        let waited = began.elapsed();
        assert!(waited >= wait, "gave up after {waited:?} of {wait:?}");
        assert!(
            waited < wait + SLACK,
            "waited {waited:?} instead of {wait:?}"
        );
    }
    Ok(())
}

pub(super) async fn a_lock_that_comes_free_goes_to_who_waits(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.session_store().await?;
    let mut guard = acquire_free(&*fixture.store, "passed-on", LONG).await?;
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let store = Arc::clone(&fixture.store);
            tokio::spawn(async move { store.acquire(&name("passed-on"), LONG, LONG).await })
        })
        .collect();
    let mut waiting: futures_util::stream::FuturesUnordered<_> = waiting.into_iter().collect();
    for _ in 0..5 {
        assert!(is_taken(&*fixture.store, "passed-on").await?);
        assert!(
            fixture
                .store
                .release(&name("passed-on"), &guard.token)
                .await?
        );
        let next = tokio::time::timeout(SLACK, futures_util::StreamExt::next(&mut waiting));
        let next = next
            .await
            .context("the lock is free, but no waiting caller gets it")?;
        let next = next
            .context("five wait")???
            .context("the wait of an hour is over")?;
        assert!(next.fence > guard.fence);
        guard = next;
    }
    // An expired lock is acquired by a waiting caller as well.
    let ttl = fixture.short_ttl();
    assert!(
        fixture
            .store
            .extend(&name("passed-on"), &guard.token, ttl)
            .await?
    );
    let store = Arc::clone(&fixture.store);
    let waits = tokio::spawn(async move { store.acquire(&name("passed-on"), LONG, LONG).await });
    fixture.advance_time(ttl).await;
    let next = tokio::time::timeout(SLACK, waits)
        .await
        .context("the lock is free, but the waiting caller does not get it")???;
    assert!(next.context("the wait of an hour is over")?.fence > guard.fence);
    Ok(())
}

pub(super) async fn fifty_contenders_lose_no_increment(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    fifty_contenders(&[Arc::clone(&fixture.store)]).await
}
