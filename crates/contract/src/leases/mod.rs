//! Cases for [`ports::Leases`].

mod contention;
mod handles;
mod hold;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use model::LeaseName;
use ports::Lease;

use crate::SessionPorts;

crate::case::cases! {
    "LK-01" Nothing contention::of_all_who_ask_at_once_one_gets_it;
    "LK-02" Nothing contention::who_waits_in_vain_is_told_in_time;
    "LK-02" Nothing contention::a_lock_that_comes_free_goes_to_who_waits;
    "LK-03" Nothing hold::only_the_holder_extends_and_releases;
    "LK-03" Nothing hold::extending_restarts_the_time;
    "LK-04" Nothing hold::a_lock_ends_without_its_holder;
    "LK-04" Nothing hold::an_acquire_that_was_given_up_blocks_no_longer_than_a_lock;
    "LK-05" Nothing hold::fences_rise_over_release_and_expiry;
    "LK-06" Nothing contention::fifty_contenders_lose_no_increment;
    "LK-07" Nothing hold::two_names_are_two_locks;
    "LK-08" Durable handles::a_held_lock_outlives_a_reopen;
    "LK-09" Shared handles::fifty_contenders_over_handles_lose_no_increment;
    "LK-09" Shared handles::one_handle_respects_anothers_lock;
    "LK-09" Shared handles::a_lock_of_a_handle_that_is_gone_ends;
    "LK-10" GoesBack handles::fences_of_a_lost_time_are_not_given_out_again;
}

/// A time to live that exceeds the duration of every case.
const LONG: Duration = Duration::from_secs(3600);
/// No wait.
const AT_ONCE: Duration = Duration::ZERO;

fn name(text: &str) -> LeaseName {
    LeaseName::new(text).expect("visible ASCII")
}

/// Acquires a lock that has to be free.
async fn acquire_free(store: &dyn SessionPorts, lock: &str, ttl: Duration) -> Result<Lease> {
    let taken = store.acquire(&name(lock), ttl, AT_ONCE).await?;
    taken.with_context(|| format!("{lock} is taken"))
}

async fn is_taken(store: &dyn SessionPorts, lock: &str) -> Result<bool> {
    Ok(store.acquire(&name(lock), LONG, AT_ONCE).await?.is_none())
}

/// Fifty tasks increment a number twenty times each, with a separate read and write that other
/// tasks could interleave with, alternating between the handles.
async fn fifty_contenders(stores: &[Arc<dyn SessionPorts>]) -> Result<()> {
    const CONTENDERS: u64 = 50;
    const INCREMENTS: u64 = 20;
    let number = Arc::new(tokio::sync::RwLock::new((0, 0)));
    let contenders: Vec<_> = (0..CONTENDERS)
        .zip(stores.iter().cycle())
        .map(|(_, store)| {
            let (store, number) = (Arc::clone(store), Arc::clone(&number));
            tokio::spawn(async move {
                for _ in 0..INCREMENTS {
                    let guard = store.acquire(&name("number"), LONG, LONG).await?;
                    let guard = guard.context("the wait of an hour is over")?;
                    let (before, fence) = *number.read().await;
                    anyhow::ensure!(guard.fence > fence, "{guard:?} after {fence}");
                    tokio::task::yield_now().await;
                    *number.write().await = (before + 1, guard.fence);
                    let released = store.release(&name("number"), &guard.token).await?;
                    anyhow::ensure!(released, "another task held it");
                }
                Ok(())
            })
        })
        .collect();
    for contender in contenders {
        contender.await??;
    }
    assert_eq!(
        number.read().await.0,
        CONTENDERS * INCREMENTS,
        "increments are lost"
    );
    Ok(())
}
