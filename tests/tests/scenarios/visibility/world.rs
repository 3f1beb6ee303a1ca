//! A system under tokens, a GitHub whose events the test makes, and clients of both eras.

use std::{
    collections::{HashMap, HashSet},
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
use tokio::sync::Mutex;

/// The owner of the repositories.
pub(super) const OWNER: &str = "acme";
/// What stands for a project of the owner where repositories are named.
pub(super) const PROJECT: &str = "project";
pub(super) const PULL_REQUEST: u64 = 8;
pub(super) const MILESTONE: u64 = 9;
pub(super) const PROJECT_NUMBER: u64 = 11;
/// Time within which anything expected has to happen.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// The token file of all edges.
pub(crate) struct TokenFile {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl TokenFile {
    pub(crate) fn new() -> Result<Self> {
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
    pub(crate) fn write(&self, tokens: &[(&str, &str, &str)]) -> Result<()> {
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

/// The head of a request with a token.
pub(crate) fn bearer(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("visible ASCII");
    HeaderMap::from_iter([(AUTHORIZATION, value)])
}

/// A system under tokens, and a GitHub whose events the test makes.
pub(super) struct World {
    pub(super) edges: Vec<Url>,
    ingest: Url,
    secret: String,
    pub(super) http: reqwest::Client,
    count: AtomicU32,
    /// The sessions that stay, by token and revision.
    pub(super) sessions: Mutex<HashMap<(String, String), String>>,
    /// The tokens whose principals follow everything since the beginning.
    pub(super) followers: Mutex<HashSet<String>>,
}

impl World {
    pub(super) fn of(system: &System) -> Self {
        Self {
            edges: system.edges().to_vec(),
            ingest: system.ingest_balancer().clone(),
            secret: system.secret().to_owned(),
            http: reqwest::Client::new(),
            count: AtomicU32::new(0),
            sessions: Mutex::default(),
            followers: Mutex::default(),
        }
    }

    /// Something happens to issue 7 of `owner/repo`; returns its mark.
    pub(super) async fn happens(&self, owner: &str, repo: &str, changes: Value) -> Result<String> {
        let mark = self.mark(repo);
        let issue = issue(owner, repo, &mark);
        let members = json!({ "issue": issue, "changes": changes,
            "repository": repository(owner, repo) });
        self.deliver("issues", members).await?;
        Ok(mark)
    }

    /// Something happens to pull request 8 and milestone 9 of a repository of [`OWNER`].
    pub(super) async fn other_items_happen(&self, repo: &str) -> Result<()> {
        let place = repository(OWNER, repo);
        for (event, number) in [("pull_request", PULL_REQUEST), ("milestone", MILESTONE)] {
            let mut item = issue(OWNER, repo, &self.mark(repo));
            item["number"] = json!(number);
            item["node_id"] = json!(format!("{event}_{repo}"));
            self.deliver(event, json!({ event: item, "repository": place }))
                .await?;
        }
        Ok(())
    }

    /// Something happens to project 11 of [`OWNER`], which is in no repository.
    pub(super) async fn project_happens(&self) -> Result<()> {
        let project = json!({ "id": 11, "node_id": "PVT_acme", "number": PROJECT_NUMBER,
            "title": self.mark(PROJECT), "created_at": "2026-11-20T10:00:00Z" });
        let members = json!({ "projects_v2": project, "organization": { "login": OWNER } });
        self.deliver("projects_v2", members).await
    }

    /// Something happens to issue 7 of a repository with these ids; returns its mark.
    pub(super) async fn happens_in(&self, repository: Value) -> Result<String> {
        let (owner, repo) = (&repository["owner"]["login"], &repository["name"]);
        let (owner, repo) = (owner.as_str(), repo.as_str());
        let (owner, repo) = (owner.context("a login")?, repo.context("a name")?);
        let mark = self.mark(repo);
        let members = json!({ "issue": issue(owner, repo, &mark), "changes": null,
            "repository": repository });
        self.deliver("issues", members).await?;
        Ok(mark)
    }

    /// GitHub says that a repository was renamed or transferred; returns the mark of the event.
    pub(super) async fn moves(
        &self,
        action: &str,
        changes: Value,
        mut repository: Value,
    ) -> Result<String> {
        let mark = self.mark(action);
        repository["description"] = mark.as_str().into();
        let members = json!({ "action": action, "changes": changes, "repository": repository });
        self.deliver("repository", members).await?;
        Ok(mark)
    }

    /// GitHub says that an organization was renamed; returns the mark of the event.
    pub(super) async fn renames_owner(
        &self,
        from: &str,
        (login, id): (&str, u64),
    ) -> Result<String> {
        let mark = self.mark("owner");
        let members = json!({ "action": "renamed", "changes": { "login": { "from": from } },
            "organization": { "login": login, "id": id, "node_id": format!("O_{id}"), "description": mark } });
        self.deliver("organization", members).await?;
        Ok(mark)
    }

    /// A text that occurs in one event only.
    fn mark(&self, place: &str) -> String {
        let n = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        format!("mark-{place}-{n}-")
    }

    /// A webhook of GitHub, with these members of its payload.
    async fn deliver(&self, event: &str, mut members: Value) -> Result<()> {
        if members["action"].is_null() {
            members["action"] = json!("edited");
        }
        members["sender"] = json!({ "login": "mona" });
        let body = members.to_string();
        let request = self
            .http
            .post(self.ingest.join("/webhooks/github")?)
            .header("content-type", "application/json")
            .header("x-github-event", event)
            .header("x-github-delivery", uuid::Uuid::new_v4().to_string())
            .header(
                "x-hub-signature-256",
                signature(&self.secret, body.as_bytes()),
            )
            .body(body);
        let status = request.send().await?.status();
        ensure!(status.is_success(), "the webhook {event} got {status}");
        Ok(())
    }

    pub(super) fn headers(token: &str, accept: &'static str) -> HeaderMap {
        let mut headers = bearer(token);
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
        let tasks = with_tasks();
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

    /// Sends a message or a batch within a session.
    pub(super) async fn send(
        &self,
        edge: &Url,
        token: &str,
        session: &str,
        message: &Value,
    ) -> Result<reqwest::Response> {
        let mut headers = Self::headers(token, "application/json, text/event-stream");
        headers.insert("mcp-session-id", HeaderValue::from_str(session)?);
        let request = self.http.post(edge.join("/mcp")?).headers(headers);
        Ok(request.json(message).send().await?)
    }

    /// A task that waits for the first event after a cursor; returns its id.
    pub(super) async fn waiting_task(
        &self,
        edge: &Url,
        token: &str,
        cursor: &str,
    ) -> Result<String> {
        let wait = json!({ "cursor": cursor, "maxWaitSeconds": 600 });
        let params = json!({ "name": "wait_for_events", "arguments": wait, "task": true });
        task_of(&self.call(edge, token, "tools/call", params).await?)
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

    /// Opens the stream of a subscription to everything, made on another edge, after an id.
    pub(super) async fn subscription(
        &self,
        edge: &Url,
        token: &str,
        after: &str,
    ) -> Result<SseStream> {
        let request = self.http.post(self.edges[0].join("/events/subscribe")?);
        let request = request.headers(Self::headers(token, "application/json"));
        let made: Value = request.json(&json!({})).send().await?.json().await?;
        let id = made["subscriptionId"].as_str();
        let id = id.with_context(|| made.to_string())?;
        let headers = Self::headers(token, "text/event-stream");
        let url = edge.join(&format!("/events/stream?subscription={id}"))?;
        Ok(sse::resume(&url, headers, after).await?)
    }

    /// A session with a subscription to everything; returns its id.
    pub(super) async fn session(&self, edge: &Url, token: &str) -> Result<String> {
        let id = self.session_of(edge, token, "2025-11-25").await?;
        let call = json!({ "name": "subscribe_to_events", "arguments": {} });
        self.post(edge, token, Some(&id), "tools/call", call)
            .await?;
        Ok(id)
    }

    /// A session of a revision; returns its id.
    pub(super) async fn session_of(
        &self,
        edge: &Url,
        token: &str,
        version: &str,
    ) -> Result<String> {
        let params = json!({ "protocolVersion": version, "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" } });
        let answer = self.post(edge, token, None, "initialize", params).await?;
        let id = answer.headers().get("mcp-session-id");
        Ok(id.context("a session has an id")?.to_str()?.to_owned())
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

    /// An HTTP+SSE stream, and the path to which its client POSTs.
    pub(super) async fn http_sse(&self, edge: &Url, token: &str) -> Result<(SseStream, String)> {
        let headers = Self::headers(token, "text/event-stream");
        let mut stream = sse::open(&edge.join("/sse")?, headers).await?;
        let endpoint = stream.next_event(SOON).await?.data;
        Ok((stream, endpoint.context("an endpoint")?))
    }

    /// Calls a tool within an HTTP+SSE session; the answer has this id.
    pub(super) async fn ask_on_stream(
        &self,
        url: Url,
        token: &str,
        id: u64,
        tool: &str,
    ) -> Result<()> {
        let params = json!({ "name": tool, "arguments": {} });
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        let headers = Self::headers(token, "application/json");
        let request = self.http.post(url).headers(headers).json(&call);
        let status = request.send().await?.status();
        ensure!(status.as_u16() == 202, "{tool}: {status}");
        Ok(())
    }

    /// A connection of `/mcp/sse`, and its id.
    pub(super) async fn connection(&self, edge: &Url, token: &str) -> Result<(SseStream, String)> {
        let headers = Self::headers(token, "text/event-stream");
        let mut stream = sse::open(&edge.join("/mcp/sse")?, headers).await?;
        let status = stream.next_event(SOON).await?.json().context("a status")?;
        let id = status["connectionId"].as_str().context("a connection")?;
        Ok((stream, id.to_owned()))
    }

    /// Posts a message of a connection's client.
    pub(super) async fn send_for(
        &self,
        edge: &Url,
        token: &str,
        connection: &str,
        message: &Value,
    ) -> Result<()> {
        let headers = Self::headers(token, "application/json");
        let body = json!({ "connectionId": connection, "message": message });
        let request = self.http.post(edge.join("/mcp/sse/send")?);
        let status = request.headers(headers).json(&body).send().await?.status();
        ensure!(status.is_success(), "{message}: {status}");
        Ok(())
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
        self.open_listen(edge, token, &ModernClient::new(), wanted)
            .await
    }

    /// A listen stream for the states of a task.
    pub(super) async fn listen_to_task(
        &self,
        edge: &Url,
        token: &str,
        task: &str,
    ) -> Result<SseStream> {
        let client = ModernClient::with_capabilities(with_tasks());
        self.open_listen(edge, token, &client, json!({ "taskIds": [task] }))
            .await
    }

    async fn open_listen(
        &self,
        edge: &Url,
        token: &str,
        client: &ModernClient,
        wanted: Value,
    ) -> Result<SseStream> {
        let message = client.message("subscriptions/listen", json!({ "notifications": wanted }));
        let mut headers = Self::headers(token, "application/json, text/event-stream");
        headers.extend(ModernClient::headers(&message));
        let request = self.http.post(edge.join("/mcp")?).headers(headers);
        Ok(SseStream::from_response(request.json(&message).send().await?).await?)
    }
}

/// The capabilities of a client that takes tasks.
fn with_tasks() -> Value {
    json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } })
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
