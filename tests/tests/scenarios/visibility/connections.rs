//! Connections that stay open while the rights of their token change: what each carries, as text.

use std::convert::Infallible;

use anyhow::{Context, Result, ensure};
use futures_util::stream;
use reqwest::{Body, Url, header::CONTENT_TYPE};
use serde_json::{Value, json};
use testkit::{mcp_client::ModernClient, sse::SseStream};
use tests::BridgeProcess;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::world::{SOON, World, text_until};

/// Lines in both directions (NDJSON).
pub(super) struct LineClient {
    input: mpsc::UnboundedSender<String>,
    response: reqwest::Response,
}

impl LineClient {
    pub(super) async fn open(edge: &Url, token: &str) -> Result<Self> {
        let (input, queue) = mpsc::unbounded_channel::<String>();
        let body = stream::unfold(queue, async |mut queue| {
            let line = queue.recv().await?;
            Some((Ok::<_, Infallible>(line), queue))
        });
        let request = reqwest::Client::new().post(edge.join("/mcp/stream")?);
        let request = request
            .headers(World::headers(token, "application/x-ndjson"))
            .header(CONTENT_TYPE, "application/x-ndjson")
            .body(Body::wrap_stream(body));
        let response = request.send().await?;
        Ok(Self { input, response })
    }

    pub(super) fn send(&self, message: &Value) {
        // The connection may have ended, which its reader sees.
        let _ = self.input.send(format!("{message}\n"));
    }

    /// Everything until `last` is in it, until the connection ends, or for [`SOON`].
    pub(super) async fn text_until(&mut self, last: &str) -> Result<String> {
        let (mut text, end) = (String::new(), Instant::now() + SOON);
        while !text.contains(last) {
            match timeout_at(end, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => text += &String::from_utf8_lossy(&chunk),
                // Cut off, as a revoked connection may be.
                Ok(Ok(None) | Err(_)) | Err(_) => break,
            }
        }
        Ok(text)
    }
}

/// A request of JSON-RPC.
pub(super) fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// A session of a connection or a process, with a subscription to everything: the first messages.
fn opening() -> [Value; 3] {
    let info = json!({ "name": "test", "version": "1" });
    let open = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info });
    let subscribe = json!({ "name": "subscribe_to_events", "arguments": {} });
    [
        request(1, "initialize", &open),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        request(2, "tools/call", &subscribe),
    ]
}

/// A call that waits for the first event after a cursor.
pub(super) fn wait(cursor: &str) -> Value {
    json!({ "name": "wait_for_events", "arguments": { "cursor": cursor, "maxWaitSeconds": 50 } })
}

/// Everything that a bridge writes until `last` is in it, or until it ends.
pub(super) async fn bridge_until(bridge: &mut BridgeProcess, last: &str) -> String {
    let mut text = String::new();
    while !text.contains(last) {
        match bridge.receive().await {
            Ok(message) => text += &format!("{message}\n"),
            Err(_) => break,
        }
    }
    text
}

