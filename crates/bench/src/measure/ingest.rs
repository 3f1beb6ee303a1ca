//! Deliveries acknowledged per second, each of them durable before its 202.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::{MeasurePlan, millis};
use crate::{
    load,
    subject::{BenchSystem, Topology},
    table::Row,
};

/// Number of concurrent deliveries.
const SENDERS: usize = 64;
/// Design §8, deliveries per second.
const TARGET: f64 = 5000.0;

#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
pub(super) fn run(plan: &MeasurePlan, topology: Topology) -> Result<Row> {
    let subject = BenchSystem::start(topology, &plan.scratch)?;
    load::flat_out(&subject.ingest, SENDERS, Duration::from_millis(500))?;
    let sent = load::flat_out(
        &subject.ingest,
        SENDERS,
        Duration::from_secs(plan.ingest_seconds),
    )?;
    let rate = sent.accepted as f64 / sent.seconds;
    let p50 = sent.acknowledged.value_at_quantile(0.5);
    let p99 = sent.acknowledged.value_at_quantile(0.99);
    Ok(Row {
        what: format!("durable ingest, {}, {SENDERS} at a time", topology.name()),
        figure: format!("{rate:.0}/s, p50 {} · p99 {} ms", millis(p50), millis(p99)),
        floor: None,
        ratio: None,
        target: Some(format!("≥ {TARGET}/s")),
        met: Some(rate >= TARGET),
        values: json!({
            "topology": topology.name(), "senders": SENDERS, "accepted": sent.accepted,
            "seconds": sent.seconds, "per_second": rate, "p50_micros": p50, "p99_micros": p99,
        }),
    })
}
