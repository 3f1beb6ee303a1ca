//! The event log is put back to an earlier state under the same epoch, and gives out the same numbers again.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use model::{Clock, SystemClock};
use reqwest::{Url, header::HeaderMap};
use serde_json::{Value, json};
use testkit::{
    cluster::{FaultOutcome, System, SystemKind, SystemNode},
    mcp_client::McpClient,
    sse::{self, ReceivedFrame, SseStream},
};
use tests::{both, every_node_is_ready, log_lines, until};

use crate::sending::GithubSender;

const SOON: Duration = Duration::from_secs(30);

/// What a stream of events brought.
#[derive(Debug, Default)]
struct Received {
    /// Whether the first frame about events was a notice that some are gone.
    is_told: bool,
    ids: Vec<String>,
    last_id: Option<String>,
}

impl Received {
    fn take(&mut self, frame: &ReceivedFrame) {
        match frame.event.as_deref() {
            Some("truncated") => self.is_told |= self.ids.is_empty(),
            Some("event") => {
                let id = frame
                    .json()
                    .and_then(|json| json["id"].as_str().map(str::to_owned));
                self.ids.extend(id);
            }
            _ => {}
        }
        if frame.id.is_some() {
            self.last_id.clone_from(&frame.id);
        }
    }
}

/// Reads until all these events have come.
async fn read_all(stream: &mut SseStream, wanted: &BTreeSet<String>) -> Result<Received> {
    let mut received = Received::default();
    let reading = async {
        while !wanted.iter().all(|id| received.ids.contains(id)) {
            let frame = stream.next(SOON).await?.context("the stream ended")?;
            received.take(&frame);
        }
        anyhow::Ok(())
    };
    let outcome = tokio::time::timeout(SOON, reading).await;
    let missing = wanted
        .iter()
        .filter(|id| !received.ids.contains(id))
        .count();
    outcome.with_context(|| format!("{missing} of {} events did not come", wanted.len()))??;
    Ok(received)
}

/// Sends events about one issue; returns their ids.
async fn send(github: &mut GithubSender, count: usize) -> Result<BTreeSet<String>> {
    let deliveries = github.fake.about_one_issue(count);
    github.send_all(&deliveries).await?;
    let ids = deliveries.iter().map(|delivery| delivery.guid.to_string());
    Ok(ids.collect())
}

async fn recent(edge: &Url, limit: usize) -> Result<BTreeSet<String>> {
    let url = edge.join(&format!("/events/recent?limit={limit}"))?;
    let list: Value = reqwest::get(url).await?.json().await?;
    let events = list["events"].as_array().cloned().unwrap_or_default();
    let ids = events.iter().filter_map(|event| event["id"].as_str());
    Ok(ids.map(ToOwned::to_owned).collect())
}

fn now() -> String {
    SystemClock.now().to_string()
}

/// Whether a replay since a time says that events are gone.
async fn replay_is_truncated(edge: &Url, since: &str) -> Result<bool> {
    let url = edge.join(&format!("/events/replay/{since}"))?;
    let list: Value = reqwest::get(url).await?.json().await?;
    list["truncated"].as_bool().context("truncated")
}

/// A cursor after the newest event.
async fn newest_cursor(edge: &Url) -> Result<String> {
    let url = edge.join("/events/recent?limit=1")?;
    let list: Value = reqwest::get(url).await?.json().await?;
    let cursor = list["nextCursor"].as_str().context("a cursor")?;
    Ok(cursor.to_owned())
}

/// The newest events of the resource `github://events`.
async fn listed(edge: &Url) -> Result<Vec<String>> {
    let client = McpClient::connect(edge).await?;
    let contents = client.read_resource(edge, "github://events").await?;
    let text = contents[0]["text"].as_str().context("text")?;
    let list: Value = serde_json::from_str(text)?;
    let events = list["events"].as_array().cloned().unwrap_or_default();
    let ids = events.iter().filter_map(|event| event["id"].as_str());
    Ok(ids.map(ToOwned::to_owned).collect())
}

async fn open(edge: &Url, last: Option<&str>) -> Result<SseStream> {
    let url = edge.join("/events/stream")?;
    Ok(match last {
        Some(last) => sse::resume(&url, HeaderMap::new(), last).await?,
        None => sse::open(&url, HeaderMap::new()).await?,
    })
}

/// Every edge shows the new events and none of the lost.
async fn is_shown(system: &System, lost: &BTreeSet<String>, new: &BTreeSet<String>) -> Result<()> {
    for edge in system.edges() {
        ensure!(
            recent(edge, new.len()).await? == *new,
            "/events/recent of {edge}"
        );
        let listed = listed(edge).await?;
        ensure!(!listed.is_empty(), "github://events of {edge} is empty");
        ensure!(
            listed.iter().all(|id| new.contains(id)),
            "github://events of {edge}"
        );
        ensure!(!listed.iter().any(|id| lost.contains(id)));
    }
    Ok(())
}

