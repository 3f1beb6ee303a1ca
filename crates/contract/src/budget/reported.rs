//! BG-04, BG-05, BG-06, BG-10: buckets that somebody else counts.

use std::sync::Arc;

use anyhow::{Result, ensure};
use ports::{BudgetOutcome, SlotRule};

use super::fixture::{CAPACITY, REPORTED, account};
use crate::Harness;

pub(super) async fn nothing_is_bounded_before_the_first_report(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.budget().await?;
    for _ in 0..3 {
        fixture.granted(&fixture.reported(1_000_000)).await?;
    }
    fixture.tell(2, fixture.window()).await?;
    ensure!(fixture.take_all(&fixture.reported(1), CAPACITY).await?.0 == 2);
    Ok(())
}

pub(super) async fn what_remains_is_granted_until_the_reset_and_the_limit_after_it(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.budget().await?;
    let left = fixture.period();
    fixture.tell(5, left).await?;
    let (granted, wait) = fixture.take_all(&fixture.reported(1), CAPACITY).await?;
    ensure!(granted == 5 && wait <= left, "{granted}, {wait:?}");
    fixture.advance_time(wait).await;
    let (granted, wait) = fixture.take_all(&fixture.reported(1), CAPACITY).await?;
    ensure!(granted == CAPACITY, "{granted}");
    // There is no report of this window: it is as long as all of them.
    ensure!(wait > left && wait <= fixture.window(), "{wait:?}");
    Ok(())
}

pub(super) async fn the_tighter_number_counts(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.budget().await?;
    let window = fixture.window();
    fixture.tell(10, window).await?;
    fixture.granted(&fixture.reported(4)).await?;
    // An answer to an earlier request arrives late.
    fixture.tell(9, window).await?;
    ensure!(fixture.take_all(&fixture.reported(1), CAPACITY).await?.0 == 6);
    // Another program uses the same account.
    fixture.tell(0, window).await?;
    fixture.refused(&fixture.reported(1)).await?;
    Ok(())
}

pub(super) async fn a_report_of_a_window_that_is_over_changes_nothing(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.budget().await?;
    let left = fixture.period() / 4;
    fixture.tell(0, left).await?;
    let wait = fixture.refused(&fixture.reported(1)).await?;
    fixture.advance_time(wait).await;
    fixture.granted(&fixture.reported(1)).await?;
    fixture.tell(0, left).await?;
    let (granted, _) = fixture.take_all(&fixture.reported(1), CAPACITY).await?;
    ensure!(granted == CAPACITY - 1, "{granted}");
    Ok(())
}

pub(super) async fn a_report_of_a_later_window_begins_it(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.budget().await?;
    let window = fixture.window();
    fixture.tell(0, window / 8).await?;
    fixture.refused(&fixture.reported(1)).await?;
    fixture.tell(7, window).await?;
    ensure!(fixture.take_all(&fixture.reported(1), CAPACITY).await?.0 == 7);
    Ok(())
}

pub(super) async fn what_is_under_way_is_not_in_a_report_yet(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.budget().await?;
    let ttl = fixture.window();
    for _ in 0..2 {
        let mut demand = fixture.reported(1);
        demand.slot = Some(SlotRule { slots: 9, ttl });
        fixture.granted(&demand).await?;
    }
    fixture.tell(7, ttl).await?;
    ensure!(fixture.take_all(&fixture.reported(1), CAPACITY).await?.0 == 5);
    // The own count has them all by now: a report that says more changes nothing.
    fixture.tell(1, ttl).await?;
    fixture.refused(&fixture.reported(1)).await?;
    Ok(())
}

pub(super) async fn what_is_given_back_can_be_taken_up_to_the_limit(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.budget().await?;
    fixture.tell(CAPACITY, fixture.window()).await?;
    fixture.granted(&fixture.reported(CAPACITY)).await?;
    let give = |permits| BudgetOutcome {
        given_back: vec![(REPORTED, permits)],
        ..BudgetOutcome::default()
    };
    fixture.budget.settle(&account("a"), &give(3)).await?;
    ensure!(fixture.take_all(&fixture.reported(1), CAPACITY).await?.0 == 3);
    fixture
        .budget
        .settle(&account("a"), &give(CAPACITY * 5))
        .await?;
    ensure!(fixture.take_all(&fixture.reported(1), CAPACITY).await?.0 == CAPACITY);
    Ok(())
}

pub(super) async fn a_demand_beyond_the_limit_is_one_for_all_of_it(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.budget().await?;
    fixture.tell(CAPACITY, fixture.window()).await?;
    ensure!(fixture.take_all(&fixture.reported(u32::MAX), 1).await?.0 == 1);
    fixture.refused(&fixture.reported(1)).await?;
    Ok(())
}
