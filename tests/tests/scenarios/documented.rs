//! A client of an earlier system, written from that system's documents alone, on both topologies; and a long backlog,
//! read page by page.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::{Clock, SystemClock};
use reqwest::{Url, header::HeaderMap};
use serde_json::{Value, json};
use testkit::{cluster::SystemNode, fake_github::StoryStep, mcp_client::McpClient, sse};
use tests::{both, every_node_is_ready, until};

use crate::sending::GithubSender;

const SOON: Duration = Duration::from_secs(10);
/// The revision that those clients negotiate.
const REVISION: &str = "2025-06-18";
/// The documented types, each with a step that makes an event of it. GitHub reports no sprints.
const KINDS: [(&str, StoryStep); 3] = [
    ("PROJECT", StoryStep::ProjectCreated),
    ("MILESTONE", StoryStep::MilestoneCreated),
    ("ISSUE", StoryStep::IssueOpened),
];
const BACKLOG: usize = 2000;

async fn get(edge: &Url, path: &str) -> Result<Value> {
    let answer = reqwest::get(edge.join(path)?).await?;
    let status = answer.status();
    let body: Value = answer.json().await?;
    ensure!(status.is_success(), "{path}: {status} {body}");
    Ok(body)
}

async fn call(client: &McpClient, edge: &Url, tool: &str, arguments: Value) -> Result<Value> {
    let result = client.call_tool(edge, tool, arguments.clone()).await?;
    let data = &result["structuredContent"];
    ensure!(data["success"] == true, "{tool} {arguments}: {result}");
    Ok(data.clone())
}

fn ids(answer: &Value) -> Result<Vec<String>> {
    let events = answer["events"].as_array();
    let events = events.with_context(|| answer.to_string())?;
    let ids = events.iter().map(|event| {
        let id = event["id"].as_str();
        id.map(str::to_owned).context("an event has an id")
    });
    ids.collect()
}

