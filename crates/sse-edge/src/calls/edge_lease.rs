//! The lease that stands for all calls that this edge runs: while it is held, no other edge goes on with one of them.

use std::{fmt, sync::Arc, time::Duration};

use model::{IdSource, LeaseName};
use parking_lot::Mutex;
use ports::{LeaseToken, Leases, StoreFailure};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, error::Elapsed, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::limits::{CALL_DEADLINE, CALL_STORE_PAUSE, CLAIMS_AT_ONCE};

/// The reason why this edge cannot say that it runs a call.
#[derive(Debug, thiserror::Error)]
pub(super) enum EdgeLeaseError {
    #[error("the lease of the edge cannot be taken")]
    Store(#[from] StoreFailure),
    #[error("the store of leases did not answer in time")]
    Timeout(#[from] Elapsed),
    #[error("another process has the lease of this edge")]
    Taken,
    #[error("the lease of the edge could not be taken a moment ago")]
    JustFailed,
}

#[derive(Debug)]
struct HeldLease {
    name: LeaseName,
    token: LeaseToken,
    extended: Instant,
}

/// The lease. Its name is a new one whenever it is taken, so that the name alone tells a holder that has lost it from
/// the present one.
pub(crate) struct EdgeLease {
    locks: Arc<dyn Leases>,
    ids: Arc<dyn IdSource>,
    /// How long it lasts without an extension.
    lasts: Duration,
    held: Mutex<Option<HeldLease>>,
    /// One attempt to take it at a time, and when the last one failed: many calls do not wait for one each.
    taking: tokio::sync::Mutex<Option<Instant>>,
    /// The name under which it is held.
    names: watch::Sender<Option<LeaseName>>,
    /// Calls that say at once that this edge runs them, after the lease was lost.
    pub(super) claims: Semaphore,
}

impl fmt::Debug for EdgeLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EdgeLease({:?})", *self.names.borrow())
    }
}

impl EdgeLease {
    pub(crate) fn new(locks: Arc<dyn Leases>, ids: Arc<dyn IdSource>, lasts: Duration) -> Self {
        Self {
            locks,
            ids,
            lasts,
            held: Mutex::default(),
            taking: tokio::sync::Mutex::default(),
            names: watch::Sender::new(None),
            claims: Semaphore::new(CLAIMS_AT_ONCE),
        }
    }

    /// The name of the lease, which this edge holds: it takes it if needed. One that was not extended for as long as
    /// it lasts may be lost, and another edge may go on with the calls under it.
    pub(super) async fn name(&self) -> Result<LeaseName, EdgeLeaseError> {
        if let Some(name) = self.fresh() {
            return Ok(name);
        }
        let mut failed = self.taking.lock().await;
        if let Some(name) = self.fresh() {
            return Ok(name);
        }
        if failed.is_some_and(|at| at.elapsed() < CALL_STORE_PAUSE) {
            return Err(EdgeLeaseError::JustFailed);
        }
        let taken = self.take().await;
        *failed = taken.is_err().then(Instant::now);
        taken
    }

    /// Whether this edge holds the lease of this name for sure: no other edge goes on with the calls under it.
    pub(super) fn holds(&self, name: &LeaseName) -> bool {
        self.fresh().as_ref() == Some(name)
    }

    fn fresh(&self) -> Option<LeaseName> {
        let held = self.held.lock();
        let fresh = held
            .as_ref()
            .filter(|held| held.extended.elapsed() < self.lasts);
        fresh.map(|held| held.name.clone())
    }

    async fn take(&self) -> Result<LeaseName, EdgeLeaseError> {
        let name = LeaseName::new(&format!("edge-calls:{}", self.ids.uuid()));
        let name = name.expect("a UUID fits the name of a lease");
        // From before the store counts.
        let extended = Instant::now();
        let take = self.locks.acquire(&name, self.lasts, Duration::ZERO);
        let taken = timeout(CALL_DEADLINE, take).await??;
        let token = taken.ok_or(EdgeLeaseError::Taken)?.token;
        *self.held.lock() = Some(HeldLease {
            name: name.clone(),
            token,
            extended,
        });
        self.names.send_replace(Some(name.clone()));
        Ok(name)
    }

    /// The name under which it is held, if it was taken.
    pub(super) fn held_name(&self) -> Option<LeaseName> {
        self.names.borrow().clone()
    }

    /// How long it lasts without an extension.
    pub(super) const fn lasts(&self) -> Duration {
        self.lasts
    }

    /// Whether a name is that under which this edge holds it.
    pub(super) fn is_own(&self, name: &LeaseName) -> bool {
        self.names.borrow().as_ref() == Some(name)
    }

    /// Changes of the name: the lease was lost, and taken again.
    pub(super) fn names(&self) -> watch::Receiver<Option<LeaseName>> {
        self.names.subscribe()
    }

    fn held(&self) -> Option<(LeaseName, LeaseToken)> {
        let held = self.held.lock();
        let held = held.as_ref()?;
        Some((held.name.clone(), held.token.clone()))
    }

