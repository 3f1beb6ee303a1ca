//! BG-11, BG-12: budgets with several handles and reopens.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use ports::{Budget, BudgetAnswer, BudgetDemand};
use tokio::time::{Instant, sleep};

use super::fixture::{CAPACITY, account};
use crate::{BudgetFixture, Harness};

/// Takes one permit after the other until this time, and counts them.
async fn take_until(budget: Arc<dyn Budget>, demand: BudgetDemand, end: Instant) -> Result<u32> {
    let mut granted = 0;
    while Instant::now() < end {
        match budget.take(&account("a"), &demand).await? {
            BudgetAnswer::Granted { .. } => granted += 1,
            BudgetAnswer::Wait(wait) => sleep(wait).await,
        }
    }
    Ok(granted)
}

async fn three(fixture: &BudgetFixture) -> Result<[Arc<dyn Budget>; 3]> {
    let (second, third) = (fixture.handles.peer().await?, fixture.handles.peer().await?);
    Ok([Arc::clone(&fixture.budget), second, third])
}

pub(super) async fn three_handles_share_one_capacity(harness: Arc<dyn Harness>) -> Result<()> {
    const PERIODS: u32 = 3;
    let fixture = harness.budget().await?;
    let handles = three(&fixture).await?;
    // The handles are there, so the time of the last period is not theirs.
    let end = Instant::now() + fixture.period() * PERIODS - Duration::from_millis(1);
    let takers = handles.map(|handle| tokio::spawn(take_until(handle, fixture.paced(1), end)));
    let mut granted = 0;
    for taker in takers {
        granted += taker.await??;
    }
    let all = CAPACITY * PERIODS;
    ensure!(
        granted <= all && granted * 50 >= all * 49,
        "{granted} of {all}"
    );
    Ok(())
}

pub(super) async fn a_stop_and_a_report_of_one_handle_count_for_all(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.budget().await?;
    let handles = three(&fixture).await?;
    let report = fixture.report(2, fixture.window());
    handles[0].settle(&account("a"), &report).await?;
    let demand = fixture.reported(1);
    for handle in &handles[..2] {
        let answer = handle.take(&account("a"), &demand).await?;
        ensure!(answer == BudgetAnswer::Granted { slot: None });
    }
    let refused = |answer| matches!(answer, BudgetAnswer::Wait(_));
    ensure!(refused(handles[2].take(&account("a"), &demand).await?));
    handles[1].stop(&account("b"), fixture.window()).await?;
    for handle in &handles {
        ensure!(refused(
            handle.take(&account("b"), &fixture.paced(1)).await?
        ));
    }
    Ok(())
}

pub(super) async fn what_was_taken_and_stopped_counts_after_a_reopen(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = harness.budget().await?;
    fixture.tell(CAPACITY, fixture.window()).await?;
    fixture.granted(&fixture.reported(CAPACITY - 1)).await?;
    fixture.budget.stop(&account("b"), fixture.window()).await?;
    fixture.budget = fixture.handles.reopen().await?;
    ensure!(fixture.take_all(&fixture.reported(1), CAPACITY).await?.0 == 1);
    let answer = fixture
        .budget
        .take(&account("b"), &fixture.paced(1))
        .await?;
    ensure!(matches!(answer, BudgetAnswer::Wait(_)));
    Ok(())
}
