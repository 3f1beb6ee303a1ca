//! The gap in the log of which a reader knows.

use crate::EntryTag;

/// Bits of a mark.
const MARK_BITS: u32 = 20;
/// Bits of the salt beside it.
const SALT_BITS: u32 = u32::BITS - 1 - MARK_BITS;
/// The highest bit says that there is a mark.
const HAS_MARK: u32 = 1 << (u32::BITS - 1);

/// Identifies a gap that was left where the log was put back to an earlier state: by the first entry that the log lost
/// there, so it is the same on every edge that had it. Two gaps at one place have the same mark with a probability of
/// 1 in a million.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GapMark(u32);

impl GapMark {
    /// The mark of the gap whose first lost entry has this tag.
    #[must_use]
    pub fn of_lost(first: EntryTag) -> Self {
        Self(first.number() >> (u32::BITS - MARK_BITS))
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
