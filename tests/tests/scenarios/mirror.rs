//! The mirror of GitHub: what was there before any webhook, what no webhook told, and what a restart has.

use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use fake_github::{
    server::GithubServer,
    world::{AccountKey, RepoKey, TicketKey},
};
use model::{Clock, SystemClock, Timestamp};
use reqwest::{Url, header::HeaderMap};
use serde_json::{Value, json};
use testkit::{
    cluster::{ClusterPlan, FaultOutcome, System, SystemKind, SystemNode, forgewire_binary},
    mcp_client::McpClient,
    sse::{self, SseStream},
};
use tests::{every_node_is_ready, log_lines, only, until};
use tokio::time::timeout;

const TOKEN: &str = "ghp_token_of_the_mirror_0123456789abcdef01";
const ISSUES: usize = 130;
const SOON: Duration = Duration::from_secs(30);

/// The clock of a GitHub on which everything happened some minutes ago: no webhook of it is waited for.
#[derive(Debug)]
struct EarlierClock;

impl Clock for EarlierClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().minus(Duration::from_secs(300))
    }
}

/// A GitHub with issues, and without a webhook.
pub(crate) struct MirroredGithub {
    pub(crate) server: GithubServer,
    pub(crate) owner: AccountKey,
    pub(crate) repo: RepoKey,
    issues: Vec<TicketKey>,
    folder: tempfile::TempDir,
}

impl MirroredGithub {
    pub(crate) async fn start(seed: u64) -> Result<Self> {
        let server = GithubServer::start(seed, Arc::new(EarlierClock)).await?;
        let (user, owner, repo, issues) = server.change(|world| {
            let owner = world.add_organization("octo-mirror");
            let repo = world.create_repo(owner, "tool");
            let issues = (0..ISSUES).map(|n| world.open_issue(repo, &format!("It is slow ({n})")));
            let issues = issues.collect();
            (world.actor(), owner, repo, issues)
        });
        server.admit(TOKEN, user);
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("token"), TOKEN)?;
        Ok(Self {
            server,
            owner,
            repo,
            issues,
            folder,
        })
    }

    /// A plan whose sync role compares every second.
    pub(crate) fn mirrored(&self, plan: ClusterPlan) -> ClusterPlan {
        let token = self.folder.path().join("token");
        plan.with_env("FORGEWIRE_GITHUB__API_URL", self.server.url())
            .with_env("FORGEWIRE_GITHUB__TOKEN_FILE", &token.display().to_string())
            .with_env("FORGEWIRE_SYNC__REPOSITORIES", "octo-mirror/tool")
            .with_env("FORGEWIRE_SYNC__INTERVAL_SECONDS", "1")
            .with_env("FORGEWIRE_SYNC__SWEEP_SECONDS", "0")
    }
}

async fn health_of_mirror(system: &System) -> Result<Value> {
    let url = system.admin(SystemNode::Sync)?.join("/health")?;
    let mut health: Value = reqwest::get(url).await?.json().await?;
    let mirror = health.pointer_mut("/details/sync/mirror");
    Ok(mirror.context("a mirror")?.take())
}

pub(crate) async fn until_whole(system: &System) -> Result<()> {
    until("the mirror is whole", async || {
        let health = health_of_mirror(system).await;
        health.is_ok_and(|health| health["wholePlaces"] == 1)
    })
    .await
}

/// The issue, as a client of this edge reads it.
async fn issue(edge: &Url, number: usize) -> Result<Value> {
    let client = McpClient::connect(edge).await?;
    let uri = format!("github://issues/octo-mirror/tool/{number}");
    let contents = client.read_resource(edge, &uri).await?;
    let text = contents[0]["text"].as_str().context("a text")?;
    Ok(serde_json::from_str(text)?)
}

