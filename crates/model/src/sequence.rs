//! Positions in a stream.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A position in one stream. Rises strictly with each entry; numbers may be left out.
/// Zero is the position before the first entry.
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

/// Identity of a log. A log that is wiped and made again starts its sequences again, so a position
/// means something only together with the epoch that it was given in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// A position together with the log that it is a position in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct LogPosition {
    /// The log.
    pub epoch: Epoch,
    /// The position.
    pub sequence: Sequence,
}

impl LogPosition {
    /// The position in the log `epoch`; the start if it was taken in another log.
    #[must_use]
    pub fn within(self, epoch: Epoch) -> Sequence {
        if self.epoch == epoch {
            self.sequence
        } else {
            Sequence::START
        }
    }
}

/// Something with its place in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequenced<T> {
    /// Its place.
    pub sequence: Sequence,
    /// The thing itself.
    pub item: T,
}
