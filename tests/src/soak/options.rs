//! What can be chosen on the command line.

use std::time::Duration;

use anyhow::{Result, ensure};

/// Most streams of one run: client and balancer need a descriptor for each end, and 20,000 is a
/// common hard limit of a process.
const MAX_STREAMS: usize = 9_000;

/// How the soak is run.
#[derive(Debug, Clone, clap::Parser)]
#[command(about = "Holds streams for long under churn, faults and abuse, and balances the books")]
pub struct Options {
    /// How long, counted from when all streams are open.
    #[arg(long, default_value_t = 900)]
    pub seconds: u64,
    /// Streams that are open at a time; at most 9,000.
    #[arg(long, default_value_t = 5000)]
    pub streams: usize,
    /// Deliveries to ingest; each is one event.
    #[arg(long, default_value_t = 200)]
    pub events_per_second: u32,
    /// Streams that their clients close, and as many that are opened anew.
    #[arg(long, default_value_t = 50)]
    pub churn_per_second: u32,
    /// Clients that mean harm.
    #[arg(long, default_value_t = 20)]
    pub hostile: usize,
    /// Seconds between two edges that are killed; 0 kills none.
    #[arg(long, default_value_t = 60)]
    pub kill_every_seconds: u64,
    /// The most seconds that an edge may hold a stream whose client does not read; 0 only reports it.
    #[arg(long, default_value_t = 0)]
    pub max_held_seconds: u64,
    /// Seconds between the heartbeats of a silent stream. By them the balancer learns that a client has
    /// gone, so a run takes two of them longer.
    #[arg(long, default_value_t = 15)]
    pub heartbeat_seconds: u64,
    /// What decides about filters, churn and kills.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The report as JSON.
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// Refuses what cannot be run.
    ///
    /// # Errors
    /// A value out of bounds; the text names it.
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

    /// A stream that says nothing for so long is dead: it has missed three heartbeats.
    pub(crate) fn silence(&self) -> Duration {
        Duration::from_secs(3 * self.heartbeat_seconds)
    }

    /// How long descriptors may take to come back once all clients have gone. The balancer notices when a
    /// write to the client fails, which is with the second heartbeat; twice that for a busy machine, and
    /// the time for which the balancer keeps idle connections to the edges.
    pub(crate) fn release(&self) -> Duration {
        Duration::from_secs(4 * self.heartbeat_seconds + 30)
    }

    /// How long the streams are held once all are open.
    pub(crate) fn lasting(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}
