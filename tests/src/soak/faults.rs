//! Broken promises: counted by kind, the first ones in words.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// How many are kept in words.
const EXAMPLES: usize = 20;

/// A promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// An event that a stream was owed never came, and later ones did.
    Lost,
    /// An event came twice.
    Duplicate,
    /// An event came after one that is later in the log.
    Disorder,
    /// An event that the stream's filter does not want.
    Foreign,
    /// An event that nobody sent.
    Invented,
    /// One event at two places of the log, or two events at one.
    Moved,
    /// A resumed stream does not go on where it was.
    ResumedElsewhere,
    /// The edge said that events are gone.
    Truncated,
    /// A frame that the stream must not have: no cursor, or not this reader's, or no known form.
    BadFrame,
    /// An event did not come within 30 s on an open stream.
    Overdue,
    /// Neither an event nor a heartbeat for the time of three heartbeats on an open stream.
    Silent,
    /// A request that is right was refused for good (4xx).
    Refused,
    /// No session could be made.
    NoSession,
    /// At the end a stream still misses something.
    Unfinished,
    /// Ingest did not take a delivery within a minute.
    NotTaken,
    /// An edge held a stream that nobody reads for too long.
    Held,
    /// Memory grew.
    Memory,
    /// Descriptors grew, or did not come back.
    Descriptors,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_value(self).unwrap_or_default();
        f.pad(text.as_str().unwrap_or_default())
    }
}

/// All broken promises of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Faults {
    /// How often each.
    pub(crate) counts: BTreeMap<Fault, u64>,
    /// The first of them.
    pub(crate) examples: Vec<String>,
}

impl Faults {
    /// One more.
    pub(crate) fn add(&mut self, fault: Fault, what: impl FnOnce() -> String) {
        let count = self.counts.entry(fault).or_default();
        *count += 1;
        // The first of a kind is always told: a flood of one kind must not hide another.
        if self.examples.len() < EXAMPLES || *count == 1 {
            self.examples.push(format!("{fault}: {}", what()));
        }
    }

    /// Those of another list too.
    pub(crate) fn append(&mut self, other: Self) {
        for (fault, count) in other.counts {
            *self.counts.entry(fault).or_default() += count;
        }
        self.examples.extend(other.examples);
    }

    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}
