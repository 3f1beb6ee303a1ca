//! Every way in which a client reads, as text: whatever a reader may not see must not be in it.

use anyhow::Result;
use reqwest::Url;
use serde_json::{Value, json};
use testkit::mcp_client::ModernClient;
use tests::BridgeProcess;

use super::{
    connections::request,
    world::{MILESTONE, OWNER, PROJECT, PROJECT_NUMBER, PULL_REQUEST, World, text_until},
};

/// A way to read past events or resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surface {
    Recent,
    Replay,
    RecentTool,
    ReplayTool,
    ManageTool,
    WaitTool,
    /// Events as a tool shows them without being asked for more.
    Summaries,
    /// Events one by one, by their ids.
    EventTool,
    /// The events of a subscription to everything that the client made first.
    SubscribedTool,
    EventList,
    OwnerList,
    RepositoryList,
    Issue,
    PullRequest,
    Milestone,
    Project,
    TriagePrompt,
    ActivityPrompt,
    /// Tools, resources and prompts of GitHub's state.
    Mirror,
    Completion,
    TemplateCompletion,
    /// The handshake era: calls, a resource and a prompt within a session.
    Session,
    Batch,
    Lines,
    HttpSse,
    /// `/mcp/sse`.
    Connection,
    Stdio,
}

impl Surface {
    pub(super) const ALL: [Self; 27] = [
        Self::Recent,
        Self::Replay,
        Self::RecentTool,
        Self::ReplayTool,
        Self::ManageTool,
        Self::WaitTool,
        Self::Summaries,
        Self::EventTool,
        Self::SubscribedTool,
        Self::EventList,
        Self::OwnerList,
        Self::RepositoryList,
        Self::Issue,
        Self::PullRequest,
        Self::Milestone,
        Self::Project,
        Self::TriagePrompt,
        Self::ActivityPrompt,
        Self::Mirror,
        Self::Completion,
        Self::TemplateCompletion,
        Self::Session,
        Self::Batch,
        Self::Lines,
        Self::HttpSse,
        Self::Connection,
        Self::Stdio,
    ];

    /// Whether it is asked for this place: a repository, or the project.
    pub(super) fn is_asked_for(self, place: &str) -> bool {
        (self == Self::Project) == (place == PROJECT)
    }

    /// What stands for an event of a repository in its text.
    pub(super) fn mark(self, repo: &str) -> String {
        match self {
            Self::Completion | Self::TemplateCompletion => format!("\"{repo}\""),
            _ => format!("mark-{repo}-"),
        }
    }
}

