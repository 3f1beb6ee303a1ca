//! Time from the intended send time of a webhook until the event is read on a stream.

use anyhow::Result;
use serde_json::json;

use super::{MeasurePlan, TAIL, deliveries::milliseconds, millis, plan::Pace, sample};
use crate::{
    floor::FloorLoad,
    helper_process::{FloorProcess, ReceiverProcess},
    load,
    opening::Opening,
    repositories::Repositories,
    subject::{BenchSystem, Topology},
    table::Row,
    tally::TallyReport,
};

/// Number of events sent before the measurement: they warm up connections, caches and the log's
/// first pages.
const WARM_UP: u64 = 20;
/// Target at half load.
const TARGET_P50_MICROS: u64 = 1_500;
const TARGET_P99_MICROS: u64 = 10_000;
/// Maximum duration of the floor's load; the floor varies less.
const FLOOR_SECONDS: u64 = 3;

pub(super) fn run(plan: &MeasurePlan, topology: Topology, rows: &mut Vec<Row>) -> Result<()> {
    let subject = BenchSystem::start(topology, &plan.scratch)?;
    for pace in &plan.latency {
        rows.push(one(&subject, topology, *pace)?);
    }
    Ok(())
}

fn one(subject: &BenchSystem, topology: Topology, pace: Pace) -> Result<Row> {
    let repositories = Repositories::of("bench", pace.repositories);
    let mut streams = ReceiverProcess::open(&opening(pace, &subject.edge_addresses()))?;
    load::paced_over(
        &repositories,
        &subject.ingest,
        WARM_UP,
        pace.interval_nanos(),
    )?;
    let sample = sample(&mut streams, WARM_UP)?;
    streams.reset()?;
    let sent = load::paced_over(
        &repositories,
        &subject.ingest,
        pace.events(),
        pace.interval_nanos(),
    )?;
    let report = streams.expect(pace.events(), TAIL)?;
    let late = report.latency;
    drop(streams);
    let floor = floor(pace, sample)?;
    let edges = subject.edges.len();
    Ok(Row {
        what: format!(
            "webhook → SSE, {}, {} of {} streams on {edges}, {}/s: p50 · p99 · max",
            topology.name(),
            pace.concerned(),
            pace.streams,
            pace.events_per_second
        ),
        figure: milliseconds(late),
        floor: Some(format!(
            "{} · {} ms",
            millis(floor.latency.p50),
            millis(floor.latency.p99)
        )),
        ratio: None,
        target: Some(format!(
            "p50 ≤ {} · p99 ≤ {} ms",
            millis(TARGET_P50_MICROS),
            TARGET_P99_MICROS / 1000
        )),
        met: Some(late.p50 <= TARGET_P50_MICROS && late.p99 <= TARGET_P99_MICROS),
        values: json!({
            "topology": topology.name(), "streams": pace.streams, "edges": edges,
            "streams_per_event": pace.concerned(),
            "events_per_second": pace.events_per_second, "events": pace.events(),
            "floor_p50_micros": floor.latency.p50, "floor_p99_micros": floor.latency.p99,
            "floor_last_client_micros": floor.last_client,
            "delivered": report.frames, "p50_micros": late.p50, "p99_micros": late.p99,
            "max_micros": late.max, "last_client_micros": report.last_client,
            "acknowledged_p50_micros": sent.acknowledged.value_at_quantile(0.5),
            "acknowledged_p99_micros": sent.acknowledged.value_at_quantile(0.99),
        }),
    })
}

fn opening(pace: Pace, targets: &[std::net::SocketAddr]) -> Opening {
    let opening = Opening::events(pace.streams, targets);
    match pace.repositories {
        1 => opening,
        count => opening.with_filter(&Repositories::of("bench", count)),
    }
}

/// The same pace from a bare loop: without webhook and store, in one process.
fn floor(pace: Pace, sample: String) -> Result<TallyReport> {
    let mut floor = FloorProcess::start(pace.streams)?;
    let mut streams = ReceiverProcess::open(&opening(pace, &[floor.address]))?;
    let rounds = pace.events_per_second * pace.seconds.min(FLOOR_SECONDS);
    floor.send(&FloorLoad {
        rounds,
        interval_nanos: pace.interval_nanos(),
        repositories: pace.repositories,
        sample,
    })?;
    streams.expect(rounds, TAIL)
}
