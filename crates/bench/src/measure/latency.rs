//! From the moment when a webhook was meant to be sent to the moment when a stream's event is read.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::{Pace, Plan, millis};
use crate::{
    child::{Floor, Streams},
    floor::Send,
    load,
    receiver::Report,
    subject::{Subject, Topology},
    table::Row,
};

/// How long the last events may take after the last send.
const TAIL: Duration = Duration::from_secs(10);
/// Sent before anything counts: connections, caches and the log's first pages.
const WARM_UP: u64 = 20;
/// Design §8: at half load. On top of what the kernel takes to send one event to that many sockets.
const TARGET_P99_MICROS: u64 = 10_000;
/// The floor is sent to for so long at most; it does not vary as much.
const FLOOR_SECONDS: u64 = 3;

pub(super) fn run(plan: &Plan, topology: Topology) -> Result<Vec<Row>> {
    let subject = Subject::start(topology, &plan.scratch)?;
    plan.latency
        .iter()
        .map(|pace| one(&subject, topology, *pace))
        .collect()
}

fn one(subject: &Subject, topology: Topology, pace: Pace) -> Result<Row> {
    let mut streams = Streams::open(pace.streams, &subject.edge_addresses())?;
    load::paced(&subject.ingest, WARM_UP, pace.interval_nanos())?;
    let warm = streams.expect(WARM_UP, TAIL).context("warming up")?;
    let sample = warm.sample.context("no event was kept as a sample")?;
    streams.reset()?;
    let sent = load::paced(&subject.ingest, pace.events(), pace.interval_nanos())?;
    let report = streams.expect(pace.events(), TAIL)?;
    let (p50, p99, max) = (report.p50_micros, report.p99_micros, report.max_micros);
    drop(streams);
    let floor = floor(pace, sample)?;
    let edges = subject.edges.len();
    Ok(Row {
        what: format!(
            "webhook → SSE, {}, {} streams on {edges}, {}/s: p50 · p99 · max",
            topology.name(),
            pace.streams,
            pace.events_per_second
        ),
        figure: format!("{} · {} · {} ms", millis(p50), millis(p99), millis(max)),
        floor: Some(format!("p99 {} ms", millis(floor.p99_micros))),
        ratio: None,
        target: Some(format!("p99 ≤ {} ms + floor", TARGET_P99_MICROS / 1000)),
        met: Some(p99 <= TARGET_P99_MICROS + floor.p99_micros),
        values: json!({
            "topology": topology.name(), "streams": pace.streams, "edges": edges,
            "events_per_second": pace.events_per_second, "events": pace.events(),
            "floor_p50_micros": floor.p50_micros, "floor_p99_micros": floor.p99_micros,
            "delivered": report.frames, "p50_micros": p50, "p99_micros": p99, "max_micros": max,
            "acknowledged_p50_micros": sent.acknowledged.value_at_quantile(0.5),
            "acknowledged_p99_micros": sent.acknowledged.value_at_quantile(0.99),
        }),
    })
}

/// The same pace from a bare loop: no webhook, no store, one process.
fn floor(pace: Pace, sample: String) -> Result<Report> {
    let mut floor = Floor::start(pace.streams)?;
    let mut streams = Streams::open(pace.streams, &[floor.address])?;
    let rounds = pace.events_per_second * pace.seconds.min(FLOOR_SECONDS);
    floor.send(&Send {
        rounds,
        interval_nanos: pace.interval_nanos(),
        sample,
    })?;
    streams.expect(rounds, TAIL)
}