/// What the documents say of `/events/stream`: `connected`, then `event` frames with the event's data.
async fn next_event(stream: &mut sse::SseStream) -> Result<Value> {
    let frame = stream.next_event(SOON).await?;
    ensure!(frame.event.as_deref() == Some("event"), "{frame:?}");
    frame.json().with_context(|| format!("{frame:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_knows_the_documents_alone_gets_what_they_promise() -> Result<()> {
    both(async |system| {
        let edges = system.edges().to_vec();
        let client = McpClient::initialize(&edges[0], REVISION).await?;
        let before = SystemClock.now().to_string();
        let subscribed = call(
            &client,
            &edges[1],
            "subscribe_to_events",
            json!({
                "clientId": "planner", "transport": "sse",
                "filters": [{ "resourceType": "PROJECT" }, { "resourceType": "SPRINT" }],
            }),
        )
        .await?;
        ensure!(subscribed["subscriptionId"].is_string(), "{subscribed}");
        let stream = edges[2].join("/events/stream?clientId=planner")?;
        let mut stream = sse::open(&stream, HeaderMap::new()).await?;
        let connected = stream.next_event(SOON).await?;
        ensure!(connected.event.as_deref() == Some("connected"), "{connected:?}");
        let head = connected.json().context("the first frame is JSON")?;
        ensure!(head["clientId"] == "planner", "{connected:?}");
        // What the client subscribed to, and beside it everything.
        let mut planner = stream;
        let mut stream = sse::open(&edges[1].join("/events/stream")?, HeaderMap::new()).await?;
        stream.next_event(SOON).await?;

        let mut github = GithubSender::of(system, 141);
        let mut events = Vec::new();
        for (_, step) in KINDS.iter().chain([&("", StoryStep::PullOpened)]) {
            let delivery = github.fake.delivery_of(*step);
            github.send(&delivery).await?;
            events.push(next_event(&mut stream).await?);
        }
        let pull = events.pop().context("an event of a pull request")?;
        let planned = next_event(&mut planner).await?;
        ensure!(planned["id"] == events[0]["id"], "{planned}");
        for ((kind, _), event) in KINDS.iter().zip(&events) {
            let id = event["id"].as_str().context("an id")?;
            let number = &event["resource"]["databaseId"];
            ensure!(number.is_u64(), "{event}");
            for (edge, resource) in edges.iter().zip([
                number.clone(),
                json!(number.to_string()),
                event["resourceId"].clone(),
            ]) {
                let asked = json!({ "resourceType": kind, "resourceId": resource, "limit": 10 });
                let recent = call(&client, edge, "get_recent_events", asked).await?;
                ensure!(ids(&recent)? == [id], "{kind} {resource}: {recent}");
                let asked = json!({ "fromTimestamp": before, "resourceType": kind, "limit": 10 });
                let replayed = call(&client, edge, "replay_events", asked).await?;
                ensure!(ids(&replayed)? == [id], "{kind}: {replayed}");
                let asked = json!({
                    "action": "replay", "fromTimestamp": before, "resourceType": kind.to_lowercase(),
                });
                let managed = call(&client, edge, "manage_events", asked).await?;
                ensure!(ids(&managed)? == [id], "{kind}: {managed}");
                for path in [
                    format!("/events/recent?limit=10&resourceType={kind}"),
                    format!("/events/replay/{before}?resourceType={kind}&resourceId={number}"),
                ] {
                    ensure!(ids(&get(edge, &path).await?)? == [id], "{path}");
                }
            }
        }
        let asked = json!({ "resourceType": "ISSUE", "includePullRequests": true, "limit": 10 });
        let issues = call(&client, &edges[0], "get_recent_events", asked).await?;
        let expected = [&pull["id"], &events[2]["id"]].map(|id| id.as_str().unwrap_or_default());
        ensure!(ids(&issues)? == expected, "{issues}");

        let mut pushed = client.open_stream(&edges[0], None).await?;
        let told = McpClient::next_message(&mut pushed, SOON).await?;
        ensure!(told.params()["data"]["id"] == events[0]["id"], "{told:?}");

        for url in edges.iter().chain(system.ingests()) {
            let health = get(url, "/health").await?;
            ensure!(health["status"] == "healthy", "{health}");
            ensure!(health["events"]["totalEvents"] == 4, "{url}: {health}");
        }
        Ok(())
    })
    .await
}

/// The names of the cursor in an answer, and of the parameter that takes it.
fn cursor_of(order: &str) -> (&'static str, &'static str) {
    match order {
        "asc" => ("nextCursor", "cursor"),
        _ => ("previousCursor", "before"),
    }
}

/// All events of a range, page by page, each from another edge.
async fn pages(
    edges: &[Url],
    order: &str,
    mut page: impl AsyncFnMut(&Url, Option<(&str, String)>) -> Result<Value>,
) -> Result<Vec<String>> {
    let (next, parameter) = cursor_of(order);
    let (mut all, mut cursor) = (Vec::new(), None);
    for edge in edges.iter().cycle() {
        let answer = page(edge, cursor.map(|cursor| (parameter, cursor))).await?;
        ensure!(answer["truncated"] == false, "{answer}");
        all.extend(ids(&answer)?);
        if answer["hasMore"] == false {
            break;
        }
        let at = answer[next].as_str().context("a cursor")?;
        cursor = Some(at.to_owned());
    }
    if order == "desc" {
        all.reverse();
    }
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_read_without_a_loss_in_each_order_also_after_a_restart() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 142);
        let deliveries = github.fake.about_one_issue(BACKLOG);
        github.send_all(&deliveries).await?;
        let sent: Vec<_> = deliveries.iter().map(|d| d.guid.to_string()).collect();
        for round in ["as it is", "after a restart"] {
            let edges = system.edges().to_vec();
            for (path, order) in [
                ("/events/replay/2020-01-01?order=asc&limit=333", "asc"),
                ("/events/replay/2020-01-01?order=desc&limit=333", "desc"),
                ("/events/recent?limit=333", "desc"),
            ] {
                let found = pages(&edges, order, async |edge, cursor| {
                    let cursor = cursor.map(|(name, at)| format!("&{name}={at}"));
                    get(edge, &format!("{path}{}", cursor.unwrap_or_default())).await
                });
                let found = found.await?;
                ensure!(
                    sorted(&found) == sorted(&sent),
                    "{path} {round}: {}",
                    found.len()
                );
                ensure!(found == in_order(&edges[0]).await?, "{path} {round}");
            }
            let client = McpClient::connect(&edges[0]).await?;
            for (tool, order) in [
                ("replay_events", "asc"),
                ("replay_events", "desc"),
                ("get_recent_events", "desc"),
            ] {
                let found = pages(&edges, order, async |edge, cursor| {
                    let mut arguments = json!({ "order": order, "limit": 500 });
                    if let Some((name, at)) = cursor {
                        arguments[name] = at.into();
                    }
                    call(&client, edge, tool, arguments).await
                });
                let found = found.await?;
                ensure!(
                    sorted(&found) == sorted(&sent),
                    "{tool} {order} {round}: {}",
                    found.len()
                );
            }
            if round == "as it is" {
                for edge in 0..3 {
                    let _ = system.terminate(SystemNode::Edge(edge)).await?;
                    let _ = system.restart(SystemNode::Edge(edge)).await?;
                }
                every_node_is_ready(system).await?;
            }
        }
        Ok(())
    })
    .await
}

fn sorted(ids: &[String]) -> Vec<String> {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    sorted
}

/// The order of the log, by offset.
async fn in_order(edge: &Url) -> Result<Vec<String>> {
    let mut all = Vec::new();
    until("the last page", async || {
        let path = format!("/events/replay/2020-01-01?limit=1000&offset={}", all.len());
        let page = match get(edge, &path).await {
            Ok(page) => ids(&page).unwrap_or_default(),
            Err(_) => return false,
        };
        all.extend(page.iter().cloned());
        page.is_empty()
    })
    .await?;
    Ok(all)
}
