//! [`ports::Budget`]: an account is two keys in one slot, `{prefix}budget:{<account>}` and `…:slots`. Every take is one
//! script with the server's clock, so that processes whose clocks differ share one account.

use std::time::Duration;

use async_trait::async_trait;
use fred::types::{FromValue, Value, scripts::Script};
use model::{BudgetAccount, IdSource, RandomIds};
use ports::{
    BucketRule, Budget, BudgetAnswer, BudgetDemand, BudgetNeed, BudgetOutcome, BudgetSlot,
    StoreFailure,
};

use crate::{RedisSessionStore, store::millis};

/// How long an account is kept after its last use: longer than any period, stop or slot counts.
const KEPT: Duration = Duration::from_secs(2 * BudgetDemand::LONGEST.as_secs());
/// Reports whose reset differs by less than a quarter of a period are of one window: GitHub's have whole seconds, and
/// answers arrive in any order.
const SAME_WINDOW: &str = "4";

/// A duration in microseconds, up to the longest of a budget.
fn micros(duration: Duration) -> Value {
    duration
        .min(BudgetDemand::LONGEST)
        .as_micros()
        .to_string()
        .into()
}

fn count(number: &impl ToString) -> Value {
    number.to_string().into()
}

fn need_arguments(need: &BudgetNeed) -> [Value; 5] {
    let (kind, capacity) = match need.rule {
        BucketRule::Paced { capacity, .. } => ("p", capacity),
        BucketRule::Reported { .. } => ("r", 0),
    };
    let bucket = need.bucket.as_str().into();
    let period = micros(need.rule.period());
    [
        kind.into(),
        bucket,
        count(&need.permits),
        period,
        count(&capacity),
    ]
}

fn outcome_arguments(outcome: &BudgetOutcome) -> Vec<Value> {
    let mut arguments: Vec<Value> = vec![SAME_WINDOW.into(), count(&outcome.freed.len())];
    arguments.extend(outcome.freed.iter().map(|slot| Value::from(slot.as_str())));
    arguments.push(count(&outcome.given_back.len()));
    for (bucket, permits) in &outcome.given_back {
        arguments.extend([bucket.as_str().into(), count(permits)]);
    }
    for report in &outcome.reports {
        let period = BucketRule::Reported {
            period: report.period,
        }
        .period();
        arguments.extend([
            report.bucket.as_str().into(),
            micros(period),
            count(&report.limit),
            count(&report.remaining),
            micros(report.resets_in),
        ]);
    }
    arguments
}

impl RedisSessionStore {
    async fn on_budget<R: FromValue>(
        &self,
        op: &'static str,
        script: &Script,
        account: &BudgetAccount,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<R, StoreFailure> {
        let keys = self.keys.budget_keys(account);
        let kept = [Value::from(millis(KEPT))];
        let arguments = kept.into_iter().chain(arguments).collect();
        let call = self.run_on_shared(op, script, &keys, arguments);
        self.bounded(op, call).await
    }
}

#[async_trait]
impl Budget for RedisSessionStore {
    async fn take(
        &self,
        account: &BudgetAccount,
        demand: &BudgetDemand,
    ) -> Result<BudgetAnswer, StoreFailure> {
        let (op, script) = ("take from a budget", &self.budget_scripts.take);
        let slot = demand.slot.map(|_| BudgetSlot::new(RandomIds.uuid()));
        let (slots, ttl) = demand
            .slot
            .map_or_else(Default::default, |rule| (rule.slots, rule.ttl));
        let name = slot.as_ref().map_or("", BudgetSlot::as_str);
        let mut arguments = vec![
            count(&slots),
            micros(ttl),
            name.into(),
            micros(BudgetDemand::SLOT_PAUSE),
            count(&BudgetDemand::PARTS),
        ];
        arguments.extend(demand.needs.iter().flat_map(need_arguments));
        let wait: u64 = self.on_budget(op, script, account, arguments).await?;
        Ok(match wait {
            0 => BudgetAnswer::Granted { slot },
            wait => BudgetAnswer::Wait(Duration::from_micros(wait).min(BudgetDemand::LONGEST)),
        })
    }

    async fn settle(
        &self,
        account: &BudgetAccount,
        outcome: &BudgetOutcome,
    ) -> Result<(), StoreFailure> {
        let (op, script) = ("settle with a budget", &self.budget_scripts.settle);
        let arguments = outcome_arguments(outcome);
        let _: i64 = self.on_budget(op, script, account, arguments).await?;
        Ok(())
    }

    async fn stop(&self, account: &BudgetAccount, pause: Duration) -> Result<(), StoreFailure> {
        let (op, script) = ("stop a budget", &self.budget_scripts.stop);
        let _: i64 = self.on_budget(op, script, account, [micros(pause)]).await?;
        Ok(())
    }
}
