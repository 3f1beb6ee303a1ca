//! Webhooks that no ingest stored: what GitHub did is in the log in the end, once, and every client gets it once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use fake_github::{
    hooks::{FakeHookKey, FakeHookOwner},
    server::GithubServer,
    world::{RepoKey, TicketKey},
};
use model::SystemClock;
use reqwest::{Url, header::HeaderMap};
use serde_json::Value;
use testkit::{
    cluster::{ClusterPlan, FaultOutcome, System, SystemKind, SystemNode, forgewire_binary},
    sse::{self, SseStream},
};
use tests::{every_node_is_ready, log_lines, only, until};

const TOKEN: &str = "ghp_token_of_the_sweep_0123456789abcdef01";
const REPOSITORY: &str = "octo-gaps/tool";
const SOON: Duration = Duration::from_secs(30);

/// A GitHub with an issue, whose webhook is configured once the system is there.
struct GapGithub {
    server: GithubServer,
    repo: RepoKey,
    issue: TicketKey,
    folder: tempfile::TempDir,
}

impl GapGithub {
    async fn start(seed: u64) -> Result<Self> {
        let server = GithubServer::start(seed, Arc::new(SystemClock)).await?;
        let (user, repo, issue) = server.change(|world| {
            let owner = world.add_organization("octo-gaps");
            let repo = world.create_repo(owner, "tool");
            let issue = world.open_issue(repo, "It is slow");
            (world.actor(), repo, issue)
        });
        server.admit(TOKEN, user);
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("token"), TOKEN)?;
        Ok(Self {
            server,
            repo,
            issue,
            folder,
        })
    }

    /// A plan whose sync role sweeps every second.
    fn swept(&self, plan: ClusterPlan) -> ClusterPlan {
        let token = self.folder.path().join("token");
        plan.with_env("FORGEWIRE_GITHUB__API_URL", self.server.url())
            .with_env("FORGEWIRE_GITHUB__TOKEN_FILE", &token.display().to_string())
            .with_env("FORGEWIRE_SYNC__REPOSITORIES", REPOSITORY)
            .with_env("FORGEWIRE_SYNC__SWEEP_SECONDS", "1")
    }

    /// The webhook, for issues and comments.
    async fn hook(&self, system: &System) -> Result<FakeHookKey> {
        let url = system.ingest_balancer().join("/webhooks/github")?;
        let owner = FakeHookOwner::Repo(self.repo);
        let events = ["issues", "issue_comment"];
        let hook = self
            .server
            .change(|world| world.add_hook(owner, url.as_str(), system.secret(), &events));
        self.server.delivered().await;
        Ok(hook)
    }

    /// Lets so many things happen to the issue, and waits until each was attempted once; the GUIDs of what GitHub did.
    async fn happen(&self, count: usize) -> BTreeSet<String> {
        let guids = self.server.change(|world| {
            let before = world.ledger().len();
            for n in 0..count {
                match n % 3 {
                    0 => world.retitle(self.issue, &format!("It is slow ({n})")),
                    1 => drop(world.comment(self.issue, &format!("Still ({n})"))),
                    _ => world.rewrite(self.issue, &format!("More of it ({n})")),
                }
            }
            let new = world.ledger()[before..].iter();
            new.map(|entry| entry.guid.clone()).collect()
        });
        self.server.delivered().await;
        guids
    }
}

/// How often each delivery is in the log, as an edge shows it.
async fn logged(edge: &Url) -> Result<BTreeMap<String, usize>> {
    let answer = reqwest::get(edge.join("/events/replay/2020-01-01?limit=1000")?).await?;
    let answer: Value = answer.json().await?;
    let mut counts = BTreeMap::new();
    for event in answer["events"].as_array().context("events")? {
        let guid = event["metadata"]["delivery"].as_str();
        *counts
            .entry(guid.context("a delivery")?.to_owned())
            .or_default() += 1;
    }
    Ok(counts)
}

/// Waits until every edge has all of these, each once, and nothing else.
async fn until_logged(system: &System, expected: &BTreeSet<String>) -> Result<()> {
    let once: BTreeMap<_, _> = expected.iter().map(|guid| (guid.clone(), 1)).collect();
    for edge in system.edges() {
        until("every event of GitHub is in the log", async || {
            logged(edge)
                .await
                .is_ok_and(|logged| logged.len() >= once.len())
        })
        .await?;
        let logged = logged(edge).await?;
        ensure!(logged == once, "{logged:?} instead of {once:?}");
    }
    Ok(())
}

/// A client of the stream of events, and what it got.
struct StreamClient {
    stream: SseStream,
    ids: Vec<String>,
    cursor: Option<String>,
}

