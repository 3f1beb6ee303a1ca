//! A budget: one quota that several processes use.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use model::BudgetAccount;

use crate::{BudgetAnswer, BudgetDemand, BudgetOutcome, StoreFailure};

/// Quotas that several processes share, for instance GitHub's rate limits: each account has buckets from which
/// permits are taken, and slots for what runs at the same time. Time is the store's own, and what callers tell of the
/// future is a duration: no two clocks are compared.
///
/// A caller takes before it does something, and settles afterwards. A caller that dies in between costs its permits
/// and, for a while, its slot.
///
/// # Contract
/// - **BG-01** `take` grants all that is demanded, or nothing and a time to wait. A caller that waits for it and is
///   alone is granted what it demands, or learns of the next thing to wait for.
/// - **BG-02** of a paced bucket no more than its capacity is granted in any span of its period, however many callers
///   there are.
/// - **BG-03** of a paced bucket at least 98 % of its capacity is granted per period, if as much is demanded.
/// - **BG-04** of a reported bucket everything is granted until its first report; then as much as remains, until the
///   quota resets; then its limit again.
/// - **BG-05** in one window of a reported bucket the tighter of the own count and the reports counts. A report of an
///   earlier window changes nothing, and one of a later window begins it. What is under way is not in a report yet: a
///   report that says less than the own count, or is the first one, leaves a permit for each slot that is held.
/// - **BG-06** permits that are given back can be taken again, up to the limit.
/// - **BG-07** while an account is stopped, nothing of it is granted; of two stops the one that ends later counts.
/// - **BG-08** no more slots are held at the same time than the demand allows. A slot that is settled is free at
///   once, and one that is not, after its time to live.
/// - **BG-09** accounts do not touch each other, and neither do the buckets of one account.
/// - **BG-10** a demand beyond the capacity or limit of a bucket is granted as all of it.
/// - **BG-11** (shared) all of this holds across handles.
/// - **BG-12** (durable) what was taken, reported and stopped counts after a reopen.
#[async_trait]
pub trait Budget: fmt::Debug + Send + Sync + 'static {
    /// Takes permits, and a slot if the demand has a rule for it.
    ///
    /// # Errors
    /// The store is unavailable or full.
    async fn take(
        &self,
        account: &BudgetAccount,
        demand: &BudgetDemand,
    ) -> Result<BudgetAnswer, StoreFailure>;

    /// Frees slots, gives permits back, and passes on what the owner of the quota says of it.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn settle(
        &self,
        account: &BudgetAccount,
        outcome: &BudgetOutcome,
    ) -> Result<(), StoreFailure>;

    /// Grants nothing of the account for this long, up to [`crate::BudgetDemand::LONGEST`].
    ///
    /// # Errors
    /// The store is unavailable.
    async fn stop(&self, account: &BudgetAccount, pause: Duration) -> Result<(), StoreFailure>;
}
