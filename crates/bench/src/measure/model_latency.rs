//! Time from the intended send time of a webhook until the client of a model has the event, by the way in which it
//! gets it, alone and beside thousands of streams.

use std::{
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread::{Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use serde_json::json;

use super::{MeasurePlan, millis, plan::ModelPace};
use crate::{
    clock::now_nanos,
    frames::Stamp,
    helper_process::ReceiverProcess,
    load,
    model_client::{ReceivedStamp, channel, wait_for_events, watch},
    opening::Opening,
    repositories::Repositories,
    subject::{BenchSystem, Topology},
    table::Row,
};

/// Target of the 99th percentile.
const TARGET_P99_MICROS: u64 = 25_000;
/// Upper end of the histogram in microseconds; higher latencies count as this value.
const MAX_MICROS: u64 = 60_000_000;
/// Events before the measurement, within two seconds: every client waits for events by then.
const WARM_UP: u64 = 20;
const WARM_UP_NANOS: u64 = 100_000_000;
/// Time allowed for the last events to arrive after the last send.
const TAIL: Duration = Duration::from_secs(60);
/// Pause between two looks whether they have.
const POLL: Duration = Duration::from_millis(20);

/// A way in which a model's client gets events. Another one is a variant, and a function that reports each event that
/// it shows.
#[derive(Debug, Clone, Copy)]
enum ModelWay {
    /// `wait_for_events` again and again, each after the cursor of the last.
    Wait,
    /// The lines of `forgewire watch`.
    Watch,
    /// The notifications of Claude Code's channel, on the stream of a session.
    Channel,
}

impl ModelWay {
    const ALL: [Self; 3] = [Self::Wait, Self::Watch, Self::Channel];

    fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait_for_events",
            Self::Watch => "forgewire watch",
            Self::Channel => "channel",
        }
    }

    /// Passes what the client is shown to `seen` until it is stopped.
    fn receive(
        self,
        (edge, number): (SocketAddr, usize),
        scratch: &Path,
        stop: &AtomicBool,
        seen: &mut dyn FnMut(ReceivedStamp),
    ) -> Result<()> {
        match self {
            Self::Wait => wait_for_events(edge, stop, seen),
            Self::Channel => channel(edge, stop, seen),
            Self::Watch => watch(edge, &format!("bench-{number}"), scratch, stop, seen),
        }
    }
}

/// What the clients and the sender of one run share.
#[derive(Debug, Default)]
struct ModelRun {
    stop: AtomicBool,
    /// When the events that count began; `u64::MAX` before.
    began_nanos: AtomicU64,
    /// Number of those that were shown, by all clients together.
    shown: AtomicU64,
}

