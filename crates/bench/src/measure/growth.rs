//! Growth of the costs: memory of the edge and of the kernel, and CPU per event, at increasing numbers
//! of streams, and CPU per event by the number of streams that it concerns. These figures show the
//! capacity of a larger machine.

use anyhow::{Context, Result};
use serde_json::json;

use super::{
    MeasurePlan, TAIL, WARM_UP,
    deliveries::{DeliveryRun, measure},
    plan::Pace,
    warm_up,
};
use crate::{
    helper_process::ReceiverProcess,
    kernel::Kernel,
    load,
    opening::Opening,
    process::steady_rss_kib,
    repositories::Repositories,
    subject::{BenchSystem, EdgeProcess, Topology},
    table::Row,
    tally::TallyReport,
};

/// Streams that one client process holds here; any more go to another client process, on another
/// edge.
const STREAMS_EACH: usize = 15_000;

pub(super) fn run(plan: &MeasurePlan, topology: Topology, rows: &mut Vec<Row>) -> Result<()> {
    for pace in &plan.growth {
        rows.push(
            size(plan, *pace, topology).with_context(|| format!("{} streams", pace.streams))?,
        );
    }
    let subject = BenchSystem::start(topology, &plan.scratch)?;
    for pace in &plan.matching {
        let concerned = pace.concerned();
        rows.push(matching(&subject, *pace).with_context(|| format!("{concerned} match"))?);
    }
    Ok(())
}

/// Each size gets its own servers: memory once taken is not always returned.
#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
fn size(plan: &MeasurePlan, pace: Pace, topology: Topology) -> Result<Row> {
    let subject = BenchSystem::start(topology, &plan.scratch)?;
    let parts = parts(pace.streams, &subject.edges);
    let pids: Vec<u32> = parts.iter().map(|(edge, _)| edge.pid).collect();
    for (edge, _) in &parts {
        warm_up(&subject, *edge)?;
    }
    let (before, kernel_before) = (steady_rss_kib(&pids)?, Kernel::now()?);
    let mut clients = parts
        .iter()
        .map(|(edge, count)| ReceiverProcess::open(&Opening::events(*count, &[edge.address])))
        .collect::<Result<Vec<_>>>()?;
    let (after, kernel) = (steady_rss_kib(&pids)?, Kernel::now()?);
    let each = |kib: u64| kib as f64 / pace.streams as f64;
    let user = each(after.saturating_sub(before));
    let both_ends = each(kernel.since(&kernel_before));
    let run = send(&subject, &pids, &mut clients, pace)?;
    let edges = parts.len();
    Ok(Row {
        what: format!(
            "growth, {} streams on {edges}: RSS · kernel (both ends) · CPU per event",
            pace.streams
        ),
        figure: format!(
            "{user:.2} · {both_ends:.2} KiB · {:.2} µs",
            run.micros_per_event
        ),
        floor: None,
        ratio: None,
        target: None,
        met: None,
        values: json!({
            "growth": {
                "streams": pace.streams, "user_kib": user, "kernel_kib_both_ends": both_ends,
                "micros_per_event": run.micros_per_event,
            },
            "edges": edges, "events_per_second_per_stream": pace.events_per_second,
            "delivered_per_second": run.events_per_second,
            "kernel": kernel.detail(&kernel_before),
        }),
    })
}

/// The number of streams for each edge.
fn parts(streams: usize, edges: &[EdgeProcess]) -> Vec<(EdgeProcess, usize)> {
    let needed = streams.div_ceil(STREAMS_EACH).clamp(1, edges.len());
    let edges = edges.iter().take(needed).enumerate();
    edges
        .map(|(index, edge)| {
            let first = streams * index / needed;
            (*edge, streams * (index + 1) / needed - first)
        })
        .collect()
}

fn send(
    subject: &BenchSystem,
    pids: &[u32],
    clients: &mut [ReceiverProcess],
    pace: Pace,
) -> Result<DeliveryRun> {
    for client in clients.iter_mut() {
        client.reset()?;
    }
    measure(pids, || {
        load::paced(&subject.ingest, pace.events(), pace.interval_nanos())?;
        let mut all = TallyReport::default();
        for client in clients {
            all.frames += client.expect(pace.events(), TAIL)?.frames;
        }
        Ok(all)
    })
}

/// Streams with a filter each, and events that concern a part of them.
#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
fn matching(subject: &BenchSystem, pace: Pace) -> Result<Row> {
    let edge = *subject.edges.first().context("there is no edge")?;
    let repositories = Repositories::of("bench", pace.repositories);
    let opening = Opening::events(pace.streams, &[edge.address]).with_filter(&repositories);
    let mut streams = ReceiverProcess::open(&opening)?;
    let interval = pace.interval_nanos();
    load::paced_over(&repositories, &subject.ingest, WARM_UP.1, interval)?;
    streams.expect(WARM_UP.1, TAIL).context("warming up")?;
    streams.reset()?;
    let run = measure(&[edge.pid], || {
        load::paced_over(&repositories, &subject.ingest, pace.events(), interval)?;
        streams.expect(pace.events(), TAIL)
    })?;
    let per_event = run.cpu_micros as f64 / pace.events() as f64;
    let concerned = pace.concerned();
    Ok(Row {
        what: format!(
            "CPU per event that {concerned} of {} streams want, the edge alone",
            pace.streams
        ),
        figure: format!("{per_event:.0} µs ({:.2} each)", run.micros_per_event),
        floor: None,
        ratio: None,
        target: None,
        met: None,
        values: json!({
            "matching": {
                "of": pace.streams, "matching": concerned, "micros_per_event": per_event,
            },
            "micros_per_delivered_event": run.micros_per_event,
            "events_per_second": pace.events_per_second,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_streams_than_one_process_holds_go_to_more_edges() {
        let edges = [1, 2].map(|pid| EdgeProcess {
            address: ([127, 0, 0, 1], 1).into(),
            pid,
        });
        let counts = |streams| {
            let parts = parts(streams, &edges);
            parts
                .into_iter()
                .map(|(edge, n)| (edge.pid, n))
                .collect::<Vec<_>>()
        };
        assert_eq!(counts(15_000), [(1, 15_000)]);
        assert_eq!(counts(30_000), [(1, 15_000), (2, 15_000)]);
        assert_eq!(counts(15_001), [(1, 7_500), (2, 7_501)]);
    }
}
