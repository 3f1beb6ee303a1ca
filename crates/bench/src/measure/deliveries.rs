//! CPU per delivered event, and the time until the last client has it: the edge's, and the floor's
//! at the same pace in the same run.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;

use super::{MeasurePlan, TAIL, median, millis, plan::Pace, sample};
use crate::{
    floor::FloorLoad,
    helper_process::{FloorProcess, ReceiverProcess},
    load,
    opening::Opening,
    process::cpu_micros_of,
    subject::{BenchSystem, EdgeProcess, Topology},
    table::Row,
    tally::{Latency, TallyReport},
};

const WARM_UP: u64 = 10;
/// Maximum CPU of an edge, as a multiple of the floor.
const TARGET_RATIO: f64 = 1.2;
/// Maximum time until the last client has an event, as a multiple of the floor.
const TARGET_LAST_RATIO: f64 = 1.5;

/// One run of one side.
pub(super) struct DeliveryRun {
    pub(super) micros_per_event: f64,
    pub(super) events_per_second: f64,
    /// Total CPU.
    pub(super) cpu_micros: u64,
    /// Time until the last client of each event had it.
    pub(super) last_client: Latency,
}

pub(super) fn run(plan: &MeasurePlan, topology: Topology, rows: &mut Vec<Row>) -> Result<()> {
    let subject = BenchSystem::start(topology, &plan.scratch)?;
    let edge = *subject.edges.first().context("there is no edge")?;
    for (index, pace) in plan.deliveries.iter().enumerate() {
        let sides = Sides::run(&subject, edge, *pace, plan.runs)?;
        rows.push(sides.cpu(topology));
        // The lateness of the last client is meaningful only with many streams.
        if index + 1 == plan.deliveries.len() {
            rows.push(sides.last_client(topology));
        }
    }
    Ok(())
}

/// The edge and the floor at one pace.
struct Sides {
    pace: Pace,
    edges: Vec<DeliveryRun>,
    floors: Vec<DeliveryRun>,
    event_bytes: usize,
}

impl Sides {
    fn run(subject: &BenchSystem, edge: EdgeProcess, pace: Pace, runs: usize) -> Result<Self> {
        let (mut streams, sample) = open(subject, edge, pace)?;
        let mut floor = FloorProcess::start(pace.streams)?;
        let mut floor_streams =
            ReceiverProcess::open(&Opening::events(pace.streams, &[floor.address]))?;
        let (mut edges, mut floors) = (Vec::new(), Vec::new());
        // Alternating, so that a change in the machine's speed affects both sides.
        for run in 1..=runs {
            let ours = edge_run(subject, edge, &mut streams, pace)?;
            let bare = floor_run(&mut floor, &mut floor_streams, pace, &sample)?;
            eprintln!(
                "  run {run}: edge {:.2} µs, floor {:.2} µs per event",
                ours.micros_per_event, bare.micros_per_event
            );
            edges.push(ours);
            floors.push(bare);
        }
        Ok(Self {
            pace,
            edges,
            floors,
            event_bytes: sample.len(),
        })
    }

    fn what(&self, of: &str, topology: Topology) -> String {
        let Pace {
            streams,
            events_per_second,
            ..
        } = self.pace;
        format!(
            "{of}, {streams} streams × {events_per_second}/s{}",
            topology_suffix(topology)
        )
    }

    fn cpu(&self, topology: Topology) -> Row {
        let edge = median(self.edges.iter().map(|run| run.micros_per_event));
        let floor = median(self.floors.iter().map(|run| run.micros_per_event));
        let rate = median(self.edges.iter().map(|run| run.events_per_second));
        let ratio = edge / floor;
        // A single process also verifies, stores and mirrors: a target for the edge does not apply
        // to it.
        let alone = topology == Topology::Cluster;
        let each = |runs: &[DeliveryRun]| {
            runs.iter()
                .map(|run| run.micros_per_event)
                .collect::<Vec<_>>()
        };
        Row {
            what: self.what("CPU per delivered event", topology),
            figure: format!("{edge:.2} µs at {rate:.0} events/s"),
            floor: Some(format!("{floor:.2} µs")),
            ratio: Some(ratio),
            target: alone.then(|| format!("≤ {TARGET_RATIO} × floor")),
            met: alone.then_some(ratio <= TARGET_RATIO),
            values: json!({
                "topology": topology.name(), "streams": self.pace.streams,
                "events_per_second_per_stream": self.pace.events_per_second,
                "event_bytes": self.event_bytes, "edge_micros": edge, "floor_micros": floor,
                "delivered_per_second": rate, "edge_runs": each(&self.edges),
                "floor_runs": each(&self.floors), "includes_ingest": !alone,
            }),
        }
    }

