//! [`ports::SessionLock`]: locks with one counter of fencing numbers for all names.

use std::time::Duration;

use async_trait::async_trait;
use model::{IdSource, LockName, RandomIds, Timestamp};
use ports::{LockError, LockGuardInfo, LockToken, Pauses, SessionLock};
use tokio::time::{Instant, timeout};

use crate::{MemorySessionStore, lock_table::LockTable};

/// The shortest time to live: a lock that expired at once would have no holder.
const SHORTEST_TTL: Duration = Duration::from_millis(1);

impl MemorySessionStore {
    /// Runs `work` on the locks that have not expired.
    fn with_locks<T>(&self, work: impl FnOnce(&mut LockTable, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let mut locks = self.locks.table.lock();
        locks.forget_expired(now);
        work(&mut locks, now)
    }
}

#[async_trait]
impl SessionLock for MemorySessionStore {
    async fn acquire(
        &self,
        name: &LockName,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Option<LockGuardInfo>, LockError> {
        let token = LockToken::new(RandomIds.uuid());
        let (began, mut pauses) = (Instant::now(), Pauses::within(wait));
        loop {
            // Start listening before the check, so that a release in between is not missed.
            let released = self.locks.released.notified();
            let take = |locks: &mut LockTable, now: Timestamp| {
                locks.take(name, &token, (now, now.plus(ttl.max(SHORTEST_TTL))))
            };
            if let Some(fence) = self.with_locks(take)? {
                return Ok(Some(LockGuardInfo { token, fence }));
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
        name: &LockName,
        token: &LockToken,
        ttl: Duration,
    ) -> Result<bool, LockError> {
        let ttl = ttl.max(SHORTEST_TTL);
        Ok(self.with_locks(|locks, now| locks.extend(name, token, now.plus(ttl))))
    }

    async fn release(&self, name: &LockName, token: &LockToken) -> Result<bool, LockError> {
        let released = self.with_locks(|locks, _| locks.remove(name, token).is_some());
        if released {
            self.locks.released.notify_waiters();
        }
        Ok(released)
    }
}
