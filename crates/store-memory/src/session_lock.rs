//! In-memory locks.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use async_trait::async_trait;
use model::{IdSource, LockName, RandomIds, Timestamp};
use parking_lot::Mutex;
use ports::{LockError, LockGuardInfo, LockToken, Pauses, SessionLock};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::MemorySessionStore;

/// Maximum number of locks held at the same time; beyond that `acquire` is refused as overloaded.
const MAX_LOCKS: usize = 65_536;
/// The shortest time to live: a lock that expired at once would have no holder.
const SHORTEST_TTL: Duration = Duration::from_millis(1);

/// All locks of a store.
#[derive(Default)]
pub(crate) struct Locks {
    held: Mutex<Held>,
    released: Notify,
}

#[derive(Default)]
struct Held {
    /// Counted over all names, so that the store need not remember released names.
    last_fence: u64,
    by_name: HashMap<LockName, Lock>,
    by_expiry: BTreeSet<(Timestamp, LockName)>,
}

struct Lock {
    token: LockToken,
    expires_at: Timestamp,
}

impl Held {
    fn forget_expired(&mut self, now: Timestamp) {
        while self
            .by_expiry
            .first()
            .is_some_and(|(expires_at, _)| *expires_at <= now)
        {
            if let Some((_, name)) = self.by_expiry.pop_first() {
                self.by_name.remove(&name);
            }
        }
    }

    fn take(
        &mut self,
        name: &LockName,
        token: &LockToken,
        expires_at: Timestamp,
    ) -> Result<Option<u64>, LockError> {
        if self.by_name.contains_key(name) {
            return Ok(None);
        }
        if self.by_name.len() >= MAX_LOCKS {
            let what = "the store already holds its maximum number of locks";
            return Err(LockError::Overloaded { what });
        }
        let token = token.clone();
        self.by_name
            .insert(name.clone(), Lock { token, expires_at });
        self.by_expiry.insert((expires_at, name.clone()));
        self.last_fence += 1;
        Ok(Some(self.last_fence))
    }

    /// Removes the lock if the token holds it.
    fn remove(&mut self, name: &LockName, token: &LockToken) -> Option<Lock> {
        self.by_name.get(name).filter(|lock| lock.token == *token)?;
        let lock = self.by_name.remove(name)?;
        self.by_expiry.remove(&(lock.expires_at, name.clone()));
        Some(lock)
    }

    fn extend(&mut self, name: &LockName, token: &LockToken, expires_at: Timestamp) -> bool {
        let Some(lock) = self.remove(name, token) else {
            return false;
        };
        self.by_name
            .insert(name.clone(), Lock { expires_at, ..lock });
        self.by_expiry.insert((expires_at, name.clone()));
        true
    }
}

impl MemorySessionStore {
    /// Runs `work` on the locks that have not expired.
    fn with_held<T>(&self, work: impl FnOnce(&mut Held, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let mut held = self.locks.held.lock();
        held.forget_expired(now);
        work(&mut held, now)
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
            let take = |held: &mut Held, now: Timestamp| {
                held.take(name, &token, now.plus(ttl.max(SHORTEST_TTL)))
            };
            if let Some(fence) = self.with_held(take)? {
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
        Ok(self.with_held(|held, now| held.extend(name, token, now.plus(ttl))))
    }

    async fn release(&self, name: &LockName, token: &LockToken) -> Result<bool, LockError> {
        let released = self.with_held(|held, _| held.remove(name, token).is_some());
        if released {
            self.locks.released.notify_waiters();
        }
        Ok(released)
    }
}
