//! The gRPC listener of sync: for strangers only, since clients with a key are roles.

use std::time::Duration;

use anyhow::Result;
use github_sync::client;
use model::ResourceUri;
use role_keys::RoleTrust;
use testkit::raw_http::RawConnection;

use super::{
    AttackPlan, HOLD,
    http2::{PREFACE, calls_without_window, endless_head, pings_and_settings, rapid_resets},
};
use crate::abuse::worker::AttackWorker;

/// Bursts of frames on one connection.
const ROUNDS: u32 = 1000;
/// Time allowed for a call.
const CALL: Duration = Duration::from_secs(2);

pub(super) const PLANS: &[AttackPlan] = &[
    AttackPlan::stranger("no-key", 4, |worker| Box::pin(no_key(worker))),
    AttackPlan::stranger("garbage", 4, |worker| Box::pin(garbage(worker))),
    AttackPlan::stranger("idle-connections", 200, |worker| Box::pin(idle(worker))),
    AttackPlan::stranger("rapid-resets", 4, |worker| Box::pin(resets(worker))),
    AttackPlan::stranger("endless-heads", 4, |worker| Box::pin(endless_heads(worker))),
    AttackPlan::stranger("pings", 4, |worker| Box::pin(pings(worker))),
    AttackPlan::stranger("no-window", 8, |worker| Box::pin(no_window(worker))),
];

async fn no_key(worker: &mut AttackWorker) -> Result<()> {
    let endpoint = format!("http://{}", worker.target.sync);
    let reader = client::connect(&endpoint, CALL, RoleTrust::none())?;
    let uri = ResourceUri::parse("github://issues/mallory/flood/1")?;
    for _ in 0..100 {
        match reader.get_resource(&uri, None, None).await {
            Ok(_) => worker.count_believed(),
            Err(_) => worker.count_call(),
        }
    }
    Ok(())
}

async fn garbage(worker: &mut AttackWorker) -> Result<()> {
    let mut bytes = PREFACE.to_vec();
    bytes.resize(bytes.len() + 64 * 1024, worker.step as u8);
    worker.hold(worker.target.sync, &bytes, HOLD).await
}

async fn idle(worker: &mut AttackWorker) -> Result<()> {
    worker.hold(worker.target.sync, PREFACE, HOLD).await
}

/// Sends frames on a connection until the server has enough of them.
async fn frames(worker: &mut AttackWorker, mut next: impl FnMut(u32) -> Vec<u8>) -> Result<()> {
    let mut connection = RawConnection::open(worker.target.sync).await?;
    connection.send(PREFACE).await?;
    for round in 0..ROUNDS {
        worker.count_call();
        if connection.send(&next(round)).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn resets(worker: &mut AttackWorker) -> Result<()> {
    const AT_ONCE: u32 = 100;
    frames(worker, |round| {
        rapid_resets(1 + 2 * AT_ONCE * round, AT_ONCE)
    })
    .await
}

async fn endless_heads(worker: &mut AttackWorker) -> Result<()> {
    frames(worker, |_| endless_head(16)).await
}

async fn pings(worker: &mut AttackWorker) -> Result<()> {
    frames(worker, |_| pings_and_settings(500)).await
}

async fn no_window(worker: &mut AttackWorker) -> Result<()> {
    let bytes = [PREFACE, &calls_without_window(200)].concat();
    let mut connection = RawConnection::open(worker.target.sync).await?;
    connection.send(&bytes).await?;
    let held = worker.holding();
    if tokio::time::timeout(HOLD, connection.drain()).await.is_ok() {
        held.release();
        worker.count_call();
    }
    Ok(())
}
