//! CPU of an edge whose only work is to keep idle streams alive.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{MeasurePlan, warm_up};
use crate::{
    helper_process::ReceiverProcess,
    opening::Opening,
    process::cpu_micros,
    subject::{BenchSystem, EdgeProcess, Topology},
    table::Row,
};

/// Maximum CPU of the idle streams, in percent of a core.
const TARGET_PERCENT: f64 = 1.5;
/// The default of `edge.heartbeat_seconds`.
const HEARTBEAT_SECONDS: u64 = 15;

pub(super) fn run(plan: &MeasurePlan, topology: Topology) -> Result<Row> {
    let subject = BenchSystem::start(topology, &plan.scratch)?;
    let edge = *subject.edges.first().context("there is no edge")?;
    warm_up(&subject, edge)?;
    let (count, seconds) = plan.heartbeats;
    let alone = percent(edge, Duration::from_secs(seconds / 3))?;
    let mut streams = ReceiverProcess::open(&Opening::events(count, &[edge.address]))?;
    streams.reset()?;
    let with_streams = percent(edge, Duration::from_secs(seconds))?;
    let heartbeats = streams.expect(0, Duration::ZERO)?.heartbeats;
    let rounds = seconds / HEARTBEAT_SECONDS;
    // One round less: the last heartbeat of a stream may arrive just after the end.
    let due = count as u64 * rounds.saturating_sub(1);
    ensure!(
        heartbeats >= due,
        "only {heartbeats} of {due} heartbeats arrived"
    );
    Ok(Row {
        what: format!("CPU of {count} idle streams for {seconds} s, the edge alone"),
        figure: format!("{with_streams:.2} % of a core"),
        floor: Some(format!("{alone:.2} % without streams")),
        ratio: None,
        target: Some(format!("≤ {TARGET_PERCENT} %")),
        met: Some(with_streams <= TARGET_PERCENT),
        values: json!({
            "topology": topology.name(), "streams": count, "seconds": seconds,
            "heartbeat_seconds": HEARTBEAT_SECONDS, "heartbeats": heartbeats,
            "percent": with_streams, "percent_without_streams": alone,
        }),
    })
}

#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
fn percent(edge: EdgeProcess, lasting: Duration) -> Result<f64> {
    let (before, started) = (cpu_micros(edge.pid)?, Instant::now());
    std::thread::sleep(lasting);
    let used = (cpu_micros(edge.pid)? - before) as f64;
    Ok(used / started.elapsed().as_micros().max(1) as f64 * 100.0)
}
