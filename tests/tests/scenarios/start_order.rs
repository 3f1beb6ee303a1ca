//! Any role starts before what it needs: it waits, says for what, and is ready later.

use anyhow::Result;
use testkit::cluster::{System, SystemKind, SystemNode};
use tests::{EventReader, every_node_is_ready, only, settle, until};

use crate::{
    readiness::{ROLES, waiting_for},
    sending::GithubSender,
};

/// The servers, and every process that uses them, in an order that suits nobody.
const ROLES_FIRST: [&str; 6] = ["edge-1", "edge-2", "edge-3", "ingest-1", "ingest-2", "sync"];

async fn on_the_cluster(scenario: impl AsyncFn(&mut System) -> Result<()>) -> Result<()> {
    only(SystemKind::Cluster, |plan| plan, scenario).await
}

/// Waits until the process lives and is not ready.
async fn lives_and_waits(system: &System, node: SystemNode) -> Result<()> {
    let alive = system.admin(node)?.join("/livez")?;
    until("it lives and waits", async || {
        let lives = reqwest::get(alive.clone()).await;
        let waits = waiting_for(system, node).await;
        lives.is_ok_and(|answer| answer.status() == 200) && matches!(waits, Ok(Some(_)))
    })
    .await
}

/// The lines that a process wrote since it started last, if one contains the text.
fn says(system: &mut System, process: &str, text: &str) -> Result<bool> {
    let errors = system.cluster().process(process)?.errors()?;
    Ok(errors.contains(text))
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_start_before_the_servers_wait_and_say_so() -> Result<()> {
    on_the_cluster(async |system| {
        let mut github = GithubSender::of(system, 131);
        for process in ROLES_FIRST.iter().chain(&["nats", "redis"]) {
            system.cluster().kill(process)?;
        }
        for process in ROLES_FIRST {
            system.cluster().process(process)?.restart()?;
        }
        for node in ROLES {
            lives_and_waits(system, node).await?;
        }
        for process in ["edge-1", "ingest-1", "sync"] {
            until("it says that NATS does not answer", async || {
                let words = "no NATS server answers at nats.url yet";
                says(system, process, words).unwrap_or(false)
            })
            .await?;
        }
        system.cluster().restart("nats").await?;
        until("edges wait for Redis", async || {
            says(system, "edge-1", "Redis does not answer at redis.url yet").unwrap_or(false)
        })
        .await?;
        lives_and_waits(system, SystemNode::Edge(0)).await?;
        system.cluster().restart("redis").await?;
        every_node_is_ready(system).await?;
        let readers = EventReader::on_every_edge(system.edges(), &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        github.events(4).await?;
        settle(&github.ledger, &names).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_and_sync_that_start_before_the_first_ingest_wait_for_the_log() -> Result<()> {
    on_the_cluster(async |system| {
        let mut github = GithubSender::of(system, 132);
        for process in ROLES_FIRST.iter().chain(&["nats"]) {
            system.cluster().kill(process)?;
        }
        std::fs::remove_dir_all(system.cluster().data("nats").join("jetstream"))?;
        system.cluster().restart("nats").await?;
        for process in ["sync", "edge-1", "edge-2", "edge-3"] {
            system.cluster().process(process)?.restart()?;
        }
        for node in [SystemNode::Sync, SystemNode::Edge(0)] {
            lives_and_waits(system, node).await?;
        }
        for process in ["edge-1", "sync"] {
            until("it says what it waits for", async || {
                says(system, process, "there is no event log yet").unwrap_or(false)
            })
            .await?;
        }
        for process in ["ingest-1", "ingest-2"] {
            system.cluster().restart(process).await?;
        }
        every_node_is_ready(system).await?;
        let readers = EventReader::on_every_edge(system.edges(), &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        github.events(4).await?;
        settle(&github.ledger, &names).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_starts_before_sync_is_ready_and_reads_resources_later() -> Result<()> {
    on_the_cluster(async |system| {
        let mut github = GithubSender::of(system, 133);
        github.events(4).await?;
        system.cluster().kill("sync")?;
        system.cluster().restart("edge-1").await?;
        let edge = system.edges()[0].clone();
        let client = testkit::mcp_client::McpClient::connect(&edge).await?;
        client.read_resource(&edge, "github://events").await?;
        system.cluster().restart("sync").await?;
        crate::together::a_resource(&mut github, &client, &edge).await?;
        Ok(())
    })
    .await
}
