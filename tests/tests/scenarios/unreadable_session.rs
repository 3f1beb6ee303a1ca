//! A session whose record this build cannot read: another build wrote it, or it is damaged. It concerns its
//! client alone, who is told that the session is gone, and begins a new one.

use std::time::Duration;

use access::TokenDigest;
use anyhow::{Context, Result, ensure};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use testkit::{
    cluster::ClusterPlan,
    sse::{self, SseStream},
};
use tests::{both_with, plant_unreadable_session};

const SOON: Duration = Duration::from_secs(20);
const TOKEN: &str = "the-token-of-one-who-reads-and-operates-";

/// A session, as a client with the token has it.
struct TokenSession {
    id: String,
    headers: HeaderMap,
}

fn headers() -> Result<HeaderMap> {
    let accept = HeaderValue::from_static("application/json, text/event-stream");
    let bearer = format!("Bearer {TOKEN}").parse()?;
    Ok([(ACCEPT, accept), (AUTHORIZATION, bearer)]
        .into_iter()
        .collect())
}

async fn post(edge: &Url, path: &str, headers: HeaderMap, message: &Value) -> Result<Response> {
    let request = Client::new().post(edge.join(path)?).headers(headers);
    Ok(request.json(message).send().await?)
}

impl TokenSession {
    async fn begin(edge: &Url) -> Result<Self> {
        let mut headers = headers()?;
        let params = json!({
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        });
        let initialize =
            json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
        let answer = post(edge, "/mcp", headers.clone(), &initialize).await?;
        ensure!(answer.status().is_success(), "{answer:?}");
        let id = answer
            .headers()
            .get("mcp-session-id")
            .context("a session")?;
        headers.insert("mcp-session-id", id.clone());
        let id = id.to_str()?.to_owned();
        let session = Self { id, headers };
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        ensure!(
            session
                .post(edge, &initialized)
                .await?
                .status()
                .is_success()
        );
        Ok(session)
    }

    async fn post(&self, edge: &Url, message: &Value) -> Result<Response> {
        post(edge, "/mcp", self.headers.clone(), message).await
    }

    async fn stream(&self, edge: &Url) -> Result<SseStream> {
        Ok(sse::open(&edge.join("/mcp")?, self.headers.clone()).await?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_another_build_is_gone_to_its_client_and_harms_no_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tokens.toml");
    let sha256 = TokenDigest::of_new(TOKEN)?.to_hex();
    let entry = format!(
        "[[token]]\nid = \"one\"\nsha256 = \"{sha256}\"\nprincipal = \"one\"\npermissions = [\"read\", \"admin\"]\n"
    );
    std::fs::write(&path, entry)?;
    let path = path.display().to_string();
    let under_tokens = |plan: ClusterPlan| {
        plan.with_env("FORGEWIRE_AUTH__MODE", "tokens")
            .with_env("FORGEWIRE_AUTH__TOKEN_FILE", &path)
    };
    both_with(under_tokens, async |system| {
        let edges = system.edges().to_vec();
        let (lost, other) = (
            TokenSession::begin(&edges[0]).await?,
            TokenSession::begin(&edges[1]).await?,
        );
        let mut open = lost.stream(&edges[2]).await?;
        let mut others = other.stream(&edges[0]).await?;
        plant_unreadable_session(system, &lost.id)?;
        let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
        for edge in &edges {
            let answer = lost.post(edge, &ping).await?;
            ensure!(answer.status() == StatusCode::NOT_FOUND, "{answer:?}");
            let answer: Value = answer.json().await?;
            ensure!(answer["error"]["code"].is_number(), "{answer}");
        }
        let delete = Client::new().delete(edges[1].join("/mcp")?);
        let ended = delete.headers(lost.headers.clone()).send().await?;
        ensure!(ended.status() == StatusCode::NOT_FOUND, "{ended:?}");
        // The edge looks after its open streams, and ends that of the session.
        while open.next_event(SOON).await.is_ok() {}

        let message = json!({ "jsonrpc": "2.0", "method": "notifications/test", "params": {} });
        let broadcast = json!({ "message": message });
        let answer = post(&edges[0], "/mcp/sse/broadcast", headers()?, &broadcast).await?;
        let answer: Value = answer.json().await?;
        ensure!(answer["sentCount"] == 1, "{answer}");
        loop {
            let event = others.next_event(SOON).await?;
            let is_test = |message: Value| message["method"] == "notifications/test";
            if event.json().is_some_and(is_test) {
                break;
            }
        }
        TokenSession::begin(&edges[0]).await?;
        Ok(())
    })
    .await
}
