//! The options of the command line.

use std::time::Duration;

use anyhow::{Result, ensure};

/// Maximum number of streams in one run: client and balancer need a descriptor for each end, and
/// 20,000 is a common hard limit of a process.
const MAX_STREAMS: usize = 9_000;

/// Options of the soak.
#[derive(Debug, Clone, clap::Parser)]
#[command(
    about = "Holds streams for a long time under churn, faults and abuse, and checks that every acknowledged event arrived exactly once"
)]
pub struct SoakOptions {
    /// Duration in seconds, counted from when all streams are open.
    #[arg(long, default_value_t = 900)]
    pub seconds: u64,
    /// Number of streams open at a time; up to 9,000.
    #[arg(long, default_value_t = 5000)]
    pub streams: usize,
    /// Deliveries to ingest per second; each is one event.
    #[arg(long, default_value_t = 200)]
    pub events_per_second: u32,
    /// Streams that their clients close per second; the same number is opened anew.
    #[arg(long, default_value_t = 50)]
    pub churn_per_second: u32,
    /// Number of hostile clients.
    #[arg(long, default_value_t = 20)]
    pub hostile: usize,
    /// Seconds between two kills of edges; 0 kills none.
    #[arg(long, default_value_t = 60)]
    pub kill_every_seconds: u64,
    /// Maximum number of seconds that an edge may hold a stream whose client does not read; 0 only
    /// reports the time.
    #[arg(long, default_value_t = 0)]
    pub max_held_seconds: u64,
    /// Seconds between the heartbeats of a silent stream. The balancer detects by them that a
    /// client has disconnected, so a run takes two of them longer.
    #[arg(long, default_value_t = 15)]
    pub heartbeat_seconds: u64,
    /// Seed for the choice of filters, churn and kills.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

impl SoakOptions {
    /// Refuses options that cannot be run.
    ///
    /// # Errors
    /// A value is out of bounds; the error names it.
    pub fn check(&self) -> Result<()> {
        ensure!(
            (1..=MAX_STREAMS).contains(&self.streams),
            "--streams must be from 1 to {MAX_STREAMS}"
        );
        ensure!(
            (1..=5000).contains(&self.events_per_second),
            "--events-per-second must be from 1 to 5000"
        );
        ensure!(
            self.churn_per_second <= 1000,
            "--churn-per-second must be at most 1000"
        );
        ensure!(self.hostile <= 500, "--hostile must be at most 500");
        ensure!(self.seconds > 0, "--seconds must be at least 1");
        ensure!(
            (1..=60).contains(&self.heartbeat_seconds),
            "--heartbeat-seconds must be from 1 to 60"
        );
        Ok(())
    }

    /// A stream without any frame for this time is dead: it has missed three heartbeats.
    pub(crate) fn silence(&self) -> Duration {
        Duration::from_secs(3 * self.heartbeat_seconds)
    }

    /// Time allowed for descriptors to be released once all clients have disconnected. The balancer
    /// detects this when a write to the client fails, which is at the second heartbeat; twice that
    /// for a busy machine, plus the time for which the balancer keeps idle connections to the
    /// edges.
    pub(crate) fn release(&self) -> Duration {
        Duration::from_secs(4 * self.heartbeat_seconds + 30)
    }

    /// Time that the streams are held once all are open.
    pub(crate) fn lasting(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}
