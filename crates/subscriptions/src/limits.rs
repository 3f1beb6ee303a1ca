//! Every bound of subscriptions, with its unit and the reason for its value; and what the bounds allow together.
//!
//! | together | at most | bound by |
//! | --- | --- | --- |
//! | the subscriptions of one owner | [`MAX_PER_OWNER`], in [`MAX_BYTES_PER_OWNER`] = 16 MiB | the store, when one is made |
//! | all subscriptions | [`MAX_SUBSCRIPTIONS`], in [`MAX_BYTES`] = 1 GiB | the same |
//! | the record of one | [`MAX_RECORD_BYTES`] = 64 KiB | checked before it is stored |
//! | the comparisons for one event that a subscription needs | `model::limits`: 64 × 44 = 2,816 | its filters |
//!
//! The comparisons of what is open on an edge are bounded by `fanout`, whoever opened it.

use std::time::Duration;

use model::PrincipalId;
use ports::RecordLimits;

/// Maximum number of subscriptions of one owner. An agent has a few; a service that makes one for each of its
/// users has hundreds. Without authentication all clients are one owner, which has [`MAX_ANONYMOUS`].
pub const MAX_PER_OWNER: u32 = 1000;
/// Maximum number of subscriptions without authentication.
pub const MAX_ANONYMOUS: u32 = 10_000;
/// Maximum number of subscriptions of all owners.
pub const MAX_SUBSCRIPTIONS: u64 = 100_000;
/// Maximum bytes of one record: 64 filters with a few names each, as for the subscriptions of a session.
pub const MAX_RECORD_BYTES: usize = 64 << 10;
/// Maximum bytes of the records of one owner, each counted in steps of 4 KiB: four for each subscription.
pub const MAX_BYTES_PER_OWNER: u64 = 16 << 20;
/// Maximum bytes of the records of all owners.
pub const MAX_BYTES: u64 = 1 << 30;
/// Longest `clientId`, in bytes: clients make it from a name and a random part.
pub const MAX_CLIENT_ID_BYTES: usize = 256;
/// Maximum bytes of what a client stores with a subscription for itself, as JSON.
pub const MAX_METADATA_BYTES: usize = 4 << 10;
/// Time for which a subscription without an end of its own is kept after its last use: as long as a task that
/// asks for no end, and longer than any log is kept by default.
pub const UNUSED_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longest time to live that a client may ask for. What should live longer is renewed, which shows that
/// somebody still wants it.
pub const MAX_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);
/// Maximum number of subscriptions in one page of a list.
pub const MAX_PAGE: usize = 100;
/// Subscriptions of one owner that are read at once.
pub(crate) const READ_AT_ONCE: usize = 500;
/// Attempts to change a subscription while other processes change it too.
pub(crate) const CHANGE_ATTEMPTS: usize = 16;

/// Limits on the living subscriptions and on their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubscriptionLimits {
    /// Maximum number of living subscriptions in the store.
    pub max_subscriptions: u64,
    /// Maximum number of living subscriptions of one owner.
    pub max_per_owner: u32,
    /// Maximum bytes of all subscriptions, in steps of [`RecordLimits::WEIGHT_STEP_BYTES`] for each.
    pub max_bytes: u64,
    /// Maximum bytes of the subscriptions of one owner.
    pub max_bytes_per_owner: u64,
}

impl SubscriptionLimits {
    /// The limits for an owner. Without authentication all clients are one owner.
    #[must_use]
    pub fn of(owner: &PrincipalId) -> Self {
        let (max_per_owner, max_bytes_per_owner) = match *owner == PrincipalId::anonymous() {
            true => (MAX_ANONYMOUS, MAX_BYTES),
            false => (MAX_PER_OWNER, MAX_BYTES_PER_OWNER),
        };
        Self {
            max_subscriptions: MAX_SUBSCRIPTIONS,
            max_per_owner,
            max_bytes: MAX_BYTES,
            max_bytes_per_owner,
        }
    }

    pub(crate) const fn of_records(&self) -> RecordLimits {
        RecordLimits {
            max_records: self.max_subscriptions,
            max_records_per_owner: self.max_per_owner,
            max_bytes: self.max_bytes,
            max_bytes_per_owner: self.max_bytes_per_owner,
            spare_ttl: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_for_an_owner_counts_for_all_clients_without_authentication() {
        let alice = SubscriptionLimits::of(&PrincipalId::new("alice").unwrap());
        assert_eq!(alice.max_per_owner, MAX_PER_OWNER);
        let all = SubscriptionLimits::of(&PrincipalId::anonymous());
        assert_eq!(all.max_per_owner, MAX_ANONYMOUS);
        assert!(
            u64::from(MAX_ANONYMOUS) * RecordLimits::WEIGHT_STEP_BYTES <= all.max_bytes_per_owner
        );
        assert!(u64::from(MAX_PER_OWNER) * RecordLimits::WEIGHT_STEP_BYTES <= MAX_BYTES_PER_OWNER);
    }
}
