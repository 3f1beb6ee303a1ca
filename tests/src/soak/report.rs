//! The results of a run.

use std::fmt;

use serde::Serialize;

use super::{
    faults::Faults,
    hostile::Tallies,
    pool::StreamFigures,
    processes::{Comparison, Sample},
};

/// The results of a run.
#[derive(Debug, Serialize)]
pub struct SoakReport {
    /// Seconds for which the streams were held, once all were open.
    pub(crate) seconds: u64,
    /// Number of deliveries sent.
    pub(crate) sent: u64,
    /// Number of deliveries acknowledged.
    pub(crate) acknowledged: u64,
    /// Number of edges that were killed.
    pub(crate) kills: u64,
    /// Seconds from the last delivery until every stream had received everything.
    pub(crate) settled_seconds: f64,
    pub(crate) streams: StreamFigures,
    pub(crate) hostile: Tallies,
    pub(crate) samples: Vec<Sample>,
    /// The measures that must stay flat.
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) faults: Faults,
}

impl SoakReport {
    /// Whether every promise held.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.faults.total() == 0
    }
}

impl fmt::Display for SoakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (streams, delays) = (&self.streams, &self.streams.delays);
        writeln!(
            f,
            "{} s, {} deliveries sent, {} acknowledged, {} edges killed",
            self.seconds, self.sent, self.acknowledged, self.kills
        )?;
        writeln!(
            f,
            "streams: {} opened, {} of them resumed; {} closed by clients, {} broken; {} times 5xx, {} \
             slow to open",
            streams.opened,
            streams.resumed,
            streams.churned,
            streams.broken,
            streams.unavailable,
            streams.slow_opens
        )?;
        writeln!(
            f,
            "events: {} and {} updates received; delay p50 < {} ms, p99 < {} ms, longest {} ms; all there \
             {:.1} s after the last",
            streams.events,
            streams.updates,
            delays.below_millis(500),
            delays.below_millis(990),
            delays.longest_millis,
            self.settled_seconds
        )?;
        for (manner, tally) in &self.hostile {
            writeln!(
                f,
                "hostile: {manner:?}: {} connections, {} ended by an edge, longest {} s",
                tally.connections, tally.ended_by_edge, tally.longest_seconds
            )?;
        }
        for one in &self.comparisons {
            let verdict = if one.is_flat() { "flat" } else { "GROWS" };
            let (first, last, most) = (one.first, one.last, one.most);
            writeln!(
                f,
                "{verdict}: {}: {first} → {last} (at most {most})",
                one.what
            )?;
        }
        for (fault, count) in &self.faults.counts {
            writeln!(f, "FAULT: {fault}: {count}")?;
        }
        for example in &self.faults.examples {
            writeln!(f, "  {example}")?;
        }
        let verdict = if self.is_good() {
            "every promise held"
        } else {
            "promises were broken"
        };
        writeln!(f, "{verdict}")
    }
}
