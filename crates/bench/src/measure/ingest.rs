//! Deliveries that are acknowledged per second, each of them durable before its 202 and delivered to the stream that
//! asks for it.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::{MeasurePlan, TAIL, millis};
use crate::{
    helper_process::{BareIngestProcess, ReceiverProcess},
    load::{self, IngestTarget},
    opening::Opening,
    process::{cpu_micros_of, rss_kib_of},
    repositories::Repositories,
    subject::{BenchSystem, Topology},
    table::Row,
};

/// Number of concurrent deliveries.
const SENDERS: usize = 64;
/// Number of streams, each for the events of one repository.
const STREAMS: u16 = 100;
/// The secret of the floor's webhook.
const SECRET: &str = "the secret of a bare server";
/// Sizes of the bodies, in bytes.
const BODIES: [usize; 2] = [1000, 25_000];
/// Design §8, deliveries per second.
const TARGET: f64 = 10_000.0;
/// Longest p99 of the acknowledgement at half of the target, or of what was reached.
const TARGET_P99_MICROS: u64 = 20_000;

pub(super) fn run(plan: &MeasurePlan, topology: Topology, rows: &mut Vec<Row>) -> Result<()> {
    for body_bytes in BODIES {
        let floor = floor(plan, body_bytes)?;
        let subject = BenchSystem::start(topology, &plan.scratch)?;
        let rate = flat_out(plan, topology, &subject, (body_bytes, floor), rows)?;
        half(plan, topology, &subject, (body_bytes, rate), rows)?;
    }
    Ok(())
}

/// Deliveries per second of a bare server that checks signatures and syncs bodies, under the same load.
fn floor(plan: &MeasurePlan, body_bytes: usize) -> Result<f64> {
    let file = plan.scratch.join(format!("bare-{body_bytes}"));
    let bare = BareIngestProcess::start(SECRET, &file)?;
    let target = IngestTarget {
        addresses: vec![bare.address],
        secret: SECRET.to_owned(),
    };
    let all = repositories();
    let load = |seconds| {
        let lasting = Duration::from_secs(seconds);
        load::flat_out(&all, &target, body_bytes, SENDERS, lasting)
    };
    load(1)?;
    let floor = load(plan.ingest_seconds)?.per_second();
    drop(bare);
    std::fs::remove_file(&file)?;
    Ok(floor)
}

fn streams_of(subject: &BenchSystem, repositories: &Repositories) -> Result<ReceiverProcess> {
    let opening = Opening::events(usize::from(STREAMS), &subject.edge_addresses());
    ReceiverProcess::open(&opening.with_filter(repositories))
}

fn repositories() -> Repositories {
    Repositories::of("bench", u64::from(STREAMS))
}

fn flat_out(
    plan: &MeasurePlan,
    topology: Topology,
    subject: &BenchSystem,
    (body_bytes, floor): (usize, f64),
    rows: &mut Vec<Row>,
) -> Result<f64> {
    let all = repositories();
    let load = |lasting| load::flat_out(&all, &subject.ingest, body_bytes, SENDERS, lasting);
    let mut streams = streams_of(subject, &all)?;
    let warm = load(Duration::from_secs(1))?;
    streams.expect(warm.accepted, TAIL)?;
    let processes: Vec<_> = subject.edges.iter().map(|edge| edge.pid).collect();
    let before = rss_kib_of(&processes)?;
    streams.reset()?;
    let cpu = cpu_micros_of(&processes)?;
    let sent = load(Duration::from_secs(plan.ingest_seconds))?;
    streams.expect(sent.accepted, TAIL)?;
    let cpu = (cpu_micros_of(&processes)? - cpu) / sent.accepted.max(1);
    let grown = rss_kib_of(&processes)?.saturating_sub(before);
    let rate = sent.per_second();
    let p50 = sent.acknowledged.value_at_quantile(0.5);
    let p99 = sent.acknowledged.value_at_quantile(0.99);
    rows.push(Row {
        what: format!(
            "durable ingest, {}, bodies of {} KB, {SENDERS} at a time",
            topology.name(),
            body_bytes / 1000
        ),
        figure: format!(
            "{rate:.0}/s, p50 {} · p99 {} ms, {cpu} µs of CPU, +{} MiB",
            millis(p50),
            millis(p99),
            grown / 1024
        ),
        floor: Some(format!("{floor:.0}/s, signature and sync alone")),
        ratio: Some(rate / floor),
        target: Some(format!("≥ {TARGET}/s")),
        met: Some(rate >= TARGET),
        values: json!({
            "topology": topology.name(), "body_bytes": body_bytes, "senders": SENDERS,
            "accepted": sent.accepted, "seconds": sent.seconds, "per_second": rate,
            "floor_per_second": floor, "cpu_micros_each": cpu, "p50_micros": p50, "p99_micros": p99, "grown_kib": grown,
        }),
    });
    Ok(rate)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is between 0 and 2^32"
)]
fn half(
    plan: &MeasurePlan,
    topology: Topology,
    subject: &BenchSystem,
    (body_bytes, rate): (usize, f64),
    rows: &mut Vec<Row>,
) -> Result<()> {
    let all = repositories();
    let per_second = ((TARGET.min(rate) / 2.0) as u64).max(1);
    let count = per_second * plan.ingest_seconds;
    let mut streams = streams_of(subject, &all)?;
    let interval = 1_000_000_000 / per_second;
    let sent = load::paced_large(&all, &subject.ingest, body_bytes, count, interval)?;
    streams.expect(count, TAIL)?;
    let p50 = sent.acknowledged.value_at_quantile(0.5);
    let p99 = sent.acknowledged.value_at_quantile(0.99);
    rows.push(Row {
        what: format!(
            "202 of durable ingest, {}, bodies of {} KB, {per_second}/s",
            topology.name(),
            body_bytes / 1000
        ),
        figure: format!("p50 {} · p99 {} ms", millis(p50), millis(p99)),
        floor: None,
        ratio: None,
        target: Some(format!("p99 < {} ms", TARGET_P99_MICROS / 1000)),
        met: Some(p99 < TARGET_P99_MICROS),
        values: json!({
            "topology": topology.name(), "body_bytes": body_bytes, "per_second": per_second,
            "p50_micros": p50, "p99_micros": p99,
        }),
    });
    Ok(())
}
