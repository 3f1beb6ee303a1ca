//! What retention removed is told on every surface that names a range.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::{Clock, SystemClock};
use reqwest::{Url, header::HeaderMap};
use serde_json::{Value, json};
use testkit::{cluster::SystemNode, mcp_client::McpClient, sse};
use tests::{both, every_node_is_ready, remove_all_events, remove_events_before, until};

use crate::sending::GithubSender;

const LONG_AGO: &str = "2020-01-01T00:00:00Z";
const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_retention_cut_says_so_on_every_edge() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 71);
        github.events(3).await?;
        for edge in system.edges() {
            ensure!(!replay(edge, LONG_AGO).await?, "nothing was removed yet");
            ensure!(!stream(edge, LONG_AGO).await?, "nothing was removed yet");
        }
        // Times are kept to the millisecond, and the next events are received after this one.
        let sent = SystemClock.now();
        until("the clock moves", async || SystemClock.now() > sent).await?;
        let cut = SystemClock.now();
        github.events(3).await?;
        let first_left = remove_events_before(system, cut).await?.to_string();
        for edge in system.edges() {
            let kept = |truncated: bool| !truncated;
            ensure!(replay(edge, LONG_AGO).await?);
            ensure!(kept(replay(edge, &first_left).await?));
            ensure!(tool(edge, LONG_AGO).await?);
            ensure!(kept(tool(edge, &first_left).await?));
            ensure!(stream(edge, LONG_AGO).await?);
            ensure!(kept(stream(edge, &first_left).await?));
            ensure!(stream(edge, "no-id-of-ours").await?);
            ensure!(list(edge, "/events/recent").await?);
            ensure!(kept(list(edge, "/events/recent?limit=3").await?));
        }
        Ok(())
    })
    .await
}

/// Nothing is left to compare with, and the processes are new.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_retention_emptied_says_so_on_every_edge_and_after_a_restart() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 72);
        github.events(3).await?;
        let cursor = async |edge: &Url| -> Result<String> {
            let recent: Value = reqwest::get(edge.join("/events/recent?limit=1")?)
                .await?
                .json()
                .await?;
            let cursor = recent["nextCursor"].as_str();
            Ok(cursor.context("a cursor")?.to_owned())
        };
        let middle = cursor(&system.edges()[0]).await?;
        github.events(2).await?;
        let end = cursor(&system.edges()[0]).await?;
        remove_all_events(system).await?;
        for round in ["as it is", "after a restart"] {
            for edge in system.edges() {
                let gone = async |name, arguments| tool_says(edge, name, arguments).await;
                ensure!(replay(edge, LONG_AGO).await?, "{round}");
                ensure!(list(edge, "/events/recent").await?, "{round}");
                ensure!(
                    gone("replay_events", json!({ "from": LONG_AGO })).await?,
                    "{round}"
                );
                ensure!(
                    gone("replay_events", json!({ "cursor": middle })).await?,
                    "{round}"
                );
                ensure!(
                    !gone("replay_events", json!({ "cursor": end })).await?,
                    "{round}"
                );
                let wait = json!({ "cursor": middle, "maxWaitSeconds": 50 });
                ensure!(gone("wait_for_events", wait).await?, "{round}");
                ensure!(stream(edge, LONG_AGO).await?, "{round}");
            }
            if round == "as it is" {
                for edge in 0..3 {
                    let _ = system.terminate(SystemNode::Edge(edge)).await?;
                    let _ = system.restart(SystemNode::Edge(edge)).await?;
                }
                every_node_is_ready(system).await?;
            }
        }
        // New processes have nothing in memory: a stream from what is gone is told too.
        for edge in system.edges() {
            ensure!(stream(edge, &middle).await?);
        }
        Ok(())
    })
    .await
}

async fn list(edge: &Url, path: &str) -> Result<bool> {
    let list: Value = reqwest::get(edge.join(path)?).await?.json().await?;
    list["truncated"]
        .as_bool()
        .with_context(|| list.to_string())
}

async fn replay(edge: &Url, from: &str) -> Result<bool> {
    list(edge, &format!("/events/replay/{from}")).await
}

async fn tool(edge: &Url, from: &str) -> Result<bool> {
    tool_says(edge, "replay_events", json!({ "from": from })).await
}

async fn tool_says(edge: &Url, name: &str, arguments: Value) -> Result<bool> {
    let client = McpClient::connect(edge).await?;
    let result = client.call_tool(edge, name, arguments).await?;
    let truncated = result["structuredContent"]["truncated"].as_bool();
    truncated.with_context(|| result.to_string())
}

/// Whether the stream after this id begins with the notice. It opens at the log's position: the first
/// frame after the head is an event otherwise, or none.
async fn stream(edge: &Url, last_id: &str) -> Result<bool> {
    let url = edge.join("/events/stream")?;
    let mut stream = sse::resume(&url, HeaderMap::new(), last_id).await?;
    let head = stream.next_event(SOON).await?;
    ensure!(head.event.as_deref() == Some("connected"), "{head:?}");
    let next = stream.next_event(SOON).await?;
    Ok(next.event.as_deref() == Some("truncated"))
}
