//! The measurements. Each starts the processes that it needs, and stops them.

mod burst;
mod calls;
mod deliveries;
mod growth;
mod heartbeats;
mod idle;
mod ingest;
mod latency;
mod mirror_reads;
mod model_latency;
mod opens;
mod peers;
mod plan;
mod rates;
mod resume;
mod sessions;
mod stores;
mod waits;

use std::time::Duration;

use anyhow::{Context, Result};

use crate::{
    helper_process::ReceiverProcess,
    load,
    opening::Opening,
    subject::{BenchSystem, EdgeProcess, Topology},
    table::Row,
};

pub(crate) use plan::MeasurePlan;

/// The measurements by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Measure {
    /// Memory per idle stream of each kind, before and after a burst.
    Idle,
    /// CPU per delivered event, and the time until the last client has it, against the floor.
    Deliveries,
    /// CPU per delivered event when events arrive faster than they can be written.
    Burst,
    /// Webhook to SSE.
    Latency,
    /// Webhook to the client of a model, by the way in which it gets events.
    ModelLatency,
    /// Memory per waiting call, and the CPU of its answer.
    Waits,
    /// Streams opened per second.
    Opens,
    /// CPU of idle streams.
    Heartbeats,
    /// Many clients that reconnect at once, and the effect on the other clients.
    Resume,
    /// Cost of streams and events as the number of streams grows, including the kernel's part.
    Growth,
    /// Durable deliveries per second.
    Ingest,
    /// Tool calls per second, in both eras of MCP.
    Calls,
    /// Reads of a resource per second: from the sync role in the process, and from the edge's cache in a cluster.
    MirrorReads,
    /// The check of a request against the rate limits, against a bare bucket.
    Rates,
    /// Sessions created per second.
    Sessions,
    /// The stores behind their ports, beside the bare drivers (`make bench-stores`); only when it is named.
    Stores,
    /// The same load on nginx with nchan (`make bench-peers`); only when it is named.
    Peers,
}

impl Measure {
    pub(crate) const ALL: [Self; 17] = [
        Self::Idle,
        Self::Deliveries,
        Self::Burst,
        Self::Latency,
        Self::ModelLatency,
        Self::Waits,
        Self::Opens,
        Self::Heartbeats,
        Self::Resume,
        Self::Growth,
        Self::Ingest,
        Self::Calls,
        Self::MirrorReads,
        Self::Rates,
        Self::Sessions,
        Self::Stores,
        Self::Peers,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Deliveries => "deliveries",
            Self::Burst => "burst",
            Self::Latency => "latency",
            Self::ModelLatency => "model-latency",
            Self::Waits => "waits",
            Self::Opens => "opens",
            Self::Heartbeats => "heartbeats",
            Self::Resume => "resume",
            Self::Growth => "growth",
            Self::Ingest => "ingest",
            Self::Calls => "calls",
            Self::MirrorReads => "mirror-reads",
            Self::Rates => "rates",
            Self::Sessions => "sessions",
            Self::Stores => "stores",
            Self::Peers => "peers",
        }
    }

    /// Whether the measurement is worth its time on this topology.
    pub(crate) fn runs_on(self, topology: Topology) -> bool {
        match self {
            // These need an edge that is a separate process, or two edges.
            Self::Opens | Self::Heartbeats | Self::Growth | Self::Peers => {
                topology == Topology::Cluster
            }
            // In the process of the benchmark itself.
            Self::Rates | Self::Stores => topology == Topology::Embedded,
            _ => true,
        }
    }

    /// Adds rows as they are ready, so that a later failure does not discard the earlier rows.
    pub(crate) fn run(
        self,
        plan: &MeasurePlan,
        topology: Topology,
        rows: &mut Vec<Row>,
    ) -> Result<()> {
        match self {
            Self::Idle => idle::run(plan, topology, rows),
            Self::Deliveries => deliveries::run(plan, topology, rows),
            Self::Burst => burst::run(plan, topology, rows),
            Self::Latency => latency::run(plan, topology, rows),
            Self::ModelLatency => model_latency::run(plan, topology, rows),
            Self::Waits => waits::run(plan, topology, rows),
            Self::Opens => opens::run(plan, topology, rows),
            Self::Heartbeats => heartbeats::run(plan, topology).map(|row| rows.push(row)),
            Self::Resume => resume::run(plan, topology, rows),
            Self::Growth => growth::run(plan, topology, rows),
            Self::Ingest => ingest::run(plan, topology, rows),
            Self::Calls => calls::run(plan, topology, rows),
            Self::MirrorReads => mirror_reads::run(plan, topology, rows),
            Self::Rates => rates::run(plan, rows),
            Self::Sessions => sessions::run(plan, topology).map(|row| rows.push(row)),
            Self::Stores => stores::run(plan, rows),
            Self::Peers => peers::run(plan, topology, rows),
        }
    }
}

/// Time allowed for the last events to arrive after the last send.
const TAIL: Duration = Duration::from_secs(10);
/// The same with hundreds of thousands of events in flight.
const BURST_TAIL: Duration = Duration::from_secs(60);
/// Streams and events before the first measurement of memory, so that pools and caches have reached
/// their size.
const WARM_UP: (usize, u64) = (100, 20);

/// Brings an edge's pools and caches to their usual size.
fn warm_up(subject: &BenchSystem, edge: EdgeProcess) -> Result<()> {
    let mut streams = ReceiverProcess::open(&Opening::events(WARM_UP.0, &[edge.address]))?;
    load::paced(&subject.ingest, WARM_UP.1, 10_000_000)?;
    streams.expect(WARM_UP.1, TAIL).context("warming up")?;
    Ok(())
}

/// The frame that the floor sends: one event as received from an edge.
fn sample(streams: &mut ReceiverProcess, events: u64) -> Result<String> {
    let report = streams.expect(events, TAIL).context("warming up")?;
    report.sample.context("no event was kept as a sample")
}

/// The median of the results of several runs.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// Milliseconds with two decimals, for display.
fn millis(micros: u64) -> String {
    format!("{}.{:02}", micros / 1000, micros % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert!((median([3.0, 1.0, 2.0].into_iter()) - 2.0).abs() < 1e-9);
        assert!((median([4.0, 1.0, 2.0, 3.0].into_iter()) - 2.5).abs() < 1e-9);
    }
}
