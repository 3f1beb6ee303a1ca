//! One system at a time, on both topologies.

use std::time::Duration;

use anyhow::{Result, bail};
use testkit::{
    cluster::{ClusterPlan, System, SystemKind, SystemNode},
    ledger::DeliveryLedger,
};
use tokio::{sync::Mutex, time::Instant};

/// Scenarios start nine processes each; on two cores they run one at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// Time that a scenario waits for an expected condition.
const DEADLINE: Duration = Duration::from_secs(30);

/// Runs a scenario on the embedded topology, then on the cluster.
///
/// # Errors
/// The scenario's error, with the topology's name.
pub async fn both(scenario: impl AsyncFn(&mut System) -> Result<()>) -> Result<()> {
    both_with(|plan| plan, scenario).await
}

/// As [`both`], with adjusted plans.
///
/// # Errors
/// The scenario's error, with the topology's name.
pub async fn both_with(
    adjust: impl Fn(ClusterPlan) -> ClusterPlan,
    scenario: impl AsyncFn(&mut System) -> Result<()>,
) -> Result<()> {
    for kind in SystemKind::ALL {
        only(kind, &adjust, &scenario).await?;
    }
    Ok(())
}

/// As [`both`], and then on the embedded topology with streams that stay with the HTTP server: for
/// guarantees of streams that must hold with either driver.
///
/// # Errors
/// The scenario's error, with the topology's name.
pub async fn both_and_kept_sockets(
    scenario: impl AsyncFn(&mut System) -> Result<()>,
) -> Result<()> {
    both(&scenario).await?;
    let keeps = |plan: ClusterPlan| plan.with_env("FORGEWIRE_EDGE__TAKE_OVER_SOCKETS", "false");
    let kept = only(SystemKind::Embedded, keeps, &scenario).await;
    kept.map_err(|error| error.context("sockets are not taken over"))
}

/// Runs a scenario on one topology, with an adjusted plan: for what cannot occur on the other.
///
/// # Errors
/// The scenario's error, with the topology's name.
pub async fn only(
    kind: SystemKind,
    adjust: impl Fn(ClusterPlan) -> ClusterPlan,
    scenario: impl AsyncFn(&mut System) -> Result<()>,
) -> Result<()> {
    let _turn = TURN.lock().await;
    run(kind, adjust, scenario).await
}

/// Runs a scenario that waits for minutes on both topologies at once, and beside others: it needs next to no CPU.
///
/// # Errors
/// The scenario's error, with the topology's name.
pub async fn both_at_once(scenario: impl AsyncFn(&mut System) -> Result<()>) -> Result<()> {
    let runs = SystemKind::ALL.map(|kind| run(kind, |plan| plan, &scenario));
    futures_util::future::try_join_all(runs).await.map(drop)
}

async fn run(
    kind: SystemKind,
    adjust: impl Fn(ClusterPlan) -> ClusterPlan,
    scenario: impl AsyncFn(&mut System) -> Result<()>,
) -> Result<()> {
    let mut system = System::start_with(kind, adjust).await?;
    if let Err(error) = scenario(&mut system).await {
        let lines = system.cluster().last_lines();
        return Err(error.context(format!("on the {kind} topology; last lines:\n{lines}")));
    }
    system.stop().await
}

/// Waits until a condition holds.
///
/// # Errors
/// The condition does not hold within 30 s; `what` names it.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + DEADLINE;
    while !holds().await {
        if Instant::now() > deadline {
            bail!("still not after {DEADLINE:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Waits until the edges, an ingest and sync are ready.
///
/// # Errors
/// A node does not become ready within 30 s.
pub async fn every_node_is_ready(system: &System) -> Result<()> {
    let edges = (0..3).map(SystemNode::Edge);
    for node in edges.chain([SystemNode::Ingest(0), SystemNode::Sync]) {
        let ready = system.admin(node)?.join("/readyz")?;
        until("the node is ready", async || {
            let answer = reqwest::get(ready.clone()).await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
        .await?;
    }
    Ok(())
}

/// Waits until every reader has received everything owed to it, then balances the ledger.
///
/// # Errors
/// A reader misses an event, received one twice, or received events in the wrong order.
pub async fn settle(ledger: &DeliveryLedger, readers: &[&str]) -> Result<()> {
    let settled = until("every reader has every event", async || {
        ledger.is_settled(readers)
    })
    .await;
    ledger.balance()?;
    settled
}

/// All lines of all logs in a system's folder.
#[must_use]
pub fn log_lines(dir: &std::path::Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            lines.extend(log_lines(&path));
        } else if path
            .extension()
            .is_some_and(|kind| kind == "log" || kind == "err")
        {
            let text = std::fs::read(&path).unwrap_or_default();
            lines.extend(
                String::from_utf8_lossy(&text)
                    .lines()
                    .map(ToOwned::to_owned),
            );
        }
    }
    lines
}
