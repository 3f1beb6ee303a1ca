//! Several processes end at the same time, and sync while it is read.

use anyhow::{Context, Result, bail, ensure};
use reqwest::Url;
use serde_json::Value;
use testkit::{
    cluster::{FaultOutcome, SystemKind, SystemNode},
    mcp_client::McpClient,
};
use tests::{EventReader, both, every_node_is_ready, only, settle, until};

use crate::sending::GithubSender;

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_die_together_cost_no_acknowledged_event() -> Result<()> {
    only(
        SystemKind::Cluster,
        |plan| plan,
        async |system| {
            let mut github = GithubSender::of(system, 121);
            let readers = EventReader::on_every_edge(system.edges(), &github.ledger).await?;
            let names: Vec<_> = readers.iter().map(EventReader::name).collect();
            for pair in [
                [SystemNode::Nats, SystemNode::Redis],
                [SystemNode::Ingest(0), SystemNode::Edge(0)],
                [SystemNode::Nats, SystemNode::Ingest(1)],
                [SystemNode::Redis, SystemNode::Edge(1)],
                [SystemNode::Sync, SystemNode::Edge(2)],
            ] {
                github.events(6).await?;
                for node in pair {
                    ensure!(system.kill(node)? == FaultOutcome::Done);
                }
                for node in pair {
                    ensure!(system.restart(node).await? == FaultOutcome::Done);
                }
                github.events(6).await?;
                settle(&github.ledger, &names).await?;
            }
            every_node_is_ready(system).await
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_sync_starts_again_resources_are_read_or_refused_and_never_wrong() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 122);
        github.events(6).await?;
        let edge = system.edges()[0].clone();
        let client = McpClient::connect(&edge).await?;
        let uri = a_resource(&mut github, &client, &edge).await?;
        let before = state(&client, &edge, &uri).await?;
        // While it is away a read may be refused; what is answered is right.
        let reading = async {
            loop {
                match state(&client, &edge, &uri).await {
                    Ok(read) if read != before => return read,
                    _ => tokio::task::yield_now().await,
                }
            }
        };
        let restarting = async {
            ensure!(system.kill(SystemNode::Sync)? == FaultOutcome::Done);
            ensure!(system.restart(SystemNode::Sync).await? == FaultOutcome::Done);
            until("the resource can be read again", async || {
                state(&client, &edge, &uri).await.is_ok()
            })
            .await
        };
        tokio::select! {
            wrong = reading => bail!("{wrong} is not {before}"),
            restarted = restarting => restarted,
        }
    })
    .await
}

/// Sends a delivery about an issue; returns the URI of the issue once sync knows it.
pub(crate) async fn a_resource(
    github: &mut GithubSender,
    client: &McpClient,
    edge: &Url,
) -> Result<String> {
    let delivery = github.fake.about_one_issue(1).remove(0);
    let event = delivery.expected.as_ref().context("an event")?;
    let (repo, number) = (event.repo.as_deref(), event.number);
    let (repo, number) = (repo.context("a repository")?, number.context("a number")?);
    let uri = format!("github://issues/{}/{repo}/{number}", event.owner);
    github.send(&delivery).await?;
    until("sync knows the issue", async || {
        client.read_resource(edge, &uri).await.is_ok()
    })
    .await?;
    Ok(uri)
}

async fn state(client: &McpClient, edge: &Url, uri: &str) -> Result<Value> {
    let read = client.read_resource(edge, uri).await?;
    let text = read.first().and_then(|part| part["text"].as_str());
    let state: Value = serde_json::from_str(text.context("a text")?)?;
    Ok(state)
}
