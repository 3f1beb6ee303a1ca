//! Nodes of different builds side by side: what a newer one writes does not stop an older one.

use anyhow::{Context, Result, ensure};
use model::{Clock, SystemClock};
use reqwest::StatusCode;
use serde_json::Value;
use tests::{
    EventReader, NEWER_KIND, ReaderKind, append_newer_events, both, every_node_is_ready, settle,
};

use crate::sending::GithubSender;

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_kind_that_only_a_newer_ingest_knows_reach_the_clients_of_older_edges()
-> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 61);
        let edges = system.edges().to_vec();
        let mut readers = Vec::new();
        for (name, kind) in [
            ("events", ReaderKind::Events),
            ("session", ReaderKind::session(&edges[0]).await?),
        ] {
            readers.push(EventReader::start(name, kind, &edges, 0, None, &github.ledger).await?);
        }
        github.events(3).await?;
        append_newer_events(system, 3, SystemClock.now(), &github.ledger).await?;
        github.events(3).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        settle(&github.ledger, &names).await?;
        every_node_is_ready(system).await?;
        for edge in &edges {
            let recent: Value = get(edge, "/events/recent?limit=9").await?.json().await?;
            let events = recent["events"].as_array().context("a list of events")?;
            let of_kind = |event: &&Value| event["resourceType"] == NEWER_KIND;
            ensure!(events.iter().filter(of_kind).count() == 3, "{recent}");
            let asked = get(edge, &format!("/events/recent?resourceType={NEWER_KIND}")).await?;
            ensure!(asked.status() == StatusCode::OK, "{asked:?}");
            let found: Value = asked.json().await?;
            let note = found["notes"][0].as_str().unwrap_or_default();
            ensure!(found["count"] == 3 && note.contains(NEWER_KIND), "{found}");
        }
        // A client that comes now and asks for all of it gets the same.
        let late = ReaderKind::Events;
        let from = Some("2020-01-01T00:00:00Z".to_owned());
        let late = EventReader::start("late", late, &edges[1..], 0, from, &github.ledger).await?;
        settle(&github.ledger, &[late.name()]).await
    })
    .await
}

async fn get(edge: &reqwest::Url, path: &str) -> Result<reqwest::Response> {
    Ok(reqwest::get(edge.join(path)?).await?)
}
