//! Calls that wait for an event: the memory of each while nothing happens, and the CPU when one event answers them all.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{BURST_TAIL, MeasurePlan, warm_up};
use crate::{
    helper_process::ReceiverProcess,
    load,
    opening::{Opening, OpeningKind},
    process::{cpu_micros, steady_rss_kib},
    sessions::SessionOpener,
    subject::{BenchSystem, EdgeProcess, Topology},
    table::Row,
};

/// Calls that one session has at once; an edge allows 64.
const CALLS_PER_SESSION: usize = 50;
/// Pause between two questions whether all have their answers.
const POLL: Duration = Duration::from_millis(50);
/// Maximum memory per call, in KiB.
const TARGET_KIB: f64 = 3.0;

/// The figures of one kind of call.
struct WaitSamples {
    before_kib: u64,
    waiting_kib: u64,
    cpu_micros: u64,
    seconds: f64,
    last_millis: u64,
}

pub(super) fn run(plan: &MeasurePlan, topology: Topology, rows: &mut Vec<Row>) -> Result<()> {
    for kind in [OpeningKind::Wait, OpeningKind::SessionWait] {
        let samples = one(plan, topology, kind).with_context(|| kind.name())?;
        rows.push(row(plan.waits, topology, kind, &samples));
    }
    Ok(())
}

/// Each kind gets its own server: memory left over from another kind would count.
fn one(plan: &MeasurePlan, topology: Topology, kind: OpeningKind) -> Result<WaitSamples> {
    let subject = BenchSystem::start(topology, &plan.scratch)?;
    let edge = *subject.edges.first().context("there is no edge")?;
    warm_up(&subject, edge)?;
    let mut opening = Opening::of_kind(kind, plan.waits, &[edge.address]);
    if kind == OpeningKind::SessionWait {
        opening = opening.with_sessions(&make_sessions(&plan.scratch, edge, plan.waits)?);
    }
    let before_kib = steady_rss_kib(&[edge.pid])?;
    let mut calls = ReceiverProcess::open(&opening)?;
    let waiting_kib = steady_rss_kib(&[edge.pid])?;
    calls.reset()?;
    let (cpu, began) = (cpu_micros(edge.pid)?, Instant::now());
    load::paced(&subject.ingest, 1, 0)?;
    let last_millis = answered(&mut calls, plan.waits)?;
    Ok(WaitSamples {
        before_kib,
        waiting_kib,
        cpu_micros: cpu_micros(edge.pid)? - cpu,
        seconds: began.elapsed().as_secs_f64(),
        last_millis,
    })
}

/// Waits until each call has the event in its answer, once; returns the time of the last one.
fn answered(calls: &mut ReceiverProcess, count: usize) -> Result<u64> {
    let deadline = Instant::now() + BURST_TAIL;
    loop {
        let report = calls.report(1)?;
        if report.waiting == 0 {
            ensure!(
                report.wrong == 0 && report.frames == count as u64,
                "{} answers have the event, {} calls have it not once",
                report.frames,
                report.wrong
            );
            return Ok(report.last_client.max / 1000);
        }
        ensure!(
            Instant::now() < deadline,
            "{} of {count} calls have no answer",
            report.waiting
        );
        std::thread::sleep(POLL);
    }
}

fn make_sessions(scratch: &Path, edge: EdgeProcess, calls: usize) -> Result<PathBuf> {
    let mut opener = SessionOpener::connect(edge.address)?;
    let ids = (0..calls.div_ceil(CALLS_PER_SESSION)).map(|_| opener.session());
    let ids = ids.collect::<Result<Vec<_>>>()?;
    // One for each call, in turn.
    let ids: Vec<_> = ids.iter().cycle().take(calls).map(String::as_str).collect();
    let file = scratch.join("sessions-of-waits");
    fs::write(&file, ids.join("\n")).with_context(|| format!("writing {}", file.display()))?;
    Ok(file)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
fn row(calls: usize, topology: Topology, kind: OpeningKind, samples: &WaitSamples) -> Row {
    let kib = samples.waiting_kib.saturating_sub(samples.before_kib) as f64 / calls as f64;
    let micros = samples.cpu_micros as f64 / calls as f64;
    Row {
        what: format!(
            "waiting calls, {}, {} × {calls}: RSS each · CPU each for one event to all",
            topology.name(),
            kind.name()
        ),
        figure: format!("{kib:.2} KiB · {micros:.1} µs"),
        floor: None,
        ratio: None,
        target: Some(format!("≤ {TARGET_KIB} KiB")),
        met: Some(kib <= TARGET_KIB),
        values: json!({
            "topology": topology.name(), "kind": kind.name(), "calls": calls, "kib_per_call": kib,
            "cpu_micros_per_answer": micros, "seconds": samples.seconds,
            "last_answer_millis": samples.last_millis,
            "rss_before_kib": samples.before_kib, "rss_waiting_kib": samples.waiting_kib,
        }),
    }
}
