//! The options of the command line.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use testkit::cluster::SystemKind;

use super::surfaces::{AbuseSurface, AttackerSide};

/// Maximum number of honest streams: each has a task.
const MAX_STREAMS: usize = 2000;

/// The systems to attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AbuseTopology {
    /// All roles in one process.
    Embedded,
    /// The cluster of `deploy/cluster.toml`.
    Cluster,
    /// One after the other.
    Both,
}

/// The process that the abuse starts from its own binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Subcommand)]
pub enum AbuseCommand {
    /// Attacks as it is told on standard input.
    #[command(hide = true)]
    Attack,
    /// Answers every request with next to nothing, until standard input ends.
    #[command(hide = true)]
    StandIn,
}

/// Options of the abuse.
#[derive(Debug, Clone, clap::Parser)]
#[command(
    about = "Attacks every surface, as a permitted client and as a stranger, and checks that honest clients miss nothing and memory stays within its bounds"
)]
pub struct AbuseOptions {
    /// What this process does instead.
    #[command(subcommand)]
    pub command: Option<AbuseCommand>,
    /// Duration of each attack and of the calm time before them, in seconds.
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Only this surface; may be given several times.
    #[arg(long)]
    pub surface: Vec<AbuseSurface>,
    /// Only this side.
    #[arg(long)]
    pub side: Option<AttackerSide>,
    /// Only attackers with this name; may be given several times.
    #[arg(long)]
    pub attacker: Vec<String>,
    /// The systems to attack.
    #[arg(long, value_enum, default_value_t = AbuseTopology::Cluster)]
    pub topology: AbuseTopology,
    /// Number of honest streams; 20 to 2,000.
    #[arg(long, default_value_t = 200)]
    pub streams: usize,
    /// Honest deliveries per second; each is one event.
    #[arg(long, default_value_t = 50)]
    pub events_per_second: u32,
    /// Connections of each attacker, in per cent of its usual number.
    #[arg(long, default_value_t = 100)]
    pub force_percent: usize,
    /// Events of 400 KiB that are put into the log first: they make answers as large as answers may be.
    #[arg(long, default_value_t = 48)]
    pub large_events: u64,
    /// Fails if events take this many times as long as in the calm time, and more than half a second, or if a
    /// delivery is not answered within ten seconds; 0 only reports it. Above 2, the aim, a line of the table is
    /// marked.
    #[arg(long, default_value_t = 10)]
    pub max_ratio: u64,
    /// Before each attack, send the same attackers to a server that does nothing, for as long: what honest clients of
    /// the product notice of that is the machine's share of the delay.
    #[arg(long)]
    pub floor: bool,
    /// Seed of what attackers choose.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

impl AbuseOptions {
    /// Refuses options that cannot be run.
    ///
    /// # Errors
    /// A value is out of bounds; the error names it.
    pub fn check(&self) -> Result<()> {
        ensure!(
            (20..=MAX_STREAMS).contains(&self.streams),
            "--streams must be from 20 to {MAX_STREAMS}"
        );
        ensure!(
            (1..=1000).contains(&self.events_per_second),
            "--events-per-second must be from 1 to 1000"
        );
        ensure!(
            self.large_events <= 1000,
            "--large-events must be at most 1000"
        );
        ensure!(self.seconds > 0, "--seconds must be at least 1");
        ensure!(
            (1..=400).contains(&self.force_percent),
            "--force-percent must be from 1 to 400"
        );
        Ok(())
    }

    /// Duration of each attack.
    pub(crate) fn lasting(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The topologies to attack.
    pub(crate) fn kinds(&self) -> Vec<SystemKind> {
        match self.topology {
            AbuseTopology::Embedded => vec![SystemKind::Embedded],
            AbuseTopology::Cluster => vec![SystemKind::Cluster],
            AbuseTopology::Both => SystemKind::ALL.to_vec(),
        }
    }

    /// Whether this surface and side are attacked.
    pub(crate) fn includes(&self, surface: AbuseSurface, side: AttackerSide) -> bool {
        (self.surface.is_empty() || self.surface.contains(&surface))
            && self.side.is_none_or(|only| only == side)
    }

    /// Whether attackers of this name take part.
    pub(crate) fn includes_attacker(&self, name: &str) -> bool {
        self.attacker.is_empty() || self.attacker.iter().any(|only| only == name)
    }
}