    fn last_client(&self, topology: Topology) -> Row {
        let (edge, floor) = (lateness(&self.edges), lateness(&self.floors));
        let ratio = edge[0] / floor[0];
        let text = |[p50, p99, max]: [f64; 3]| {
            format!("{:.0} · {:.0} · {:.0} ms", p50 / 1e3, p99 / 1e3, max / 1e3)
        };
        let runs =
            |runs: &[DeliveryRun]| runs.iter().map(|run| run.last_client).collect::<Vec<_>>();
        Row {
            what: self.what("last client has it: p50 · p99 · max", topology),
            figure: text(edge),
            floor: Some(text(floor)),
            ratio: Some(ratio),
            target: Some(format!("p50 ≤ {TARGET_LAST_RATIO} × floor")),
            met: Some(ratio <= TARGET_LAST_RATIO),
            values: json!({
                "topology": topology.name(), "streams": self.pace.streams,
                "edge_runs_micros": runs(&self.edges), "floor_runs_micros": runs(&self.floors),
                "note": "the edge's figure includes the path of the webhook to it",
            }),
        }
    }
}

fn topology_suffix(topology: Topology) -> &'static str {
    match topology {
        Topology::Embedded => ", embedded (ingest included)",
        Topology::Cluster => ", the edge alone",
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
fn lateness(runs: &[DeliveryRun]) -> [f64; 3] {
    let of = |pick: fn(Latency) -> u64| median(runs.iter().map(|run| pick(run.last_client) as f64));
    [
        of(|late| late.p50),
        of(|late| late.p99),
        of(|late| late.max),
    ]
}

/// The streams of a pace, after a first few events, and one of these events as received.
pub(super) fn open(
    subject: &BenchSystem,
    edge: EdgeProcess,
    pace: Pace,
) -> Result<(ReceiverProcess, String)> {
    let mut streams = ReceiverProcess::open(&Opening::events(pace.streams, &[edge.address]))?;
    load::paced(
        &subject.ingest,
        WARM_UP,
        pace.interval_nanos().min(50_000_000),
    )?;
    let sample = sample(&mut streams, WARM_UP)?;
    Ok((streams, sample))
}

pub(super) fn edge_run(
    subject: &BenchSystem,
    edge: EdgeProcess,
    streams: &mut ReceiverProcess,
    pace: Pace,
) -> Result<DeliveryRun> {
    streams.reset()?;
    measure(&[edge.pid], || {
        load::paced(&subject.ingest, pace.events(), pace.interval_nanos())?;
        streams.expect(pace.events(), TAIL)
    })
}

pub(super) fn floor_run(
    floor: &mut FloorProcess,
    streams: &mut ReceiverProcess,
    pace: Pace,
    sample: &str,
) -> Result<DeliveryRun> {
    streams.reset()?;
    let send = FloorLoad {
        rounds: pace.events(),
        interval_nanos: pace.interval_nanos(),
        repositories: 1,
        sample: sample.to_owned(),
    };
    measure(&[floor.pid()], || {
        floor.send(&send)?;
        streams.expect(pace.events(), TAIL)
    })
}

/// CPU used by processes during `work`, which reports the deliveries.
#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
pub(super) fn measure(
    pids: &[u32],
    work: impl FnOnce() -> Result<TallyReport>,
) -> Result<DeliveryRun> {
    let (cpu, started) = (cpu_micros_of(pids)?, Instant::now());
    let report = work()?;
    let cpu_micros = cpu_micros_of(pids)? - cpu;
    Ok(DeliveryRun {
        micros_per_event: cpu_micros as f64 / report.frames as f64,
        events_per_second: report.frames as f64 / started.elapsed().as_secs_f64(),
        cpu_micros,
        last_client: report.last_client,
    })
}

/// A latency in the format of the other measurements.
pub(super) fn milliseconds(late: Latency) -> String {
    let (p50, p99, max) = (millis(late.p50), millis(late.p99), millis(late.max));
    format!("{p50} · {p99} · {max} ms")
}
