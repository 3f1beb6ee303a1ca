//! Positions in a stream.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::EntryTag;

/// A position in one stream. It rises strictly with each entry; numbers may be skipped. Zero is the
/// position before the first entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Before the first entry.
    pub const START: Self = Self(0);

    /// The number that follows directly.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The number directly before; the start has none and stays.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Identity of a log. A log that is wiped and recreated restarts its sequences, so a position is
/// meaningful only together with the epoch in which it was assigned.
///
/// Edges without keys of their own derive the key of their cursors from it, so logs and errors show only a
/// short name, which tells one log from another and cannot be turned back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = Sha256::digest(self.0.to_be_bytes());
        write!(f, "log-{:02x}{:02x}", digest[0], digest[1])
    }
}

/// Never shows the identity.
impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A position together with the log that it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct LogPosition {
    /// The log.
    pub epoch: Epoch,
    /// The position.
    pub sequence: Sequence,
    /// The tag of the entry there, if it is known: a log that was put back to an earlier state has another
    /// entry, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<EntryTag>,
}

impl LogPosition {
    /// The position in the log `epoch`; the start if the position belongs to another log.
    #[must_use]
    pub fn within(self, epoch: Epoch) -> Sequence {
        if self.epoch == epoch {
            self.sequence
        } else {
            Sequence::START
        }
    }
}

/// An item with its position in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequenced<T> {
    /// The item's position.
    pub sequence: Sequence,
    /// The item.
    pub item: T,
}
