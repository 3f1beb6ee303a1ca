//! A disk without room: what needs room is refused, what is there can be read, and everything goes on when
//! there is room, without a restart.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::{
    cluster::{ClusterPlan, FaultOutcome, System, SystemKind, SystemNode, can_have_small_disks},
    mcp_client::McpClient,
};
use tests::{EventReader, ReaderKind, only, settle, until};

use crate::{
    readiness::{only_these_wait, waiting_for},
    sending::GithubSender,
};

/// Whether the test can run here; says so if not.
fn is_possible() -> bool {
    let possible = can_have_small_disks();
    if !possible {
        eprintln!("skipped: this machine lets no test mount a disk (unshare --mount)");
    }
    possible
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_process_without_room_refuses_what_needs_it_and_goes_on_with_room() -> Result<()>
{
    if !is_possible() {
        return Ok(());
    }
    let small = |plan: ClusterPlan| plan.with_small_disk("forgewire", "", 8);
    only(SystemKind::Embedded, small, async |system| {
        let mut github = GithubSender::of(system, 91);
        let edge = system.edges()[0].clone();
        let kind = ReaderKind::session(&edge).await?;
        let ReaderKind::Session(client) = &kind else {
            unreachable!("made as a session")
        };
        let client = client.clone();
        let edges = system.edges().to_vec();
        let reader = EventReader::start("r", kind, &edges, 0, None, &github.ledger).await?;
        github.events(3).await?;
        settle(&github.ledger, &["r"]).await?;
        let process = system.cluster().process("forgewire")?.id();

        system.cluster().fill_disk("forgewire")?;
        let deliveries = github.fake.about_one_issue(20);
        for delivery in &deliveries {
            let answer = github.try_once(&system.ingests()[0], delivery).await;
            ensure!(answer == Some(503), "{answer:?}");
        }
        let refused = McpClient::connect(&edge)
            .await
            .err()
            .context("a session needs room")?;
        ensure!(refused.status() == Some(503), "{refused}");
        let subscribing = client.call_tool(&edge, "subscribe_to_events", json!({}));
        ensure!(
            subscribing.await?["isError"] == true,
            "a subscription needs room"
        );
        let recent = reqwest::get(edge.join("/events/recent")?).await?;
        ensure!(recent.status() == 200, "what is there can be read");
        client
            .ping(&edge)
            .await
            .context("a session that is there works")?;
        only_these_wait(system, &crate::readiness::ROLES, "event log").await?;

        system.cluster().make_room("forgewire")?;
        is_ready(system, SystemNode::Edge(0)).await?;
        github.send_all(&deliveries).await?;
        settle(&github.ledger, &["r"]).await?;
        ensure!(reader.opens() == 1, "the stream stayed open");
        McpClient::connect(&edge).await?;
        client
            .call_tool(&edge, "subscribe_to_events", json!({}))
            .await?;
        ensure!(system.cluster().process("forgewire")?.id() == process);
        Ok(())
    })
    .await
}

/// A limit of the server (`max_file_store`): it refuses what is beyond, and answers everything else.
#[tokio::test(flavor = "multi_thread")]
async fn while_jetstream_has_no_room_ingest_says_so_and_clients_read_on() -> Result<()> {
    let small =
        |plan: ClusterPlan| plan.with_template_text("max_file_store: 4G", "max_file_store: 64K");
    only(SystemKind::Cluster, small, async |system| {
        let mut github = GithubSender::of(system, 92);
        let readers = EventReader::on_every_edge(system.edges(), &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        let mut waiting = Vec::new();
        while waiting.len() < 4 {
            let delivery = github.fake.about_one_issue(1).remove(0);
            match github.try_once(&system.ingests()[0], &delivery).await {
                Some(202) => github.send(&delivery).await?,
                Some(503) => waiting.push(delivery),
                other => anyhow::bail!("{other:?}"),
            }
        }
        until("ingest is not ready while it is tried", async || {
            let _ = github.try_once(&system.ingests()[0], &waiting[0]).await;
            matches!(
                waiting_for(system, SystemNode::Ingest(0)).await,
                Ok(Some(_))
            )
        })
        .await?;
        settle(&github.ledger, &names).await?;
        for node in [SystemNode::Edge(0), SystemNode::Sync] {
            let waits = waiting_for(system, node).await?;
            ensure!(waits.is_none(), "{node} only reads: {waits:?}");
        }
        let conf = system.cluster().data("nats").join("nats.conf");
        let roomy = std::fs::read_to_string(&conf)?.replace("64K", "4G");
        std::fs::write(conf, roomy)?;
        ensure!(system.restart(SystemNode::Nats).await? == FaultOutcome::Done);
        github.send_all(&waiting).await?;
        settle(&github.ledger, &names).await?;
        for node in crate::readiness::ROLES {
            is_ready(system, node).await?;
        }
        Ok(())
    })
    .await
}

/// A disk that is full under the server itself: NATS 2.9 stops answering.
#[tokio::test(flavor = "multi_thread")]
async fn a_nats_whose_disk_is_full_acknowledges_nothing_that_it_has_not() -> Result<()> {
    if !is_possible() {
        return Ok(());
    }
    let small = |plan: ClusterPlan| plan.with_small_disk("nats", "jetstream", 16);
    only(SystemKind::Cluster, small, async |system| {
        let mut github = GithubSender::of(system, 93);
        let readers = EventReader::on_every_edge(system.edges(), &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        github.events(3).await?;
        system.cluster().fill_disk("nats")?;
        let mut refused = 0;
        while refused < 2 {
            let delivery = github.fake.about_one_issue(1).remove(0);
            match github.try_once(&system.ingests()[0], &delivery).await {
                // The server had a little room left: what it takes, it keeps.
                Some(202) => github.send(&delivery).await?,
                Some(503) => refused += 1,
                other => anyhow::bail!("{other:?}"),
            }
        }
        until("ingest is not ready", async || {
            matches!(
                waiting_for(system, SystemNode::Ingest(0)).await,
                Ok(Some(_))
            )
        })
        .await?;
        settle(&github.ledger, &names).await?;
        // It does not end in order any more.
        ensure!(system.kill(SystemNode::Nats)? == FaultOutcome::Done);
        Ok(())
    })
    .await
}

async fn is_ready(system: &System, node: SystemNode) -> Result<()> {
    until("it is ready again", async || {
        matches!(waiting_for(system, node).await, Ok(None))
    })
    .await
}
