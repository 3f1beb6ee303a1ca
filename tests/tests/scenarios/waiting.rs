//! Calls that wait for an event.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use model::{Filter, FilterSet, ResourceType};
use reqwest::{Url, header::ACCEPT};
use serde_json::json;
use testkit::{
    cluster::{FaultOutcome, System, SystemKind, SystemNode},
    mcp_client::{McpClient, ModernClient},
    sse::{self, SseStream},
};
use tests::{EventReader, both, settle, until};

use crate::sending::GithubSender;

/// Time for whatever does not wait for an edge that is gone.
const SOON: Duration = Duration::from_secs(20);
/// Time after which an edge goes on with a call of one that was killed, and more.
const TAKE_OVER: Duration = Duration::from_secs(90);
/// Calls of one client that wait on each edge.
const WAITING_CALLS: usize = 40;

/// An event that a client does not ask for costs none of its waiting calls anything, however many they are;
/// the one that it asks for is in the answer of each.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_wakes_the_calls_that_it_matches_and_no_other() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 131);
        let edges = system.edges().to_vec();
        let readers = EventReader::on_every_edge(&edges, &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        let story = github.fake.story();
        let milestone = story.iter().find(|delivery| delivery.event == "milestone");
        let milestone = milestone.context("the story has a milestone")?;
        let client = ModernClient::new();
        let arguments = json!({"filters": [{"resourceType": "milestone"}], "waitSeconds": 45});
        let of_streams = sum(system, "forgewire_edge_match_cost").await?;
        let calls = edges.iter().flat_map(|edge| {
            let call = || client.call_tool(edge, "replay_events", arguments.clone());
            (0..WAITING_CALLS).map(move |_| call())
        });
        let calls: Vec<_> = calls.collect();
        let count = calls.len();
        let events = async {
            let all_wait = of_streams + count * cost_of_milestones()?;
            until("all calls wait", async || {
                let cost = sum(system, "forgewire_edge_match_cost").await;
                cost.is_ok_and(|cost| cost == all_wait)
            })
            .await?;
            github.events(10).await?;
            settle(&github.ledger, &names).await?;
            ensure!(sum(system, "forgewire_edge_woken_calls_total").await? == 0);
            github.send(milestone).await
        };
        let (answers, sent) = tokio::join!(join_all(calls), events);
        sent?;
        for answer in answers {
            let answer = answer?["structuredContent"].take();
            let events = answer["events"].as_array().context("a list of events")?;
            ensure!(
                events.len() == 1 && events[0]["id"] == milestone.guid.as_str(),
                "{answer}"
            );
        }
        let woken = sum(system, "forgewire_edge_woken_calls_total").await?;
        ensure!(woken == count, "{woken} of {count}");
        ensure!(sum(system, "forgewire_edge_match_cost").await? == of_streams);
        settle(&github.ledger, &names).await
    })
    .await
}

/// A call that asks for progress waits on, over an edge that drains and one that is killed, and its answer has what
/// happened while no edge ran it.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_wait_goes_on_over_edges_that_drain_or_die() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 137);
        let story = github.fake.story();
        let milestone = story.iter().find(|delivery| delivery.event == "milestone");
        let milestone = milestone.context("the story has a milestone")?;
        let edges = system.edges().to_vec();
        let client = McpClient::connect(&edges[0]).await?;
        let mut stream = long_wait(&client, &edges[0]).await?;
        stream.next_event(SOON).await?;
        let mut at = 0;
        for is_killed in [false, true] {
            let node = SystemNode::Edge(at);
            let gone = match is_killed {
                true => system.kill(node)?,
                false => system.terminate(node).await?,
            };
            ensure!(gone == FaultOutcome::Done);
            while let Ok(Some(_)) = stream.next(SOON).await {}
            ensure!(system.restart(node).await? == FaultOutcome::Done);
            github.events(10).await?;
            if is_killed {
                github.send(milestone).await?;
            }
            at = (at + 1) % edges.len();
            let last = stream.last_id().context("the stream has an id")?.to_owned();
            let url = edges[at].join("/mcp")?;
            stream = sse::resume(&url, client.headers(), &last).await?;
            if !is_killed {
                until("another edge goes on with the call", async || {
                    let taken = metric(system, at, "forgewire_edge_calls_taken_over_total");
                    taken.await.is_ok_and(|taken| taken == 1)
                })
                .await?;
            }
        }
        let answer = loop {
            let frame = stream.next_event(TAKE_OVER).await?;
            if let Some(answer) = frame.json().filter(|message| message["id"] == 7) {
                break answer;
            }
        };
        let events = &answer["result"]["structuredContent"]["events"];
        let events = events.as_array().context("a list of events")?;
        ensure!(
            events.len() == 1 && events[0]["id"] == milestone.guid.as_str(),
            "{answer}"
        );
        Ok(())
    })
    .await
}

