//! Redis answers and takes no changes for a moment, while calls and tasks begin and end.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{
    StatusCode, Url,
    header::{ACCEPT, HeaderValue},
};
use serde_json::{Value, json};
use testkit::{
    cluster::{ClusterPlan, System, SystemKind, SystemNode},
    mcp_client::{McpClient, McpError, ModernClient},
    sse::{self, SseStream},
};
use tests::{only, until};

use crate::{readiness::redis_does, sending::GithubSender};

const SOON: Duration = Duration::from_secs(20);
const NO_MEMORY: &str = "CONFIG SET maxmemory 1";
const MEMORY: &str = "CONFIG SET maxmemory 0";
const NO_REPLICAS: &str = "CONFIG SET min-replicas-to-write 1";
const REPLICAS: &str = "CONFIG SET min-replicas-to-write 0";

fn as_it_is(plan: ClusterPlan) -> ClusterPlan {
    plan
}

/// A call that waits for an event of an issue.
fn waiting_call() -> Value {
    let arguments = json!({ "filters": [{ "resourceType": "issue" }], "maxWaitSeconds": 55 });
    json!({ "name": "wait_for_events", "arguments": arguments })
}

/// The answer to a call of a session, as a stream.
async fn call(client: &McpClient, edge: &Url, id: usize) -> Result<SseStream> {
    let message = json!({
        "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": waiting_call(),
    });
    let request = reqwest::Client::new().post(edge.join("/mcp")?);
    let request = request.headers(client.headers()).json(&message);
    let both = HeaderValue::from_static("application/json, text/event-stream");
    let answer = request.header(ACCEPT, both).send().await?;
    Ok(SseStream::from_response(answer).await?)
}

fn with_tasks() -> ModernClient {
    let extension = "io.modelcontextprotocol/tasks";
    ModernClient::with_capabilities(json!({ "extensions": { extension: {} } }))
}

async fn start_task(client: &ModernClient, edge: &Url) -> Result<String, McpError> {
    let made = client.call(edge, "tools/call", waiting_call()).await?;
    Ok(made["taskId"].as_str().unwrap_or_default().to_owned())
}

/// The number of operations of this kind that the first edge's store has refused.
async fn refused(system: &System, port: &str, operation: &str) -> Result<u64> {
    let url = system.admin(SystemNode::Edge(0))?.join("/metrics")?;
    let text = reqwest::get(url).await?.text().await?;
    let labels = format!("{{port=\"{port}\",operation=\"{operation}\"");
    let errors = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("forgewire_store_errors_total")?;
        let (_, count) = rest.strip_prefix(&labels)?.rsplit_once(' ')?;
        count.parse::<u64>().ok()
    });
    Ok(errors.sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_that_redis_refuses_for_a_moment_reach_their_clients() -> Result<()> {
    only(SystemKind::Cluster, as_it_is, async |system| {
        let mut github = GithubSender::of(system, 151);
        let edges = system.edges().to_vec();
        let client = McpClient::connect(&edges[0]).await?;
        let modern = with_tasks();
        let refusals = [(NO_MEMORY, MEMORY), (NO_REPLICAS, REPLICAS)];
        for (id, (spoil, mend)) in refusals.into_iter().enumerate() {
            let mut stream = call(&client, &edges[0], id).await?;
            let position = stream.next_event(SOON).await?.id.context("an id")?;
            drop(stream);
            let task = start_task(&modern, &edges[0]).await?;

            let answers = refused(system, "mailbox", "append").await?;
            let outcomes = refused(system, "records", "replace").await?;
            redis_does(system, spoil).await?;
            let issue = github.fake.about_one_issue(1).remove(0);
            github.send(&issue).await?;
            until("both outcomes are refused", async || {
                let answer = refused(system, "mailbox", "append").await;
                let outcome = refused(system, "records", "replace").await;
                answer.is_ok_and(|count| count > answers)
                    && outcome.is_ok_and(|count| count > outcomes)
            })
            .await?;
            redis_does(system, mend).await?;

            let at = edges[1].join("/mcp")?;
            let mut resumed = sse::resume(&at, client.headers(), &position).await?;
            let answer = resumed.next_event(SOON).await?;
            let answer = answer.json().context("an answer")?;
            let events = &answer["result"]["structuredContent"]["events"];
            ensure!(
                answer["id"] == id && events[0]["id"] == issue.guid.as_str(),
                "{spoil}: {answer}"
            );
            until("the task is completed", async || {
                let params = json!({ "taskId": task });
                let state = modern.call(&edges[1], "tasks/get", params).await;
                state.is_ok_and(|state| state["status"] == "completed")
            })
            .await
            .context(spoil)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_without_room_is_told_on_every_surface() -> Result<()> {
    only(SystemKind::Cluster, as_it_is, async |system| {
        let edge = system.edges()[0].clone();
        let client = McpClient::connect(&edge).await?;
        let session = client.session_id().context("a session")?.to_owned();
        let modern = with_tasks();
        let task = start_task(&modern, &edge).await?;
        redis_does(system, NO_MEMORY).await?;

        let session_refused = McpClient::connect(&edge).await.err().context("no room")?;
        is_told(&session_refused.to_string())?;
        ensure!(session_refused.status() == Some(503), "{session_refused}");
        let cancelling = modern.call(&edge, "tasks/cancel", json!({ "taskId": task }));
        for refused in [
            start_task(&modern, &edge).await.err(),
            cancelling.await.err(),
        ] {
            let refused = refused.context("no room")?;
            is_told(&refused.to_string())?;
            ensure!(refused.status() == Some(200), "{refused}");
        }
        let subscribed = client.call_tool(&edge, "subscribe_to_events", json!({}));
        let subscribed = subscribed.await?;
        ensure!(subscribed["isError"] == true, "{subscribed}");
        is_told(&subscribed.to_string())?;
        let message = json!({ "jsonrpc": "2.0", "method": "notifications/test" });
        let sending = reqwest::Client::new().post(edge.join("/mcp/sse/send")?);
        let body = json!({ "sessionId": session, "message": message });
        let refused = sending.json(&body).send().await?;
        ensure!(refused.status() == StatusCode::SERVICE_UNAVAILABLE);
        ensure!(refused.headers().contains_key("retry-after"));
        is_told(&refused.text().await?)?;

        redis_does(system, MEMORY).await?;
        McpClient::connect(&edge)
            .await
            .context("there is room again")?;
        Ok(())
    })
    .await
}

fn is_told(text: &str) -> Result<()> {
    let is_told = text.contains("has no room") && text.contains("try again later");
    ensure!(is_told, "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_stream_redis_refuses_says_why_and_can_be_resumed_later() -> Result<()> {
    only(SystemKind::Cluster, as_it_is, async |system| {
        let edges = system.edges().to_vec();
        let client = McpClient::connect(&edges[0]).await?;
        // The stream begins after some seconds.
        let calling = call(&client, &edges[0], 7);
        let (stream, spoilt) = tokio::join!(calling, redis_does(system, NO_REPLICAS));
        spoilt?;
        let mut stream = stream?;
        until("the log says why", async || {
            let lines = system.cluster().last_lines();
            let line = "the stream of a call cannot be resumed now";
            let line = lines.lines().find(|text| text.contains(line));
            line.is_some_and(|line| line.contains("NOREPLICAS"))
        })
        .await?;
        redis_does(system, REPLICAS).await?;
        let position = stream.next_event(SOON).await?.id.context("an id")?;
        drop(stream);
        sse::resume(&edges[1].join("/mcp")?, client.headers(), &position).await?;
        Ok(())
    })
    .await
}
