//! Streams opened per second, from the connect to the first frame, 64 at a time. The floor is a
//! bare loop that accepts, reads the request and always writes the same bytes.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::{MeasurePlan, median};
use crate::{
    helper_process::{FloorProcess, ReceiverProcess},
    opening::{Opening, OpeningKind},
    subject::{BenchSystem, Topology},
    table::Row,
};

/// Streams per second.
const TARGET: f64 = 10_000.0;
/// Time for an edge to notice that thousands of clients have disconnected, so that this work does
/// not count.
const PAUSE: Duration = Duration::from_millis(700);

pub(super) fn run(plan: &MeasurePlan, topology: Topology, rows: &mut Vec<Row>) -> Result<()> {
    let subject = BenchSystem::start(topology, &plan.scratch)?;
    let edge = subject.edges.first().context("there is no edge")?.address;
    // The first streams fill pools and caches.
    per_second(&Opening::events(plan.opens / 5, &[edge]))?;
    for kind in [OpeningKind::Events, OpeningKind::Listen] {
        let (mut edges, mut floors) = (Vec::new(), Vec::new());
        for _ in 0..plan.runs {
            edges.push(per_second(&Opening::of_kind(kind, plan.opens, &[edge]))?);
            let floor = FloorProcess::start(plan.opens)?;
            floors.push(per_second(&Opening::events(plan.opens, &[floor.address]))?);
        }
        rows.push(row(plan.opens, topology, kind, &edges, &floors));
    }
    Ok(())
}

#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
fn per_second(opening: &Opening) -> Result<f64> {
    std::thread::sleep(PAUSE);
    let streams = ReceiverProcess::open(opening)?;
    Ok(streams.opened.opened as f64 / streams.opened.seconds)
}

fn row(
    streams: usize,
    topology: Topology,
    kind: OpeningKind,
    edges: &[f64],
    floors: &[f64],
) -> Row {
    let rate = median(edges.iter().copied());
    let floor = median(floors.iter().copied());
    Row {
        what: format!(
            "{} opened, {}, {streams}, one edge",
            kind.name(),
            topology.name()
        ),
        figure: format!("{rate:.0}/s"),
        floor: Some(format!("{floor:.0}/s")),
        ratio: Some(rate / floor),
        target: Some(format!("≥ {TARGET}/s")),
        met: Some(rate >= TARGET),
        values: json!({
            "topology": topology.name(), "kind": kind.name(), "streams": streams,
            "per_second": rate, "floor_per_second": floor, "runs": edges, "floor_runs": floors,
        }),
    }
}
