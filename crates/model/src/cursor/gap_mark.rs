//! The gap in the log of which a reader knows.

use crate::{EntryTag, Sequence, Timestamp};

/// Bits of a mark.
const MARK_BITS: u32 = 20;
/// Bits of the salt beside it.
const SALT_BITS: u32 = u32::BITS - 1 - MARK_BITS;
/// The highest bit says that there is a mark.
const HAS_MARK: u32 = 1 << (u32::BITS - 1);

/// Identifies a gap that was left where the log was put back to an earlier state. Two gaps at one place have the same mark with a
/// probability of 1 in a million.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GapMark(u32);

impl GapMark {
    /// The mark of the gap whose first lost entry has this tag, and was received at this time: the same on every edge
    /// that had it. The time tells it from a gap for which the same delivery, sent again, was lost again.
    #[must_use]
    pub fn of_lost(first: EntryTag, received_at: Timestamp) -> Self {
        Self::mixed(u64::from(first.number()), received_at)
    }

    /// The mark of the gap after a position, of whose lost entries an edge knows none, and that it found at this time: its
    /// own, so that a client is told again on another edge.
    #[must_use]
    pub fn of_found(after: Sequence, found: Timestamp) -> Self {
        Self::mixed(after.0, found)
    }

    fn mixed(number: u64, time: Timestamp) -> Self {
        let time = u64::from_ne_bytes(time.unix_millis().to_ne_bytes());
        // Fibonacci hashing: the high bits depend on all of both.
        let mixed = (number ^ time.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let high = mixed >> (u64::BITS - MARK_BITS);
        Self(u32::try_from(high).expect("as many bits as a mark has"))
    }
}

/// The salt of a cursor, with the mark if it has one. Edges that know no marks take all of it for the salt.
pub(super) fn salt_with(told: Option<GapMark>, salt: u32) -> u32 {
    match told {
        Some(mark) => HAS_MARK | mark.0 << SALT_BITS | (salt & ((1 << SALT_BITS) - 1)),
        None => salt & !HAS_MARK,
    }
}

/// The mark in a salt.
pub(super) fn mark_in(salt: u32) -> Option<GapMark> {
    (salt & HAS_MARK != 0).then_some(GapMark((salt & !HAS_MARK) >> SALT_BITS))
}
