//! One at a time.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use model::{Classified, ErrorClass, LockName};

use crate::Source;

/// Proves that a lock is held. Whoever knows it can release the lock, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct LockToken(String);

impl LockToken {
    /// A token from unguessable text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LockToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockToken(…)")
    }
}

/// A lock that was acquired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LockGuardInfo {
    /// What extends and releases it.
    pub token: LockToken,
    /// Higher than that of everybody who held this name before. Sent along with a write, it lets the
    /// receiver refuse a holder that was paused and outlived its lock.
    pub fence: u64,
}

/// What can go wrong with a lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The store does not answer, or not in time. The name may be taken now, for its `ttl` at most.
    #[error("lock store cannot {op} now")]
    Unavailable {
        /// What we were doing.
        op: &'static str,
        /// What the driver said.
        #[source]
        source: Source,
    },
    /// The store holds as many locks as it can.
    #[error("lock store is full: {what}")]
    Overloaded {
        /// Which bound.
        what: &'static str,
    },
    /// What the store holds is not what we wrote.
    #[error("stored lock cannot be read while trying to {op}")]
    Corrupt {
        /// What we were doing.
        op: &'static str,
        /// What is wrong with it.
        #[source]
        source: Source,
    },
}

impl Classified for LockError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unavailable { .. } => ErrorClass::Transient,
            Self::Overloaded { .. } => ErrorClass::Overloaded,
            Self::Corrupt { .. } => ErrorClass::Permanent,
        }
    }
}

/// Locks that several processes share. A lock is a promise with an end: a holder that was paused for
/// longer than `ttl` has lost it without knowing, and only the fencing number tells others.
///
/// # Contract
/// - **LK-01** of all who ask for a free name at once, one gets it; while it is held, nobody else does.
/// - **LK-02** `acquire` of a taken name answers `None` once `wait` is over, and not before; a lock that
///   comes free meanwhile is given to somebody who waits.
/// - **LK-03** `extend` restarts the `ttl`, `release` frees the name at once; both say whether they did,
///   and do nothing without the token of the present holder.
/// - **LK-04** a lock ends `ttl` after it was acquired or last extended, whatever became of its holder
///   (also of one that gave up `acquire` half-way); the old token is worth nothing from then on.
/// - **LK-05** fencing numbers of a name rise strictly over the life of the store, also after release
///   and expiry.
/// - **LK-06** whoever changes something only while holding a lock loses no change, however many do.
/// - **LK-07** two names are two locks.
/// - **LK-08** (durable) a lock that is held stays held over a reopen, and fencing numbers go on rising.
/// - **LK-09** (shared) all of this holds over handles.
#[async_trait]
pub trait SessionLock: fmt::Debug + Send + Sync + 'static {
    /// Takes a name for `ttl` (at least a millisecond), waiting for it for up to `wait`.
    ///
    /// # Errors
    /// The store is unavailable or full.
    async fn acquire(
        &self,
        name: &LockName,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Option<LockGuardInfo>, LockError>;

    /// Restarts the `ttl`; false if the lock is no longer the token's.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn extend(
        &self,
        name: &LockName,
        token: &LockToken,
        ttl: Duration,
    ) -> Result<bool, LockError>;

    /// Frees the name; false if the lock is no longer the token's.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn release(&self, name: &LockName, token: &LockToken) -> Result<bool, LockError>;
}

/// When to look again for a lock that is taken: soon at first, then less often, and never at the same
/// moment as all others.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    wait: Duration,
    longest: Duration,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(2);
    const LONGEST: Duration = Duration::from_millis(50);

    /// Pauses of a wait that ends after `wait`.
    #[must_use]
    pub fn within(wait: Duration) -> Self {
        Self {
            wait,
            longest: Self::FIRST,
        }
    }

    /// The next pause: `waited` has passed so far, `random` decides where between a half and the whole
    /// it lies. `None` when the wait is over; the last pause ends with it.
    pub fn next(&mut self, waited: Duration, random: u64) -> Option<Duration> {
        let left = self
            .wait
            .checked_sub(waited)
            .filter(|left| !left.is_zero())?;
        let half = self.longest / 2;
        let more = half * u32::from(random.to_le_bytes()[0]) / 256;
        self.longest = (self.longest * 2).min(Self::LONGEST);
        Some((half + more).min(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_end_with_the_wait() {
        let wait = Duration::from_millis(500);
        let (mut pauses, mut waited, mut count) = (Pauses::within(wait), Duration::ZERO, 0);
        while let Some(pause) = pauses.next(waited, u64::from(waited.subsec_nanos())) {
            assert!(!pause.is_zero() && pause <= Pauses::LONGEST, "{pause:?}");
            (waited, count) = (waited + pause, count + 1);
        }
        assert_eq!(waited, wait);
        assert!((12..40).contains(&count), "{count} looks");
    }

    #[test]
    fn who_does_not_wait_looks_once() {
        assert_eq!(Pauses::within(Duration::ZERO).next(Duration::ZERO, 7), None);
    }

    #[test]
    fn a_token_is_not_shown() {
        let shown = format!("{:?}", LockToken::new("secret".into()));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
