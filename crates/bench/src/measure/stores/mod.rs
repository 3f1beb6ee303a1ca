//! The stores behind their ports, without a process of Forgewire, each beside the bare driver with the same durability
//! in the same run: appends of one event, many at once, as deliveries do them, and the replay of a whole page of
//! history.

mod jetstream;
mod sample;
mod sqlite;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use ports::EventLog;
use serde_json::json;
use tokio::runtime::Builder;

use super::{MeasurePlan, median};
use crate::table::Row;

/// Numbers of appends at once: that of `ingest`, and that at which stores for MCP are usually compared.
const APPENDERS: [usize; 2] = [64, 500];
/// Largest page that a replay asks for.
const PAGE_EVENTS: usize = 10_000;

pub(super) fn run(plan: &MeasurePlan, rows: &mut Vec<Row>) -> Result<()> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    jetstream::run(plan, &runtime, rows).context("JetStream")?;
    sqlite::run(plan, &runtime, rows).context("SQLite")
}

/// A load: how many in which time.
#[derive(Debug, Clone, Copy)]
struct Load {
    count: u64,
    seconds: f64,
}

#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
impl Load {
    fn per_second(self) -> f64 {
        self.count as f64 / self.seconds
    }
}

/// Repeats `work` in each of several tasks until the time is up. It is given numbers that no other call is given.
async fn flat_out<W, F>(tasks: usize, lasting: Duration, work: W) -> Result<Load>
where
    W: Fn(u64) -> F + Clone + Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    let (next, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let task = || {
        let (next, work) = (Arc::clone(&next), work.clone());
        tokio::spawn(async move {
            let mut done = 0_u64;
            while begun.elapsed() < lasting {
                work(next.fetch_add(1, Ordering::Relaxed)).await?;
                done += 1;
            }
            anyhow::Ok(done)
        })
    };
    let tasks: Vec<_> = (0..tasks).map(|_| task()).collect();
    let mut count = 0;
    for done in try_join_all(tasks).await? {
        count += done?;
    }
    Ok(Load {
        count,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// Appends of one event each.
async fn append_flat_out(log: &Arc<dyn EventLog>, tasks: usize, lasting: Duration) -> Result<Load> {
    let (log, run) = (Arc::clone(log), sample::next_run());
    flat_out(tasks, lasting, move |number| {
        let log = Arc::clone(&log);
        async move {
            let appended = log.append(vec![sample::event(run, number)?]).await?;
            ensure!(
                appended.first().is_some_and(|place| !place.duplicate),
                "an append was answered as a duplicate"
            );
            Ok(())
        }
    })
    .await
}

/// Fills an empty log with `count` events.
async fn fill(log: &Arc<dyn EventLog>, count: u64) -> Result<()> {
    let run = sample::next_run();
    let events: Result<Vec<_>> = (0..count).map(|n| sample::event(run, n)).collect();
    let mut events = events?;
    while !events.is_empty() {
        let rest = events.split_off(events.len().min(500));
        log.append(std::mem::replace(&mut events, rest)).await?;
    }
    Ok(())
}

/// The time in which the whole log is read, page by page.
async fn replay(log: &Arc<dyn EventLog>, count: u64) -> Result<Duration> {
    let (begun, mut after, mut read) = (Instant::now(), model::Sequence::START, 0);
    loop {
        let page = log.read_after(after, PAGE_EVENTS).await?;
        read += page.events.len() as u64;
        after = page.through;
        if page.at_head {
            break;
        }
    }
    ensure!(read == count, "{read} of {count} events were read");
    Ok(begun.elapsed())
}

/// The results of one measurement and its floor, in turn.
#[derive(Debug, Default)]
struct Interleaved {
    ours: Vec<f64>,
    floor: Vec<f64>,
}

impl Interleaved {
    fn ours(&self) -> f64 {
        median(self.ours.iter().copied())
    }

    fn floor(&self) -> f64 {
        median(self.floor.iter().copied())
    }

    /// A row of appends per second.
    fn appends(&self, what: String, floor: &str, at_least: Option<f64>) -> Row {
        let (ours, bare) = (self.ours(), self.floor());
        Row {
            what,
            figure: format!("{ours:.0}/s"),
            floor: Some(format!("{bare:.0}/s {floor}")),
            ratio: Some(ours / bare),
            target: at_least.map(|least| format!("≥ {least}/s")),
            met: at_least.map(|least| ours >= least),
            values: json!({ "runs": self.ours, "floor_runs": self.floor }),
        }
    }

    /// A row of milliseconds.
    fn millis(&self, what: String, floor: &str, target: (String, bool)) -> Row {
        let (ours, bare) = (self.ours(), self.floor());
        Row {
            what,
            figure: format!("{ours:.1} ms"),
            floor: Some(format!("{bare:.1} ms {floor}")),
            ratio: Some(ours / bare),
            target: Some(target.0),
            met: Some(target.1),
            values: json!({ "millis": self.ours, "floor_millis": self.floor }),
        }
    }
}

fn millis_of(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

/// A new folder on the disk that is measured.
fn folder(scratch: &Path) -> Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new()
        .prefix("stores-")
        .tempdir_in(scratch)?)
}
