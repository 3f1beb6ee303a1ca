//! The price of the rate limits: each request is checked once or twice, and each client that was here a moment
//! ago is remembered. Measured in this process, because the check is far below what a request costs; the floor
//! is a bare bucket that all threads share.

use std::{
    hint::black_box,
    num::NonZeroU32,
    process,
    sync::Arc,
    thread::{self, available_parallelism},
    time::Duration,
};

use anyhow::{Result, ensure};
use governor::{DefaultDirectRateLimiter, Quota};
use mcp_server::{
    policy::RateClass,
    rates::{RateLimiter, RateLimits},
};
use model::PrincipalId;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use service_kit::metrics::MetricsRegistry;

use super::{MeasurePlan, median};
use crate::{process::rss_kib, table::Row};

/// The highest rate that can be configured: what arrives at once is admitted, so that no run measures refusals.
const PER_SECOND: u32 = 1_000_000;
/// Clients that are counted separately; beyond them they share an allowance.
const CLIENTS: usize = 16_384;
/// Some hundredths of the 10 µs and more that a bare answer over HTTP costs.
const TARGET_NANOS: f64 = 500.0;
const TARGET_BYTES: f64 = 1024.0;

pub(super) fn run(plan: &MeasurePlan, rows: &mut Vec<Row>) -> Result<()> {
    let cores = available_parallelism()?.get();
    let clients = principals(CLIENTS)?;
    // First: later, memory that other runs gave back would be used again.
    let idle = idle(&clients)?;
    for (threads, count) in [(1, 1), (cores, 1), (cores, CLIENTS)] {
        rows.push(checks(plan, threads, &clients[..count])?);
    }
    rows.push(idle);
    Ok(())
}

fn principals(count: usize) -> Result<Vec<PrincipalId>> {
    let names = (0..count).map(|n| Ok(PrincipalId::new(&format!("client-{n:06}"))?));
    names.collect()
}

fn limiter() -> RateLimiter {
    let limits = RateLimits {
        memory_calls_per_second: PER_SECOND,
        ..RateLimits::default()
    };
    RateLimiter::new(&limits, &mut MetricsRegistry::default())
}

/// The CPU of a check when so many threads check at once, for these clients in turn.
fn checks(plan: &MeasurePlan, threads: usize, clients: &[PrincipalId]) -> Result<Row> {
    let per_thread = plan.rate_checks / threads;
    let (mut figures, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        let bucket = Quota::per_second(NonZeroU32::new(PER_SECOND).unwrap_or(NonZeroU32::MIN));
        let bucket = DefaultDirectRateLimiter::direct(bucket);
        floors.push(nanos(threads, per_thread, |_| bucket.check().is_ok())?);
        let limiter = limiter();
        for client in clients {
            ensure!(limiter.admit(client, RateClass::Memory).is_ok());
        }
        figures.push(nanos(threads, per_thread, |n| {
            let client = &clients[n % clients.len()];
            black_box(limiter.admit(client, RateClass::Memory)).is_ok()
        })?);
    }
    let (figure, floor) = (median(figures.into_iter()), median(floors.into_iter()));
    Ok(Row {
        what: format!(
            "rate check of a request, clients: {}, threads at once: {threads}",
            clients.len()
        ),
        figure: format!("{figure:.0} ns"),
        floor: Some(format!("{floor:.0} ns")),
        ratio: Some(figure / floor),
        target: Some(format!("≤ {TARGET_NANOS} ns")),
        met: Some(figure <= TARGET_NANOS),
        values: json!({
            "clients": clients.len(), "threads": threads, "checks": per_thread * threads, "runs": plan.runs,
            "nanos": figure, "floor_nanos": floor,
        }),
    })
}

/// CPU of one call of `admits`, which has to admit all, in nanoseconds.
#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
fn nanos(threads: usize, per_thread: usize, admits: impl Fn(usize) -> bool + Sync) -> Result<f64> {
    let count = per_thread * threads;
    let (admitted, took) = thread::scope(|scope| {
        let run = |thread: usize| {
            let admits = &admits;
            let numbers = (0..per_thread).map(move |n| n * threads + thread);
            scope.spawn(move || {
                let began = thread_cpu();
                let admitted = numbers.filter(|n| admits(*n)).count();
                (admitted, thread_cpu().saturating_sub(began))
            })
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        let done = running
            .into_iter()
            .map(|one| one.join().unwrap_or_default());
        done.fold((0, Duration::ZERO), |(all, cpu), (own, own_cpu)| {
            (all + own, cpu + own_cpu)
        })
    });
    ensure!(
        admitted == count,
        "{admitted} of {count} checks were admitted"
    );
    Ok(took.as_nanos() as f64 / count as f64)
}

/// CPU that this thread has used: other processes on the machine do not count.
fn thread_cpu() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

/// The memory of a client that was here within the last two seconds.
#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
fn idle(clients: &[PrincipalId]) -> Result<Row> {
    let limiter = Arc::new(limiter());
    let before = rss_kib(process::id())?;
    for client in clients {
        ensure!(limiter.admit(client, RateClass::Memory).is_ok());
    }
    let kib = rss_kib(process::id())?.saturating_sub(before);
    drop(black_box(limiter));
    let bytes = (kib * 1024) as f64 / clients.len() as f64;
    Ok(Row {
        what: format!("memory of an idle client in the rate table, {CLIENTS} clients"),
        figure: format!("{bytes:.0} bytes"),
        floor: None,
        ratio: None,
        target: Some(format!("≤ {TARGET_BYTES} bytes")),
        met: Some(bytes <= TARGET_BYTES),
        values: json!({ "clients": clients.len(), "bytes": bytes, "kib": kib }),
    })
}
