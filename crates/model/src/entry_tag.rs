//! A few bytes that tell the entries of a log apart.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::EventId;

/// Identifies the event at a position of the log. A log whose store was put back to an earlier state gives
/// out the same numbers again; the tag tells the new entry from the one that had the number before.
///
/// It is a part of the SHA-256 digest of the event's id and the same on every node and version. Two events
/// have the same tag with a probability of 1 in 4 billion.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryTag(NonZeroU32);

impl EntryTag {
    /// The tag of every entry that does not decode and whose event nobody can tell. A cursor that names one is
    /// told from a cursor of whatever takes its number.
    pub const UNDECODABLE: Self = Self(NonZeroU32::MAX);

    /// The tag of the event with this id.
    #[must_use]
    pub fn of(id: &EventId) -> Self {
        EntryDigest::of(id).tag()
    }

    /// The tag of the event whose id has a SHA-256 digest that begins with these bytes.
    #[must_use]
    pub fn of_digest(first: [u8; 4]) -> Self {
        let number = u32::from_be_bytes(first);
        Self(NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN))
    }

    /// From the number in a cursor; zero stands for no tag.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number in a cursor, never zero.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0.get()
    }
}

/// The first 128 bits of the SHA-256 digest of an event's id: two ids do not share one by chance or by intent.
/// A store that cannot keep the id beside an entry keeps this.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EntryDigest([u8; 16]);

impl EntryDigest {
    /// The digest of this id.
    #[must_use]
    pub fn of(id: &EventId) -> Self {
        let digest = Sha256::digest(id.as_str());
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        Self(first)
    }

    /// The digest with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// The tag of the entry.
    #[must_use]
    pub fn tag(self) -> EntryTag {
        let [a, b, c, d, ..] = self.0;
        EntryTag::of_digest([a, b, c, d])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_the_same_in_every_version() {
        let tag = EntryTag::of(&EventId::new("e1").unwrap());
        assert_eq!(tag.number(), 0x8b5c_c4df);
        assert_eq!(EntryTag::from_number(tag.number()), Some(tag));
        assert_eq!(EntryTag::from_number(0), None);
    }
}
