//! The event log itself: entries that do not decode, and a stream that is deleted or comes back empty.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Url, header::HeaderMap};
use serde_json::{Value, json};
use testkit::{
    cluster::{FaultOutcome, System, SystemKind, SystemNode},
    mcp_client::McpClient,
    sse::{self, SseStream},
};
use tests::{
    EventReader, ReaderKind, both, delete_stream, every_node_is_ready, plant_undecodable_entry,
    plant_undecodable_event, settle, until,
};

use crate::sending::GithubSender;

/// Maximum time for one frame.
const FRAME: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_does_not_decode_is_a_gap_and_stops_no_reader() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 71);
        let edges = system.edges().to_vec();
        let readers = EventReader::on_every_edge(&edges, &github.ledger).await?;
        let mut plain = sse::open(&edges[0].join("/events/stream")?, HeaderMap::new()).await?;
        github.events(3).await?;
        plant_undecodable_entry(system, "one")?;
        github.events(3).await?;
        plant_undecodable_entry(system, "two")?;
        plant_undecodable_entry(system, "three")?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        settle(&github.ledger, &names).await?;
        let gaps = [next_gap(&mut plain).await?, next_gap(&mut plain).await?];
        ensure!(gaps[0] != gaps[1], "two gaps, two cursors: {gaps:?}");
        github.events(3).await?;
        settle(&github.ledger, &names).await?;
        for edge in &edges {
            for path in [
                "/events/recent?limit=50",
                "/events/replay/2020-01-01T00:00:00Z",
            ] {
                let page = page(edge, path).await?;
                let events = page["events"].as_array().context("a list of events")?;
                ensure!(events.len() == 9, "{path}: {page}");
                ensure!(page["truncated"] == true, "{path}: {page}");
            }
            let newest = page(edge, "/events/recent?limit=3").await?;
            ensure!(newest["truncated"] == false, "after the last gap: {newest}");
        }
        let client = McpClient::connect(&edges[0]).await?;
        let listed = client.read_resource(&edges[1], "github://events").await?;
        let text = listed[0]["text"].as_str().context("a list of events")?;
        let listed: Value = serde_json::from_str(text)?;
        ensure!(listed["truncated"] == true, "{listed}");
        every_node_is_ready(system).await?;
        counts_its_undecodable_entries(system).await?;
        let from = Some("2020-01-01T00:00:00Z".to_owned());
        let late = EventReader::start(
            "late",
            ReaderKind::Events,
            &edges[1..],
            0,
            from,
            &github.ledger,
        );
        settle(&github.ledger, &[late.await?.name()]).await
    })
    .await
}

