//! Processes with a low limit of file descriptors report it before they run out.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Url;
use testkit::{
    cluster::{System, SystemKind, SystemNode},
    mcp_client::McpClient,
};
use tests::{EventReader, ReaderKind, both_with, every_node_is_ready, log_lines, settle, until};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

use crate::{
    hostile::{open_streams, raw},
    sending::GithubSender,
};

/// Soft and hard limit of each process.
const LIMIT: u32 = 256;
/// Descriptors that an edge reserves for everything except streams: 80 for itself, 8 for probes.
const RESERVE: usize = 88;
/// Those for ingest and sync, where they are in its process.
const OTHER_ROLES: usize = 32;
const SOON: Duration = Duration::from_secs(10);

/// A stream, or the whole answer of an edge that has no room for it.
async fn open(edge: &Url) -> Result<Result<TcpStream, String>> {
    let request = "GET /events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = raw(edge, request).await?;
    let mut head = String::new();
    let answered = async {
        while !head.contains("\r\n\r\n") {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).await?;
            ensure!(count > 0, "closed after {head:?}");
            head.push_str(std::str::from_utf8(&bytes[..count])?);
        }
        Ok(())
    };
    timeout(SOON, answered).await.context("no answer")??;
    Ok(match head.starts_with("HTTP/1.1 200") {
        true => Ok(stream),
        false => Err(head),
    })
}

/// Opens streams until one is refused.
async fn fill(edge: &Url) -> Result<(Vec<TcpStream>, String)> {
    let mut streams = Vec::new();
    for _ in 0..LIMIT {
        match open(edge).await? {
            Ok(stream) => streams.push(stream),
            Err(refusal) => return Ok((streams, refusal)),
        }
    }
    bail!("as many streams as descriptors")
}

/// Reads until three events have arrived.
async fn three_events(stream: &mut TcpStream) -> Result<()> {
    let mut text = Vec::new();
    let reading = async {
        while String::from_utf8_lossy(&text)
            .matches("event: event\n")
            .count()
            < 3
        {
            ensure!(stream.read_buf(&mut text).await? > 0, "closed");
        }
        Ok(())
    };
    timeout(SOON, reading).await.context("no events")?
}

/// Connections without a request, more than there are descriptors.
async fn idle(edge: &Url) -> Result<Vec<TcpStream>> {
    let mut idle = Vec::new();
    for _ in 0..RESERVE {
        idle.push(raw(edge, "").await?);
    }
    Ok(idle)
}

async fn metrics(system: &System) -> Result<String> {
    let url = system.admin(SystemNode::Edge(0))?.join("/metrics")?;
    Ok(reqwest::get(url).await?.text().await?)
}

