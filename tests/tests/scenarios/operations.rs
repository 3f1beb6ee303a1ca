//! Health, metrics, drain.

use std::sync::Arc;

use anyhow::{Result, ensure};
use testkit::cluster::{FaultOutcome, SystemKind, SystemNode};
use tests::{EventReader, ReaderKind, both, both_and_kept_sockets, settle, until};

use crate::sending::GithubSender;

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_edge_sends_its_clients_on_and_they_miss_nothing() -> Result<()> {
    both_and_kept_sockets(async |system| {
        let edges = system.edges().to_vec();
        let mut github = GithubSender::of(system, 31);
        let ledger = Arc::clone(&github.ledger);
        let session = ReaderKind::session(&edges[0]).await?;
        let events = EventReader::start("e", ReaderKind::Events, &edges, 0, None, &ledger).await?;
        let session = EventReader::start("s", session, &edges, 0, None, &ledger).await?;
        github.events(5).await?;
        // `terminate` fails unless the process ends in order within ten seconds.
        ensure!(system.terminate(SystemNode::Edge(0)).await? == FaultOutcome::Done);
        if system.kind() == SystemKind::Embedded {
            ensure!(system.restart(SystemNode::Edge(0)).await? == FaultOutcome::Done);
        }
        github.events(5).await?;
        settle(&ledger, &["e", "s"]).await?;
        ensure!(
            events.opens() > 1 && session.opens() > 1,
            "both readers switched to another edge"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_tell_what_happens() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 32);
        let ledger = Arc::clone(&github.ledger);
        let edges = system.edges();
        let reader = EventReader::start("r", ReaderKind::Events, edges, 0, None, &ledger).await?;
        github.events(4).await?;
        settle(&ledger, &[reader.name()]).await?;
        for node in [SystemNode::Ingest(0), SystemNode::Sync, SystemNode::Edge(0)] {
            let admin = system.admin(node)?;
            for path in ["/livez", "/readyz", "/health"] {
                let answer = reqwest::get(admin.join(path)?).await?;
                ensure!(answer.status() == 200, "{node} {path}: {}", answer.status());
            }
        }
        let metrics = async |node| -> Result<String> {
            Ok(reqwest::get(system.admin(node)?.join("/metrics")?)
                .await?
                .text()
                .await?)
        };
        let edge = metrics(SystemNode::Edge(0)).await?;
        for line in [
            "forgewire_edge_open_streams{kind=\"events\"} 1",
            "forgewire_edge_delivered_events_total{kind=\"events\"} 4",
            "forgewire_edge_delivery_latency_seconds_count",
        ] {
            ensure!(edge.contains(line), "{line} is missing in:\n{edge}");
        }
        let ingest =
            metrics(SystemNode::Ingest(0)).await? + &metrics(SystemNode::Ingest(1)).await?;
        ensure!(
            ingest.contains("forgewire_ingest_deliveries_total"),
            "{ingest}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_without_its_bus_is_not_ready_and_comes_back() -> Result<()> {
    both(async |system| {
        if system.kind() == SystemKind::Embedded {
            return Ok(());
        }
        let ready = async |system: &testkit::cluster::System| -> Result<bool> {
            let url = system.admin(SystemNode::Edge(0))?.join("/readyz")?;
            Ok(reqwest::get(url).await?.status() == 200)
        };
        ensure!(system.kill(SystemNode::Nats)? == FaultOutcome::Done);
        until("the edge says that it is not ready", async || {
            matches!(ready(system).await, Ok(false))
        })
        .await?;
        ensure!(system.restart(SystemNode::Nats).await? == FaultOutcome::Done);
        until("the edge is ready again", async || {
            matches!(ready(system).await, Ok(true))
        })
        .await
    })
    .await
}
