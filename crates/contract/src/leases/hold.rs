//! LK-03, LK-04, LK-05, LK-07: the holder of a lock, and the duration of the hold.

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use ports::LeaseToken;
use tokio::time::Instant;

use super::{AT_ONCE, LONG, acquire_free, is_taken, name};
use crate::Harness;

/// Maximum time by which a lock may exceed its time to live if the backend's own clock decides.
const EXPIRY_DEADLINE: Duration = Duration::from_secs(5);
/// Number of attempts of a case when a time to live ended too early on a slow machine.
const ATTEMPTS: u64 = 10;

pub(super) async fn only_the_holder_extends_and_releases(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    let store = &*fixture.store;
    let mine = acquire_free(store, "mine", LONG).await?;
    let others = acquire_free(store, "others", LONG).await?;
    let strangers = [
        others.token,
        LeaseToken::new(String::new()),
        LeaseToken::new("*".to_owned()),
    ];
    for stranger in &strangers {
        assert!(!store.extend(&name("mine"), stranger, LONG).await?);
        assert!(!store.release(&name("mine"), stranger).await?);
        assert!(!store.extend(&name("nobodys"), stranger, LONG).await?);
        assert!(!store.release(&name("nobodys"), stranger).await?);
    }
    assert!(
        is_taken(store, "mine").await?,
        "a foreign token has released it"
    );
    assert!(
        !is_taken(store, "nobodys").await?,
        "a foreign token has created it"
    );
    assert!(store.extend(&name("mine"), &mine.token, LONG).await?);
    assert!(store.release(&name("mine"), &mine.token).await?);
    assert!(
        !store.extend(&name("mine"), &mine.token, LONG).await?,
        "it was released"
    );
    assert!(
        !store.release(&name("mine"), &mine.token).await?,
        "it was released"
    );
    let next = acquire_free(store, "mine", LONG).await?;
    assert!(
        !store.release(&name("mine"), &mine.token).await?,
        "the lock belongs to the next holder"
    );
    assert!(store.release(&name("mine"), &next.token).await?);
    Ok(())
}

pub(super) async fn extending_restarts_the_time(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    let ttl = fixture.short_ttl();
    for attempt in 0..ATTEMPTS {
        let (started, lock) = (Instant::now(), format!("extended-{attempt}"));
        let guard = acquire_free(&*fixture.store, &lock, ttl).await?;
        fixture.advance_time(ttl / 2).await;
        let extended = fixture
            .store
            .extend(&name(&lock), &guard.token, LONG)
            .await?;
        if !extended && fixture.clock.is_none() && started.elapsed() >= ttl {
            continue; // The lock expired on a busy machine: retry with another one.
        }
        assert!(extended, "the holder cannot extend");
        fixture.advance_time(ttl).await;
        assert!(is_taken(&*fixture.store, &lock).await?, "extended but free");
        // The last call counts, even if it shortens the time to live.
        assert!(
            fixture
                .store
                .extend(&name(&lock), &guard.token, ttl)
                .await?
        );
        fixture.advance_time(ttl).await;
        let next = fixture
            .store
            .acquire(&name(&lock), LONG, EXPIRY_DEADLINE)
            .await?;
        assert!(next.is_some(), "it outlives its time to live");
        return Ok(());
    }
    bail!("every attempt was overtaken by the time to live of {ttl:?}")
}

pub(super) async fn a_lock_ends_without_its_holder(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    let (store, ttl) = (&*fixture.store, fixture.short_ttl());
    let crashed = acquire_free(store, "crashed", ttl).await?;
    if fixture.clock.is_some() {
        fixture.advance_time(ttl - Duration::from_millis(1)).await;
        assert!(is_taken(store, "crashed").await?, "free before its time");
        fixture.advance_time(Duration::from_millis(1)).await;
    } else {
        fixture.advance_time(ttl).await;
    }
    let next = store
        .acquire(&name("crashed"), LONG, EXPIRY_DEADLINE)
        .await?;
    let next = next.context("it outlives its time to live")?;
    assert_ne!(next.token, crashed.token);
    assert!(!store.extend(&name("crashed"), &crashed.token, LONG).await?);
    assert!(!store.release(&name("crashed"), &crashed.token).await?);
    assert!(
        is_taken(store, "crashed").await?,
        "the old holder has released it"
    );
    // The lock expires even if no other caller acquires it.
    let late = acquire_free(store, "late", ttl).await?;
    fixture.advance_time(ttl).await;
    let deadline = Instant::now() + EXPIRY_DEADLINE;
    while fixture
        .store
        .extend(&name("late"), &late.token, ttl)
        .await?
    {
        assert!(
            fixture.clock.is_none() && Instant::now() < deadline,
            "extended too late"
        );
        fixture.advance_time(ttl * 2).await;
    }
    assert!(
        !store.release(&name("late"), &late.token).await?,
        "released too late"
    );
    Ok(())
}

pub(super) async fn an_acquire_that_was_given_up_blocks_no_longer_than_a_lock(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.session_store().await?;
    let ttl = fixture.short_ttl();
    for round in 0..20 {
        let lock = format!("given-up-{round}");
        let given_up: Vec<_> = (0..5)
            .map(|_| {
                let (store, lock) = (Arc::clone(&fixture.store), name(&lock));
                tokio::spawn(async move { store.acquire(&lock, ttl, LONG).await })
            })
            .collect();
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        for task in given_up {
            task.abort();
            let _ = task.await;
        }
        // A request may still be in flight: then it acquires the lock once more, for its time to
        // live.
        let (deadline, wait) = (Instant::now() + EXPIRY_DEADLINE, Duration::from_millis(20));
        let lock = &name(&lock);
        let acquire = || fixture.store.acquire(lock, LONG, wait);
        while acquire().await?.is_none() {
            let late = Instant::now() > deadline;
            assert!(!late, "round {round}: blocked by cancelled calls");
            fixture.advance_time(ttl).await;
        }
    }
    Ok(())
}

pub(super) async fn fences_rise_over_release_and_expiry(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    let (store, ttl) = (&*fixture.store, fixture.short_ttl());
    let (mut last, mut tokens) = (0, HashSet::new());
    for round in 0..40 {
        let expires = round % 20 == 7;
        let time = if expires { ttl } else { LONG };
        let guard = store
            .acquire(&name("fenced"), time, EXPIRY_DEADLINE)
            .await?;
        let guard = guard.context("the lock is free")?;
        assert!(guard.fence > last, "{} after {last}", guard.fence);
        assert!(
            tokens.insert(guard.token.as_str().to_owned()),
            "a token was issued twice"
        );
        last = guard.fence;
        if expires {
            fixture.advance_time(ttl).await;
        } else {
            assert!(store.release(&name("fenced"), &guard.token).await?);
        }
    }
    Ok(())
}

pub(super) async fn two_names_are_two_locks(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    let store = &*fixture.store;
    let names = ["a", "A", "ab", "a/b", "{a}", "a*", "a:b", "a}"];
    let mut guards = Vec::new();
    for lock in names {
        guards.push(acquire_free(store, lock, LONG).await?);
    }
    for (lock, guard) in names.into_iter().zip(&guards) {
        assert!(store.release(&name(lock), &guard.token).await?);
        let again = store.acquire(&name(lock), LONG, AT_ONCE).await?;
        assert!(again.is_some(), "{lock} is free");
    }
    for lock in names {
        assert!(is_taken(store, lock).await?);
    }
    Ok(())
}
