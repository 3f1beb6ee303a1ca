//! The table of held locks.

use std::collections::{BTreeSet, HashMap};

use model::{LeaseName, Timestamp, next_number};
use parking_lot::Mutex;
use ports::{LeaseToken, StoreFailure};
use tokio::sync::Notify;

/// Maximum number of locks held at the same time; beyond that `acquire` is refused as overloaded.
const MAX_LOCKS: usize = 65_536;

/// All locks of a store.
#[derive(Default)]
pub(crate) struct Locks {
    pub(crate) table: Mutex<LeaseTable>,
    /// Notified when a lock is released, so that waiting `acquire` calls check again.
    pub(crate) released: Notify,
}

/// The locks that are held.
#[derive(Clone, Default)]
pub(crate) struct LeaseTable {
    /// Counted over all names, so that the store need not remember released names.
    last_fence: u64,
    by_name: HashMap<LeaseName, Lock>,
    by_expiry: BTreeSet<(Timestamp, LeaseName)>,
}

#[derive(Clone)]
pub(crate) struct Lock {
    token: LeaseToken,
    expires_at: Timestamp,
}

impl LeaseTable {
    pub(crate) fn forget_expired(&mut self, now: Timestamp) {
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

    /// Adds a lock under a free name; returns its fencing number.
    pub(crate) fn take(
        &mut self,
        name: &LeaseName,
        token: &LeaseToken,
        (now, expires_at): (Timestamp, Timestamp),
    ) -> Result<Option<u64>, StoreFailure> {
        if self.by_name.contains_key(name) {
            return Ok(None);
        }
        if self.by_name.len() >= MAX_LOCKS {
            let what = "the store already holds its maximum number of locks";
            return Err(StoreFailure::full(what));
        }
        let token = token.clone();
        self.by_name
            .insert(name.clone(), Lock { token, expires_at });
        self.by_expiry.insert((expires_at, name.clone()));
        self.last_fence = next_number(self.last_fence, now);
        Ok(Some(self.last_fence))
    }

    /// Removes the lock if the token holds it.
    pub(crate) fn remove(&mut self, name: &LeaseName, token: &LeaseToken) -> Option<Lock> {
        self.by_name.get(name).filter(|lock| lock.token == *token)?;
        let lock = self.by_name.remove(name)?;
        self.by_expiry.remove(&(lock.expires_at, name.clone()));
        Some(lock)
    }

    /// Changes the expiry if the token holds the lock; returns whether it does.
    pub(crate) fn extend(
        &mut self,
        name: &LeaseName,
        token: &LeaseToken,
        expires_at: Timestamp,
    ) -> bool {
        let Some(lock) = self.remove(name, token) else {
            return false;
        };
        self.by_name
            .insert(name.clone(), Lock { expires_at, ..lock });
        self.by_expiry.insert((expires_at, name.clone()));
        true
    }
}
