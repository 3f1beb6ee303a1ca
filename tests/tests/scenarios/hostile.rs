//! Clients that mean no good, or mean nothing at all: they hurt nobody.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::{StatusCode, Url};
use serde_json::json;
use testkit::cluster::{Node, System};
use tests::{Reader, ReaderKind, both, settle, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::sending::Github;

/// Streams opened and closed again; enough that a kilobyte left behind by each would show.
const OPENS: usize = 2000;

async fn raw(edge: &Url, request: &str) -> Result<TcpStream> {
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
        let mut github = Github::of(system, 51);
        let ledger = Arc::clone(&github.ledger);
        let edges = std::slice::from_ref(&edge);
        let reader = Reader::start("r", ReaderKind::Events, edges, 0, None, &ledger).await?;
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
        // A body that does not come is answered and cut, not waited for.
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

async fn open_streams(system: &System) -> Result<u64> {
    let url = system.admin(Node::Edge(0))?.join("/metrics")?;
    let text = reqwest::get(url).await?.text().await?;
    let line = text
        .lines()
        .find(|l| l.starts_with("forgewire_edge_open_streams{kind=\"events\"}"));
    let count = line
        .and_then(|line| line.rsplit(' ').next())
        .context("the gauge is there")?;
    Ok(count.parse()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_come_and_go_leave_nothing_behind() -> Result<()> {
    both(async |system| {
        let edge = system.edges()[0].clone();
        let request = "GET /events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
        for _ in 0..OPENS / 50 {
            let mut streams = Vec::new();
            for _ in 0..50 {
                streams.push(raw(&edge, request).await?);
            }
            for stream in &mut streams {
                let mut first = [0; 1];
                stream.read_exact(&mut first).await?;
            }
        }
        until("no stream is left", async || {
            open_streams(system).await.is_ok_and(|n| n == 0)
        })
        .await
    })
    .await
}
