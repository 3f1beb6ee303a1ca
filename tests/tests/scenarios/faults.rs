//! `kill -9`, with a ledger: acknowledged = delivered, no gap, no id twice.

use std::sync::Arc;

use anyhow::{Result, ensure};
use testkit::cluster::{FaultOutcome, System, SystemKind, SystemNode};
use tests::{EventReader, ReaderKind, both, settle, until};

use crate::sending::GithubSender;

/// Kills a node during a stream of events, restarts it, and balances the ledger.
async fn survives(system: &mut System, node: SystemNode, seed: u64) -> Result<()> {
    let mut github = GithubSender::of(system, seed);
    let readers = EventReader::on_every_edge(system.edges(), &github.ledger).await?;
    github.events(20).await?;
    // The kill follows an acknowledged event immediately.
    if system.kill(node)? != FaultOutcome::Done {
        return Ok(());
    }
    let sending = tokio::spawn(async move {
        github.events(20).await?;
        anyhow::Ok(github)
    });
    ensure!(system.restart(node).await? == FaultOutcome::Done);
    let mut github = sending.await??;
    github.events(20).await?;
    let names: Vec<_> = readers.iter().map(EventReader::name).collect();
    settle(&github.ledger, &names).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_is_killed_and_its_clients_miss_nothing() -> Result<()> {
    both(async |system| survives(system, SystemNode::Edge(0), 11).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_is_killed_right_after_its_202_and_nothing_is_lost() -> Result<()> {
    both(async |system| survives(system, SystemNode::Ingest(0), 12).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_is_killed_and_nothing_acknowledged_is_lost() -> Result<()> {
    both(async |system| survives(system, SystemNode::Nats, 13).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_killed_and_sessions_and_streams_go_on() -> Result<()> {
    both(async |system| survives(system, SystemNode::Redis, 14).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_sessions_get_503_and_live_streams_stay() -> Result<()> {
    both(async |system| {
        if system.kind() == SystemKind::Embedded {
            return Ok(());
        }
        let mut github = GithubSender::of(system, 15);
        let edges = system.edges().to_vec();
        let ledger = Arc::clone(&github.ledger);
        let kind = ReaderKind::session(&edges[0]).await?;
        let ReaderKind::Session(client) = &kind else {
            unreachable!("made as a session")
        };
        let client = Arc::clone(client);
        let reader = EventReader::start("r", kind, &edges[..1], 0, None, &ledger).await?;
        github.events(1).await?;
        settle(&ledger, &["r"]).await?;
        ensure!(system.kill(SystemNode::Redis)? == FaultOutcome::Done);
        let refused = client
            .ping(&edges[1])
            .await
            .expect_err("no session store, no session");
        ensure!(refused.status() == Some(503), "{refused}");
        github.events(3).await?;
        settle(&ledger, &["r"]).await?;
        ensure!(reader.opens() == 1, "the live stream stayed open");
        ensure!(system.restart(SystemNode::Redis).await? == FaultOutcome::Done);
        until("the session works again", async || {
            client.ping(&edges[1]).await.is_ok()
        })
        .await
    })
    .await
}
