//! [`ports::Budget`] of one process.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use model::{BudgetAccount, Clock, IdSource, RandomIds};
use parking_lot::Mutex;
use ports::{
    BucketName, BucketRule, Budget, BudgetAnswer, BudgetDemand, BudgetNeed, BudgetOutcome,
    BudgetSlot, SlotRule, StoreFailure,
};

use crate::budget_bucket::{PacedBucket, ReportedBucket, micros};

/// Maximum number of accounts. At the bound those are forgotten that were not used for longer than any period.
const MAX_ACCOUNTS: usize = 10_000;

/// The budgets of one process.
pub struct MemoryBudget {
    clock: Arc<dyn Clock>,
    accounts: Mutex<HashMap<BudgetAccount, AccountState>>,
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryBudget")
    }
}

/// What is known of an account.
#[derive(Debug, Default)]
struct AccountState {
    used_at: i64,
    stopped_until: i64,
    paced: HashMap<BucketName, PacedBucket>,
    reported: HashMap<BucketName, ReportedBucket>,
    /// The end of each slot's time to live, and its name.
    slots: BTreeSet<(i64, String)>,
}

impl AccountState {
    fn wait_for(&mut self, now: i64, need: &BudgetNeed) -> i64 {
        let period = micros(need.rule.period());
        match need.rule {
            BucketRule::Paced { capacity, .. } => {
                let permits = need.permits.min(capacity);
                let bucket = self.paced.entry(need.bucket).or_default();
                bucket.wait(now, period, (capacity, permits))
            }
            BucketRule::Reported { .. } => {
                let bucket = self.reported.get_mut(&need.bucket);
                bucket.map_or(0, |bucket| bucket.wait(now, period, need.permits))
            }
        }
    }

    fn wait_for_slot(&mut self, now: i64, rule: &SlotRule) -> i64 {
        self.slots.retain(|(ends, _)| *ends > now);
        let is_free = self.slots.len() < rule.slots as usize;
        if is_free {
            0
        } else {
            micros(BudgetDemand::SLOT_PAUSE)
        }
    }

    fn take(&mut self, now: i64, need: &BudgetNeed) {
        match need.rule {
            BucketRule::Paced { capacity, .. } => {
                let permits = need.permits.min(capacity);
                let bucket = self.paced.entry(need.bucket).or_default();
                bucket.take(now, micros(need.rule.period()), permits);
            }
            BucketRule::Reported { .. } => {
                if let Some(bucket) = self.reported.get_mut(&need.bucket) {
                    bucket.take(need.permits);
                }
            }
        }
    }

    fn hold(&mut self, now: i64, rule: &SlotRule) -> BudgetSlot {
        let slot = BudgetSlot::new(RandomIds.uuid());
        let ends = now + micros(rule.ttl);
        self.slots.insert((ends, slot.as_str().to_owned()));
        slot
    }

    fn answer(&mut self, now: i64, demand: &BudgetDemand) -> BudgetAnswer {
        let stopped = self.stopped_until - now;
        let waits = demand.needs.iter().map(|need| self.wait_for(now, need));
        let longest = waits.fold(stopped, i64::max);
        let slot = demand.slot.as_ref();
        let longest = longest.max(slot.map_or(0, |rule| self.wait_for_slot(now, rule)));
        if let Some(wait) = u64::try_from(longest).ok().filter(|wait| *wait > 0) {
            return BudgetAnswer::Wait(Duration::from_micros(wait).min(BudgetDemand::LONGEST));
        }
        for need in &demand.needs {
            self.take(now, need);
        }
        let slot = slot.map(|rule| self.hold(now, rule));
        BudgetAnswer::Granted { slot }
    }

    fn settle(&mut self, now: i64, outcome: &BudgetOutcome) {
        let freed = |name: &str| outcome.freed.iter().any(|slot| slot.as_str() == name);
        self.slots.retain(|(_, name)| !freed(name));
        for (bucket, permits) in &outcome.given_back {
            if let Some(bucket) = self.reported.get_mut(bucket) {
                bucket.give_back(*permits);
            }
        }
        self.slots.retain(|(ends, _)| *ends > now);
        for report in &outcome.reports {
            let known = self.reported.get(&report.bucket).copied();
            let bucket = ReportedBucket::reported(known, (now, self.slots.len()), report);
            self.reported.insert(report.bucket, bucket);
        }
    }
}

impl MemoryBudget {
    /// Budgets that begin unused; `clock` decides what has passed.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            accounts: Mutex::default(),
        }
    }

    fn with_account<T>(
        &self,
        account: &BudgetAccount,
        work: impl FnOnce(&mut AccountState, i64) -> T,
    ) -> Result<T, StoreFailure> {
        let now = self.clock.now().unix_millis() * 1000;
        let mut accounts = self.accounts.lock();
        if accounts.len() >= MAX_ACCOUNTS && !accounts.contains_key(account) {
            // No window, stop or slot lasts longer.
            let oldest = now - micros(BudgetDemand::LONGEST) * 2;
            accounts.retain(|_, state| state.used_at > oldest);
            if accounts.len() >= MAX_ACCOUNTS {
                return Err(StoreFailure::full("there are too many budgets"));
            }
        }
        let state = accounts.entry(account.clone()).or_default();
        state.used_at = now;
        Ok(work(state, now))
    }
}