    /// Extends the lease; false if that has to be tried again soon.
    async fn extend(&self) -> bool {
        let Some((name, token)) = self.held() else {
            return true;
        };
        let began = Instant::now();
        let extend = self.locks.extend(&name, &token, self.lasts);
        match timeout(CALL_DEADLINE, extend).await {
            Ok(Ok(true)) => {
                let mut held = self.held.lock();
                if let Some(held) = held.as_mut().filter(|held| held.name == name) {
                    held.extended = began;
                }
                true
            }
            Ok(Ok(false)) => {
                let _one = self.taking.lock().await;
                // A call may have taken it again meanwhile.
                if self.held().is_some_and(|(present, _)| present != name) {
                    return true;
                }
                warn!("the lease of this edge's calls was lost; it is taken again");
                self.take().await.is_ok()
            }
            Ok(Err(error)) => {
                debug!(%error, "the lease of this edge's calls cannot be extended now");
                false
            }
            Err(_) => false,
        }
    }

    /// Keeps the lease once it was taken: one operation of the store for all calls, however many they are. Runs until
    /// the process stops; what still runs then has been handed over, or has an answer that says so.
    pub(crate) async fn keep(&self, closed: CancellationToken) {
        let mut pause = self.lasts / 3;
        loop {
            tokio::select! {
                biased;
                () = closed.cancelled() => return,
                () = sleep(pause) => {}
            }
            pause = match self.extend().await {
                true => self.lasts / 3,
                false => CALL_STORE_PAUSE,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use futures_util::future::join_all;
    use model::{ManualClock, RandomIds, Timestamp};
    use ports::Lease;
    use store_memory::MemorySessionStore;

    use super::*;
    use crate::limits::CALL_LEASE;

    /// Counts the operations of a store.
    #[derive(Debug)]
    struct Counted {
        leases: Arc<MemorySessionStore>,
        operations: AtomicUsize,
    }

    impl Counted {
        fn counted(&self) -> &MemorySessionStore {
            self.operations.fetch_add(1, Ordering::SeqCst);
            &self.leases
        }
    }

    #[async_trait]
    impl Leases for Counted {
        async fn acquire(
            &self,
            name: &LeaseName,
            ttl: Duration,
            wait: Duration,
        ) -> Result<Option<Lease>, StoreFailure> {
            self.counted().acquire(name, ttl, wait).await
        }

        async fn extend(
            &self,
            name: &LeaseName,
            token: &LeaseToken,
            ttl: Duration,
        ) -> Result<bool, StoreFailure> {
            self.counted().extend(name, token, ttl).await
        }

        async fn release(
            &self,
            name: &LeaseName,
            token: &LeaseToken,
        ) -> Result<bool, StoreFailure> {
            self.counted().release(name, token).await
        }
    }

    fn store(clock: &Arc<ManualClock>) -> Arc<Counted> {
        let leases = MemorySessionStore::new(Arc::<ManualClock>::clone(clock), 1);
        Arc::new(Counted {
            leases: Arc::new(leases),
            operations: AtomicUsize::new(0),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_calls_have_one_lease() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1)));
        let store = store(&clock);
        let lease = Arc::new(EdgeLease::new(
            store.clone(),
            Arc::new(RandomIds),
            CALL_LEASE,
        ));
        let closed = CancellationToken::new();
        let keeping = {
            let (lease, closed) = (Arc::clone(&lease), closed.clone());
            tokio::spawn(async move { lease.keep(closed).await })
        };
        sleep(CALL_LEASE * 2).await;
        assert_eq!(
            store.operations.load(Ordering::SeqCst),
            0,
            "no call, no lease"
        );
        let names = join_all((0..10_000).map(|_| lease.name())).await;
        let first = names[0].as_ref().unwrap();
        assert!(names.iter().all(|name| name.as_ref().unwrap() == first));
        assert!(lease.is_own(first));
        for _ in 0..60 {
            clock.advance(Duration::from_secs(1));
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(lease.name().await.unwrap(), *first);
        let operations = store.operations.load(Ordering::SeqCst);
        assert!((6..=8).contains(&operations), "{operations} in a minute");
        closed.cancel();
        keeping.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_was_lost_is_taken_again_under_another_name_and_calls_hear_of_it() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1)));
        let store = store(&clock);
        let lease = Arc::new(EdgeLease::new(
            store.clone(),
            Arc::new(RandomIds),
            CALL_LEASE,
        ));
        let first = lease.name().await.unwrap();
        let mut names = lease.names();
        let closed = CancellationToken::new();
        let kept = Arc::clone(&lease);
        let keeping = tokio::spawn({
            let closed = closed.clone();
            async move { kept.keep(closed).await }
        });
        // The store's time goes on, and this process did not run.
        clock.advance(CALL_LEASE * 2);
        names.changed().await.unwrap();
        let second = lease.name().await.unwrap();
        assert!(second != first && lease.is_own(&second) && !lease.is_own(&first));
        closed.cancel();
        keeping.await.unwrap();
        // Without an extension, whoever asks does not trust it.
        tokio::time::advance(CALL_LEASE * 2).await;
        assert_ne!(lease.name().await.unwrap(), second);
    }
}
