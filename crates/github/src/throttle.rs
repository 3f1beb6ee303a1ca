//! The shared budget, as one request uses it: take before it is sent, settle when it has ended.

use std::{collections::HashMap, sync::Arc, time::Duration};

use http_client::Backoff;
use model::BudgetAccount;
use parking_lot::Mutex;
use ports::{Budget, BudgetAnswer, BudgetOutcome, BudgetSlot};
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::{Instant, sleep};

use crate::{
    error::GithubError,
    limits::{LONGEST_JITTER, MAX_DROPPED_SLOTS},
    quota::RequestQuota,
};

/// Slots of requests that were dropped before they ended.
type DroppedSlots = Arc<Mutex<HashMap<BudgetAccount, Vec<BudgetSlot>>>>;

/// The budget of all requests of a process.
#[derive(Debug)]
pub(crate) struct Throttle {
    budget: Arc<dyn Budget>,
    slot_ttl: Duration,
    waiting: Gauge,
    dropped: DroppedSlots,
}

/// The right to send one request.
#[derive(Debug)]
pub(crate) struct SendPermit {
    account: BudgetAccount,
    slot: Option<BudgetSlot>,
    dropped: DroppedSlots,
}

/// A request that its caller gave up holds its slot no longer than until the next request of the process.
impl Drop for SendPermit {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else {
            return;
        };
        let mut dropped = self.dropped.lock();
        let all: usize = dropped.values().map(Vec::len).sum();
        if all < MAX_DROPPED_SLOTS {
            dropped.entry(self.account.clone()).or_default().push(slot);
        }
    }
}

/// Counts a call while it waits.
struct WaitingCall<'a>(&'a Gauge);

impl Drop for WaitingCall<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Throttle {
    pub(crate) fn new(budget: Arc<dyn Budget>, slot_ttl: Duration, waiting: Gauge) -> Self {
        Self {
            budget,
            slot_ttl,
            waiting,
            dropped: DroppedSlots::default(),
        }
    }

    /// Takes what a request needs, and waits for it until `deadline`.
    pub(crate) async fn take(
        &self,
        account: &BudgetAccount,
        quota: RequestQuota,
        deadline: Instant,
    ) -> Result<SendPermit, GithubError> {
        self.free_dropped(account).await?;
        let demand = quota.demand(self.slot_ttl);
        let mut waiting = None;
        loop {
            let taken = self.budget.take(account, &demand).await;
            let wait = match taken.map_err(GithubError::Budget)? {
                BudgetAnswer::Granted { slot } => {
                    return Ok(SendPermit {
                        account: account.clone(),
                        slot,
                        dropped: Arc::clone(&self.dropped),
                    });
                }
                BudgetAnswer::Wait(wait) => wait,
            };
            if Instant::now() + wait > deadline {
                return Err(GithubError::RateLimited { wait });
            }
            waiting.get_or_insert_with(|| {
                self.waiting.inc();
                WaitingCall(&self.waiting)
            });
            sleep(wait + jitter(wait)).await;
        }
    }

    async fn free_dropped(&self, account: &BudgetAccount) -> Result<(), GithubError> {
        let freed = self.dropped.lock().remove(account);
        let Some(freed) = freed else {
            return Ok(());
        };
        let outcome = BudgetOutcome {
            freed,
            ..BudgetOutcome::default()
        };
        let settled = self.budget.settle(account, &outcome).await;
        settled.map_err(GithubError::Budget)
    }

    /// Ends a request. A budget that cannot be told does not take its answer from the caller: the slot is freed with the
    /// next request, and GitHub's next answer says again what is left.
    pub(crate) async fn settle(&self, mut permit: SendPermit, mut outcome: BudgetOutcome) {
        outcome.freed.extend(permit.slot.clone());
        match self.budget.settle(&permit.account, &outcome).await {
            // Only now the permit forgets it: a caller may drop this, too.
            Ok(()) => permit.slot = None,
            Err(error) => {
                tracing::warn!(%error, "the shared budget does not know what a request to GitHub has cost");
            }
        }
    }

    /// Nobody sends anything for this account for this long.
    pub(crate) async fn stop(
        &self,
        account: &BudgetAccount,
        pause: Duration,
    ) -> Result<(), GithubError> {
        let stopped = self.budget.stop(account, pause).await;
        stopped.map_err(GithubError::Budget)
    }
}

/// A random time to add to a wait: up to a tenth of it.
fn jitter(wait: Duration) -> Duration {
    let most = (wait / 10).min(LONGEST_JITTER);
    let halves = Backoff::new(most, most).pause();
    // Between half of it and all of it.
    (halves * 2).saturating_sub(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_never_shortened_and_little_longer() {
        for _ in 0..100 {
            assert!(jitter(Duration::from_secs(2)) <= Duration::from_millis(200));
            assert!(jitter(Duration::from_secs(3600)) <= LONGEST_JITTER);
        }
        assert_eq!(jitter(Duration::ZERO), Duration::ZERO);
    }
}