impl StreamClient {
    async fn open(edge: &Url, cursor: Option<&str>) -> Result<Self> {
        let url = edge.join("/events/stream")?;
        let stream = match cursor {
            Some(cursor) => sse::resume(&url, HeaderMap::new(), cursor).await?,
            None => sse::open(&url, HeaderMap::new()).await?,
        };
        Ok(Self {
            stream,
            ids: Vec::new(),
            cursor: cursor.map(str::to_owned),
        })
    }

    /// Reads until all of these have come.
    async fn read_all(&mut self, wanted: &BTreeSet<String>) -> Result<()> {
        let reading = async {
            while !wanted.iter().all(|id| self.ids.contains(id)) {
                let frame = self.stream.next(SOON).await?.context("the stream ended")?;
                match frame.event.as_deref() {
                    Some("event") => {
                        let json = frame.json().context("JSON")?;
                        self.ids.push(json["id"].as_str().context("id")?.to_owned());
                    }
                    Some("truncated") => bail!("the stream says that events are gone"),
                    _ => {}
                }
                if frame.id.is_some() {
                    self.cursor.clone_from(&frame.id);
                }
            }
            Ok(())
        };
        let read = tokio::time::timeout(SOON, reading).await;
        let missing = wanted.iter().filter(|id| !self.ids.contains(id)).count();
        read.with_context(|| format!("{missing} of {} events did not come", wanted.len()))?
    }

    /// Each event came once.
    fn ensure_once(&self) -> Result<()> {
        let unique: BTreeSet<_> = self.ids.iter().collect();
        ensure!(unique.len() == self.ids.len(), "{:?}", self.ids);
        Ok(())
    }
}

/// Ends the ingests; where all roles are one process, all of it. Returns whether edges go on.
fn end_ingests(system: &mut System) -> Result<bool> {
    let nodes: &[_] = match system.kind() {
        SystemKind::Cluster => &[SystemNode::Ingest(0), SystemNode::Ingest(1)],
        SystemKind::Embedded => &[SystemNode::Ingest(0)],
    };
    for node in nodes {
        ensure!(system.kill(*node)? == FaultOutcome::Done);
    }
    Ok(system.kind() == SystemKind::Cluster)
}

async fn start_ingests(system: &mut System) -> Result<()> {
    let nodes: &[_] = match system.kind() {
        SystemKind::Cluster => &[SystemNode::Ingest(0), SystemNode::Ingest(1)],
        SystemKind::Embedded => &[SystemNode::Ingest(0)],
    };
    for node in nodes {
        ensure!(system.restart(*node).await? == FaultOutcome::Done);
    }
    Ok(())
}

async fn health_of_gaps(system: &System) -> Result<Value> {
    let url = system.admin(SystemNode::Sync)?.join("/health")?;
    let health: Value = reqwest::get(url).await?.json().await?;
    let found = find(&health, "gaps");
    found.cloned().with_context(|| health.to_string())
}

/// The member of this name, wherever it is.
fn find<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let members = value.as_object()?;
    let own = members.get(name);
    own.or_else(|| members.values().find_map(|member| find(member, name)))
}

