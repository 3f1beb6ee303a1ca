//! The whole run: a cluster behind each balancer, load, restarts, the report.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use testkit::{
    cluster::{BalancerKind, ClusterPlan, FaultOutcome, System, SystemKind, SystemNode},
    ledger::DeliveryLedger,
};
use tokio::sync::watch;

use super::{
    RolloutOptions, RolloutReport,
    load::{LoadClients, LoadContext, LoadPace},
    report::BalancerResult,
};
use crate::{EventReader, ReaderKind, settle};

/// The processes of a round, in the order in which they are restarted.
const NODES: [SystemNode; 5] = [
    SystemNode::Ingest(0),
    SystemNode::Ingest(1),
    SystemNode::Edge(0),
    SystemNode::Edge(1),
    SystemNode::Edge(2),
];
/// Load before the first restart and after the last.
const AROUND: Duration = Duration::from_secs(1);
/// No line for each delivery and event.
const LOGGED: &str = "info,webhook_ingest=warn,fanout=warn";
const READER: &str = "reader";

/// Runs the rollout; progress goes to standard error.
///
/// # Errors
/// The rollout could not be run. Lost requests are in the report.
pub async fn run(options: &RolloutOptions) -> Result<RolloutReport> {
    options.check()?;
    let mut balancers = Vec::new();
    for kind in options.balancers() {
        balancers.push(behind(kind, options).await?);
    }
    Ok(RolloutReport { balancers })
}

async fn behind(kind: BalancerKind, options: &RolloutOptions) -> Result<BalancerResult> {
    let drain = options.drain_seconds.to_string();
    let adjust = |plan: ClusterPlan| {
        plan.with_balancer(kind)
            .with_env("FORGEWIRE_EDGE__DRAIN_SECONDS", &drain)
            .with_env("FORGEWIRE_TELEMETRY__FILTER", LOGGED)
            // HAProxy checks whether a server is ready; then it needs no second attempt.
            .with_template_text("retries 3", "retries 0")
            .with_template_text("option redispatch 1", "no option redispatch")
    };
    let mut system = System::start_with(SystemKind::Cluster, adjust).await?;
    eprintln!("{kind}: the cluster is running");
    match Rollout::over(kind, options, &mut system).await {
        Ok(result) => {
            system.stop().await?;
            Ok(result)
        }
        Err(error) => {
            let lines = system.cluster().last_lines();
            Err(error.context(format!("behind {kind}; last lines:\n{lines}")))
        }
    }
}

struct Rollout<'a> {
    kind: BalancerKind,
    options: &'a RolloutOptions,
    system: &'a mut System,
    began: Instant,
    during: watch::Sender<String>,
    restarts: u32,
}

impl<'a> Rollout<'a> {
    async fn over(
        kind: BalancerKind,
        options: &'a RolloutOptions,
        system: &'a mut System,
    ) -> Result<BalancerResult> {
        let rollout = Self {
            kind,
            options,
            system,
            began: Instant::now(),
            during: watch::Sender::new("before the first restart".to_owned()),
            restarts: 0,
        };
        rollout.run().await
    }

    async fn run(mut self) -> Result<BalancerResult> {
        let (ledger, stop) = (Arc::new(DeliveryLedger::new()), watch::Sender::new(false));
        let edges = std::slice::from_ref(self.system.balancer());
        let reader =
            EventReader::start(READER, ReaderKind::Events, edges, 0, None, &ledger).await?;
        let context = LoadContext {
            ledger: Arc::clone(&ledger),
            during: self.during.subscribe(),
            stopped: stop.subscribe(),
        };
        let pace = |per_second| LoadPace {
            connections: self.options.connections,
            per_second,
        };
        let (ingests, secret) = (self.system.ingest_balancer(), self.system.secret());
        let deliveries = pace(self.options.deliveries_per_second);
        let mut deliveries = LoadClients::deliver(ingests, secret, deliveries, &context)?;
        let requests = pace(self.options.requests_per_second);
        let mut requests = LoadClients::ask(self.system.balancer(), requests, &context)?;
        tokio::time::sleep(AROUND).await;
        for round in 1..=self.options.rounds {
            for node in NODES {
                self.restart(node, round).await?;
            }
            let (sent, asked) = (deliveries.tally.counts(), requests.tally.counts());
            let (kind, rounds) = (self.kind, self.options.rounds);
            eprintln!("{kind}: round {round} of {rounds}: deliveries: {sent}; requests: {asked}");
        }
        tokio::time::sleep(AROUND).await;
        stop.send_replace(true);
        deliveries.finish().await;
        requests.finish().await;
        let imbalance = settle(&ledger, &[READER]).await.err();
        Ok(BalancerResult {
            balancer: self.kind.name(),
            rounds: self.options.rounds,
            restarts: self.restarts,
            seconds: self.began.elapsed().as_secs(),
            deliveries: deliveries.tally.counts(),
            requests: requests.tally.counts(),
            streams: reader.opens(),
            imbalance: imbalance.map(|error| format!("{error:#}")),
            cut_at_balancer: self.cut_at_balancer()?,
        })
    }

    async fn restart(&mut self, node: SystemNode, round: u32) -> Result<()> {
        self.enter(format!("{node} drains, round {round}"));
        ensure!(self.system.terminate(node).await? == FaultOutcome::Done);
        self.enter(format!("{node} starts, round {round}"));
        ensure!(self.system.restart(node).await? == FaultOutcome::Done);
        self.enter(format!("{node} is ready, round {round}"));
        self.restarts += 1;
        tokio::time::sleep(self.options.pause()).await;
        Ok(())
    }

    fn enter(&self, what: String) {
        self.during.send_replace(what);
    }

    /// nginx has no checks, so it tries another server when one refuses the connection. It would do the
    /// same, for some methods, with a request that was cut; its log distinguishes the two.
    fn cut_at_balancer(&mut self) -> Result<usize> {
        let errors = self.system.cluster().process("balancer")?.errors()?;
        let cut = errors.lines().filter(|line| {
            line.contains("upstream")
                && !line.contains("connect() failed")
                && !line.contains("no live")
        });
        Ok(match self.kind {
            BalancerKind::Nginx => cut.count(),
            BalancerKind::Haproxy | BalancerKind::Envoy => 0,
        })
    }
}
