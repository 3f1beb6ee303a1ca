//! The admin listeners: strangers who reach them. Probes and metrics have to be answered meanwhile, which the
//! run itself checks.

use std::net::SocketAddr;

use anyhow::Result;

use super::{AttackPlan, HOLD, wire};
use crate::abuse::{requests::get, worker::AttackWorker};

pub(super) const PLANS: &[AttackPlan] = &[
    AttackPlan::stranger("metrics", 8, |worker| Box::pin(metrics(worker))),
    AttackPlan::stranger("idle-connections", 300, |worker| Box::pin(idle(worker))),
    AttackPlan::stranger("half-heads", 100, |worker| Box::pin(half_heads(worker))),
    AttackPlan::stranger("garbage", 4, |worker| Box::pin(garbage(worker))),
    AttackPlan::stranger("pipelined", 2, |worker| Box::pin(pipelined(worker))),
];

impl AttackWorker {
    /// The admin listener that it attacks.
    fn admin(&self) -> SocketAddr {
        self.target.admins[self.number % self.target.admins.len()]
    }
}

async fn metrics(worker: &mut AttackWorker) -> Result<()> {
    let path = ["/metrics", "/health", "/readyz"][worker.step as usize % 3];
    worker.ask(worker.admin(), &get(path, None, &[])).await?;
    Ok(())
}

async fn idle(worker: &mut AttackWorker) -> Result<()> {
    worker.hold(worker.admin(), b"", HOLD).await
}

async fn half_heads(worker: &mut AttackWorker) -> Result<()> {
    let head = b"GET /metrics HTTP/1.1\r\nHost: loc";
    worker.hold(worker.admin(), head, HOLD).await
}

async fn garbage(worker: &mut AttackWorker) -> Result<()> {
    wire::garbage(worker, worker.admin()).await
}

async fn pipelined(worker: &mut AttackWorker) -> Result<()> {
    wire::pipelined(worker, worker.admin(), &get("/metrics", None, &[])).await
}
