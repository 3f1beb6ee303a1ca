//! Resident memory of an edge per stream that waits.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::Plan;
use crate::{
    child::Streams,
    load,
    process::rss_kib,
    subject::{Subject, Topology},
    table::Row,
};

const TAIL: Duration = Duration::from_secs(10);
/// Streams and events before the first look, so that pools and caches have their size.
const WARM_UP: (usize, u64) = (100, 20);
/// The memory is looked at until it stands still for so long.
const STEADY: Duration = Duration::from_secs(1);
const STEADY_LOOKS: usize = 10;
/// The most that a stream may take, in KiB.
const TARGET_KIB: f64 = 16.0;

pub(super) fn run(plan: &Plan, topology: Topology) -> Result<Row> {
    let subject = Subject::start(topology, &plan.scratch)?;
    let edge = *subject.edges.first().context("there is no edge")?;
    {
        let mut streams = Streams::open(WARM_UP.0, &[edge.address])?;
        load::paced(&subject.ingest, WARM_UP.1, 10_000_000)?;
        streams.expect(WARM_UP.1, TAIL).context("warming up")?;
    }
    let before = steady(edge.pid)?;
    let streams = Streams::open(plan.idle_streams, &[edge.address])?;
    let after = steady(edge.pid)?;
    drop(streams);
    Ok(row(plan.idle_streams, topology, before, after))
}

#[allow(
    clippy::cast_precision_loss,
    reason = "figures for people, far below 2^52"
)]
fn row(streams: usize, topology: Topology, before: u64, after: u64) -> Row {
    let each = after.saturating_sub(before) as f64 / streams as f64;
    Row {
        what: format!(
            "RSS per idle stream, {}, {streams} streams",
            topology.name()
        ),
        figure: format!("{each:.2} KiB"),
        floor: None,
        ratio: None,
        target: Some(format!("≤ {TARGET_KIB} KiB")),
        met: Some(each <= TARGET_KIB),
        values: json!({
            "topology": topology.name(), "streams": streams, "kib_per_stream": each,
            "rss_before_kib": before, "rss_after_kib": after,
        }),
    }
}

/// The memory once it has stood still, or after some seconds whatever it does.
fn steady(pid: u32) -> Result<u64> {
    let mut last = rss_kib(pid)?;
    for _ in 0..STEADY_LOOKS {
        std::thread::sleep(STEADY);
        let now = rss_kib(pid)?;
        if now.abs_diff(last) * 200 <= last {
            return Ok(now);
        }
        last = now;
    }
    Ok(last)
}
