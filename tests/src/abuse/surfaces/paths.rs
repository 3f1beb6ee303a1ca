//! Paths that do not exist, those of OAuth, and preflights of foreign pages: for strangers only.

use anyhow::Result;
use testkit::raw_http::RawConnection;

use super::{AttackPlan, HOLD, wire};
use crate::abuse::{
    requests::{announce, get},
    worker::AttackWorker,
};

pub(super) const PLANS: &[AttackPlan] = &[
    AttackPlan::stranger("oauth", 8, |worker| Box::pin(oauth(worker))),
    AttackPlan::stranger("unknown-paths", 8, |worker| Box::pin(unknown(worker))),
    AttackPlan::stranger("foreign-pages", 4, |worker| Box::pin(foreign_pages(worker))),
    AttackPlan::stranger("withheld-bodies", 60, |worker| Box::pin(withheld(worker))),
    AttackPlan::stranger("garbage", 8, |worker| Box::pin(garbage(worker))),
    AttackPlan::stranger("pipelined", 4, |worker| Box::pin(pipelined(worker))),
    AttackPlan::stranger("odd-methods", 8, |worker| Box::pin(odd_methods(worker))),
    AttackPlan::stranger("connect-and-reset", 8, |worker| Box::pin(resets(worker))),
];

async fn oauth(worker: &mut AttackWorker) -> Result<()> {
    let paths = [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ];
    let path = paths[worker.step as usize % paths.len()];
    worker.ask(worker.edge(), &get(path, None, &[])).await?;
    Ok(())
}

async fn unknown(worker: &mut AttackWorker) -> Result<()> {
    let path = format!("/{}", "u/".repeat(1 + worker.step as usize % 5000));
    worker.ask(worker.edge(), &get(&path, None, &[])).await?;
    Ok(())
}

async fn foreign_pages(worker: &mut AttackWorker) -> Result<()> {
    let origin = format!("https://{}.example", worker.step);
    let request = get("/events/stream", None, &[("Origin", &origin)]);
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}

async fn withheld(worker: &mut AttackWorker) -> Result<()> {
    let length = 4 << 20;
    let mut request = announce("/register", None, &[], length);
    request.resize(request.len() + length - 1, b' ');
    worker.hold(worker.edge(), &request, HOLD).await
}

async fn garbage(worker: &mut AttackWorker) -> Result<()> {
    wire::garbage(worker, worker.edge()).await
}

async fn pipelined(worker: &mut AttackWorker) -> Result<()> {
    wire::pipelined(worker, worker.edge(), &get("/nowhere", None, &[])).await
}

async fn odd_methods(worker: &mut AttackWorker) -> Result<()> {
    let paths = ["/mcp", "/events/stream", "/nowhere", "/sse", "*"];
    wire::odd_methods(worker, worker.edge(), &paths).await
}

async fn resets(worker: &mut AttackWorker) -> Result<()> {
    RawConnection::open(worker.edge()).await?.reset()?;
    worker.count_call();
    Ok(())
}