#[async_trait]
impl Budget for MemoryBudget {
    async fn take(
        &self,
        account: &BudgetAccount,
        demand: &BudgetDemand,
    ) -> Result<BudgetAnswer, StoreFailure> {
        self.with_account(account, |state, now| state.answer(now, demand))
    }

    async fn settle(
        &self,
        account: &BudgetAccount,
        outcome: &BudgetOutcome,
    ) -> Result<(), StoreFailure> {
        self.with_account(account, |state, now| state.settle(now, outcome))
    }

    async fn stop(&self, account: &BudgetAccount, pause: Duration) -> Result<(), StoreFailure> {
        self.with_account(account, |state, now| {
            state.stopped_until = state.stopped_until.max(now + micros(pause));
        })
    }
}

#[cfg(test)]
mod tests {
    use model::{ManualClock, Timestamp};
    use proptest::prelude::*;

    use super::*;

    const BUCKET: BucketName = BucketName::new("points");
    const PERIOD: Duration = Duration::from_secs(60);

    fn demand(permits: u32, capacity: u32) -> BudgetDemand {
        let rule = BucketRule::Paced {
            capacity,
            period: PERIOD,
        };
        BudgetDemand {
            needs: vec![BudgetNeed {
                bucket: BUCKET,
                rule,
                permits,
            }],
            slot: None,
        }
    }

    /// A replica: how long it pauses between its actions, in milliseconds, and the permits of each.
    fn replicas() -> impl Strategy<Value = Vec<(u64, u32)>> {
        prop::collection::vec((1..3_000_u64, 1..12_u32), 1..6)
    }

    /// Lets replicas take for `periods`, each at its own pace and as it is told to wait; returns the times and sizes of
    /// what is granted.
    fn run(replicas: &[(u64, u32)], capacity: u32, periods: u32) -> Vec<(i64, u32)> {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(
            1_790_000_000_000,
        )));
        let budget = MemoryBudget::new(clock.clone());
        let account = BudgetAccount::new("a").unwrap();
        let start = clock.now();
        let mut due = vec![Duration::ZERO; replicas.len()];
        let mut grants = Vec::new();
        loop {
            let next = (0..replicas.len()).min_by_key(|index| due[*index]).unwrap();
            let elapsed = clock.now().since(start);
            if due[next] >= PERIOD * periods {
                return grants;
            }
            clock.advance(due[next].saturating_sub(elapsed));
            let now = clock.now();
            let (pause, permits) = replicas[next];
            let demand = demand(permits, capacity);
            let answer = budget
                .with_account(&account, |state, now| state.answer(now, &demand))
                .unwrap();
            due[next] = now.since(start)
                + match answer {
                    BudgetAnswer::Granted { .. } => {
                        grants.push((now.unix_millis(), permits));
                        Duration::from_millis(pause)
                    }
                    BudgetAnswer::Wait(wait) => wait + Duration::from_millis(1),
                };
        }
    }

    proptest! {
        #[test]
        fn replicas_never_exceed_the_capacity_in_any_span_of_a_period(
            replicas in replicas(), capacity in 12..400_u32,
        ) {
            let grants = run(&replicas, capacity, 4);
            let period = i64::try_from(PERIOD.as_millis()).unwrap();
            for (first, (began, _)) in grants.iter().enumerate() {
                let span = grants[first..].iter().take_while(|(at, _)| at - began < period);
                let sum: u32 = span.map(|(_, permits)| permits).sum();
                prop_assert!(sum <= capacity, "{sum} of {capacity} from {began}");
            }
        }

        #[test]
        fn replicas_that_want_more_than_the_capacity_get_nearly_all_of_it(
            count in 1..6_usize, pause in 1..50_u64, capacity in 100..1_000_u32,
        ) {
            // Each replica takes one by one, and all of them together want much more than there is.
            let replicas = vec![(pause, 1); count];
            const PERIODS: u32 = 4;
            let granted: u32 = run(&replicas, capacity, PERIODS).iter().map(|(_, permits)| permits).sum();
            let all = f64::from(capacity * PERIODS);
            let share = f64::from(granted) / all;
            prop_assert!((0.98..=1.0).contains(&share), "{granted} of {all}");
        }
    }

    #[test]
    fn accounts_that_nobody_uses_make_room_and_others_do_not() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(
            1_790_000_000_000,
        )));
        let budget = MemoryBudget::new(clock.clone());
        let use_it = |number: usize| {
            let account = BudgetAccount::new(&format!("account-{number}")).unwrap();
            budget.with_account(&account, |_, _| ())
        };
        (0..MAX_ACCOUNTS).for_each(|number| use_it(number).unwrap());
        assert!(matches!(
            use_it(MAX_ACCOUNTS),
            Err(StoreFailure::Overloaded { .. })
        ));
        assert!(use_it(0).is_ok());
        clock.advance(BudgetDemand::LONGEST * 2);
        assert!(use_it(MAX_ACCOUNTS).is_ok());
        assert_eq!(budget.accounts.lock().len(), 1);
    }
}
