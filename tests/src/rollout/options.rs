//! The options of the command line.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::cluster::BalancerKind;

/// Options of the rollout.
#[derive(Debug, Clone, clap::Parser)]
#[command(
    about = "Restarts two ingests and three edges under load, behind a balancer, and counts what was not answered with 2xx"
)]
pub struct RolloutOptions {
    /// Number of rolling restarts: in each, every ingest and every edge is restarted once.
    #[arg(long, default_value_t = 20)]
    pub rounds: u32,
    /// The balancer: haproxy, nginx or envoy; may be repeated. Default: each of them.
    #[arg(long = "balancer", value_name = "NAME")]
    pub balancers: Vec<BalancerKind>,
    /// Deliveries to the ingests per second.
    #[arg(long, default_value_t = 200)]
    pub deliveries_per_second: u32,
    /// Requests to the edges per second.
    #[arg(long, default_value_t = 200)]
    pub requests_per_second: u32,
    /// Kept-alive connections of each kind of client to the balancer.
    #[arg(long, default_value_t = 20)]
    pub connections: u32,
    /// The processes' `edge.drain_seconds`; they accept for a quarter of it, and half of it is for answers
    /// that are slow on a busy machine.
    #[arg(long, default_value_t = 8)]
    pub drain_seconds: u32,
    /// Milliseconds from the readiness of a restarted process to the stop of the next one, as
    /// Kubernetes' `minReadySeconds`: the balancer has to notice.
    #[arg(long, default_value_t = 1500)]
    pub pause_millis: u64,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

impl RolloutOptions {
    /// Refuses options that cannot be run.
    ///
    /// # Errors
    /// A value is out of bounds; the error names it.
    pub fn check(&self) -> Result<()> {
        for (option, value, most) in [
            ("--rounds", self.rounds, 1000),
            ("--deliveries-per-second", self.deliveries_per_second, 5000),
            ("--requests-per-second", self.requests_per_second, 5000),
            ("--connections", self.connections, 1000),
            ("--drain-seconds", self.drain_seconds, 8),
        ] {
            ensure!(
                (1..=most).contains(&value),
                "{option} must be from 1 to {most}"
            );
        }
        Ok(())
    }

    /// The balancers to try.
    pub(crate) fn balancers(&self) -> Vec<BalancerKind> {
        match self.balancers.is_empty() {
            true => BalancerKind::ALL.to_vec(),
            false => self.balancers.clone(),
        }
    }

    pub(crate) fn pause(&self) -> Duration {
        Duration::from_millis(self.pause_millis)
    }
}
