//! The worst filters that a client may have, and URIs in several spellings, over several edges.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use serde_json::{Value, json};
use testkit::mcp_client::McpClient;
use tests::{EventReader, ReaderKind, both, settle};

use crate::sending::GithubSender;

const SOON: Duration = Duration::from_secs(10);
/// Far more subscriptions than a session may have.
const MANY: usize = 1000;

/// Two filters with 32 tags each, which no other subscription has.
fn filters(number: usize) -> Value {
    let tags = |n: usize| {
        let common = (1..32).map(|tag| format!("t{tag}"));
        common.chain([format!("{number} {n}")]).collect::<Vec<_>>()
    };
    json!({ "filters": [{ "tags": tags(1) }, { "tags": tags(2) }] })
}

/// A session with all the subscriptions that it may have, made on all edges in turn.
async fn worst_session(edges: &[Url], first: usize) -> Result<McpClient> {
    let client = McpClient::connect(&edges[0]).await?;
    for number in 0..MANY {
        let edge = &edges[number % edges.len()];
        let asked = filters(first + number);
        let result = client.call_tool(edge, "subscribe_to_events", asked).await?;
        if result["isError"] == true {
            let text = result["content"][0]["text"].as_str().context("a reason")?;
            ensure!(text.contains("end a subscription first"), "{text}");
            return Ok(client);
        }
    }
    anyhow::bail!("a session takes {MANY} subscriptions")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worst_filters_of_a_client_delay_nobody() -> Result<()> {
    both(async |system| {
        let edges = system.edges();
        let mut streams = Vec::new();
        for n in 0..4 {
            let client = worst_session(edges, n * MANY).await?;
            streams.push(client.open_stream(&edges[n % edges.len()], None).await?);
        }
        let mut github = GithubSender::of(system, 61);
        let ledger = Arc::clone(&github.ledger);
        let reader =
            EventReader::start("r", ReaderKind::Events, &edges[..1], 0, None, &ledger).await?;
        github.events(100).await?;
        settle(&ledger, &["r"]).await?;
        ensure!(reader.opens() == 1, "its stream stayed open");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_uri_is_one_resource_on_every_edge_however_it_is_spelt() -> Result<()> {
    both(async |system| {
        let edges = system.edges();
        let client = McpClient::connect(&edges[0]).await?;
        let spelt = "GITHUB://%45vents/";
        client.subscribe(&edges[1], "github://events").await?;
        client.subscribe(&edges[2], spelt).await?;
        let mut stream = client.open_stream(&edges[0], None).await?;
        let mut github = GithubSender::of(system, 62);
        github.events(1).await?;
        let told = McpClient::next_message(&mut stream, SOON).await?;
        ensure!(told.params()["uri"] == spelt, "{told:?}");
        client.unsubscribe(&edges[1], "github://events/").await?;
        // The session's next stream shows the rest of its subscriptions.
        client
            .call_tool(&edges[2], "subscribe_to_events", json!({}))
            .await?;
        let mut stream = client.open_stream(&edges[1], None).await?;
        github.events(1).await?;
        let told = McpClient::next_message(&mut stream, SOON).await?;
        ensure!(told.method() == "notifications/message", "{told:?}");
        Ok(())
    })
    .await
}
