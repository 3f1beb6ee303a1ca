//! LK-08, LK-09: locks with several handles and reopens.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};

use super::{LONG, acquire_free, fifty_contenders, is_taken, name};
use crate::Harness;

pub(super) async fn a_held_lock_outlives_a_reopen(harness: Arc<dyn Harness>) -> Result<()> {
    let mut fixture = harness.session_store().await?;
    let held = acquire_free(&*fixture.store, "held", LONG).await?;
    let free = acquire_free(&*fixture.store, "free", LONG).await?;
    assert!(fixture.store.release(&name("free"), &free.token).await?);
    fixture.store = fixture.handles.reopen().await?;
    let store = &*fixture.store;
    assert!(is_taken(store, "held").await?, "it was held");
    assert!(store.extend(&name("held"), &held.token, LONG).await?);
    assert!(acquire_free(store, "free", LONG).await?.fence > free.fence);
    assert!(store.release(&name("held"), &held.token).await?);
    assert!(acquire_free(store, "held", LONG).await?.fence > held.fence);
    Ok(())
}

pub(super) async fn fifty_contenders_over_handles_lose_no_increment(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.session_store().await?;
    let (second, third) = (fixture.handles.peer().await?, fixture.handles.peer().await?);
    fifty_contenders(&[Arc::clone(&fixture.store), second, third]).await
}

pub(super) async fn one_handle_respects_anothers_lock(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    let peer = fixture.handles.peer().await?;
    let mut last = 0;
    for n in 0..20 {
        let (here, there) = if n % 2 == 0 {
            (&fixture.store, &peer)
        } else {
            (&peer, &fixture.store)
        };
        let guard = acquire_free(&**here, "shared", LONG).await?;
        assert!(guard.fence > last, "{} after {last}", guard.fence);
        last = guard.fence;
        assert!(is_taken(&**there, "shared").await?);
        // A caller with the token is the holder, through any handle.
        assert!(there.extend(&name("shared"), &guard.token, LONG).await?);
        assert!(there.release(&name("shared"), &guard.token).await?);
    }
    Ok(())
}

pub(super) async fn a_lock_of_a_handle_that_is_gone_ends(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.session_store().await?;
    let (crashing, ttl) = (fixture.handles.peer().await?, fixture.short_ttl());
    let crashed = acquire_free(&*crashing, "crashed", ttl).await?;
    drop(crashing);
    fixture.advance_time(ttl).await;
    let wait = Duration::from_secs(5);
    let next = fixture.store.acquire(&name("crashed"), LONG, wait).await?;
    assert!(next.context("the lock has not expired")?.fence > crashed.fence);
    Ok(())
}

pub(super) async fn fences_of_a_lost_time_are_not_given_out_again(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = harness.session_store().await?;
    let set_back = fixture.handles.set_back()?;
    acquire_free(&*fixture.store, "other", LONG).await?;
    (set_back.save)().await?;
    let lost = acquire_free(&*fixture.store, "lock", LONG).await?;
    fixture.store = (set_back.restore)().await?;
    fixture.advance_time(Duration::from_millis(1)).await;
    // The store has forgotten the holder; its number shows whose write is late.
    let next = acquire_free(&*fixture.store, "lock", LONG).await?;
    assert!(
        next.fence > lost.fence,
        "{} after {}",
        next.fence,
        lost.fence
    );
    Ok(())
}