/// The tools of GitHub's state, with arguments beside the owner; a repository where they name one.
pub(super) const MIRROR_TOOLS: [(&str, &str); 19] = [
    ("list_issues", r#"{ "repo": "" }"#),
    (
        "issue_read",
        r#"{ "repo": "", "method": "get", "issue_number": 7 }"#,
    ),
    ("search_issues", r#"{ "query": "" }"#),
    ("list_pull_requests", r#"{ "repo": "" }"#),
    (
        "pull_request_read",
        r#"{ "repo": "", "method": "get", "pullNumber": 8 }"#,
    ),
    ("search_pull_requests", r#"{ "query": "" }"#),
    ("list_milestones", r#"{ "repo": "" }"#),
    ("get_milestone", r#"{ "repo": "", "milestone_number": 9 }"#),
    ("list_releases", r#"{ "repo": "" }"#),
    ("get_latest_release", r#"{ "repo": "" }"#),
    ("list_label", r#"{ "repo": "" }"#),
    (
        "actions_list",
        r#"{ "repo": "", "method": "list_workflow_runs" }"#,
    ),
    ("projects_list", r#"{ "method": "list_projects" }"#),
    (
        "projects_get",
        r#"{ "method": "get_project", "project_number": 1 }"#,
    ),
    ("list_sprints", r#"{ "project_number": 1 }"#),
    ("get_current_sprint", r#"{ "project_number": 1 }"#),
    ("get_sprint_metrics", r#"{ "project_number": 1 }"#),
    // A whole owner is for whoever sees it.
    ("list_issues", "{}"),
    ("list_milestones", "{}"),
];

/// The resources of GitHub's state.
const MIRROR_RESOURCES: [&str; 7] = [
    "github://config",
    "github://projects",
    "github://milestones",
    "github://sprints/current",
    "github://tools",
    "github://repositories/OWNER/REPO",
    "github://sprints/OWNER/1/current",
];

/// Arguments of a tool that shows whole events, and these.
fn whole(mut arguments: Value) -> Value {
    arguments["include"] = json!(["urls"]);
    arguments["maxBytes"] = json!(256 << 10);
    arguments
}

/// The reads of one client, where a surface is a way to send them: with the repository that they name.
fn reads(repo: &str) -> Vec<(&'static str, Value)> {
    let named = json!({ "owner": OWNER, "repo": repo, "number": "7" });
    let tool = |name: &str, arguments: Value| json!({ "name": name, "arguments": arguments });
    vec![
        (
            "tools/call",
            tool("get_recent_events", whole(json!({ "limit": 1000 }))),
        ),
        ("tools/call", tool("replay_events", whole(json!({})))),
        ("resources/read", json!({ "uri": "github://events" })),
        (
            "resources/read",
            json!({ "uri": format!("github://issues/{OWNER}/{repo}/7") }),
        ),
        ("prompts/get", tool("triage_event", named)),
    ]
}

impl World {
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
                let limit = whole(json!({ "limit": 1000 }));
                self.tool(edge, token, "get_recent_events", limit).await
            }
            Surface::ReplayTool => {
                let all = whole(json!({}));
                self.tool(edge, token, "replay_events", all).await
            }
            Surface::ManageTool => {
                let action = whole(json!({ "action": "get_recent" }));
                self.tool(edge, token, "manage_events", action).await
            }
            Surface::WaitTool => {
                let first = json!({ "limit": 1 });
                let first = self.tool(edge, token, "replay_events", first).await?;
                let first: Value = serde_json::from_str(&first)?;
                let cursor = &first["result"]["structuredContent"]["cursor"];
                let wait = whole(json!({ "cursor": cursor, "maxWaitSeconds": 1 }));
                self.tool(edge, token, "wait_for_events", wait).await
            }
            Surface::Summaries => {
                let newest = json!({ "limit": 1000, "maxBytes": 256 << 10 });
                self.tool(edge, token, "get_recent_events", newest).await
            }
            Surface::SubscribedTool => self.of_subscription(edge, token).await,
            Surface::EventTool => self.one_by_one(edge, token, repo).await,
            Surface::EventList => {
                let uri = read("github://events".to_owned());
                self.call(edge, token, "resources/read", uri).await
            }
            Surface::OwnerList => {
                let uri = read(format!("github://events/{OWNER}"));
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
            Surface::PullRequest => {
                let uri = read(format!("github://pulls/{OWNER}/{repo}/{PULL_REQUEST}"));
                self.call(edge, token, "resources/read", uri).await
            }
            Surface::Milestone => {
                let uri = read(format!("github://milestones/{OWNER}/{repo}/{MILESTONE}"));
                self.call(edge, token, "resources/read", uri).await
            }
            Surface::Project => {
                let uri = read(format!("github://projects/{OWNER}/{PROJECT_NUMBER}"));
                self.call(edge, token, "resources/read", uri).await
            }
            Surface::ActivityPrompt => {
                let params = json!({ "name": "summarize_activity", "arguments": named });
                self.call(edge, token, "prompts/get", params).await
            }
            Surface::TriagePrompt => {
                let mut arguments = named;
                arguments["number"] = json!("7");
                let params = json!({ "name": "triage_event", "arguments": arguments });
                self.call(edge, token, "prompts/get", params).await
            }
            Surface::Mirror => self.of_the_mirror(edge, token, repo).await,
            Surface::Completion => {
                let params = json!({
                    "ref": { "type": "ref/prompt", "name": "triage_event" },
                    "argument": { "name": "repo", "value": "" },
                    "context": { "arguments": { "owner": OWNER } },
                });
                self.call(edge, token, "completion/complete", params).await
            }
            Surface::TemplateCompletion => {
                let params = json!({
                    "ref": { "type": "ref/resource", "uri": "github://issues/{owner}/{repo}/{number}" },
                    "argument": { "name": "repo", "value": "" },
                    "context": { "arguments": { "owner": OWNER } },
                });
                self.call(edge, token, "completion/complete", params).await
            }
            Surface::Session => self.within_a_session(edge, token, repo).await,
            Surface::Batch => self.as_a_batch(edge, token, repo).await,
            Surface::Lines => self.as_lines(edge, token, repo).await,
            Surface::HttpSse => self.over_http_sse(edge, token).await,
            Surface::Connection => self.over_a_connection(edge, token, repo).await,
            Surface::Stdio => Self::over_stdio(edge, token, repo).await,
        }
    }

    /// Whatever the mirror answers about a repository and its owner.
    async fn of_the_mirror(&self, edge: &Url, token: &str, repo: &str) -> Result<String> {
        let mut text = String::new();
        for (name, more) in MIRROR_TOOLS {
            let mut arguments: Value = serde_json::from_str(more)?;
            match arguments.get_mut("query") {
                Some(query) if name.starts_with("search") => {
                    *query = json!(format!("repo:{OWNER}/{repo}"));
                }
                _ => {
                    arguments["owner"] = json!(OWNER);
                    if arguments.get("repo").is_some() {
                        arguments["repo"] = json!(repo);
                    }
                }
            }
            text += &self.tool(edge, token, name, arguments).await?;
        }
        for uri in MIRROR_RESOURCES {
            let uri = uri.replace("OWNER", OWNER).replace("REPO", repo);
            let params = json!({ "uri": uri });
            text += &self.call(edge, token, "resources/read", params).await?;
        }
        for name in ["sprint_review", "release_notes", "stand_up"] {
            let arguments = match name {
                "sprint_review" => {
                    json!({ "owner": OWNER, "project_number": PROJECT_NUMBER.to_string() })
                }
                _ => json!({ "owner": OWNER, "repo": repo }),
            };
            let params = json!({ "name": name, "arguments": arguments });
            text += &self.call(edge, token, "prompts/get", params).await?;
        }
        Ok(text)
    }

    /// The events of a subscription to everything, which the principal of the token has once.
    async fn of_subscription(&self, edge: &Url, token: &str) -> Result<String> {
        let mut followers = self.followers.lock().await;
        if !followers.contains(token) {
            let asked = json!({ "clientId": "matrix", "since": "2020-01-01T00:00:00Z" });
            let request = self.http.post(edge.join("/events/subscribe")?);
            let request = request.headers(Self::headers(token, "application/json"));
            let made = request.json(&asked).send().await?;
            if made.status().is_success() {
                followers.insert(token.to_owned());
            }
        }
        drop(followers);
        let newest = whole(json!({ "clientId": "matrix", "limit": 1000 }));
        self.tool(edge, token, "get_subscribed_events", newest)
            .await
    }

    /// The newest events of a repository, each by its id.
    async fn one_by_one(&self, edge: &Url, token: &str, repo: &str) -> Result<String> {
        let newest = json!({ "limit": 3, "repo": repo });
        let newest = self.tool(edge, token, "get_recent_events", newest).await?;
        let newest: Value = serde_json::from_str(&newest)?;
        let events = newest["result"]["structuredContent"]["events"].as_array();
        let mut text = String::new();
        for event in events.into_iter().flatten() {
            let one = json!({ "id": event["id"], "include": ["urls"] });
            text += &self.tool(edge, token, "get_event", one).await?;
        }
        Ok(text)
    }

    async fn within_a_session(&self, edge: &Url, token: &str, repo: &str) -> Result<String> {
        let session = self.kept_session(edge, token, "2025-11-25").await?;
        let mut text = String::new();
        for (method, params) in reads(repo) {
            let message = request(5, method, &params);
            text += &self
                .send(edge, token, &session, &message)
                .await?
                .text()
                .await?;
        }
        Ok(text)
    }

    async fn as_a_batch(&self, edge: &Url, token: &str, repo: &str) -> Result<String> {
        let session = self.kept_session(edge, token, "2025-03-26").await?;
        let reads = (1..).zip(reads(repo));
        let batch: Value = reads
            .map(|(id, (method, params))| request(id, method, &params))
            .collect();
        Ok(self
            .send(edge, token, &session, &batch)
            .await?
            .text()
            .await?)
    }

    async fn as_lines(&self, edge: &Url, token: &str, repo: &str) -> Result<String> {
        let client = ModernClient::new();
        let lines = reads(repo).into_iter();
        let lines: String = lines
            .map(|(method, params)| format!("{}\n", client.message(method, params)))
            .collect();
        let request = self.http.post(edge.join("/mcp/stream")?);
        let request = request
            .headers(Self::headers(token, "application/x-ndjson"))
            .header("content-type", "application/x-ndjson");
        Ok(request.body(lines).send().await?.text().await?)
    }

    async fn over_http_sse(&self, edge: &Url, token: &str) -> Result<String> {
        let (mut stream, endpoint) = self.http_sse(edge, token).await?;
        let url = edge.join(&endpoint)?;
        self.ask_on_stream(url, token, 70, "get_recent_events")
            .await?;
        text_until(&mut stream, "id\\\":70").await
    }

    async fn over_a_connection(&self, edge: &Url, token: &str, repo: &str) -> Result<String> {
        let (mut stream, connection) = self.connection(edge, token).await?;
        let mut text = String::new();
        for (id, (method, params)) in (70..).zip(reads(repo)) {
            let message = request(id, method, &params);
            self.send_for(edge, token, &connection, &message).await?;
            text += &text_until(&mut stream, &format!("\"id\\\":{id}")).await?;
        }
        Ok(text)
    }

    async fn over_stdio(edge: &Url, token: &str, repo: &str) -> Result<String> {
        let mut bridge = BridgeProcess::start_with_token(edge, token)?;
        let mut text = bridge.initialize("2025-11-25").await?.to_string();
        for (id, (method, params)) in (1..).zip(reads(repo)) {
            text += &bridge.request(id, method, params).await?.to_string();
        }
        bridge.close().await?;
        Ok(text)
    }

    /// The session of this token and revision, the same at every moment.
    async fn kept_session(&self, edge: &Url, token: &str, version: &str) -> Result<String> {
        let key = (token.to_owned(), version.to_owned());
        let mut sessions = self.sessions.lock().await;
        if let Some(session) = sessions.get(&key) {
            return Ok(session.clone());
        }
        let session = self.session_of(edge, token, version).await?;
        sessions.insert(key, session.clone());
        Ok(session)
    }
}
