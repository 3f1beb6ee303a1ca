//! Every way in which a client reads, as text: whatever a reader may not see must not be in it.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use access::TokenDigest;
use anyhow::{Context, Result, ensure};
use reqwest::{
    Url,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use testkit::{
    cluster::System,
    fake_github::signature,
    mcp_client::ModernClient,
    sse::{self, SseStream},
};

/// The owner of the repositories.
pub(super) const OWNER: &str = "acme";
/// Time within which anything expected has to happen.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// A way to read past events or resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surface {
    Recent,
    Replay,
    RecentTool,
    ReplayTool,
    ManageTool,
    EventList,
    RepositoryList,
    Issue,
    Prompt,
    Completion,
}

impl Surface {
    pub(super) const ALL: [Self; 10] = [
        Self::Recent,
        Self::Replay,
        Self::RecentTool,
        Self::ReplayTool,
        Self::ManageTool,
        Self::EventList,
        Self::RepositoryList,
        Self::Issue,
        Self::Prompt,
        Self::Completion,
    ];

    /// What stands for an event of a repository in its text.
    pub(super) fn mark(self, repo: &str) -> String {
        match self {
            Self::Completion => format!("\"{repo}\""),
            _ => format!("mark-{repo}-"),
        }
    }
}

/// The token file of all edges.
pub(super) struct TokenFile {
    _folder: tempfile::TempDir,
    pub(super) path: PathBuf,
}

impl TokenFile {
    pub(super) fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("tokens.toml");
        let file = Self {
            _folder: folder,
            path,
        };
        file.write(&[])?;
        Ok(file)
    }

    /// Writes tokens: each with its principal and what it sees.
    pub(super) fn write(&self, tokens: &[(&str, &str, &str)]) -> Result<()> {
        let mut text = String::new();
        for (token, principal, sees) in tokens {
            let sha256 = TokenDigest::of_new(token)?.to_hex();
            text += &format!(
                "[[token]]\nid = \"{token}\"\nsha256 = \"{sha256}\"\nprincipal = \"{principal}\"\n{sees}\n"
            );
        }
        let new = self.path.with_extension("new");
        std::fs::write(&new, text)?;
        Ok(std::fs::rename(new, &self.path)?)
    }
}

/// A system under tokens, and a GitHub whose events the test makes.
pub(super) struct World {
    pub(super) edges: Vec<Url>,
    ingest: Url,
    secret: String,
    http: reqwest::Client,
    count: AtomicU32,
}

impl World {
    pub(super) fn of(system: &System) -> Self {
        Self {
            edges: system.edges().to_vec(),
            ingest: system.ingest_balancer().clone(),
            secret: system.secret().to_owned(),
            http: reqwest::Client::new(),
            count: AtomicU32::new(0),
        }
    }

    /// Something happens to issue 7 of `owner/repo`; returns its mark.
    pub(super) async fn happens(&self, owner: &str, repo: &str, changes: Value) -> Result<String> {
        let n = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let mark = format!("mark-{repo}-{n}-");
        let body = json!({
            "action": "edited",
            "issue": issue(owner, repo, &mark),
            "changes": changes,
            "repository": repository(owner, repo),
            "sender": { "login": "mona" },
        })
        .to_string();
        let request = self
            .http
            .post(self.ingest.join("/webhooks/github")?)
            .header("content-type", "application/json")
            .header("x-github-event", "issues")
            .header("x-github-delivery", uuid::Uuid::new_v4().to_string())
            .header(
                "x-hub-signature-256",
                signature(&self.secret, body.as_bytes()),
            )
            .body(body);
        let status = request.send().await?.status();
        ensure!(status.is_success(), "the webhook got {status}");
        Ok(mark)
    }

    pub(super) fn headers(token: &str, accept: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let bearer = HeaderValue::from_str(&format!("Bearer {token}")).expect("visible ASCII");
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers
    }

    /// The text of a GET.
    pub(super) async fn get(&self, edge: &Url, token: &str, path: &str) -> Result<String> {
        let request = self.http.get(edge.join(path)?);
        let headers = Self::headers(token, "application/json");
        Ok(request.headers(headers).send().await?.text().await?)
    }

    /// The text of the answer to a call of the stateless era.
    pub(super) async fn call(
        &self,
        edge: &Url,
        token: &str,
        method: &str,
        params: Value,
    ) -> Result<String> {
        let tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
        let client = match params["task"].as_bool() {
            Some(true) => ModernClient::with_capabilities(tasks),
            _ if method.starts_with("tasks/") => ModernClient::with_capabilities(tasks),
            _ => ModernClient::new(),
        };
        let mut params = params;
        if let Some(params) = params.as_object_mut() {
            params.remove("task");
        }
        let message = client.message(method, params);
        let mut headers = Self::headers(token, "application/json, text/event-stream");
        headers.extend(ModernClient::headers(&message));
        let request = self.http.post(edge.join("/mcp")?).headers(headers);
        Ok(request.json(&message).send().await?.text().await?)
    }

    pub(super) async fn tool(
        &self,
        edge: &Url,
        token: &str,
        name: &str,
        arguments: Value,
    ) -> Result<String> {
        let params = json!({ "name": name, "arguments": arguments });
        self.call(edge, token, "tools/call", params).await
    }