/// Waits of one client, half of which are read on another edge than that which runs them.
const STORED_WAITS: u64 = 40;
/// Time for which the operations of stores are counted.
const COUNTED: Duration = Duration::from_secs(25);
/// Operations of the mailbox and of leases in that time: each edge extends its lease, and looks once for all readers
/// whether others have theirs. One for each wait would be more.
const MOST_OPERATIONS: u64 = 24;

/// A wait costs the stores nothing while nothing happens to it, and its answer reaches whoever reads it elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn waits_that_nothing_happens_to_cost_the_stores_nothing() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 139);
        let story = github.fake.story();
        let milestone = story.iter().find(|delivery| delivery.event == "milestone");
        let milestone = milestone.context("the story has a milestone")?;
        let edges = system.edges().to_vec();
        let client = McpClient::connect(&edges[0]).await?;
        let mut streams = Vec::new();
        for id in 0..STORED_WAITS {
            let mut stream = numbered_wait(&client, &edges[0], id).await?;
            while stream.last_id().is_none() {
                stream.next_event(SOON).await?;
            }
            if id % 2 == 1 {
                let last = stream.last_id().context("an id")?.to_owned();
                drop(stream);
                stream = sse::resume(&edges[1].join("/mcp")?, client.headers(), &last).await?;
            }
            streams.push((id, stream));
        }
        let before = store_calls(system).await?;
        tokio::time::sleep(COUNTED).await;
        let calls = store_calls(system).await? - before;
        println!(
            "{}: {calls} operations in {COUNTED:?}, {STORED_WAITS} waits",
            system.kind()
        );
        ensure!(calls <= MOST_OPERATIONS, "{calls} operations");
        let began = std::time::Instant::now();
        github.send(milestone).await?;
        for (id, stream) in &mut streams {
            loop {
                let frame = stream.next_event(SOON).await?;
                if frame.json().is_some_and(|message| message["id"] == *id) {
                    break;
                }
            }
        }
        let took = began.elapsed();
        println!("{}: all have their answers after {took:?}", system.kind());
        ensure!(took < Duration::from_secs(10), "{took:?}");
        Ok(())
    })
    .await
}

/// Operations of the mailbox and of leases by all edges since they began.
async fn store_calls(system: &System) -> Result<u64> {
    let edges = match system.kind() {
        SystemKind::Embedded => 0..1,
        SystemKind::Cluster => 0..3,
    };
    let mut calls = 0;
    for edge in edges {
        let url = system.admin(SystemNode::Edge(edge))?.join("/metrics")?;
        let text = reqwest::get(url).await?.text().await?;
        let lines = text.lines().filter(|line| {
            let is_counted = |port: &str| line.contains(&format!("port=\"{port}\""));
            line.starts_with("forgewire_store_call_seconds_count")
                && (is_counted("mailbox") || is_counted("leases"))
        });
        let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
        calls += values.sum::<u64>();
    }
    Ok(calls)
}

/// A call that waits for a milestone for up to an hour.
async fn long_wait(client: &McpClient, edge: &Url) -> Result<SseStream> {
    numbered_wait(client, edge, 7).await
}

async fn numbered_wait(client: &McpClient, edge: &Url, id: u64) -> Result<SseStream> {
    let call = json!({
        "jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {
            "name": "wait_for_events", "_meta": { "progressToken": 1 },
            "arguments": { "filters": [{ "resourceType": "milestone" }], "maxWaitSeconds": 3600 },
        },
    });
    let request = reqwest::Client::new().post(edge.join("/mcp")?);
    let request = request.headers(client.headers()).json(&call);
    let both = "application/json, text/event-stream";
    let answer = request.header(ACCEPT, both).send().await?;
    Ok(SseStream::from_response(answer).await?)
}

/// The cost of the filter of one call.
fn cost_of_milestones() -> Result<usize> {
    let filter = Filter {
        resource_type: Some(ResourceType::MILESTONE),
        ..Filter::default()
    };
    Ok(FilterSet::new(vec![filter])?.cost())
}

/// The sum of a metric over all edges.
async fn sum(system: &System, name: &str) -> Result<usize> {
    let edges = match system.kind() {
        SystemKind::Embedded => 0..1,
        SystemKind::Cluster => 0..3,
    };
    let mut sum = 0;
    for edge in edges {
        sum += metric(system, edge, name).await?;
    }
    Ok(sum)
}

/// A metric of one edge.
async fn metric(system: &System, edge: usize, name: &str) -> Result<usize> {
    let url = system.admin(SystemNode::Edge(edge))?.join("/metrics")?;
    let text = reqwest::get(url).await?.text().await?;
    let prefix = format!("{name} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
    Ok(value.context("the metric")?.parse()?)
}
