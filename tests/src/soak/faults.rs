//! Broken promises: counted by kind, the first ones described in words.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// Number of faults that are described in words.
const EXAMPLES: usize = 20;

/// A promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// An event that was owed to a stream is missing, although later ones arrived.
    Lost,
    /// An event arrived twice.
    Duplicate,
    /// An event arrived after one that is later in the log.
    Disorder,
    /// An event that the stream's filter excludes.
    Foreign,
    /// An event that was never sent.
    Invented,
    /// One event at two positions in the log, or two events at one.
    Moved,
    /// A resumed stream does not continue from its position.
    ResumedElsewhere,
    /// The edge reported that events are gone.
    Truncated,
    /// A frame that the stream must not contain: without a cursor, with another reader's cursor, or
    /// in an unknown form.
    BadFrame,
    /// An event was not received within 30 s on an open stream.
    Overdue,
    /// Neither an event nor a heartbeat for three heartbeat intervals on an open stream.
    Silent,
    /// A valid request was refused permanently (4xx).
    Refused,
    /// No session could be created.
    NoSession,
    /// At the end of the run a stream still misses an event.
    Unfinished,
    /// Ingest did not accept a delivery within a minute.
    #[serde(rename = "not_taken")]
    NotAccepted,
    /// An edge held a stream for too long although its client does not read.
    #[serde(rename = "held")]
    HeldTooLong,
    /// A stream ended although its edge was running and its client was reading.
    Broken,
    /// A delivery was refused, or not answered within GitHub's ten seconds, although ingest was running.
    TurnedAway,
    /// Events took far longer to arrive than without the load.
    Slow,
    /// A process ended.
    Died,
    /// Memory grew.
    Memory,
    /// Descriptors grew, or were not released.
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
    /// Number of faults of each kind.
    pub(crate) counts: BTreeMap<Fault, u64>,
    /// Descriptions of the first faults.
    pub(crate) examples: Vec<String>,
}

impl Faults {
    /// Adds one fault.
    pub(crate) fn add(&mut self, fault: Fault, what: impl FnOnce() -> String) {
        let count = self.counts.entry(fault).or_default();
        *count += 1;
        // The first of a kind is always described: a flood of one kind must not hide another.
        if self.examples.len() < EXAMPLES || *count == 1 {
            self.examples.push(format!("{fault}: {}", what()));
        }
    }

    /// Adds the faults of another list.
    pub(crate) fn append(&mut self, other: Self) {
        for (fault, count) in other.counts {
            *self.counts.entry(fault).or_default() += count;
        }
        self.examples.extend(other.examples);
    }

    /// The total number of faults.
    pub(crate) fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}