/// The next events of a stream.
async fn next_events(stream: &mut SseStream, count: usize) -> Result<Vec<Value>> {
    let mut events = Vec::new();
    let reading = async {
        while events.len() < count {
            let frame = stream.next(SOON).await?.context("the stream ended")?;
            if frame.event.as_deref() == Some("event") {
                events.push(frame.json().context("JSON")?);
            }
        }
        Ok(())
    };
    let read: Result<Result<()>, _> = timeout(SOON, reading).await;
    read.with_context(|| format!("only these events came: {events:?}"))??;
    Ok(events)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_github_has_is_read_on_every_edge_and_what_no_webhook_told_is_an_event_once()
-> Result<()> {
    for kind in SystemKind::ALL {
        let github = MirroredGithub::start(180).await?;
        only(
            kind,
            |plan| github.mirrored(plan),
            async |system| {
                every_node_is_ready(system).await?;
                until_whole(system).await?;
                for edge in system.edges() {
                    for number in [1, ISSUES] {
                        let issue = issue(edge, number).await?;
                        ensure!(
                            issue["number"] == number && issue["state"] == "open",
                            "{issue}"
                        );
                    }
                }
                let edges = system.edges().to_vec();
                let mut streams = Vec::new();
                for edge in &edges {
                    let url = edge.join("/events/stream")?;
                    streams.push(sse::open(&url, HeaderMap::new()).await?);
                }
                github.server.change(|world| {
                    world.close(github.issues[6], "completed");
                    world.comment(github.issues[7], "Still");
                    world.open_issue(github.repo, "And another");
                });
                for stream in &mut streams {
                    let events = next_events(stream, 2).await?;
                    let told = events.iter().map(|event| {
                        let number = event["resource"]["number"].as_u64();
                        (event["action"].as_str().unwrap_or_default(), number)
                    });
                    let told: BTreeSet<_> = told.collect();
                    let expected = [("closed", Some(7)), ("opened", Some(ISSUES as u64 + 1))];
                    ensure!(told == BTreeSet::from(expected), "{events:?}");
                    ensure!(
                        events.iter().all(|event| event["source"] == "sync"),
                        "{events:?}"
                    );
                }
                for edge in &edges {
                    ensure!(issue(edge, 7).await?["state"] == "closed");
                    the_tools_answer_from_the_mirror(edge).await?;
                }
                the_command_shows_the_mirror(system).await?;
                let lines = log_lines(system.cluster().dir());
                ensure!(!lines.iter().any(|line| line.contains(TOKEN)));
                Ok(())
            },
        )
        .await?;
    }
    Ok(())
}

/// What an agent gets of it.
async fn the_tools_answer_from_the_mirror(edge: &Url) -> Result<()> {
    let client = McpClient::connect(edge).await?;
    let closed = json!({ "owner": "octo-mirror", "repo": "tool", "state": "CLOSED" });
    let closed = client.call_tool(edge, "list_issues", closed).await?;
    let list = &closed["structuredContent"];
    ensure!(list["asOf"].is_string(), "the list is whole: {closed}");
    let issues = list["items"].as_array().context("issues")?;
    ensure!(issues.len() == 1 && issues[0]["number"] == 7, "{closed}");
    let words = json!({ "query": "repo:octo-mirror/tool another is:open" });
    let found = client.call_tool(edge, "search_issues", words).await?;
    let found = found["structuredContent"]["items"].clone();
    let number = &found[0]["number"];
    ensure!(*number == ISSUES + 1, "{found}");
    Ok(())
}

/// `forgewire sync status` as an operator uses it.
async fn the_command_shows_the_mirror(system: &System) -> Result<()> {
    let binary = forgewire_binary().context("no forgewire binary: run `make test`")?;
    let url = system.admin(SystemNode::Sync)?;
    for (json, expected) in [
        (false, "octo-mirror/tool: whole"),
        (true, "\"wholePlaces\":1"),
    ] {
        let mut command = tokio::process::Command::new(&binary);
        command.args(["sync", "status", "--url", url.as_str()]);
        command.args(json.then_some("--json"));
        let output = command.env_clear().output().await?;
        let said = String::from_utf8([output.stdout, output.stderr].concat())?;
        ensure!(output.status.success() && said.contains(expected), "{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_has_the_stored_mirror_while_github_is_away() -> Result<()> {
    for kind in SystemKind::ALL {
        let github = MirroredGithub::start(181).await?;
        only(
            kind,
            |plan| github.mirrored(plan),
            async |system| {
                every_node_is_ready(system).await?;
                until_whole(system).await?;
                github.server.revoke(TOKEN);
                ensure!(system.kill(SystemNode::Sync)? == FaultOutcome::Done);
                ensure!(system.restart(SystemNode::Sync).await? == FaultOutcome::Done);
                every_node_is_ready(system).await?;
                for edge in system.edges() {
                    let issue = issue(edge, ISSUES).await?;
                    ensure!(issue["number"] == ISSUES, "{issue}");
                }
                until("the place is shown as failing", async || {
                    let health = health_of_mirror(system).await;
                    health.is_ok_and(|health| health["places"][0]["state"] == "failing")
                })
                .await
            },
        )
        .await?;
    }
    Ok(())
}
