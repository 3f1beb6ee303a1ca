//! The store of sessions goes back to before the last changes: Redis after a failover to a replica that
//! lags, the embedded file after a restored snapshot. What is stored from then on reaches its client.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};
use testkit::{
    cluster::{FaultOutcome, System, SystemKind, SystemNode},
    mcp_client::McpClient,
    sse::{self, SseStream},
};
use tests::{both, until};

use crate::{messages::send, sending::GithubSender};

const SOON: Duration = Duration::from_secs(20);

/// The node whose data are the sessions.
fn store(system: &System) -> SystemNode {
    match system.kind() {
        SystemKind::Cluster => SystemNode::Redis,
        SystemKind::Embedded => SystemNode::Edge(0),
    }
}

fn save(system: &mut System) -> Result<()> {
    let node = store(system);
    ensure!(system.save(node)? == FaultOutcome::Done);
    Ok(())
}

/// Puts the store back, and returns when sessions can be used again.
async fn put_back(system: &mut System, client: &McpClient) -> Result<()> {
    let node = store(system);
    ensure!(system.put_back(node).await? == FaultOutcome::Done);
    for edge in system.edges() {
        until("the session can be used again", async || {
            client.ping(edge).await.is_ok()
        })
        .await?;
    }
    Ok(())
}

/// Reads messages until the `n`-th; returns the id to resume after.
async fn take_to(stream: &mut SseStream, n: u64) -> Result<String> {
    loop {
        let message = McpClient::next_message(stream, SOON).await?;
        if message.method() == "notifications/test" && message.params()["n"] == n {
            return message.id.context("messages have ids");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_stored_after_the_set_back_reaches_open_and_resumed_streams() -> Result<()> {
    both(async |system| {
        let edges = system.edges().to_vec();
        let http = reqwest::Client::new();
        let client = McpClient::connect(&edges[0]).await?;
        let session = client.session_id().context("a session")?.to_owned();
        let mut stream = client.open_stream(&edges[1], None).await?;
        send(&http, &edges[0], &session, 1).await?;
        take_to(&mut stream, 1).await?;
        save(system)?;
        for n in 2..6 {
            send(&http, &edges[0], &session, n).await?;
        }
        let last = take_to(&mut stream, 5).await?;
        put_back(system, &client).await?;
        if system.kind() == SystemKind::Embedded {
            stream = client.open_stream(&edges[1], Some(&last)).await?;
        }
        send(&http, &edges[2], &session, 6).await?;
        take_to(&mut stream, 6).await?;
        let mut resumed = client.open_stream(&edges[2], Some(&last)).await?;
        send(&http, &edges[0], &session, 7).await?;
        take_to(&mut resumed, 6).await?;
        take_to(&mut resumed, 7).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_made_after_the_set_back_reaches_the_open_stream() -> Result<()> {
    both(async |system| {
        let edges = system.edges().to_vec();
        let mut github = GithubSender::of(system, 71);
        let client = McpClient::connect(&edges[0]).await?;
        let mut stream = client.open_stream(&edges[1], None).await?;
        save(system)?;
        // Several changes: a store that only counts gives their revisions out again.
        for repo in ["none", "nothing"] {
            let filters = json!({ "filters": [{ "repo": repo }] });
            client
                .call_tool(&edges[0], "subscribe_to_events", filters)
                .await?;
        }
        put_back(system, &client).await?;
        if system.kind() == SystemKind::Embedded {
            stream = client.open_stream(&edges[1], None).await?;
        }
        client
            .call_tool(&edges[2], "subscribe_to_events", json!({}))
            .await?;
        github.events(1).await?;
        loop {
            let message = McpClient::next_message(&mut stream, SOON).await?;
            if message.params()["logger"] == "github.events" {
                return Ok(());
            }
        }
    })
    .await
}

/// Posts a message of HTTP+SSE.
async fn post(http: &reqwest::Client, endpoint: &Url, message: Value) -> Result<StatusCode> {
    Ok(http
        .post(endpoint.clone())
        .json(&message)
        .send()
        .await?
        .status())
}

/// Reads events of an HTTP+SSE stream until one that fits.
async fn read_to(stream: &mut SseStream, fits: impl Fn(&Value) -> bool) -> Result<()> {
    loop {
        let event = stream.next_event(SOON).await?;
        if event.json().is_some_and(|message| fits(&message)) {
            return Ok(());
        }
    }
}

/// On the embedded topology the stream ends with the process, and the session with it.
#[tokio::test(flavor = "multi_thread")]
async fn an_http_sse_session_is_answered_after_the_set_back_and_told_of_it() -> Result<()> {
    both(async |system| {
        if system.kind() == SystemKind::Embedded {
            return Ok(());
        }
        let edges = system.edges().to_vec();
        let http = reqwest::Client::new();
        let url = edges[1].join("/sse")?;
        let mut stream = sse::open(&url, reqwest::header::HeaderMap::new()).await?;
        let endpoint = stream.next_event(SOON).await?.data.context("an endpoint")?;
        let endpoint = edges[0].join(&endpoint)?;
        let ping = |id: u64| json!({ "jsonrpc": "2.0", "id": id, "method": "ping" });
        let answered = |id: u64| move |message: &Value| message["id"] == id;
        let pings = async |stream: &mut SseStream, ids: std::ops::Range<u64>| {
            for id in ids {
                ensure!(post(&http, &endpoint, ping(id)).await? == StatusCode::ACCEPTED);
                read_to(stream, answered(id)).await?;
            }
            Ok(())
        };
        pings(&mut stream, 1..3).await?;
        save(system)?;
        pings(&mut stream, 3..6).await?;
        ensure!(system.put_back(SystemNode::Redis).await? == FaultOutcome::Done);
        // The stream finds that it is ahead of the store, even though nothing new is stored.
        read_to(&mut stream, |message| {
            message["params"]["data"]["type"] == "gap"
        })
        .await?;
        until("posts are accepted again", async || {
            let status = post(&http, &endpoint, ping(6)).await;
            status.is_ok_and(|status| status == StatusCode::ACCEPTED)
        })
        .await?;
        read_to(&mut stream, answered(6)).await?;
        pings(&mut stream, 7..9).await?;
        let metrics = system.admin(SystemNode::Edge(1))?.join("/metrics")?;
        let metrics = http.get(metrics).send().await?.text().await?;
        let counted = "forgewire_edge_gaps_total{reason=\"store_went_back\"} 1";
        ensure!(metrics.contains(counted), "{metrics}");
        Ok(())
    })
    .await
}