/// Seen before: of 50 events, the 19 that took the numbers of lost ones reached no stream and no query, and
/// nothing told it.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_the_log_was_put_back_reaches_everyone_and_a_lost_cursor_is_told()
-> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 71);
        send(&mut github, 30).await?;
        let saved = system.save_log().await?;
        let edges = system.edges().to_vec();
        every_node_is_ready(system).await?;
        let (away, before) = (newest_cursor(&edges[0]).await?, now());
        let mut live = Vec::new();
        for edge in &edges {
            live.push(open(edge, None).await?);
        }
        let lost = send(&mut github, 20).await?;
        let mut cursor = None;
        for stream in &mut live {
            cursor = read_all(stream, &lost).await?.last_id;
        }
        let cursor = cursor.context("a cursor")?;
        system.put_log_back(saved).await?;
        let new = send(&mut github, 50).await?;
        if system.kind() == SystemKind::Cluster {
            for stream in &mut live {
                let received = read_all(stream, &new).await?;
                ensure!(received.is_told, "the live stream is told");
                ensure!(received.ids.len() == 50, "{} events", received.ids.len());
            }
            let lines = log_lines(system.cluster().dir());
            let told = lines
                .iter()
                .filter(|line| line.contains("put back to an earlier state"));
            ensure!(told.count() == 4, "each edge and sync says it once");
            for edge in &edges {
                let received = read_all(&mut open(edge, Some(&away)).await?, &new).await?;
                ensure!(received.is_told, "who was away is told");
                ensure!(received.ids.len() == 50, "{} events", received.ids.len());
                ensure!(replay_is_truncated(edge, &before).await?, "by time, too");
                ensure!(!replay_is_truncated(edge, &now()).await?);
            }
        }
        for edge in &edges {
            let received = read_all(&mut open(edge, Some(&cursor)).await?, &new).await?;
            ensure!(received.is_told, "the lost cursor is told");
            ensure!(received.ids.iter().all(|id| !lost.contains(id)));
            let mut continued = open(edge, received.last_id.as_deref()).await?;
            let later = send(&mut github, 1).await?;
            let received = read_all(&mut continued, &later).await?;
            ensure!(!received.is_told, "{received:?}");
        }
        let last = send(&mut github, 50).await?;
        until("every edge shows it", async || {
            is_shown(system, &lost, &last).await.is_ok()
        })
        .await?;
        is_shown(system, &lost, &last).await
    })
    .await
}

/// What an operator does who notices an empty volume: the backup comes after events have been stored again.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_while_a_backup_took_the_place_of_an_empty_log_is_told_once() -> Result<()> {
    let mut system = System::start(SystemKind::Cluster).await?;
    let mut github = GithubSender::of(&system, 74);
    let edges = system.edges().to_vec();
    let kept = send(&mut github, 10).await?;
    let saved = system.save_log().await?;
    every_node_is_ready(&system).await?;
    let away = newest_cursor(&edges[0]).await?;
    let mut shown = send(&mut github, 10).await?;
    let all_show = async |wanted: &BTreeSet<String>| {
        until("every edge has them", async || {
            for edge in &edges {
                let recent = recent(edge, wanted.len()).await;
                if !recent.is_ok_and(|recent| recent == *wanted) {
                    return false;
                }
            }
            true
        })
        .await
    };
    all_show(&shown).await?;
    system.lose_log().await?;
    shown = send(&mut github, 2).await?;
    all_show(&shown).await?;
    system.put_log_back(saved).await?;
    let new = send(&mut github, 3).await?;
    all_show(&new).await?;
    for edge in &edges {
        let received = read_all(&mut open(edge, Some(&away)).await?, &new).await?;
        ensure!(received.is_told, "who was away is told");
        ensure!(received.ids.len() == 3, "{:?}", received.ids);
        let mut continued = open(edge, received.last_id.as_deref()).await?;
        let later = send(&mut github, 1).await?;
        let received = read_all(&mut continued, &later).await?;
        ensure!(!received.is_told, "{received:?}");
    }
    ensure!(recent(&edges[0], 16).await?.is_superset(&kept));
    system.stop().await
}

/// A session subscribed in the lost part, and only edges that started after the set-back are left: they know
/// of it by the entry at which the subscription began.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_from_the_lost_part_gets_what_took_its_numbers_from_edges_that_started_later()
-> Result<()> {
    let mut system = System::start(SystemKind::Cluster).await?;
    let mut github = GithubSender::of(&system, 72);
    let edges = system.edges().to_vec();
    send(&mut github, 30).await?;
    let saved = system.save_log().await?;
    every_node_is_ready(&system).await?;
    let client = McpClient::connect(&edges[0]).await?;
    send(&mut github, 20).await?;
    until("the edge has the events", async || {
        recent(&edges[0], 50).await.is_ok_and(|ids| ids.len() == 50)
    })
    .await?;
    client
        .call_tool(&edges[0], "subscribe_to_events", json!({}))
        .await?;
    system.put_log_back(saved).await?;
    for edge in 0..edges.len() {
        ensure!(system.kill(SystemNode::Edge(edge))? == FaultOutcome::Done);
    }
    for edge in 0..edges.len() {
        let restarted = system.restart(SystemNode::Edge(edge)).await?;
        ensure!(restarted == FaultOutcome::Done);
    }
    let mut wanted = send(&mut github, 50).await?;
    let mut stream = client.open_stream(&edges[1], None).await?;
    while !wanted.is_empty() {
        let message = McpClient::next_message(&mut stream, SOON).await;
        let message = message.with_context(|| format!("{} events did not come", wanted.len()))?;
        let data = &message.params()["data"];
        if let Some(id) = data["id"].as_str() {
            wanted.remove(id);
        }
    }
    system.stop().await
}
