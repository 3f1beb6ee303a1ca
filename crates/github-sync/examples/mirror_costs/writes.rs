//! Writes: the mirror reads a log from its start, in which each issue has an event, and then another event for each of them.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use service_kit::lifecycle::Lifecycle;
use tokio::time::Instant;

use crate::world::{World, caught_up, start};

const ISSUES: u64 = 100_000;

pub(crate) async fn run() -> Result<()> {
    let world = World::new();
    world.fill(ISSUES, 0).await?;
    let before = resident_bytes()?;
    let first = follow_whole(&world, "new issues").await?;
    let bytes = resident_bytes()?.saturating_sub(before) / ISSUES;
    println!("memory of an issue: {bytes} bytes");
    drop(first);
    world.fill(ISSUES, ISSUES).await?;
    follow_whole(&world, "new issues, and a change of each").await?;
    Ok(())
}

/// Starts a mirror, and waits until it has read the log.
async fn follow_whole(world: &World, what: &str) -> Result<Lifecycle> {
    let lifecycle = Lifecycle::new(Duration::from_secs(1));
    let began = Instant::now();
    let (running, _) = start(world, &lifecycle).await?;
    caught_up(&running).await?;
    let events = world.log.head().await?.last.0;
    let rate = events as f64 / began.elapsed().as_secs_f64();
    println!("{what}: {events} events, {rate:.0} writes/s");
    Ok(lifecycle)
}

/// The memory of this process (proc(5), `VmRSS`).
fn resident_bytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.context("VmRSS")?.trim().trim_end_matches(" kB");
    Ok(kib.parse::<u64>()? * 1024)
}
