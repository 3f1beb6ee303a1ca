//! Locks in memory.

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

/// Locks that are held at the same time; more are refused as overload.
const MAX_LOCKS: usize = 65_536;
/// Nothing lives for less: a lock of no time would be nobody's.
const SHORTEST_TTL: Duration = Duration::from_millis(1);

/// All locks of a store.
#[derive(Default)]
pub(crate) struct Locks {
    held: Mutex<Held>,
    released: Notify,
}

#[derive(Default)]
struct Held {
    /// Of all names together, so that names need not be remembered.
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
            let what = "as many locks are held as this store can hold";
            return Err(LockError::Overloaded { what });
        }
        let token = token.clone();
        self.by_name
            .insert(name.clone(), Lock { token, expires_at });
        self.by_expiry.insert((expires_at, name.clone()));
        self.last_fence += 1;
        Ok(Some(self.last_fence))
    }

    /// Takes the lock out if it is the token's.
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
            // Listening begins before the look, so that no release falls between the two.
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
            // Released or not, it is time to look again: a lock may have expired as well.
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
