//! Resident memory of an edge per idle stream, for each kind of stream: with its session, its
//! subscription and its ids, and again after a burst to all of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::json;

use super::{BURST_TAIL, Plan, warm_up};
use crate::{
    child::Streams,
    load,
    opening::{Kind, Opening},
    process::steady_rss_kib,
    sessions,
    subject::{Edge, Subject, Topology},
    table::Row,
};

/// Number of events in the burst.
const BURST: u64 = 50;
/// Maximum memory per stream, in KiB.
const TARGET_KIB: f64 = 2.0;

/// Resident memory in KiB, in the order of measurement.
struct Looks {
    before: u64,
    /// With the sessions and their subscriptions, for the kind that creates them first.
    sessions: Option<u64>,
    idle: u64,
    after_burst: u64,
}

pub(super) fn run(plan: &Plan, topology: Topology, rows: &mut Vec<Row>) -> Result<()> {
    // A single process also holds the store's pages: there only the simplest kind is measured.
    let fits = |kind: &Kind| topology == Topology::Cluster || *kind == Kind::Events;
    for kind in plan.idle_kinds.iter().filter(|kind| fits(kind)) {
        let looks = one(plan, topology, *kind).with_context(|| kind.name())?;
        rows.push(row(plan.idle_streams, topology, *kind, &looks));
    }
    Ok(())
}

/// Each kind gets its own server: memory left over from another kind would count.
fn one(plan: &Plan, topology: Topology, kind: Kind) -> Result<Looks> {
    let subject = Subject::start(topology, &plan.scratch)?;
    let edge = *subject.edges.first().context("there is no edge")?;
    let rss = || steady_rss_kib(&[edge.pid]);
    warm_up(&subject, edge)?;
    let before = rss()?;
    let mut opening = Opening::of_kind(kind, plan.idle_streams, &[edge.address]);
    let mut with_sessions = None;
    if kind == Kind::Session {
        let file = make_sessions(&plan.scratch, edge, plan.idle_streams)?;
        opening = opening.with_sessions(&file);
        with_sessions = Some(rss()?);
    }
    let mut streams = Streams::open(&opening)?;
    let idle = rss()?;
    streams.reset()?;
    load::paced(&subject.ingest, BURST, 0)?;
    streams.expect(BURST, BURST_TAIL).context("in the burst")?;
    Ok(Looks {
        before,
        sessions: with_sessions,
        idle,
        after_burst: rss()?,
    })
}

fn make_sessions(scratch: &Path, edge: Edge, count: usize) -> Result<PathBuf> {
    let ids = sessions::subscribed(edge.address, count).context("making sessions")?;
    let file = scratch.join("sessions");
    fs::write(&file, ids.join("\n")).with_context(|| format!("writing {}", file.display()))?;
    Ok(file)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
fn row(streams: usize, topology: Topology, kind: Kind, looks: &Looks) -> Row {
    let each = |rss: u64| rss.saturating_sub(looks.before) as f64 / streams as f64;
    let (idle, after) = (each(looks.idle), each(looks.after_burst));
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
            "kib_per_session": looks.sessions.map(each), "burst_events": BURST,
            "rss_before_kib": looks.before, "rss_idle_kib": looks.idle,
            "rss_after_burst_kib": looks.after_burst,
        }),
    }
}