fn no_line_has_the_token(folder: &Path) -> Result<()> {
    let lines = log_lines(folder);
    ensure!(!lines.is_empty(), "there are lines");
    ensure!(!lines.iter().any(|line| line.contains(TOKEN)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_while_no_ingest_was_there_is_in_the_log_once_and_every_client_gets_it_once()
-> Result<()> {
    for kind in SystemKind::ALL {
        let github = GapGithub::start(170).await?;
        only(
            kind,
            |plan| github.swept(plan),
            async |system| {
                every_node_is_ready(system).await?;
                let hook = github.hook(system).await?;
                let edges = system.edges().to_vec();
                let mut connected = StreamClient::open(&edges[0], None).await?;
                let before = github.happen(6).await;
                connected.read_all(&before).await?;
                let cursor = connected.cursor.clone().context("a cursor")?;
                // No ingest, then one that refuses what GitHub signs.
                let edges_go_on = end_ingests(system)?;
                let mut lost = github.happen(30).await;
                start_ingests(system).await?;
                github
                    .server
                    .change(|world| world.hooks.set_secret(hook, "another"));
                lost.extend(github.happen(10).await);
                let secret = system.secret().to_owned();
                github
                    .server
                    .change(|world| world.hooks.set_secret(hook, &secret));
                if !edges_go_on {
                    let ids = connected.ids;
                    connected = StreamClient::open(&edges[0], Some(&cursor)).await?;
                    connected.ids = ids;
                }
                let mut resumed = StreamClient::open(&edges[1], Some(&cursor)).await?;
                let all: BTreeSet<_> = before.union(&lost).cloned().collect();
                until_logged(system, &all).await?;
                connected.read_all(&all).await?;
                resumed.read_all(&lost).await?;
                // What comes by itself comes after it, and nothing comes twice.
                let after = github.happen(6).await;
                connected.read_all(&after).await?;
                resumed.read_all(&after).await?;
                connected.ensure_once()?;
                resumed.ensure_once()?;
                until_logged(system, &all.union(&after).cloned().collect()).await?;
                let reads = github.server.counts().delivery_reads;
                ensure!(reads.values().all(|count| *count == 1), "{reads:?}");
                ensure!(reads.len() >= lost.len(), "{} reads", reads.len());
                let gaps = health_of_gaps(system).await?;
                ensure!(gaps["sweeper"] == "this replica", "{gaps}");
                // Replicas share leases, and one process needs none.
                let is_shared = system.kind() == SystemKind::Cluster;
                ensure!(gaps["fence"].is_u64() == is_shared, "{gaps}");
                ensure!(gaps["places"][0]["state"] == "ok", "{gaps}");
                the_command_shows_the_gaps(system, &lost).await?;
                no_line_has_the_token(system.cluster().dir())
            },
        )
        .await?;
    }
    Ok(())
}

/// `forgewire sync gaps` as an operator uses it.
async fn the_command_shows_the_gaps(system: &System, lost: &BTreeSet<String>) -> Result<()> {
    let binary = forgewire_binary().context("no forgewire binary: run `make test`")?;
    let asked = async |node: SystemNode, more: &[&str]| {
        let url = system.admin(node)?;
        let mut command = tokio::process::Command::new(&binary);
        command.args(["sync", "gaps", "--url", url.as_str()]);
        let output = command.args(more).env_clear().output().await?;
        let said = [output.stdout, output.stderr].concat();
        Ok::<_, anyhow::Error>((output.status.success(), String::from_utf8(said)?))
    };
    let (is_told, text) = asked(SystemNode::Sync, &[]).await?;
    ensure!(is_told && text.contains("sweeps: this replica"), "{text}");
    let repaired = text.lines().filter(|line| line.contains(": repaired "));
    ensure!(repaired.count() >= lost.len(), "{text}");
    ensure!(lost.iter().all(|guid| text.contains(guid)), "{text}");
    let (is_told, json) = asked(SystemNode::Sync, &["--json"]).await?;
    let told: Value = serde_json::from_str(&json)?;
    ensure!(is_told && told["lookedFor"] == true, "{json}");
    if system.kind() == SystemKind::Cluster {
        let (is_told, text) = asked(SystemNode::Edge(0), &[]).await?;
        ensure!(!is_told && text.contains("has no sync role"), "{text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_log_that_was_put_back_has_lost_is_fetched_from_github_again() -> Result<()> {
    for kind in SystemKind::ALL {
        let github = GapGithub::start(171).await?;
        only(
            kind,
            |plan| github.swept(plan),
            async |system| {
                every_node_is_ready(system).await?;
                github.hook(system).await?;
                let first = github.happen(6).await;
                until_logged(system, &first).await?;
                let saved = system.save_log().await?;
                let lost = github.happen(12).await;
                let all: BTreeSet<_> = first.union(&lost).cloned().collect();
                until_logged(system, &all).await?;
                system.put_log_back(saved).await?;
                until_logged(system, &all).await
            },
        )
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_that_refuses_the_token_is_shown_and_the_token_is_changed_without_a_restart()
-> Result<()> {
    let github = GapGithub::start(172).await?;
    only(
        SystemKind::Cluster,
        |plan| github.swept(plan),
        async |system| {
            every_node_is_ready(system).await?;
            let hook = github.hook(system).await?;
            github.server.revoke(TOKEN);
            github
                .server
                .change(|world| world.hooks.set_secret(hook, "another"));
            let lost = github.happen(6).await;
            until("the place is shown as failing", async || {
                let gaps = health_of_gaps(system).await;
                gaps.is_ok_and(|gaps| gaps["places"][0]["state"] == "failing")
            })
            .await?;
            let ready = system.admin(SystemNode::Sync)?.join("/readyz")?;
            let ready = reqwest::get(ready).await?.status();
            ensure!(ready.is_success(), "it serves what it has: {ready}");
            let fresh = format!("{TOKEN}_fresh");
            let user = github.server.change(|world| world.actor());
            github.server.admit(&fresh, user);
            fs::write(github.folder.path().join("token"), fresh)?;
            until_logged(system, &lost).await?;
            no_line_has_the_token(system.cluster().dir())
        },
    )
    .await
}
