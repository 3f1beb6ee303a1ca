//! The measurements. Each starts what it needs, and ends it.

mod calls;
mod deliveries;
mod idle;
mod ingest;
mod latency;
mod sessions;

use std::path::PathBuf;

use anyhow::Result;

use crate::{subject::Topology, table::Row};

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Measure {
    /// Webhook to SSE.
    Latency,
    /// CPU per delivered event, against the floor.
    Deliveries,
    /// Memory per idle stream.
    Idle,
    /// Durable deliveries per second.
    Ingest,
    /// Tool calls per second, in both eras of MCP.
    Calls,
    /// Sessions made per second.
    Sessions,
}

impl Measure {
    pub(crate) const ALL: [Self; 6] = [
        Self::Idle,
        Self::Deliveries,
        Self::Latency,
        Self::Ingest,
        Self::Calls,
        Self::Sessions,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Deliveries => "deliveries",
            Self::Idle => "idle",
            Self::Ingest => "ingest",
            Self::Calls => "calls",
            Self::Sessions => "sessions",
        }
    }

    /// Whether the topology makes a difference that is worth the time.
    pub(crate) fn runs_on(self, topology: Topology) -> bool {
        match self {
            Self::Latency | Self::Ingest | Self::Calls | Self::Sessions => true,
            // The edge is the same code, and a single process leaves more of the machine to it.
            Self::Deliveries | Self::Idle => topology == Topology::Embedded,
        }
    }

    pub(crate) fn run(self, plan: &Plan, topology: Topology) -> Result<Vec<Row>> {
        match self {
            Self::Latency => latency::run(plan, topology),
            Self::Deliveries => deliveries::run(plan, topology),
            Self::Idle => idle::run(plan, topology).map(|row| vec![row]),
            Self::Ingest => ingest::run(plan, topology).map(|row| vec![row]),
            Self::Calls => calls::run(plan, topology),
            Self::Sessions => sessions::run(plan, topology).map(|row| vec![row]),
        }
    }
}

/// A number of streams and a pace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) streams: usize,
    pub(crate) events_per_second: u64,
    pub(crate) seconds: u64,
}

impl Pace {
    fn events(self) -> u64 {
        self.events_per_second * self.seconds
    }

    fn interval_nanos(self) -> u64 {
        1_000_000_000 / self.events_per_second
    }
}

/// How much to do.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) scratch: PathBuf,
    latency: Vec<Pace>,
    deliveries: Vec<Pace>,
    /// Each pace of `deliveries` so many times; the median counts.
    runs: usize,
    idle_streams: usize,
    ingest_seconds: u64,
    /// Each load of `calls` lasts so long; there are three in each era.
    calls_seconds: f64,
    sessions_seconds: f64,
}

impl Plan {
    /// The figures that the project states.
    pub(crate) fn full(scratch: PathBuf) -> Self {
        let pace = |streams, events_per_second, seconds| Pace {
            streams,
            events_per_second,
            seconds,
        };
        Self {
            scratch,
            // 1,000 streams get 20/s: 20,000 events/s in all, about half of what two cores that also
            // hold the receiver can do. Above that the queue is measured, not the path.
            latency: vec![pace(1, 200, 10), pace(100, 200, 10), pace(1000, 20, 10)],
            deliveries: vec![pace(1000, 20, 5), pace(10_000, 2, 6)],
            runs: 3,
            idle_streams: 10_000,
            ingest_seconds: 8,
            calls_seconds: 1.0,
            sessions_seconds: 1.5,
        }
    }

    /// Some seconds, to see that everything works; the figures are worth nothing.
    pub(crate) fn quick(scratch: PathBuf) -> Self {
        let pace = |streams, events_per_second, seconds| Pace {
            streams,
            events_per_second,
            seconds,
        };
        Self {
            scratch,
            latency: vec![pace(1, 50, 1), pace(50, 50, 1)],
            deliveries: vec![pace(200, 20, 1)],
            runs: 1,
            idle_streams: 500,
            ingest_seconds: 1,
            calls_seconds: 0.3,
            sessions_seconds: 0.3,
        }
    }
}

/// Milliseconds with two places, for people.
fn millis(micros: u64) -> String {
    format!("{}.{:02}", micros / 1000, micros % 1000 / 10)
}
