//! The subjects of NATS: a client who may publish and has no key of the roles.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::Rng;
use testkit::raw_http::RawConnection;

use super::AttackPlan;
use crate::abuse::worker::AttackWorker;

/// Messages between two answers of the server.
const BURST: usize = 100;
/// Time allowed for an answer.
const ANSWER: Duration = Duration::from_secs(10);

pub(super) const PLANS: &[AttackPlan] = &[
    AttackPlan::stranger("garbage", 2, |worker| Box::pin(garbage(worker))),
    AttackPlan::stranger("large-garbage", 1, |worker| Box::pin(large_garbage(worker))),
];

async fn garbage(worker: &mut AttackWorker) -> Result<()> {
    publish(worker, 64).await
}

async fn large_garbage(worker: &mut AttackWorker) -> Result<()> {
    publish(worker, 512 << 10).await
}

/// Publishes bursts on a connection of its own, in the text protocol of NATS.
async fn publish(worker: &mut AttackWorker, bytes: usize) -> Result<()> {
    let nats = worker.target.nats.context("no NATS")?;
    let mut connection = RawConnection::open(nats).await?;
    connection.send(b"CONNECT {\"verbose\":false}\r\n").await?;
    let mut payload = vec![0; bytes];
    for round in 0..100 {
        let session = format!("mcp.session.{:032x}", worker.rng.random::<u128>());
        worker.rng.fill(&mut payload[..]);
        for n in 0..BURST {
            let subject = match n % 2 {
                0 => "mcp.broadcast",
                _ => session.as_str(),
            };
            let head = format!("PUB {subject} {bytes}\r\n");
            connection.send(head.as_bytes()).await?;
            connection.send(&payload).await?;
            connection.send(b"\r\n").await?;
        }
        connection.send(b"PING\r\n").await?;
        answered(&mut connection)
            .await
            .with_context(|| format!("burst {round}"))?;
        for _ in 0..BURST {
            worker.count_call();
        }
    }
    Ok(())
}

async fn answered(connection: &mut RawConnection) -> Result<()> {
    let waiting = async {
        let mut text = Vec::new();
        while !text.windows(4).any(|four| four == b"PONG") {
            let some = connection.some().await?;
            ensure!(!some.is_empty(), "NATS has closed the connection");
            text.extend(some);
        }
        Ok(())
    };
    tokio::time::timeout(ANSWER, waiting)
        .await
        .context("no answer")?
}
