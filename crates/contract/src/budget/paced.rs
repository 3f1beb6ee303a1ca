//! BG-01, BG-02, BG-03, BG-09, BG-10: buckets that fill by themselves.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail, ensure};
use ports::{BucketName, BudgetAnswer, SlotRule};
use tokio::time::Instant;

use super::fixture::{CAPACITY, account};
use crate::Harness;

pub(super) async fn all_of_a_demand_is_granted_or_nothing(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.budget().await?;
    fixture.granted(&fixture.reported(1)).await?;
    fixture.tell(CAPACITY, fixture.window()).await?;
    fixture.granted(&fixture.paced(CAPACITY)).await?;
    // The paced bucket is used up, so nothing of the other one is taken, and no slot either.
    let mut both = fixture.reported(1);
    both.needs.extend(fixture.paced(1).needs);
    let ttl = fixture.window();
    both.slot = Some(SlotRule { slots: 1, ttl });
    for _ in 0..3 {
        fixture.refused(&both).await?;
    }
    fixture.granted(&fixture.reported(CAPACITY)).await?;
    fixture.granted(&super::fixture::slot(1, ttl)).await?;
    Ok(())
}

pub(super) async fn who_waits_as_long_as_is_said_is_granted(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.budget().await?;
    for round in 0..3 {
        let (granted, wait) = fixture.take_all(&fixture.paced(7), CAPACITY).await?;
        ensure!(granted >= 1, "nothing in round {round}");
        fixture.advance_time(wait).await;
    }
    fixture.granted(&fixture.paced(7)).await?;
    Ok(())
}

pub(super) async fn no_span_of_a_period_has_more_than_the_capacity(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.budget().await?;
    let (period, began) = (fixture.period(), Instant::now());
    let mut elapsed = Duration::ZERO;
    // When each permit was granted, at the earliest and at the latest.
    let mut grants: Vec<(Duration, Duration)> = Vec::new();
    while elapsed < period * 5 / 2 {
        let permits = u32::try_from(grants.len() % 4).expect("a small number") + 1;
        let before = elapsed;
        let answer = fixture
            .budget
            .take(&account("a"), &fixture.paced(permits))
            .await?;
        if fixture.clock.is_none() {
            elapsed = began.elapsed();
        }
        if answer != (BudgetAnswer::Granted { slot: None }) {
            // Not a whole part, so that grants fall anywhere in one.
            let step = period / 37;
            fixture.advance_time(step).await;
            elapsed = match fixture.clock {
                Some(_) => elapsed + step + Duration::from_millis(1),
                None => began.elapsed(),
            };
            continue;
        }
        grants.extend((0..permits).map(|_| (before, elapsed)));
    }
    ensure!(
        grants.len() > 2 * CAPACITY as usize,
        "{} grants",
        grants.len()
    );
    for burst in grants.windows(CAPACITY as usize + 1) {
        let (first, last) = (burst[0].0, burst[CAPACITY as usize].1);
        ensure!(
            last - first >= period,
            "one too many from {first:?} to {last:?}"
        );
    }
    Ok(())
}

pub(super) async fn a_period_has_nearly_all_of_the_capacity(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.budget().await?;
    for _ in 0..3 {
        fixture.granted(&fixture.paced(CAPACITY)).await?;
        let wait = fixture.refused(&fixture.paced(CAPACITY)).await?;
        ensure!(wait <= fixture.period().mul_f64(1.02), "{wait:?}");
        fixture.advance_time(wait).await;
    }
    Ok(())
}

pub(super) async fn accounts_and_buckets_do_not_touch_each_other(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.budget().await?;
    fixture.granted(&fixture.paced(CAPACITY)).await?;
    fixture.refused(&fixture.paced(1)).await?;
    let mut other = fixture.paced(CAPACITY);
    other.needs[0].bucket = BucketName::new("other");
    fixture.granted(&other).await?;
    // Braces are special in keys of some stores.
    for name in ["b", "{a}", "a}", "a:slots"] {
        let answer = fixture
            .budget
            .take(&account(name), &fixture.paced(CAPACITY))
            .await?;
        ensure!(
            answer == BudgetAnswer::Granted { slot: None },
            "{name}: {answer:?}"
        );
        fixture
            .budget
            .stop(&account(name), fixture.window())
            .await?;
    }
    fixture.tell(CAPACITY, fixture.window()).await?;
    fixture.granted(&fixture.reported(1)).await?;
    Ok(())
}

pub(super) async fn a_demand_beyond_the_capacity_is_one_for_all_of_it(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.budget().await?;
    fixture.granted(&fixture.paced(CAPACITY * 9)).await?;
    let wait = fixture.refused(&fixture.paced(1)).await?;
    fixture.advance_time(wait).await;
    fixture.granted(&fixture.paced(1)).await?;
    let wait = fixture.refused(&fixture.paced(u32::MAX)).await?;
    fixture.advance_time(wait).await;
    match fixture.take_all(&fixture.paced(u32::MAX), 1).await? {
        (1, _) => Ok(()),
        (granted, _) => bail!("{granted} are granted"),
    }
}