/// Everything of one client that waits.
pub(super) struct OpenConnections {
    /// Those that end when the rights of their token change.
    pub(super) streams: Vec<(&'static str, SseStream)>,
    /// Answers that come when something happens.
    pub(super) answers: Vec<(&'static str, JoinHandle<Result<String>>)>,
    pub(super) lines: LineClient,
    pub(super) bridge: BridgeProcess,
    pub(super) task: String,
}

impl OpenConnections {
    /// Opens each of them on another edge where there are several.
    pub(super) async fn open(
        world: &World,
        token: &'static str,
        cursor: &str,
        repos: &[&str],
    ) -> Result<Self> {
        let edges = &world.edges;
        let task = world.waiting_task(&edges[0], token, cursor).await?;
        let session = world.session(&edges[2], token).await?;
        let streams = vec![
            (
                "events",
                world.events(&edges[1], token, Some(cursor)).await?,
            ),
            (
                "subscription",
                world.subscription(&edges[2], token, cursor).await?,
            ),
            (
                "session",
                world
                    .session_stream(&edges[0], token, &session, None)
                    .await?,
            ),
            ("listen", world.listen(&edges[2], token, repos).await?),
            (
                "tasks",
                world.listen_to_task(&edges[1], token, &task).await?,
            ),
            ("HTTP+SSE", subscribed_http_sse(world, token).await?),
            ("connection", subscribed_connection(world, token).await?),
        ];
        Ok(Self {
            streams,
            answers: waiting_answers(world, token, cursor).await?,
            lines: lines(&edges[1], token, cursor).await?,
            bridge: bridge(&edges[0], token, cursor).await?,
            task,
        })
    }

    /// The texts of all that end by themselves, until each has ended or has `last`.
    pub(super) async fn texts(&mut self, last: &str) -> Result<Vec<(&'static str, String)>> {
        let mut texts = Vec::new();
        for (name, stream) in &mut self.streams {
            texts.push((*name, text_until(stream, "no mark is this").await?));
        }
        for (name, answer) in self.answers.drain(..) {
            texts.push((name, answer.await??));
        }
        // A line that comes after the change is answered under the new rights, or not at all.
        let recent = json!({ "name": "get_recent_events", "arguments": { "limit": 1000 } });
        self.lines.send(&request(8, "tools/call", &recent));
        texts.push(("lines", self.lines.text_until("\"id\":8").await?));
        let recent = request(9, "tools/call", &recent);
        let mut text = String::new();
        if self.bridge.send(&recent).await.is_ok() {
            text = bridge_until(&mut self.bridge, "\"id\":9").await;
            if !last.is_empty() && !text.contains(last) {
                text += &bridge_until(&mut self.bridge, last).await;
            }
        }
        texts.push(("stdio", text));
        Ok(texts)
    }
}

async fn subscribed_http_sse(world: &World, token: &str) -> Result<SseStream> {
    let (mut stream, endpoint) = world.http_sse(&world.edges[0], token).await?;
    let url = world.edges[2].join(&endpoint)?;
    world
        .ask_on_stream(url, token, 71, "subscribe_to_events")
        .await?;
    let text = text_until(&mut stream, "\"id\\\":71").await?;
    ensure!(text.contains("subscriptionId"), "{text}");
    Ok(stream)
}

async fn subscribed_connection(world: &World, token: &str) -> Result<SseStream> {
    let (mut stream, id) = world.connection(&world.edges[1], token).await?;
    let subscribe = json!({ "name": "subscribe_to_events", "arguments": {} });
    let message = request(72, "tools/call", &subscribe);
    world
        .send_for(&world.edges[0], token, &id, &message)
        .await?;
    let text = text_until(&mut stream, "\"id\\\":72").await?;
    ensure!(text.contains("subscriptionId"), "{text}");
    Ok(stream)
}

/// Calls that wait, in every form in which their answer comes.
async fn waiting_answers(
    world: &World,
    token: &'static str,
    cursor: &str,
) -> Result<Vec<(&'static str, JoinHandle<Result<String>>)>> {
    let edges = &world.edges;
    let poll = json!({ "name": "replay_events",
        "arguments": { "cursor": cursor, "waitSeconds": 45 } });
    let message = ModernClient::new().message("tools/call", poll);
    let mut headers = World::headers(token, "application/json");
    headers.extend(ModernClient::headers(&message));
    let poll = reqwest::Client::new().post(edges[1].join("/mcp")?);
    let poll = poll.headers(headers).json(&message);
    let mut answers = vec![(
        "poll",
        tokio::spawn(async move { Ok(poll.send().await?.text().await?) }),
    )];
    let posted = request(5, "tools/call", &wait(cursor));
    let batch = json!([posted, request(6, "ping", &json!({}))]);
    for (name, edge, version, message) in [
        ("answer to a POST", &edges[2], "2025-11-25", posted),
        ("batch", &edges[0], "2025-03-26", batch),
    ] {
        let session = world.session_of(edge, token, version).await?;
        let answer = world.send(edge, token, &session, &message).await?;
        ensure!(answer.status().is_success(), "{name}: {}", answer.status());
        answers.push((name, tokio::spawn(async move { Ok(answer.text().await?) })));
    }
    Ok(answers)
}

async fn lines(edge: &Url, token: &str, cursor: &str) -> Result<LineClient> {
    let mut lines = LineClient::open(edge, token).await?;
    opening().iter().for_each(|message| lines.send(message));
    let text = lines.text_until("subscriptionId").await?;
    ensure!(text.contains("subscriptionId"), "{text}");
    lines.send(&request(3, "tools/call", &wait(cursor)));
    Ok(lines)
}

async fn bridge(edge: &Url, token: &str, cursor: &str) -> Result<BridgeProcess> {
    let mut bridge = BridgeProcess::start_with_token(edge, token)?;
    for message in &opening() {
        bridge.send(message).await.context("the bridge runs")?;
    }
    let text = bridge_until(&mut bridge, "subscriptionId").await;
    ensure!(text.contains("subscriptionId"), "{text}");
    bridge
        .send(&request(3, "tools/call", &wait(cursor)))
        .await?;
    Ok(bridge)
}
