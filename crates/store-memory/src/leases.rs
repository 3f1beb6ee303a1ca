//! [`ports::Leases`]: locks with one counter of fencing numbers for all names.

use std::time::Duration;

use async_trait::async_trait;
use model::{IdSource, LeaseName, RandomIds, Timestamp};
use ports::{Lease, LeaseToken, Leases, Pauses, StoreFailure};
use tokio::time::{Instant, timeout};

use crate::{MemorySessionStore, lease_table::LeaseTable};

/// The shortest time to live: a lock that expired at once would have no holder.
const SHORTEST_TTL: Duration = Duration::from_millis(1);

impl MemorySessionStore {
    /// Runs `work` on the locks that have not expired.
    fn with_locks<T>(&self, work: impl FnOnce(&mut LeaseTable, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let mut locks = self.locks.table.lock();
        locks.forget_expired(now);
        work(&mut locks, now)
    }
}

#[async_trait]
impl Leases for MemorySessionStore {
    async fn acquire(
        &self,
        name: &LeaseName,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Option<Lease>, StoreFailure> {
        let token = LeaseToken::new(RandomIds.uuid());
        let (began, mut pauses) = (Instant::now(), Pauses::within(wait));
        loop {
            // Start listening before the check, so that a release in between is not missed.
            let released = self.locks.released.notified();
            let take = |locks: &mut LeaseTable, now: Timestamp| {
                locks.take(name, &token, (now, now.plus(ttl.max(SHORTEST_TTL))))
            };
            if let Some(fence) = self.with_locks(take)? {
                return Ok(Some(Lease { token, fence }));
            }
            let Some(pause) = pauses.next(began.elapsed(), RandomIds.random_u64()) else {
                return Ok(None);
            };
            // Check again whether notified or not: a lock may have expired as well.
            let _ = timeout(pause, released).await;
        }
    }

    async fn extend(
        &self,
        name: &LeaseName,
        token: &LeaseToken,
        ttl: Duration,
    ) -> Result<bool, StoreFailure> {
        let ttl = ttl.max(SHORTEST_TTL);
        Ok(self.with_locks(|locks, now| locks.extend(name, token, now.plus(ttl))))
    }

    async fn release(&self, name: &LeaseName, token: &LeaseToken) -> Result<bool, StoreFailure> {
        let released = self.with_locks(|locks, _| locks.remove(name, token).is_some());
        if released {
            self.locks.released.notify_waiters();
        }
        Ok(released)
    }
}
