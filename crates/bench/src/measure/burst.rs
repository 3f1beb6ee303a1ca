//! CPU per delivered event when events arrive faster than they can be written: as fast as ingest
//! accepts them over many connections, to streams that all subscribe to them. The floor has all of
//! them at hand from the start.

use anyhow::{Context, Result};
use serde_json::json;

use super::{
    BURST_TAIL, MeasurePlan,
    deliveries::{measure, open},
    plan::Pace,
};
use crate::{
    floor::FloorLoad,
    helper_process::{FloorProcess, ReceiverProcess},
    load,
    opening::Opening,
    subject::{BenchSystem, EdgeProcess, Topology},
    table::Row,
};

/// Events of one burst.
const EVENTS: u64 = 50;
/// Maximum CPU per delivered event, in microseconds.
const TARGET_MICROS: f64 = 2.0;

pub(super) fn run(plan: &MeasurePlan, topology: Topology, rows: &mut Vec<Row>) -> Result<()> {
    let subject = BenchSystem::start(topology, &plan.scratch)?;
    let edge = *subject.edges.first().context("there is no edge")?;
    for (streams, bursts) in &plan.bursts {
        rows.push(one(&subject, edge, *streams, *bursts, topology)?);
    }
    Ok(())
}

/// CPU in microseconds and number of events, over all bursts: a single burst is only a few ticks of
/// the kernel's clock.
#[derive(Default)]
struct Sum {
    cpu: u64,
    events_per_second: Vec<f64>,
}

impl Sum {
    #[allow(
        clippy::cast_precision_loss,
        reason = "figures for display, far below 2^52"
    )]
    fn micros(&self, streams: usize, bursts: u64) -> f64 {
        self.cpu as f64 / (streams as u64 * bursts * EVENTS) as f64
    }

    fn rate(&self) -> f64 {
        super::median(self.events_per_second.iter().copied())
    }
}

fn one(
    subject: &BenchSystem,
    edge: EdgeProcess,
    streams: usize,
    bursts: u64,
    topology: Topology,
) -> Result<Row> {
    let pace = Pace {
        streams,
        ..Pace::small()
    };
    let (mut ours, sample) = open(subject, edge, pace)?;
    let mut floor = FloorProcess::start(streams)?;
    let mut bare = ReceiverProcess::open(&Opening::events(streams, &[floor.address]))?;
    let send = FloorLoad {
        rounds: EVENTS,
        interval_nanos: 0,
        repositories: 1,
        sample,
    };
    let (mut edges, mut floors) = (Sum::default(), Sum::default());
    for _ in 0..bursts {
        ours.reset()?;
        let run = measure(&[edge.pid], || {
            load::paced(&subject.ingest, EVENTS, 0)?;
            ours.expect(EVENTS, BURST_TAIL)
        })?;
        edges.cpu += run.cpu_micros;
        edges.events_per_second.push(run.events_per_second);
        bare.reset()?;
        let run = measure(&[floor.pid()], || {
            floor.send(&send)?;
            bare.expect(EVENTS, BURST_TAIL)
        })?;
        floors.cpu += run.cpu_micros;
        floors.events_per_second.push(run.events_per_second);
    }
    Ok(row(streams, bursts, topology, &edges, &floors))
}

fn row(streams: usize, bursts: u64, topology: Topology, edges: &Sum, floors: &Sum) -> Row {
    let (edge, floor) = (
        edges.micros(streams, bursts),
        floors.micros(streams, bursts),
    );
    Row {
        what: format!(
            "CPU per event in bursts of {EVENTS}, {streams} streams, {}",
            match topology {
                Topology::Embedded => "embedded (ingest included)",
                Topology::Cluster => "the edge alone",
            }
        ),
        figure: format!("{edge:.2} µs at {:.0} events/s", edges.rate()),
        floor: Some(format!("{floor:.2} µs")),
        ratio: Some(edge / floor),
        target: Some(format!("≤ {TARGET_MICROS} µs")),
        met: Some(edge <= TARGET_MICROS),
        values: json!({
            "topology": topology.name(), "streams": streams, "bursts": bursts, "events": EVENTS,
            "edge_micros": edge, "floor_micros": floor,
            "edge_events_per_second": edges.rate(), "floor_events_per_second": floors.rate(),
        }),
    }
}