impl ModelRun {
    fn counts(&self, seen: &ReceivedStamp) {
        if seen.stamp.intended_nanos >= self.began_nanos.load(Ordering::Relaxed) {
            self.shown.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What one client was shown.
#[derive(Debug, Default)]
struct ShownEvents {
    stamps: Vec<ReceivedStamp>,
}

pub(super) fn run(plan: &MeasurePlan, topology: Topology, rows: &mut Vec<Row>) -> Result<()> {
    let subject = BenchSystem::start(topology, &plan.scratch)?;
    for streams in [0, plan.model.streams] {
        // Each event concerns those of one repository, and every model.
        let repositories = Repositories::of("bench", plan.model.repositories);
        let opening = Opening::events(streams, &subject.edge_addresses());
        let _beside = match streams {
            0 => None,
            _ => Some(ReceiverProcess::open(&opening.with_filter(&repositories))?),
        };
        for way in ModelWay::ALL {
            let shown = one(&subject, plan, way, &repositories).with_context(|| way.name())?;
            rows.push(row(plan.model, topology, (way, streams), &shown)?);
        }
    }
    Ok(())
}

fn one(
    subject: &BenchSystem,
    plan: &MeasurePlan,
    way: ModelWay,
    repositories: &Repositories,
) -> Result<Vec<u64>> {
    let (edges, pace) = (subject.edge_addresses(), plan.model);
    let run = ModelRun {
        began_nanos: AtomicU64::new(u64::MAX),
        ..ModelRun::default()
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..pace.clients)
            .map(|number| {
                let edge = edges[number % edges.len()];
                client(scope, (way, edge, number), &plan.scratch, &run)
            })
            .collect();
        let sent = send(subject, pace, repositories, &run);
        run.stop.store(true, Ordering::Relaxed);
        let mut shown = Vec::new();
        for client in clients {
            match client.join() {
                Ok(client) => shown.push(client?),
                Err(_) => bail!("a client panicked"),
            }
        }
        let began = sent?;
        latencies(&shown, began, pace.events_per_second * pace.seconds)
    })
}

/// Sends the events, and waits until every client was shown each, or for their tail; returns when they began.
fn send(
    subject: &BenchSystem,
    pace: ModelPace,
    repositories: &Repositories,
    run: &ModelRun,
) -> Result<u64> {
    load::paced_over(repositories, &subject.ingest, WARM_UP, WARM_UP_NANOS)?;
    let began = now_nanos();
    run.began_nanos.store(began, Ordering::Relaxed);
    let interval = 1_000_000_000 / pace.events_per_second;
    let events = pace.events_per_second * pace.seconds;
    load::paced_over(repositories, &subject.ingest, events, interval)?;
    let (all, sent) = (events * pace.clients as u64, Instant::now());
    while run.shown.load(Ordering::Relaxed) < all && sent.elapsed() < TAIL {
        std::thread::sleep(POLL);
    }
    Ok(began)
}

fn client<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    (way, edge, number): (ModelWay, SocketAddr, usize),
    scratch: &'env Path,
    run: &'env ModelRun,
) -> ScopedJoinHandle<'scope, Result<ShownEvents>> {
    scope.spawn(move || {
        let mut shown = ShownEvents::default();
        let mut seen = |stamp| {
            run.counts(&stamp);
            shown.stamps.push(stamp);
        };
        way.receive((edge, number), scratch, &run.stop, &mut seen)?;
        Ok(shown)
    })
}

/// Of the events that were sent since; each client has to have had each of them.
fn latencies(shown: &[ShownEvents], began: u64, events: u64) -> Result<Vec<u64>> {
    let mut micros = Vec::new();
    for client in shown {
        let since = client.stamps.iter().filter(|seen| {
            let Stamp { intended_nanos, .. } = seen.stamp;
            intended_nanos >= began
        });
        let mut numbers: Vec<_> = since.clone().map(|seen| seen.stamp.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        ensure!(
            numbers.len() as u64 == events,
            "a client was shown {} of {events} events",
            numbers.len()
        );
        micros.extend(since.map(|seen| {
            let nanos = seen.at_nanos.saturating_sub(seen.stamp.intended_nanos);
            nanos / 1000
        }));
    }
    Ok(micros)
}

fn row(
    pace: ModelPace,
    topology: Topology,
    (way, streams): (ModelWay, usize),
    micros: &[u64],
) -> Result<Row> {
    let mut histogram = Histogram::<u64>::new_with_max(MAX_MICROS, 3)?;
    micros
        .iter()
        .for_each(|micros| histogram.saturating_record(*micros));
    let [p50, p99] = [0.5, 0.99].map(|quantile| histogram.value_at_quantile(quantile));
    let beside = match streams {
        0 => "alone".to_owned(),
        streams => format!("beside {streams} streams"),
    };
    Ok(Row {
        what: format!(
            "webhook → model, {}, {} × {}, {beside}, {}/s: p50 · p99 · max",
            topology.name(),
            way.name(),
            pace.clients,
            pace.events_per_second
        ),
        figure: format!(
            "{} · {} · {} ms",
            millis(p50),
            millis(p99),
            millis(histogram.max())
        ),
        floor: None,
        ratio: None,
        target: Some(format!("p99 ≤ {} ms", TARGET_P99_MICROS / 1000)),
        met: Some(p99 <= TARGET_P99_MICROS),
        values: json!({
            "topology": topology.name(), "way": way.name(), "clients": pace.clients, "streams": streams,
            "events_per_second": pace.events_per_second, "shown": micros.len(),
            "p50_micros": p50, "p99_micros": p99, "max_micros": histogram.max(),
        }),
    })
}
