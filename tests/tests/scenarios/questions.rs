//! Questions of tools to the client of a session: asked on one edge and answered on another, and only
//! answers to them are taken.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{StatusCode, Url, header::HeaderMap};
use serde_json::{Value, json};
use testkit::sse::SseStream;
use tests::both;

const SOON: Duration = Duration::from_secs(20);

/// A client with a session, whose user can be asked.
struct AskedClient {
    http: reqwest::Client,
    headers: HeaderMap,
}

impl AskedClient {
    async fn connect(edge: &Url) -> Result<Self> {
        let mut client = Self {
            http: reqwest::Client::new(),
            headers: HeaderMap::new(),
        };
        let accept = "application/json, text/event-stream".parse()?;
        client.headers.insert("accept", accept);
        let params = json!({ "protocolVersion": "2025-11-25",
            "capabilities": { "elicitation": {} },
            "clientInfo": { "name": "test", "version": "1" } });
        let answer = client.request(edge, "initialize", params).await?;
        let session = answer.headers().get("mcp-session-id");
        let session = session.context("a session has an id")?.clone();
        client.headers.insert("mcp-session-id", session);
        Ok(client)
    }

    async fn post(&self, edge: &Url, message: &Value) -> Result<reqwest::Response> {
        let request = self.http.post(edge.join("/mcp")?);
        let request = request.headers(self.headers.clone());
        Ok(request.json(message).send().await?)
    }

    async fn request(&self, edge: &Url, method: &str, params: Value) -> Result<reqwest::Response> {
        let message = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        self.post(edge, &message).await
    }

    async fn tool(&self, edge: &Url, name: &str, arguments: Value) -> Result<reqwest::Response> {
        let params = json!({ "name": name, "arguments": arguments });
        self.request(edge, "tools/call", params).await
    }

    /// The status of the answer to a response with this id.
    async fn answer(&self, edge: &Url, id: &str, content: &Value) -> Result<StatusCode> {
        let result = json!({ "action": "accept", "content": content });
        let message = json!({ "jsonrpc": "2.0", "id": id, "result": result });
        Ok(self.post(edge, &message).await?.status())
    }
}

/// The next message of a call's stream.
async fn next(stream: &mut SseStream) -> Result<Value> {
    loop {
        let frame = stream.next_event(SOON).await?;
        if let Some(message) = frame.json() {
            return Ok(message);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_on_any_edge_and_what_no_edge_asked_on_none() -> Result<()> {
    both(async |system| {
        let edges = system.edges();
        let client = AskedClient::connect(&edges[0]).await?;
        let other = AskedClient::connect(&edges[1]).await?;
        for repo in ["one", "two"] {
            let filter = json!({ "filters": [{ "repo": repo }] });
            let made = client.tool(&edges[0], "subscribe_to_events", filter);
            ensure!(made.await?.status().is_success());
        }
        let all = json!({ "action": "unsubscribe", "all": true });
        let call = client.tool(&edges[0], "manage_events", all).await?;
        let mut stream = SseStream::from_response(call).await?;
        let question = next(&mut stream).await?;
        let id = question["id"].as_str().context("a question has an id")?;

        let megabyte = json!({ "unsubscribe": true, "filler": "x".repeat(900 << 10) });
        let last = id.chars().next_back().context("an id is not empty")?;
        let changed = if last == 'A' { 'B' } else { 'A' };
        let forged = format!("{}{changed}", &id[..id.len() - 1]);
        for edge in edges {
            for made_up in [&forged, "ask-1", &format!("{id}A")] {
                let status = client.answer(edge, made_up, &megabyte).await?;
                ensure!(status == StatusCode::BAD_REQUEST, "{made_up}: {status}");
            }
            let status = other.answer(edge, id, &megabyte).await?;
            ensure!(
                status == StatusCode::BAD_REQUEST,
                "another session: {status}"
            );
        }
        let agree = json!({ "unsubscribe": true });
        for edge in edges.iter().rev() {
            let status = client.answer(edge, id, &agree).await?;
            ensure!(status == StatusCode::ACCEPTED, "{status}");
        }
        let result = next(&mut stream).await?;
        let count = &result["result"]["structuredContent"]["unsubscribedCount"];
        ensure!(*count == 2, "{result}");
        Ok(())
    })
    .await
}
