//! Resident memory of an edge per idle stream, for each kind of stream: with its session, its
//! subscription and its ids, and again after a burst to all of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::json;

use super::{BURST_TAIL, MeasurePlan, warm_up};
use crate::{
    helper_process::ReceiverProcess,
    load,
    opening::{Opening, OpeningKind},
    process::steady_rss_kib,
    sessions,
    subject::{BenchSystem, EdgeProcess, Topology},
    table::Row,
};

/// Number of events in the burst.
const BURST: u64 = 50;
/// Maximum memory per stream, in KiB.
const TARGET_KIB: f64 = 2.0;

/// Resident memory in KiB, in the order of measurement.
struct MemorySamples {
    before: u64,
    /// With the sessions and their subscriptions, for the kind that creates them first.
    sessions: Option<u64>,
    idle: u64,
    after_burst: u64,
}

pub(super) fn run(plan: &MeasurePlan, topology: Topology, rows: &mut Vec<Row>) -> Result<()> {
    // A single process also holds the store's pages: there only the simplest kind is measured.
    let fits = |kind: &OpeningKind| topology == Topology::Cluster || *kind == OpeningKind::Events;
    for kind in plan.idle_kinds.iter().filter(|kind| fits(kind)) {
        let samples = one(plan, topology, *kind).with_context(|| kind.name())?;
        rows.push(row(plan.idle_streams, topology, *kind, &samples));
    }
    Ok(())
}

/// Each kind gets its own server: memory left over from another kind would count.
fn one(plan: &MeasurePlan, topology: Topology, kind: OpeningKind) -> Result<MemorySamples> {
    let subject = BenchSystem::start(topology, &plan.scratch)?;
    let edge = *subject.edges.first().context("there is no edge")?;
    let rss = || steady_rss_kib(&[edge.pid]);
    warm_up(&subject, edge)?;
    let before = rss()?;
    let mut opening = Opening::of_kind(kind, plan.idle_streams, &[edge.address]);
    let mut with_sessions = None;
    if kind == OpeningKind::Session {
        let file = make_sessions(&plan.scratch, edge, plan.idle_streams)?;
        opening = opening.with_sessions(&file);
        with_sessions = Some(rss()?);
    }
    let mut streams = ReceiverProcess::open(&opening)?;
    let idle = rss()?;
    streams.reset()?;
    load::paced(&subject.ingest, BURST, 0)?;
    streams.expect(BURST, BURST_TAIL).context("in the burst")?;
    Ok(MemorySamples {
        before,
        sessions: with_sessions,
        idle,
        after_burst: rss()?,
    })
}

fn make_sessions(scratch: &Path, edge: EdgeProcess, count: usize) -> Result<PathBuf> {
    let ids = sessions::create_subscribed(edge.address, count).context("making sessions")?;
    let file = scratch.join("sessions");
    fs::write(&file, ids.join("\n")).with_context(|| format!("writing {}", file.display()))?;
    Ok(file)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
fn row(streams: usize, topology: Topology, kind: OpeningKind, samples: &MemorySamples) -> Row {
    let each = |rss: u64| rss.saturating_sub(samples.before) as f64 / streams as f64;
    let (idle, after) = (each(samples.idle), each(samples.after_burst));
    Row {
        what: format!(
            "RSS per stream, {}, {} × {streams}: idle · after {BURST} events",
            topology.name(),
            kind.name()
        ),
        figure: format!("{idle:.2} · {after:.2} KiB"),
        floor: None,
        ratio: None,
        target: Some(format!("≤ {TARGET_KIB} KiB")),
        met: Some(idle.max(after) <= TARGET_KIB),
        values: json!({
            "topology": topology.name(), "kind": kind.name(), "streams": streams,
            "kib_per_stream": idle, "kib_per_stream_after_burst": after,
            "kib_per_session": samples.sessions.map(each), "burst_events": BURST,
            "rss_before_kib": samples.before, "rss_idle_kib": samples.idle,
            "rss_after_burst_kib": samples.after_burst,
        }),
    }
}
