//! What is taken from a budget, and what is told of it.

use std::{fmt, time::Duration};

/// The name of a bucket, which is a word of the code: a bucket per user would have no bound.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct BucketName(&'static str);

impl BucketName {
    /// A name of lower-case letters, digits and `_`.
    ///
    /// # Panics
    /// It has other characters, or none, or more than 32: for a constant an error of the compiler.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= 32, "1 to 32 characters");
        let mut at = 0;
        while at < bytes.len() {
            assert!(
                matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'_'),
                "letters, digits and _"
            );
            at += 1;
        }
        Self(name)
    }

    /// The text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// How a bucket fills.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BucketRule {
    /// In any span of `period` up to `capacity` is granted. A burst may take all of it at once.
    Paced {
        /// Permits per period, at least one.
        capacity: u32,
        /// The period.
        period: Duration,
    },
    /// The owner of the quota says what remains and when it resets; nothing is known before.
    Reported {
        /// The length of a window, for the time between a reset and the next report.
        period: Duration,
    },
}

impl BucketRule {
    /// The period, within the bounds.
    #[must_use]
    pub fn period(self) -> Duration {
        let (Self::Paced { period, .. } | Self::Reported { period }) = self;
        period.clamp(BudgetDemand::SHORTEST_PERIOD, BudgetDemand::LONGEST)
    }
}

/// Permits of one bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BudgetNeed {
    /// The bucket.
    pub bucket: BucketName,
    /// How it fills. All callers give a bucket the same rule.
    pub rule: BucketRule,
    /// The number of permits.
    pub permits: u32,
}

/// How many callers may do something at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotRule {
    /// The number of slots.
    pub slots: u32,
    /// The time after which a slot is free although nobody has settled it.
    pub ttl: Duration,
}

/// What is needed for one action: all of it, or it does not begin.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BudgetDemand {
    /// Permits, of different buckets.
    pub needs: Vec<BudgetNeed>,
    /// A slot.
    pub slot: Option<SlotRule>,
}

impl BudgetDemand {
    /// The longest period, time to live, stop, and time until a reset: longer ones are cut to it.
    pub const LONGEST: Duration = Duration::from_secs(2 * 3600);
    /// The shortest period: shorter ones are lengthened to it.
    pub const SHORTEST_PERIOD: Duration = Duration::from_millis(100);
    /// The parts into which stores divide a period: they forget what was granted a part at a time.
    pub const PARTS: u32 = 100;
    /// The wait for a slot, of which nobody knows when it is free.
    pub const SLOT_PAUSE: Duration = Duration::from_millis(100);
}

/// A slot that is held. It is enough to free it, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct BudgetSlot(String);

impl BudgetSlot {
    /// A slot with an unguessable name.
    #[must_use]
    pub const fn new(name: String) -> Self {
        Self(name)
    }

    /// The name, for the store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BudgetSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BudgetSlot(…)")
    }
}

/// The answer to a demand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BudgetAnswer {
    /// All of it is granted.
    Granted {
        /// The slot, if the demand has a rule for it.
        slot: Option<BudgetSlot>,
    },
    /// Nothing was taken. It may be granted after this time, which is not zero.
    Wait(Duration),
}

/// What the owner of a quota says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuotaReport {
    /// The bucket, with a rule [`BucketRule::Reported`] of this period.
    pub bucket: BucketName,
    /// The length of a window.
    pub period: Duration,
    /// Permits of a whole window.
    pub limit: u32,
    /// Permits that are left in this window.
    pub remaining: u32,
    /// Time until the next window begins.
    pub resets_in: Duration,
}

/// What an action has cost in the end, and what was learnt from it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BudgetOutcome {
    /// The slots to free.
    pub freed: Vec<BudgetSlot>,
    /// Permits of reported buckets that were not needed after all.
    pub given_back: Vec<(BucketName, u32)>,
    /// What the owner of the quota says, applied after what is given back.
    pub reports: Vec<QuotaReport>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_stay_within_the_bounds_and_a_slot_is_not_shown() {
        let period = |period| BucketRule::Reported { period }.period();
        assert_eq!(period(Duration::ZERO), BudgetDemand::SHORTEST_PERIOD);
        assert_eq!(period(Duration::MAX), BudgetDemand::LONGEST);
        let shown = format!("{:?}", BudgetSlot::new("secret".into()));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
