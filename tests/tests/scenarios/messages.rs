//! Messages, calls and tasks, addressed to one session or one principal, over real stores.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use serde_json::{Value, json};
use testkit::{
    cluster::{FaultOutcome, SystemKind, SystemNode},
    mcp_client::{McpClient, ModernClient},
    sse::{self, SseStream},
};
use tests::{both, both_and_kept_sockets, until};
use tokio::task::JoinSet;

use crate::sending::GithubSender;

const SOON: Duration = Duration::from_secs(10);

/// Sends the `n`-th message to the session, through this edge.
pub(crate) async fn send(http: &reqwest::Client, edge: &Url, session: &str, n: u64) -> Result<()> {
    let message = json!({ "jsonrpc": "2.0", "method": "notifications/test", "params": { "n": n } });
    let body = json!({ "sessionId": session, "message": message, "wait": false });
    let request = http.post(edge.join("/mcp/sse/send")?).json(&body);
    let answer = request.send().await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    Ok(())
}

/// The next `count` messages, and the id to resume after.
async fn take(stream: &mut SseStream, count: usize) -> Result<(Vec<u64>, String)> {
    let (mut numbers, mut last) = (Vec::new(), None);
    while numbers.len() < count {
        let message = McpClient::next_message(stream, SOON).await?;
        if message.method() == "notifications/test" {
            numbers.push(message.params()["n"].as_u64().context("a number")?);
        }
        last = message.id.or(last);
    }
    Ok((numbers, last.context("messages have ids")?))
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_from_every_edge_come_once_also_those_of_the_time_away() -> Result<()> {
    both_and_kept_sockets(async |system| {
        let edges = system.edges().to_vec();
        let http = reqwest::Client::new();
        let client = McpClient::connect(&edges[0]).await?;
        let session = client.session_id().context("a session")?.to_owned();
        let mut stream = client.open_stream(&edges[1], None).await?;
        let mut sending = JoinSet::new();
        for n in 0..50_u64 {
            let edge = edges[usize::try_from(n)? % edges.len()].clone();
            let (http, session) = (http.clone(), session.clone());
            sending.spawn(async move { send(&http, &edge, &session, n).await });
        }
        while let Some(sent) = sending.join_next().await {
            sent??;
        }
        let (numbers, last) = take(&mut stream, 50).await?;
        ensure!(
            numbers.iter().collect::<BTreeSet<_>>().len() == 50,
            "{numbers:?}"
        );
        drop(stream);
        // The messages are sent sequentially over alternating edges: the order of sending is the
        // order of the messages.
        for n in 100..200_u64 {
            let edge = &edges[usize::try_from(n)? % edges.len()];
            send(&http, edge, &session, n).await?;
        }
        let mut resumed = client.open_stream(&edges[2], Some(&last)).await?;
        let (numbers, _) = take(&mut resumed, 100).await?;
        ensure!(numbers == (100..200).collect::<Vec<_>>(), "{numbers:?}");
        Ok(())
    })
    .await
}

/// Calls a tool that waits; gives the stream of the answer with its first id.
async fn waiting(client: &McpClient, edge: &Url) -> Result<(SseStream, String)> {
    let arguments = json!({ "filters": [{ "owner": "nobody" }], "maxWaitSeconds": 50 });
    let message = json!({
        "jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": { "name": "wait_for_events", "arguments": arguments },
    });
    let request = reqwest::Client::new().post(edge.join("/mcp")?);
    let request = request.headers(client.headers()).json(&message);
    let request = request.header("accept", "application/json, text/event-stream");
    let mut stream = SseStream::from_response(request.send().await?).await?;
    let first = stream.next_event(SOON).await?;
    Ok((stream, first.id.context("the priming event has an id")?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_cancelled_by_other_edges_and_one_whose_edge_died_is_made_again() -> Result<()> {
    both(async |system| {
        let edges = system.edges().to_vec();
        let client = McpClient::connect(&edges[0]).await?;
        let (mut stream, _) = waiting(&client, &edges[0]).await?;
        let cancelled = json!({ "requestId": 7 });
        client
            .notify(&edges[1], "notifications/cancelled", cancelled)
            .await?;
        while stream.next(SOON).await?.is_some() {}
        if system.kind() == SystemKind::Embedded {
            return Ok(());
        }
        let (stream, id) = waiting(&client, &edges[0]).await?;
        ensure!(system.kill(SystemNode::Edge(0))? == FaultOutcome::Done);
        drop(stream);
        let mut resumed = sse::resume(&edges[2].join("/mcp")?, client.headers(), &id).await?;
        // After the lease and a period of silence, another edge goes on with the call, whose time is over then.
        let answer = loop {
            let frame = resumed.next_event(SOON * 9).await?;
            if let Some(message) = frame.json() {
                break message;
            }
        };
        ensure!(
            answer["id"] == 7 && answer["result"]["structuredContent"]["cursor"].is_string(),
            "{answer}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_known_to_every_edge_and_ends_with_the_event_that_it_waited_for() -> Result<()> {
    both(async |system| {
        let edges = system.edges().to_vec();
        let extension = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
        let client = ModernClient::with_capabilities(extension);
        let params = json!({ "name": "wait_for_events", "arguments": {} });
        let made = client.call(&edges[0], "tools/call", params).await?;
        let task = made["taskId"].as_str().context("a task")?.to_owned();
        let filter = json!({ "taskIds": [task] });
        let mut stream = client.listen(&edges[1], filter).await?;
        let get = async || -> Result<Value> {
            let params = json!({ "taskId": task });
            Ok(client.call(&edges[2], "tasks/get", params).await?)
        };
        ensure!(get().await?["status"] == "working");
        GithubSender::of(system, 77).events(1).await?;
        until("the task ends", async || {
            get().await.is_ok_and(|task| task["status"] == "completed")
        })
        .await?;
        let events = get().await?["result"]["structuredContent"]["events"].clone();
        ensure!(
            events.as_array().is_some_and(|events| events.len() == 1),
            "{events}"
        );
        loop {
            let told = stream.next(SOON).await?;
            if told.params()["status"] == "completed" {
                return Ok(());
            }
        }
    })
    .await
}