    /// What a surface shows to the holder of a token. `repo` is the repository that it names, where it
    /// names one.
    pub(super) async fn look(
        &self,
        surface: Surface,
        edge: &Url,
        token: &str,
        repo: &str,
    ) -> Result<String> {
        let read = |uri: String| json!({ "uri": uri });
        let named = json!({ "owner": OWNER, "repo": repo });
        match surface {
            Surface::Recent => self.get(edge, token, "/events/recent?limit=1000").await,
            Surface::Replay => {
                let path = "/events/replay/2020-01-01T00:00:00Z";
                self.get(edge, token, path).await
            }
            Surface::RecentTool => {
                let limit = json!({ "limit": 1000 });
                self.tool(edge, token, "get_recent_events", limit).await
            }
            Surface::ReplayTool => self.tool(edge, token, "replay_events", json!({})).await,
            Surface::ManageTool => {
                let action = json!({ "action": "get_recent" });
                self.tool(edge, token, "manage_events", action).await
            }
            Surface::EventList => {
                let uri = read("github://events".to_owned());
                self.call(edge, token, "resources/read", uri).await
            }
            Surface::RepositoryList => {
                let uri = read(format!("github://events/{OWNER}/{repo}"));
                self.call(edge, token, "resources/read", uri).await
            }
            Surface::Issue => {
                let uri = read(format!("github://issues/{OWNER}/{repo}/7"));
                self.call(edge, token, "resources/read", uri).await
            }
            Surface::Prompt => {
                let mut arguments = named;
                arguments["number"] = json!("7");
                let params = json!({ "name": "triage_event", "arguments": arguments });
                self.call(edge, token, "prompts/get", params).await
            }
            Surface::Completion => {
                let params = json!({
                    "ref": { "type": "ref/prompt", "name": "triage_event" },
                    "argument": { "name": "repo", "value": "" },
                    "context": { "arguments": { "owner": OWNER } },
                });
                self.call(edge, token, "completion/complete", params).await
            }
        }
    }

    /// Opens `GET /events/stream`, after an id or from the first event on.
    pub(super) async fn events(
        &self,
        edge: &Url,
        token: &str,
        after: Option<&str>,
    ) -> Result<SseStream> {
        let headers = Self::headers(token, "text/event-stream");
        let after = after.unwrap_or("2020-01-01T00:00:00Z");
        Ok(sse::resume(&edge.join("/events/stream")?, headers, after).await?)
    }

    /// A session with a subscription to everything; returns its id.
    pub(super) async fn session(&self, edge: &Url, token: &str) -> Result<String> {
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" } });
        let answer = self.post(edge, token, None, "initialize", params).await?;
        let id = answer.headers().get("mcp-session-id");
        let id = id.context("a session has an id")?.to_str()?.to_owned();
        let call = json!({ "name": "subscribe_to_events", "arguments": {} });
        self.post(edge, token, Some(&id), "tools/call", call)
            .await?;
        Ok(id)
    }

    pub(super) async fn session_stream(
        &self,
        edge: &Url,
        token: &str,
        session: &str,
        after: Option<&str>,
    ) -> Result<SseStream> {
        let mut headers = Self::headers(token, "text/event-stream");
        headers.insert("mcp-session-id", HeaderValue::from_str(session)?);
        let url = edge.join("/mcp")?;
        Ok(match after {
            Some(after) => sse::resume(&url, headers, after).await?,
            None => sse::open(&url, headers).await?,
        })
    }

    /// A message of the handshake era.
    pub(super) async fn post(
        &self,
        edge: &Url,
        token: &str,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<reqwest::Response> {
        let mut headers = Self::headers(token, "application/json, text/event-stream");
        if let Some(session) = session {
            headers.insert("mcp-session-id", HeaderValue::from_str(session)?);
        }
        let message = json!({ "jsonrpc": "2.0", "id": 5, "method": method, "params": params });
        let request = self.http.post(edge.join("/mcp")?).headers(headers);
        Ok(request.json(&message).send().await?)
    }

    /// A listen stream for the lists of these repositories.
    pub(super) async fn listen(
        &self,
        edge: &Url,
        token: &str,
        repos: &[&str],
    ) -> Result<SseStream> {
        let uris = repos
            .iter()
            .map(|repo| format!("github://events/{OWNER}/{repo}"));
        let wanted = json!({ "resourceSubscriptions": uris.collect::<Vec<_>>() });
        let client = ModernClient::new();
        let message = client.message("subscriptions/listen", json!({ "notifications": wanted }));
        let mut headers = Self::headers(token, "application/json, text/event-stream");
        headers.extend(ModernClient::headers(&message));
        let request = self.http.post(edge.join("/mcp")?).headers(headers);
        Ok(SseStream::from_response(request.json(&message).send().await?).await?)
    }
}

/// Everything that a stream carries until `last` is in it, or until it ends.
pub(super) async fn text_until(stream: &mut SseStream, last: &str) -> Result<String> {
    let mut text = String::new();
    while let Some(frame) = stream.next(SOON).await? {
        text += &format!("{frame:?}\n");
        if text.contains(last) {
            break;
        }
    }
    Ok(text)
}

/// The id of a JSON-RPC answer's task.
pub(super) fn task_of(answer: &str) -> Result<String> {
    let json = answer
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.trim_start_matches("data: ")).ok())
        .next_back();
    let id = json.and_then(|json| Some(json["result"]["taskId"].as_str()?.to_owned()));
    id.with_context(|| format!("no task: {answer}"))
}

pub(super) fn issue(owner: &str, repo: &str, title: &str) -> Value {
    let api = format!("https://api.github.com/repos/{owner}/{repo}");
    json!({
        "id": 7, "node_id": format!("I_{owner}_{repo}"), "number": 7, "title": title,
        "url": format!("{api}/issues/7"), "repository_url": api, "labels": [],
        "html_url": format!("https://github.com/{owner}/{repo}/issues/7"),
        "created_at": "2026-11-20T10:00:00Z",
        "updated_at": model::Timestamp::default().to_string(),
    })
}

pub(super) fn repository(owner: &str, repo: &str) -> Value {
    json!({ "name": repo, "full_name": format!("{owner}/{repo}"), "private": true,
        "owner": { "login": owner } })
}
