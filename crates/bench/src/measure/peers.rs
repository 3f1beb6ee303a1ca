//! The same load on nginx with nchan: the same data in the events, the same clients, with
//! forgewire's edge and the floor measured in the same run.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::{
    MeasurePlan, TAIL,
    deliveries::{DeliveryRun, edge_run, floor_run, measure, open},
    median,
    plan::Pace,
    warm_up,
};
use crate::{
    helper_process::{FloorProcess, ReceiverProcess},
    load::{self, PACED_SENDERS},
    opening::{Opening, OpeningKind},
    peer::{Messages, Nchan},
    process::steady_rss_kib,
    subject::{BenchSystem, EdgeProcess, Topology},
    table::Row,
};

/// Number of events sent before the measurement.
const WARM_UP: u64 = 10;

pub(super) fn run(plan: &MeasurePlan, topology: Topology, rows: &mut Vec<Row>) -> Result<()> {
    let subject = BenchSystem::start(topology, &plan.scratch)?;
    let edge = *subject.edges.first().context("there is no edge")?;
    rows.push(idle(plan, &subject, edge)?);
    for pace in &plan.peers {
        rows.push(deliveries(&subject, edge, *pace, plan.runs, &plan.scratch)?);
    }
    Ok(())
}

#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
fn idle(plan: &MeasurePlan, subject: &BenchSystem, edge: EdgeProcess) -> Result<Row> {
    let count = plan.peer_idle_streams;
    let peer = Nchan::start(&plan.scratch.join("nchan-idle"))?;
    let pids = peer.pids()?;
    let sample = {
        let (_streams, sample) = open(subject, edge, Pace::small())?;
        let mut streams =
            ReceiverProcess::open(&Opening::of_kind(OpeningKind::Peer, 100, &[peer.address]))?;
        publish(&peer, &sample, &mut streams, WARM_UP, 10_000_000)?;
        sample
    };
    warm_up(subject, edge)?;
    let each = |pids: &[u32], opening: &Opening| -> Result<(f64, ReceiverProcess)> {
        let before = steady_rss_kib(pids)?;
        let streams = ReceiverProcess::open(opening)?;
        let after = steady_rss_kib(pids)?;
        Ok((after.saturating_sub(before) as f64 / count as f64, streams))
    };
    let peers = Opening::of_kind(OpeningKind::Peer, count, &[peer.address]);
    let (theirs, mut streams) = each(&pids, &peers)?;
    // Checks that the idle streams do receive events.
    streams.reset()?;
    publish(&peer, &sample, &mut streams, 1, 1)?;
    drop(streams);
    let (ours, _) = each(&[edge.pid], &Opening::events(count, &[edge.address]))?;
    Ok(Row {
        what: format!("RSS per idle stream, {count} streams: nchan (all workers), beside our edge"),
        figure: format!("{theirs:.2} KiB"),
        floor: Some(format!("our edge {ours:.2} KiB")),
        ratio: Some(theirs / ours),
        target: None,
        met: None,
        values: json!({
            "peer": "nginx with nchan", "streams": count, "workers": pids.len() - 1,
            "peer_kib": theirs, "edge_kib": ours,
        }),
    })
}

/// Alternating, as in the other measurements.
fn deliveries(
    subject: &BenchSystem,
    edge: EdgeProcess,
    pace: Pace,
    runs: usize,
    scratch: &Path,
) -> Result<Row> {
    let (mut streams, sample) = open(subject, edge, pace)?;
    let mut floor = FloorProcess::start(pace.streams)?;
    let mut bare = ReceiverProcess::open(&Opening::events(pace.streams, &[floor.address]))?;
    let peer = Nchan::start(&scratch.join(format!("nchan-{}", pace.streams)))?;
    let pids = peer.pids()?;
    let opening = Opening::of_kind(OpeningKind::Peer, pace.streams, &[peer.address]);
    let mut theirs = ReceiverProcess::open(&opening)?;
    publish(&peer, &sample, &mut theirs, WARM_UP, 50_000_000).context("warming up")?;
    let (mut edges, mut floors, mut peers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        edges.push(edge_run(subject, edge, &mut streams, pace)?);
        floors.push(floor_run(&mut floor, &mut bare, pace, &sample)?);
        theirs.reset()?;
        let messages = Messages::new(&peer, &sample)?;
        peers.push(measure(&pids, || {
            load::paced_from(
                &messages,
                PACED_SENDERS,
                pace.events(),
                pace.interval_nanos(),
            )?;
            theirs.expect(pace.events(), TAIL)
        })?);
    }
    let micros = |runs: &[DeliveryRun]| median(runs.iter().map(|run| run.micros_per_event));
    let each = |runs: &[DeliveryRun]| {
        runs.iter()
            .map(|run| run.micros_per_event)
            .collect::<Vec<_>>()
    };
    let (ours, bare, peer) = (micros(&edges), micros(&floors), micros(&peers));
    Ok(Row {
        what: format!(
            "CPU per delivered event, {} streams × {}/s: nchan, beside our edge and the floor",
            pace.streams, pace.events_per_second
        ),
        figure: format!("{peer:.2} µs"),
        floor: Some(format!("our edge {ours:.2} · floor {bare:.2} µs")),
        ratio: Some(peer / ours),
        target: None,
        met: None,
        values: json!({
            "peer": "nginx with nchan", "streams": pace.streams, "workers": pids.len() - 1,
            "events_per_second_per_stream": pace.events_per_second, "event_bytes": sample.len(),
            "peer_micros": peer, "edge_micros": ours, "floor_micros": bare,
            "peer_runs": each(&peers), "edge_runs": each(&edges), "floor_runs": each(&floors),
        }),
    })
}

fn publish(
    peer: &Nchan,
    sample: &str,
    streams: &mut ReceiverProcess,
    count: u64,
    interval_nanos: u64,
) -> Result<()> {
    load::paced_from(
        &Messages::new(peer, sample)?,
        PACED_SENDERS,
        count,
        interval_nanos,
    )?;
    streams.expect(count, TAIL).map(drop)
}
