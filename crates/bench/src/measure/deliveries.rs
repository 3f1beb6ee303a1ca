//! CPU per delivered event: the edge's, and the floor's at the same pace in the same run.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;

use super::{Pace, Plan};
use crate::{
    child::{Floor, Streams},
    floor::Send,
    load,
    process::cpu_micros,
    subject::{Edge, Subject, Topology},
    table::Row,
};

const TAIL: Duration = Duration::from_secs(10);
const WARM_UP: u64 = 10;
/// The most that an edge may take, as a multiple of the floor.
const TARGET_RATIO: f64 = 1.6;

/// One run of one side.
struct Run {
    micros_per_event: f64,
    events_per_second: f64,
}

pub(super) fn run(plan: &Plan, topology: Topology) -> Result<Vec<Row>> {
    let subject = Subject::start(topology, &plan.scratch)?;
    let edge = *subject.edges.first().context("there is no edge")?;
    let rows = plan
        .deliveries
        .iter()
        .map(|pace| one(&subject, edge, *pace, plan.runs, topology));
    rows.collect()
}

fn one(subject: &Subject, edge: Edge, pace: Pace, runs: usize, topology: Topology) -> Result<Row> {
    let mut streams = Streams::open(pace.streams, &[edge.address])?;
    load::paced(
        &subject.ingest,
        WARM_UP,
        pace.interval_nanos().min(50_000_000),
    )?;
    let warm = streams.expect(WARM_UP, TAIL).context("warming up")?;
    let sample = warm.sample.context("no event was kept as a sample")?;
    let mut floor = Floor::start(pace.streams)?;
    let mut floor_streams = Streams::open(pace.streams, &[floor.address])?;
    let (mut edges, mut floors) = (Vec::new(), Vec::new());
    // In turns, so that a change of the machine's mood meets both.
    for run in 1..=runs {
        edges.push(edge_run(subject, edge, &mut streams, pace)?);
        floors.push(floor_run(&mut floor, &mut floor_streams, pace, &sample)?);
        if let (Some(edge), Some(floor)) = (edges.last(), floors.last()) {
            eprintln!(
                "  run {run}: edge {:.2} µs, floor {:.2} µs per event",
                edge.micros_per_event, floor.micros_per_event
            );
        }
    }
    Ok(row(pace, topology, &edges, &floors, sample.len()))
}

fn edge_run(subject: &Subject, edge: Edge, streams: &mut Streams, pace: Pace) -> Result<Run> {
    streams.reset()?;
    measured(edge.pid, || {
        load::paced(&subject.ingest, pace.events(), pace.interval_nanos())?;
        Ok(streams.expect(pace.events(), TAIL)?.frames)
    })
}

fn floor_run(floor: &mut Floor, streams: &mut Streams, pace: Pace, sample: &str) -> Result<Run> {
    streams.reset()?;
    let send = Send {
        rounds: pace.events(),
        interval_nanos: pace.interval_nanos(),
        sample: sample.to_owned(),
    };
    measured(floor.pid(), || {
        floor.send(&send)?;
        Ok(streams.expect(pace.events(), TAIL)?.frames)
    })
}

/// `work` gives how many events were delivered.
#[allow(
    clippy::cast_precision_loss,
    reason = "figures for people, far below 2^52"
)]
fn measured(pid: u32, work: impl FnOnce() -> Result<u64>) -> Result<Run> {
    let (cpu, started) = (cpu_micros(pid)?, Instant::now());
    let frames = work()? as f64;
    let cpu = (cpu_micros(pid)? - cpu) as f64;
    let events_per_second = frames / started.elapsed().as_secs_f64();
    Ok(Run {
        micros_per_event: cpu / frames,
        events_per_second,
    })
}

fn row(pace: Pace, topology: Topology, edges: &[Run], floors: &[Run], bytes: usize) -> Row {
    let edge = median(edges.iter().map(|run| run.micros_per_event));
    let floor = median(floors.iter().map(|run| run.micros_per_event));
    let rate = median(edges.iter().map(|run| run.events_per_second));
    let ratio = edge / floor;
    Row {
        what: format!(
            "CPU per delivered event, {}, {} streams × {}/s, {bytes} B",
            topology.name(),
            pace.streams,
            pace.events_per_second
        ),
        figure: format!("{edge:.2} µs at {rate:.0} events/s"),
        floor: Some(format!("{floor:.2} µs")),
        ratio: Some(ratio),
        target: Some(format!("≤ {TARGET_RATIO} × floor")),
        met: Some(ratio <= TARGET_RATIO),
        values: json!({
            "topology": topology.name(), "streams": pace.streams,
            "events_per_second_per_stream": pace.events_per_second, "event_bytes": bytes,
            "edge_micros": edge, "floor_micros": floor, "delivered_per_second": rate,
            "edge_runs": edges.iter().map(|run| run.micros_per_event).collect::<Vec<_>>(),
            "floor_runs": floors.iter().map(|run| run.micros_per_event).collect::<Vec<_>>(),
            "note": "an embedded process also verifies, stores and mirrors the webhooks",
        }),
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
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
