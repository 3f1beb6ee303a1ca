//! A budget for one case, and what its cases share.

use std::{fmt, sync::Arc, time::Duration};

use anyhow::{Result, bail, ensure};
use model::{BudgetAccount, ManualClock};
use ports::{
    BucketName, BucketRule, Budget, BudgetAnswer, BudgetDemand, BudgetNeed, BudgetOutcome,
    BudgetSlot, QuotaReport, SlotRule,
};

use crate::handles::Handles;

/// A period if the backend's own clock decides: long enough for a burst, short enough to wait for.
const REAL_PERIOD: Duration = Duration::from_secs(1);
/// A period if the suite controls the clock.
const MANUAL_PERIOD: Duration = Duration::from_secs(60);

pub(super) const PACED: BucketName = BucketName::new("paced");
pub(super) const REPORTED: BucketName = BucketName::new("reported");
/// Small, so that a burst is short.
pub(super) const CAPACITY: u32 = 20;

/// A budget for one case.
pub struct BudgetFixture {
    /// The budget, unused.
    pub budget: Arc<dyn Budget>,
    /// The clock of the budget, if the adapter accepts one. Without it the suite waits.
    pub clock: Option<Arc<ManualClock>>,
    /// Other handles on it.
    pub handles: Handles<dyn Budget>,
}

impl fmt::Debug for BudgetFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetFixture")
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

/// The account of most cases.
pub(super) fn account(name: &str) -> BudgetAccount {
    BudgetAccount::new(name).expect("visible ASCII")
}

impl BudgetFixture {
    /// A budget without other handles that uses the real clock.
    #[must_use]
    pub fn new(budget: Arc<dyn Budget>) -> Self {
        Self {
            budget,
            clock: None,
            handles: Handles::default(),
        }
    }

    pub(super) fn period(&self) -> Duration {
        match self.clock {
            Some(_) => MANUAL_PERIOD,
            None => REAL_PERIOD,
        }
    }

    /// Lets time pass: advances the clock, or waits.
    pub(super) async fn advance_time(&self, time: Duration) {
        match &self.clock {
            // It has milliseconds.
            Some(clock) => clock.advance(time + Duration::from_millis(1)),
            None => tokio::time::sleep(time).await,
        }
    }

    pub(super) fn paced(&self, permits: u32) -> BudgetDemand {
        let rule = BucketRule::Paced {
            capacity: CAPACITY,
            period: self.period(),
        };
        demand(PACED, rule, permits)
    }

    pub(super) fn reported(&self, permits: u32) -> BudgetDemand {
        let period = self.window();
        demand(REPORTED, BucketRule::Reported { period }, permits)
    }

    /// A window of a reported bucket: many periods, so that none ends by itself.
    pub(super) fn window(&self) -> Duration {
        self.period() * 60
    }

    pub(super) fn report(&self, remaining: u32, resets_in: Duration) -> BudgetOutcome {
        BudgetOutcome {
            reports: vec![QuotaReport {
                bucket: REPORTED,
                period: self.window(),
                limit: CAPACITY,
                remaining,
                resets_in,
            }],
            ..BudgetOutcome::default()
        }
    }

    pub(super) async fn tell(&self, remaining: u32, resets_in: Duration) -> Result<()> {
        let outcome = self.report(remaining, resets_in);
        Ok(self.budget.settle(&account("a"), &outcome).await?)
    }

    /// Takes until the answer is a wait; returns how often it was granted, up to `most`, and the wait.
    pub(super) async fn take_all(
        &self,
        demand: &BudgetDemand,
        most: u32,
    ) -> Result<(u32, Duration)> {
        for granted in 0..=most {
            match self.budget.take(&account("a"), demand).await? {
                BudgetAnswer::Granted { .. } => {}
                BudgetAnswer::Wait(wait) => return Ok((granted, wait)),
            }
        }
        bail!("more than {most} are granted")
    }

    pub(super) async fn granted(&self, demand: &BudgetDemand) -> Result<Option<BudgetSlot>> {
        match self.budget.take(&account("a"), demand).await? {
            BudgetAnswer::Granted { slot } => Ok(slot),
            BudgetAnswer::Wait(wait) => bail!("is to wait for {wait:?}"),
        }
    }

    pub(super) async fn refused(&self, demand: &BudgetDemand) -> Result<Duration> {
        match self.budget.take(&account("a"), demand).await? {
            BudgetAnswer::Granted { .. } => bail!("{demand:?} is granted"),
            BudgetAnswer::Wait(wait) => {
                ensure!(!wait.is_zero(), "a wait of nothing");
                Ok(wait)
            }
        }
    }
}

pub(super) fn demand(bucket: BucketName, rule: BucketRule, permits: u32) -> BudgetDemand {
    BudgetDemand {
        needs: vec![BudgetNeed {
            bucket,
            rule,
            permits,
        }],
        slot: None,
    }
}

pub(super) fn slot(slots: u32, ttl: Duration) -> BudgetDemand {
    BudgetDemand {
        needs: Vec::new(),
        slot: Some(SlotRule { slots, ttl }),
    }
}
