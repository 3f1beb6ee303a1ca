//! Leases: one holder of a name at a time.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use model::LeaseName;

use crate::StoreFailure;

/// Proof that a lease is held. It is enough to release the lease, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct LeaseToken(String);

impl LeaseToken {
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

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseToken(…)")
    }
}

/// An acquired lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The token that extends and releases it.
    pub token: LeaseToken,
    /// The fencing number: higher than that of every earlier holder of this name. Sent along with a
    /// write, it lets the receiver refuse a holder that was paused until its lease had expired.
    pub fence: u64,
}

/// Leases that several processes share. A lease is a lock that expires: a holder that was paused for longer than `ttl`
/// has lost it without knowing, and only the fencing number reveals this to others.
///
/// # Contract
/// - **LK-01** of several concurrent calls of `acquire` for a free name exactly one succeeds; while the
///   lease is held, no other does.
/// - **LK-02** `acquire` of a taken name returns `None` once `wait` is over, and not before; a name that
///   becomes free meanwhile is given to a waiting caller.
/// - **LK-03** `extend` restarts the `ttl`, `release` frees the name at once; both return whether they
///   did, and do nothing without the token of the current holder.
/// - **LK-04** a lease expires `ttl` after it was acquired or last extended, whatever happened to its
///   holder (even if it gave up `acquire` half-way); the old token is invalid from then on.
/// - **LK-05** fencing numbers of a name rise strictly over the life of the store, also after release
///   and expiry.
/// - **LK-06** callers that change something only while they hold its lease lose no change, however many
///   there are.
/// - **LK-07** leases of different names are independent.
/// - **LK-08** (durable) a lease that is held stays held across a reopen, and fencing numbers keep rising.
/// - **LK-09** (shared) all of this holds across handles.
/// - **LK-10** (goes back) after the store went back to an earlier state, a fencing number that it gave out
///   in the lost time is not given out again: later holders have higher ones, as long as the store's clock
///   goes on.
#[async_trait]
pub trait Leases: fmt::Debug + Send + Sync + 'static {
    /// Acquires a name for `ttl` (at least a millisecond), waiting for it for up to `wait`.
    ///
    /// # Errors
    /// The store is unavailable or full.
    async fn acquire(
        &self,
        name: &LeaseName,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Option<Lease>, StoreFailure>;

    /// Restarts the `ttl`; false if the token no longer holds the lease.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn extend(
        &self,
        name: &LeaseName,
        token: &LeaseToken,
        ttl: Duration,
    ) -> Result<bool, StoreFailure>;

    /// Frees the name; false if the token no longer holds the lease.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn release(&self, name: &LeaseName, token: &LeaseToken) -> Result<bool, StoreFailure>;
}

/// Pauses between attempts to acquire a taken lease: short at first, then longer, and randomised so that
/// waiting callers do not all retry at the same moment.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    wait: Duration,
    longest: Duration,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(2);
    const LONGEST: Duration = Duration::from_millis(50);

    /// Pauses for a wait that ends after `wait`.
    #[must_use]
    pub fn within(wait: Duration) -> Self {
        Self {
            wait,
            longest: Self::FIRST,
        }
    }

    /// The next pause: `waited` has passed so far; `random` selects a length between a half and the
    /// whole of the current maximum. `None` when the wait is over; the last pause ends with the wait.
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
        let shown = format!("{:?}", LeaseToken::new("secret".into()));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
