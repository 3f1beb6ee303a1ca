//! Seeded histories of the whole delivery path in one process: the log, the bus, the follower, the
//! ring, the feed and the resuming client are the production code; time, the store and the network
//! are simulated. The log goes back, is replaced, trims, hangs and fails; hints are lost, late and
//! repeated; edges restart; clients are cut and move.
//!
//! A history is its seed. A failure names it: `SIMULATION_SEED=<seed>` runs that history alone.
//! `SIMULATION_HISTORIES` is the number of histories (default 1,000; `make simulate` runs 100,000).

mod bus;
mod client;
mod edge;
mod ledger;
mod log;
mod world;

use std::{env, thread};

use anyhow::{Context, Result, anyhow};
use world::World;

/// The seed of the first history. The same histories in every run, so that CI never surprises.
const FIRST_SEED: u64 = 1;
/// Histories of a plain `cargo test`.
const HISTORIES: u64 = 1_000;

fn number(name: &str) -> Result<Option<u64>> {
    let Ok(text) = env::var(name) else {
        return Ok(None);
    };
    let number = text
        .parse()
        .with_context(|| format!("{name} is a number"))?;
    Ok(Some(number))
}

/// Runs one history; an error says what was missed, and by which client.
fn run(seed: u64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let history = async { World::new(seed).await.live().await };
    let told = runtime.block_on(history);
    told.with_context(|| format!("SIMULATION_SEED={seed}"))
}

/// Runs the histories of one thread.
fn run_all(seeds: impl Iterator<Item = u64>) -> Result<()> {
    for seed in seeds {
        run(seed)?;
    }
    Ok(())
}

#[test]
fn whatever_happens_to_the_log_nothing_is_missed_in_silence() -> Result<()> {
    if let Some(seed) = number("SIMULATION_SEED")? {
        return run(seed);
    }
    let histories = number("SIMULATION_HISTORIES")?.unwrap_or(HISTORIES);
    let threads = u64::try_from(thread::available_parallelism()?.get())?;
    let run_share = |share: u64| {
        let seeds = (FIRST_SEED..=histories).filter(move |seed| seed % threads == share);
        thread::spawn(move || run_all(seeds))
    };
    let shares: Vec<_> = (0..threads).map(run_share).collect();
    for share in shares {
        let result = share.join();
        result.map_err(|_| anyhow!("a history panicked"))??;
    }
    Ok(())
}