/// A request that opens no stream.
async fn ping(edge: &Url) -> Result<()> {
    let pinging = async { McpClient::connect(edge).await?.ping(edge).await };
    Ok(timeout(SOON, pinging).await.context("no answer")??)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_with_few_descriptors_sends_streams_away_before_it_has_none() -> Result<()> {
    let few = |plan: testkit::cluster::ClusterPlan| plan.with_descriptors(LIMIT);
    both_with(few, async |system| {
        let edge = system.edges()[0].clone();
        let mut github = GithubSender::of(system, 52);
        let ledger = Arc::clone(&github.ledger);
        let edges = std::slice::from_ref(&edge);
        let reader = EventReader::start("r", ReaderKind::Events, edges, 0, None, &ledger).await?;
        let (mut streams, refusal) = fill(&edge).await?;
        ensure!(refusal.starts_with("HTTP/1.1 503"), "{refusal}");
        ensure!(refusal.contains("retry-after: 1"), "{refusal}");
        ensure!(refusal.contains("limit of file descriptors"), "{refusal}");
        let reserved = match system.kind() {
            SystemKind::Embedded => RESERVE + OTHER_ROLES,
            SystemKind::Cluster => RESERVE,
        };
        let max = LIMIT as usize - reserved;
        ensure!(streams.len() + 1 == max, "{} streams", streams.len());
        let said = format!("forgewire_edge_max_streams{{bound=\"descriptors\"}} {max}\n");
        let metrics = metrics(system).await?;
        ensure!(metrics.contains(&said), "{said} is missing in:\n{metrics}");

        // No stream was lost, and all other requests are served.
        ping(&edge).await?;
        github.events(3).await?;
        settle(&ledger, &["r"]).await?;
        for stream in &mut streams {
            three_events(stream).await?;
        }

        // Connections without a request take no descriptor that is needed.
        let idle = idle(&edge).await?;
        github.events(3).await?;
        settle(&ledger, &["r"]).await?;
        drop(idle);
        ping(&edge).await?;
        ensure!(open_streams(system).await? == max as u64);
        ensure!(reader.opens() == 1, "its stream stayed open");

        // Disconnecting clients make room.
        streams.truncate(max / 2);
        until("there is room again", async || {
            matches!(open(&edge).await, Ok(Ok(_)))
        })
        .await?;
        let lines = log_lines(system.cluster().dir());
        let has = |text: &str| lines.iter().any(|line| line.contains(text));
        ensure!(has("fewer streams than edge.max_streams"), "{lines:?}");
        ensure!(!has("cannot accept connections"), "out of descriptors");
        Ok(())
    })
    .await
}

/// Number of connections of a stranger to each port: more than there are descriptors.
const STRANGERS: usize = 400;

/// Number of ports that strangers reach: the edge's and the ingest's.
const PUBLIC: usize = 2;

/// The ports of a system: the public ones, that of sync, and those for probes.
fn ports(system: &mut System) -> Result<Vec<Url>> {
    let mut ports = vec![system.edges()[0].clone(), system.ingests()[0].clone()];
    ports.push(system.cluster().url("sync")?);
    for node in [SystemNode::Edge(0), SystemNode::Ingest(0), SystemNode::Sync] {
        ports.push(system.admin(node)?);
    }
    ports.dedup();
    Ok(ports)
}

/// The bytes that a stranger sends on each of its connections: none, the beginning of a head, a body without its end.
const BEGINNINGS: [&str; 3] = [
    "",
    "POST /webhooks/git",
    "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
];

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_open_connections_to_every_port_keep_nobody_out() -> Result<()> {
    let few = |plan: testkit::cluster::ClusterPlan| plan.with_descriptors(LIMIT);
    both_with(few, async |system| {
        let edge = system.edges()[0].clone();
        let mut github = GithubSender::of(system, 54);
        let ledger = Arc::clone(&github.ledger);
        let edges = std::slice::from_ref(&edge);
        let reader = EventReader::start("r", ReaderKind::Events, edges, 0, None, &ledger).await?;
        let ports = ports(system)?;
        for beginning in BEGINNINGS {
            let mut strangers = Vec::new();
            // Whoever reaches the other ports is no stranger, but may still leave connections open.
            let reached = if beginning.is_empty() {
                ports.len()
            } else {
                PUBLIC
            };
            for port in &ports[..reached] {
                for _ in 0..STRANGERS {
                    // The kernel takes them, whether or not they are accepted yet.
                    strangers.push(raw(port, beginning).await?);
                }
            }
            every_node_is_ready(system).await?;
            for node in [SystemNode::Edge(0), SystemNode::Ingest(0), SystemNode::Sync] {
                let livez = reqwest::get(system.admin(node)?.join("/livez")?);
                let livez = timeout(SOON, livez)
                    .await
                    .with_context(|| node.to_string())??;
                ensure!(livez.status() == 200, "{node}: {}", livez.status());
            }
            github.events(3).await?;
            settle(&ledger, &["r"]).await?;
            ping(&edge).await?;
            drop(strangers);
        }
        ensure!(reader.opens() == 1, "its stream stayed open");
        let lines = log_lines(system.cluster().dir());
        let is_out = lines
            .iter()
            .any(|line| line.contains("cannot accept connections"));
        ensure!(!is_out, "out of descriptors");
        Ok(())
    })
    .await
}