/// An entry that nobody can read hides no delivery: neither a first one, nor one that is sent again by hand.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_id_is_taken_by_an_entry_that_does_not_decode_is_stored() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 74);
        let delivery = github.fake.about_one_issue(1).remove(0);
        let guid = delivery.guid.to_string();
        plant_undecodable_event(system, &guid)?;
        for _ in 0..3 {
            github.send(&delivery).await?;
        }
        let edges = system.edges().to_vec();
        for edge in &edges {
            let recent = page(edge, "/events/recent?limit=50").await?;
            let events = recent["events"].as_array().context("a list of events")?;
            let ids: Vec<_> = events.iter().map(|event| &event["id"]).collect();
            ensure!(ids == [&json!(format!("{guid}.issues"))], "{recent}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_deleted_is_made_again_and_every_client_goes_on() -> Result<()> {
    both(async |system| {
        if system.kind() == SystemKind::Embedded {
            return Ok(());
        }
        goes_on_after(system, 72, async |system| delete_stream(system)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_comes_back_with_an_empty_volume_and_every_client_goes_on() -> Result<()> {
    both(async |system| {
        if system.kind() == SystemKind::Embedded {
            return Ok(());
        }
        goes_on_after(system, 73, async |system| {
            ensure!(system.kill(SystemNode::Nats)? == FaultOutcome::Done);
            let data = system.cluster().dir().join("nats/jetstream");
            std::fs::remove_dir_all(data).context("the data of NATS")?;
            ensure!(system.restart(SystemNode::Nats).await? == FaultOutcome::Done);
            Ok(())
        })
        .await
    })
    .await
}

/// The log is lost while clients read. Without a restart, what is acknowledged afterwards reaches them
/// on streams that they open again, and every node is ready.
async fn goes_on_after(
    system: &mut System,
    seed: u64,
    lose: impl AsyncFn(&mut System) -> Result<()>,
) -> Result<()> {
    let mut github = GithubSender::of(system, seed);
    let edges = system.edges().to_vec();
    let readers = EventReader::on_every_edge(&edges, &github.ledger).await?;
    github.events(10).await?;
    let names: Vec<_> = readers.iter().map(EventReader::name).collect();
    settle(&github.ledger, &names).await?;
    let opens: Vec<_> = readers.iter().map(EventReader::opens).collect();
    let client = McpClient::connect(&edges[0]).await?;
    let replay = async |arguments: Value| {
        let result = client
            .call_tool(&edges[0], "replay_events", arguments)
            .await?;
        Ok::<_, anyhow::Error>(result["structuredContent"].clone())
    };
    let before = replay(json!({})).await?;
    let never = json!([{ "repo": "no-such-repository" }]);
    let waiting =
        replay(json!({ "cursor": before["cursor"], "waitSeconds": 45, "filters": never }));
    let metrics = system.admin(SystemNode::Edge(0))?.join("/metrics")?;
    let comparisons = async || {
        let text = reqwest::get(metrics.clone()).await?.text().await?;
        let mut lines = text.lines();
        let cost = lines.find_map(|line| line.strip_prefix("forgewire_edge_match_cost "));
        Ok::<u64, anyhow::Error>(cost.context("the metric")?.parse()?)
    };
    let of_streams = comparisons().await?;
    let lose_meanwhile = async {
        // The gauge is set with each event.
        while comparisons().await? <= of_streams {
            github.events(1).await?;
        }
        settle(&github.ledger, &names).await?;
        lose(system).await
    };
    let (waited, lost) = tokio::join!(waiting, lose_meanwhile);
    lost?;
    let waited = waited?;
    ensure!(
        waited["truncated"] == true,
        "the wait ends and says why: {waited}"
    );
    // Nothing is sent: the streams end because the edges see the new log.
    for (reader, before) in readers.iter().zip(opens) {
        until("the stream of the old log has ended", async || {
            reader.opens() > before
        })
        .await?;
    }
    every_node_is_ready(system).await?;
    github.events(10).await?;
    settle(&github.ledger, &names).await?;
    for cursor in [&before["cursor"], &waited["cursor"]] {
        let page = replay(json!({ "cursor": cursor })).await?;
        let events = page["events"].as_array().context("a list of events")?;
        ensure!(events.len() == 10, "all of the new log: {page}");
    }
    for edge in &edges {
        let recent = page(edge, "/events/recent?limit=50").await?;
        let events = recent["events"].as_array().context("a list of events")?;
        ensure!(events.len() == 10, "only those of the new log: {recent}");
    }
    Ok(())
}

/// The cursor of the next notice that events are missing.
async fn next_gap(stream: &mut SseStream) -> Result<String> {
    loop {
        let frame = stream.next(FRAME).await?.context("the stream goes on")?;
        if frame.event.as_deref() == Some("truncated") {
            return frame.id.context("a notice has a cursor");
        }
    }
}

async fn page(edge: &Url, path: &str) -> Result<Value> {
    Ok(reqwest::get(edge.join(path)?).await?.json().await?)
}

async fn counts_its_undecodable_entries(system: &System) -> Result<()> {
    let url = system.admin(SystemNode::Edge(0))?.join("/metrics")?;
    let metrics = reqwest::get(url).await?.text().await?;
    for line in [
        "forgewire_log_undecodable_entries_total 3",
        "forgewire_edge_gaps_total{reason=\"undecodable\"}",
    ] {
        ensure!(metrics.contains(line), "{line} is missing in:\n{metrics}");
    }
    let trimmed = "forgewire_edge_gaps_total{reason=\"trimmed\"} 0\n";
    ensure!(metrics.contains(trimmed), "nothing was trimmed:\n{metrics}");
    Ok(())
}
