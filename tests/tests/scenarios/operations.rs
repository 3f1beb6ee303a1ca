//! Health, metrics, drain.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Result, ensure};
use testkit::cluster::{FaultOutcome, System, SystemKind, SystemNode};
use tests::{EventReader, ReaderKind, both, both_and_kept_sockets, settle, until};

use crate::sending::GithubSender;

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_edge_sends_its_clients_on_and_they_miss_nothing() -> Result<()> {
    both_and_kept_sockets(async |system| {
        let edges = system.edges().to_vec();
        let mut github = GithubSender::of(system, 31);
        let ledger = Arc::clone(&github.ledger);
        let session = ReaderKind::session(&edges[0]).await?;
        let events = EventReader::start("e", ReaderKind::Events, &edges, 0, None, &ledger).await?;
        let session = EventReader::start("s", session, &edges, 0, None, &ledger).await?;
        github.events(5).await?;
        // `terminate` fails unless the process ends in order within ten seconds.
        ensure!(system.terminate(SystemNode::Edge(0)).await? == FaultOutcome::Done);
        if system.kind() == SystemKind::Embedded {
            ensure!(system.restart(SystemNode::Edge(0)).await? == FaultOutcome::Done);
        }
        github.events(5).await?;
        settle(&ledger, &["e", "s"]).await?;
        ensure!(
            events.opens() > 1 && session.opens() > 1,
            "both readers switched to another edge"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_tell_what_happens() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 32);
        let ledger = Arc::clone(&github.ledger);
        let edges = system.edges();
        let reader = EventReader::start("r", ReaderKind::Events, edges, 0, None, &ledger).await?;
        github.events(4).await?;
        settle(&ledger, &[reader.name()]).await?;
        for node in [SystemNode::Ingest(0), SystemNode::Sync, SystemNode::Edge(0)] {
            let admin = system.admin(node)?;
            for path in ["/livez", "/readyz", "/health"] {
                let answer = reqwest::get(admin.join(path)?).await?;
                ensure!(answer.status() == 200, "{node} {path}: {}", answer.status());
            }
        }
        let metrics = async |node| -> Result<String> {
            Ok(reqwest::get(system.admin(node)?.join("/metrics")?)
                .await?
                .text()
                .await?)
        };
        let edge = metrics(SystemNode::Edge(0)).await?;
        for line in [
            "forgewire_edge_open_streams{kind=\"events\"} 1",
            "forgewire_edge_delivered_events_total{kind=\"events\"} 4",
            "forgewire_edge_delivery_latency_seconds_count",
        ] {
            ensure!(edge.contains(line), "{line} is missing in:\n{edge}");
        }
        let ingest =
            metrics(SystemNode::Ingest(0)).await? + &metrics(SystemNode::Ingest(1)).await?;
        ensure!(
            ingest.contains("forgewire_ingest_deliveries_total"),
            "{ingest}"
        );
        Ok(())
    })
    .await
}

/// The pages that tell an operator what to look at.
const OPERATORS_PAGES: [&str; 2] = [
    include_str!("../../../docs/production.md"),
    include_str!("../../../docs/failure-modes.md"),
];

/// The metrics that the pages name, some with a label: `forgewire_name` or `forgewire_name{label="value"}`.
fn documented_metrics() -> BTreeSet<&'static str> {
    let pages = OPERATORS_PAGES.iter().copied();
    let places = pages.flat_map(|page| {
        page.match_indices("forgewire_")
            .map(move |at| &page[at.0..])
    });
    let is_name = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    let metrics = places.map(|text| {
        let name = text.find(|letter| !is_name(letter)).unwrap_or(text.len());
        match text[name..].starts_with('{') {
            true => text.split_inclusive('}').next().unwrap_or(text),
            false => &text[..name],
        }
    });
    metrics.collect()
}

/// Whether a line of `/metrics` has this name, and the label if one is given for a counter. The label of a gauge
/// may be that of its present reason.
fn is_of_metric(line: &str, metric: &str) -> bool {
    let (name, label) = metric.split_once('{').unwrap_or((metric, ""));
    let label = if name.ends_with("_total") { label } else { "" };
    let rest = line.strip_prefix(name);
    let is_named = rest.is_some_and(|rest| {
        [" ", "{", "_bucket{"]
            .iter()
            .any(|next| rest.starts_with(next))
    });
    is_named && line.contains(label.trim_end_matches('}'))
}

async fn all_metrics(system: &System) -> Result<String> {
    let mut text = String::new();
    for node in [SystemNode::Ingest(0), SystemNode::Sync, SystemNode::Edge(0)] {
        let answer = reqwest::get(system.admin(node)?.join("/metrics")?).await?;
        text.push_str(&answer.text().await?);
    }
    Ok(text)
}

/// An alert on an increase misses the first one of a metric that appears with it.
#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_the_documentation_is_there_before_anything_happened() -> Result<()> {
    let documented = documented_metrics();
    ensure!(documented.len() > 30, "{documented:?}");
    both(async |system| {
        let text = all_metrics(system).await?;
        for metric in &documented {
            // JetStream trims itself; without a cluster there are no other processes; and nothing is exported here,
            // nor GitHub asked for anything.
            let of_the_other = match system.kind() {
                SystemKind::Embedded => ["forgewire_nats_", "forgewire_roles_"].as_slice(),
                SystemKind::Cluster => ["forgewire_retention_"].as_slice(),
            };
            let unused = ["forgewire_otlp_", "forgewire_github_"];
            let mut left_out = of_the_other.iter().chain(&unused);
            if left_out.any(|start| metric.starts_with(start)) {
                continue;
            }
            let is_there = text.lines().any(|line| is_of_metric(line, metric));
            ensure!(is_there, "{metric} is missing in:\n{text}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_without_its_bus_is_not_ready_and_comes_back() -> Result<()> {
    both(async |system| {
        if system.kind() == SystemKind::Embedded {
            return Ok(());
        }
        let ready = async |system: &testkit::cluster::System| -> Result<bool> {
            let url = system.admin(SystemNode::Edge(0))?.join("/readyz")?;
            Ok(reqwest::get(url).await?.status() == 200)
        };
        ensure!(system.kill(SystemNode::Nats)? == FaultOutcome::Done);
        until("the edge says that it is not ready", async || {
            matches!(ready(system).await, Ok(false))
        })
        .await?;
        ensure!(system.restart(SystemNode::Nats).await? == FaultOutcome::Done);
        until("the edge is ready again", async || {
            matches!(ready(system).await, Ok(true))
        })
        .await
    })
    .await
}
