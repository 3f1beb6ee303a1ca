//! Many clients that reconnect at once with old cursors: the time until the last one has all that
//! it missed, and the effect on the clients that stayed connected.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{BURST_TAIL, MeasurePlan, TAIL, median, millis, plan::Storm};
use crate::{
    helper_process::ReceiverProcess,
    load::{self, OpenEndedPace},
    opening::Opening,
    repositories::Repositories,
    subject::{BenchSystem, Topology},
    table::Row,
    tally::Latency,
};

/// Target for the time until the last client has all events.
const TARGET_SECONDS: f64 = 3.0;
/// Maximum latency of the other clients during the storm, as a multiple of their latency before.
const TARGET_RATIO: f64 = 2.0;
const WARM_UP: u64 = 20;

/// The result of one storm.
struct StormResult {
    seconds: f64,
    /// Latency of the clients that stayed connected.
    before: Latency,
    during: Latency,
}

pub(super) fn run(plan: &MeasurePlan, topology: Topology, rows: &mut Vec<Row>) -> Result<()> {
    let subject = BenchSystem::start(topology, &plan.scratch)?;
    let storm = plan.storm;
    let repository = Repositories::of("live", 1);
    let targets = subject.edge_addresses();
    let live = Opening::events(storm.live.streams, &targets).with_filter(&repository);
    let mut live = ReceiverProcess::open(&live)?;
    let interval = storm.live.interval_nanos();
    load::paced_over(&repository, &subject.ingest, WARM_UP, interval)?;
    live.expect(WARM_UP, TAIL).context("warming up")?;
    let results = (0..plan.runs)
        .map(|_| once(&subject, storm, &mut live))
        .collect::<Result<Vec<_>>>()?;
    rows.push(time(storm, topology, &results));
    rows.push(others(storm, topology, &results));
    Ok(())
}

fn once(subject: &BenchSystem, storm: Storm, live: &mut ReceiverProcess) -> Result<StormResult> {
    let (missed, repository) = (Repositories::of("storm", 1), Repositories::of("live", 1));
    let interval = storm.live.interval_nanos();
    live.reset()?;
    load::paced_over(&repository, &subject.ingest, storm.live.events(), interval)?;
    let before = live.expect(storm.live.events(), TAIL)?.latency;
    let targets = subject.edge_addresses();
    let cursor = cursor(&targets)?;
    load::paced_over(&missed, &subject.ingest, storm.events, 0)?;
    live.reset()?;
    let back = Opening::events(storm.clients, &targets)
        .with_filter(&missed)
        .with_cursor(&cursor);
    let pace = OpenEndedPace::new(interval);
    let (seconds, sent) = std::thread::scope(|scope| {
        let load = scope.spawn(|| load::paced_until(&pace, &repository, &subject.ingest));
        let seconds = reconnect(&back, storm.events);
        pace.end();
        let Ok(sent) = load.join() else {
            bail!("the load panicked");
        };
        Ok((seconds?, sent?))
    })?;
    let during = live.expect(sent.accepted, TAIL)?.latency;
    eprintln!(
        "  all caught up after {seconds:.2} s; the others p50 {} ms, before {} ms",
        millis(during.p50),
        millis(before.p50)
    );
    Ok(StormResult {
        seconds,
        before,
        during,
    })
}

/// Time from the first connect until the last client has all events.
fn reconnect(back: &Opening, events: u64) -> Result<f64> {
    let mut streams = ReceiverProcess::open(back)?;
    let report = streams.expect(events, BURST_TAIL).context("coming back")?;
    let nanos = report
        .last_nanos
        .saturating_sub(streams.opened.started_nanos);
    Ok(std::time::Duration::from_nanos(nanos).as_secs_f64())
}

/// The current cursor.
fn cursor(targets: &[std::net::SocketAddr]) -> Result<String> {
    let mut stream = ReceiverProcess::open(&Opening::events(1, targets))?;
    let first = stream.report(0)?.sample.unwrap_or_default();
    let id = first.lines().find_map(|line| line.strip_prefix("id: "));
    Ok(id.context("the stream's first frame has no id")?.to_owned())
}

fn time(storm: Storm, topology: Topology, results: &[StormResult]) -> Row {
    let seconds = median(results.iter().map(|one| one.seconds));
    Row {
        what: format!(
            "{} clients come back for {} events each, {}: the last has all",
            storm.clients,
            storm.events,
            topology.name()
        ),
        figure: format!("{seconds:.2} s"),
        floor: None,
        ratio: None,
        target: Some(format!("< {TARGET_SECONDS} s")),
        met: Some(seconds < TARGET_SECONDS),
        values: json!({
            "topology": topology.name(), "clients": storm.clients, "events": storm.events,
            "seconds": seconds, "runs": results.iter().map(|one| one.seconds).collect::<Vec<_>>(),
        }),
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
fn others(storm: Storm, topology: Topology, results: &[StormResult]) -> Row {
    let ratio = |pick: fn(&Latency) -> u64| {
        median(
            results
                .iter()
                .map(|one| pick(&one.during) as f64 / pick(&one.before).max(1) as f64),
        )
    };
    let middle = |of: fn(&StormResult) -> Latency, pick: fn(Latency) -> u64| {
        median(results.iter().map(|one| pick(of(one)) as f64)) / 1000.0
    };
    let (p50, p99) = (ratio(|late| late.p50), ratio(|late| late.p99));
    let text = |of: fn(&StormResult) -> Latency| {
        let (p50, p99) = (middle(of, |late| late.p50), middle(of, |late| late.p99));
        format!("{p50:.2} · {p99:.2} ms")
    };
    let runs = |of: fn(&StormResult) -> Latency| -> Value {
        results.iter().map(|one| json!(of(one))).collect()
    };
    Row {
        what: format!(
            "{} live streams meanwhile, {}: p50 · p99 (beside: before)",
            storm.live.streams,
            topology.name()
        ),
        figure: text(|one| one.during),
        floor: Some(text(|one| one.before)),
        ratio: Some(p50),
        target: Some(format!("p50 ≤ {TARGET_RATIO} × before")),
        met: Some(p50 <= TARGET_RATIO),
        values: json!({
            "topology": topology.name(), "live_streams": storm.live.streams,
            "p50_ratio": p50, "p99_ratio": p99,
            "before_micros": runs(|one| one.before), "during_micros": runs(|one| one.during),
        }),
    }
}
