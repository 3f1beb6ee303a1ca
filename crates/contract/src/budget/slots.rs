//! BG-07, BG-08: stops and slots.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use ports::BudgetOutcome;

use super::fixture::{account, slot};
use crate::Harness;

pub(super) async fn a_stopped_account_grants_nothing_until_the_last_stop_is_over(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.budget().await?;
    let (pause, demand) = (fixture.period(), fixture.paced(1));
    fixture.granted(&demand).await?;
    fixture.budget.stop(&account("a"), pause).await?;
    fixture.budget.stop(&account("a"), pause / 100).await?;
    fixture.refused(&slot(1, pause)).await?;
    fixture.refused(&fixture.reported(1)).await?;
    let wait = fixture.refused(&demand).await?;
    ensure!(wait <= pause, "{wait:?} of {pause:?}");
    fixture.advance_time(wait).await;
    fixture.granted(&demand).await?;
    fixture.budget.stop(&account("a"), Duration::MAX).await?;
    let wait = fixture.refused(&demand).await?;
    ensure!(wait <= ports::BudgetDemand::LONGEST, "{wait:?}");
    Ok(())
}

pub(super) async fn no_more_slots_are_held_than_the_rule_has(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.budget().await?;
    let demand = slot(3, fixture.window());
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(fixture.granted(&demand).await?.context("a slot")?);
    }
    fixture.refused(&demand).await?;
    let free = |freed| BudgetOutcome {
        freed,
        ..BudgetOutcome::default()
    };
    let freed = vec![held.remove(1)];
    fixture
        .budget
        .settle(&account("a"), &free(freed.clone()))
        .await?;
    held.push(fixture.granted(&demand).await?.context("a slot")?);
    // It is no longer that caller's.
    fixture.budget.settle(&account("a"), &free(freed)).await?;
    fixture.refused(&demand).await?;
    fixture.budget.settle(&account("a"), &free(held)).await?;
    ensure!(fixture.take_all(&demand, 3).await?.0 == 3);
    Ok(())
}

pub(super) async fn a_slot_that_nobody_settles_is_free_after_its_time(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.budget().await?;
    let ttl = fixture.period();
    fixture.granted(&slot(1, ttl)).await?;
    fixture.refused(&slot(1, ttl)).await?;
    fixture.advance_time(ttl).await;
    fixture.granted(&slot(1, ttl)).await?;
    Ok(())
}
