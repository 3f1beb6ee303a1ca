//! Hostile and careless clients: they affect no other client.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::{StatusCode, Url};
use serde_json::json;
use testkit::{
    cluster::{System, SystemKind, SystemNode},
    mcp_client::{McpClient, ModernClient},
};
use tests::{EventReader, ReaderKind, both, settle, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::sending::GithubSender;

/// Streams and calls opened and closed before memory is measured, so that caches and the
/// allocator's pools are full by then.
const WARM_UP: usize = 2000;
/// Number opened between the two measurements: a leak of one kilobyte each would be 10 MiB.
const OPENS: usize = 10_000;
/// Memory may change by this much without a leak.
const SLACK_KIB: u64 = 4096;
/// Number open at the same time.
const AT_ONCE: usize = 48;

pub(crate) async fn raw(edge: &Url, request: &str) -> Result<TcpStream> {
    let address = edge
        .socket_addrs(|| None)?
        .into_iter()
        .next()
        .context("an address")?;
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_id_that_could_not_be_ours_is_just_unknown() -> Result<()> {
    both(async |system| {
        let url = system.edges()[0].join("/mcp")?;
        let long = "a".repeat(10_000);
        for id in [
            "a.b",
            "*",
            ">",
            "mcp.session.>",
            "{x}",
            "../..",
            long.as_str(),
        ] {
            let answer = reqwest::Client::new()
                .post(url.clone())
                .header("mcp-session-id", id)
                .header("accept", "application/json, text/event-stream")
                .json(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}))
                .send()
                .await?;
            ensure!(
                answer.status() == StatusCode::NOT_FOUND,
                "{id:.20}: {}",
                answer.status()
            );
            let body: serde_json::Value = answer.json().await?;
            ensure!(body["error"]["code"].is_i64(), "a JSON-RPC body: {body}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_somebody_else_may_not() -> Result<()> {
    both(async |system| {
        for path in ["/mcp", "/events/stream", "/events/recent"] {
            let url = system.edges()[0].join(path)?;
            let request = reqwest::Client::new()
                .get(url)
                .header("origin", "https://evil.example");
            let status = request.send().await?.status();
            ensure!(status == StatusCode::FORBIDDEN, "{path}: {status}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_finish_or_never_read_delay_nobody() -> Result<()> {
    both(async |system| {
        let edge = system.edges()[0].clone();
        let mut github = GithubSender::of(system, 51);
        let ledger = Arc::clone(&github.ledger);
        let edges = std::slice::from_ref(&edge);
        let reader = EventReader::start("r", ReaderKind::Events, edges, 0, None, &ledger).await?;
        let mut hostile = Vec::new();
        for _ in 0..20 {
            hostile.push(raw(&edge, "GET /events/stream HTTP/1.1\r\nHost: loc").await?);
            let body = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                        Content-Length: 1000\r\n\r\n{";
            hostile.push(raw(&edge, body).await?);
            let never_reads = "GET /events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
            hostile.push(raw(&edge, never_reads).await?);
        }
        github.events(100).await?;
        settle(&ledger, &["r"]).await?;
        ensure!(reader.opens() == 1, "its stream stayed open");
        // A body that never arrives is answered and cut off, not waited for.
        let mut answer = Vec::new();
        let stalled = hostile.get_mut(1).context("there are sixty")?;
        let cut = tokio::time::timeout(Duration::from_secs(30), stalled.read_to_end(&mut answer));
        cut.await
            .context("the stalled body is still waited for")??;
        ensure!(
            answer.starts_with(b"HTTP/1.1 408"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        Ok(())
    })
    .await
}

/// Number of open streams of every kind on an edge.
pub(crate) async fn open_streams(system: &System) -> Result<u64> {
    let url = system.admin(SystemNode::Edge(0))?.join("/metrics")?;
    let text = reqwest::get(url).await?.text().await?;
    let gauges = text
        .lines()
        .filter(|l| l.starts_with("forgewire_edge_open_streams{"));
    let counts = gauges.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    let counts: Vec<_> = counts.collect();
    ensure!(counts.len() == 5, "the gauges are there: {counts:?}");
    Ok(counts.iter().sum())
}

/// Resident memory of the first edge, in KiB.
pub(crate) fn resident_kib(system: &mut System) -> Result<u64> {
    let name = match system.kind() {
        SystemKind::Embedded => "forgewire".to_owned(),
        SystemKind::Cluster => SystemNode::Edge(0).to_string(),
    };
    let pid = system.cluster().process(&name)?.id().context("it runs")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next());
    Ok(kib.context("VmRSS is there")?.parse()?)
}

/// The request to open, in turns: a stream of events, of a session, of the stateless era, and a
/// call whose answer is not awaited.
fn request(n: usize, session: &str) -> String {
    let post = |headers: &str, body: &str| {
        format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let of_session = format!("Mcp-Session-Id: {session}\r\n");
    match n % 4 {
        0 => "GET /events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        1 => format!(
            "GET /mcp HTTP/1.1\r\nHost: localhost\r\n{of_session}Accept: text/event-stream\r\n\r\n"
        ),
        2 => {
            let body = json!({"jsonrpc": "2.0", "id": n, "method": "subscriptions/listen", "params": {
                "notifications": {"resourceSubscriptions": ["github://events"]},
                "_meta": ModernClient::meta(),
            }});
            let headers =
                "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n";
            post(headers, &body.to_string())
        }
        _ => {
            let arguments = json!({"name": "get_recent_events", "arguments": {}});
            let body =
                json!({"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": arguments});
            post(&of_session, &body.to_string())
        }
    }
}

/// Opens and closes `count` connections, half of them with a reset, then waits until no stream is
/// left.
async fn opens_and_closes(system: &System, sessions: &[String], count: usize) -> Result<()> {
    let edge = &system.edges()[0];
    for batch in 0..count / AT_ONCE {
        let mut streams = Vec::new();
        for n in 0..AT_ONCE {
            let session = &sessions[n % sessions.len()];
            streams.push(raw(edge, &request(batch * AT_ONCE + n, session)).await?);
        }
        for (n, mut stream) in streams.into_iter().enumerate() {
            // A call is abandoned at once, a stream once it has begun.
            if n % 4 != 3 {
                let mut first = [0; 12];
                stream.read_exact(&mut first).await?;
                ensure!(
                    &first == b"HTTP/1.1 200",
                    "{}",
                    String::from_utf8_lossy(&first)
                );
            }
            if n % 8 < 4 {
                stream.set_zero_linger()?;
            }
        }
    }
    until("no stream is left", async || {
        open_streams(system).await.is_ok_and(|n| n == 0)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_calls_that_come_and_go_leave_nothing_behind() -> Result<()> {
    both(async |system| {
        let mut sessions = Vec::new();
        for _ in 0..AT_ONCE {
            let client = McpClient::connect(&system.edges()[0]).await?;
            sessions.push(client.session_id().context("a session")?.to_owned());
        }
        opens_and_closes(system, &sessions, WARM_UP).await?;
        let before = resident_kib(system)?;
        opens_and_closes(system, &sessions, OPENS).await?;
        let after = resident_kib(system)?;
        println!(
            "{}: {before} KiB before, {after} KiB after {OPENS}",
            system.kind()
        );
        let more = after.saturating_sub(before);
        ensure!(
            more <= SLACK_KIB,
            "{OPENS} opens and closes left {more} KiB behind"
        );
        Ok(())
    })
    .await
}
