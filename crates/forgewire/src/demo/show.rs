//! The demo's story: starts the roles, posts deliveries, and explains what can be tried.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use fake_github::{hooks::FakeHookOwner, server::GithubServer, story::FakeStory};
use model::{IdSource, RandomIds, SystemClock};
use reqwest::Url;
use service_kit::{config::Secret, lifecycle::OnExit};
use tokio_util::sync::CancellationToken;

use super::{
    args::DemoArgs,
    client,
    progress::{DemoProgress, flush, say},
    state::StateFile,
};
use crate::{
    config::Config, listeners::Addresses, roles, run::start, telemetry::ProcessTelemetry, toolsets,
};

/// Pause between two deliveries of the story.
const STORY_PAUSE: Duration = Duration::from_millis(150);
/// Pause between two deliveries after the story.
const QUIET_PAUSE: Duration = Duration::from_secs(5);
/// What the organization's webhook wants.
const HOOK_EVENTS: [&str; 8] = [
    "issue_comment",
    "issues",
    "milestone",
    "projects_v2",
    "projects_v2_item",
    "pull_request",
    "pull_request_review",
    "release",
];
/// Deliveries that the fake GitHub remembers, of some 15 KiB each.
const MAX_DELIVERIES_KEPT: usize = 1_000;
/// Longest time that the demo takes to stop, so that Ctrl-C feels immediate.
const DRAIN_SECONDS: u64 = 1;

/// Runs the demo until Ctrl-C, or until `--events` have arrived; `true` is a clean end.
///
/// # Errors
/// A port that cannot be bound, or a folder that cannot be written.
pub(crate) async fn run(args: &DemoArgs) -> anyhow::Result<bool> {
    let dir = args.dir.clone().unwrap_or_else(default_dir);
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let secret = RandomIds.uuid();
    let github = DemoGithub::start().await?;
    let config = config(&dir, &secret, &github);
    let roles = roles::all();
    let telemetry = ProcessTelemetry::open(&config.telemetry, &roles, &RandomIds)?;
    let logs = telemetry.logs.clone();
    let running = start(&config, &roles, toolsets::none, telemetry).await?;
    if !running.ready().await {
        return Ok(running.run().await?.clean);
    }
    let addresses = running.addresses.clone();
    let (edge, ingest) = (base(addresses.of("edge"))?, base(addresses.of("ingest"))?);
    say(&format!(
        "\nForgewire demo: all roles in one process, data in {}\n",
        dir.display()
    ));

    let shared = Arc::new(DemoProgress::default());
    let lifecycle = running.lifecycle.clone();
    let listening = client::listen(
        edge.clone(),
        StateFile::new(&dir),
        Arc::clone(&shared),
        args.events,
        lifecycle.draining(),
    );
    lifecycle.spawn("demo-client", OnExit::MayFinish, listening);
    let posting = post(
        github,
        (ingest, secret),
        Arc::clone(&shared),
        addresses,
        lifecycle.draining(),
    );
    lifecycle.spawn("demo-github", OnExit::MayFinish, posting);
    let enough = Arc::clone(&shared);
    let stopping = lifecycle.clone();
    lifecycle.spawn("demo-end", OnExit::MayFinish, async move {
        tokio::select! {
            () = enough.enough.cancelled() => stopping.shut_down(),
            () = stopping.draining().cancelled_owned() => {}
        }
    });
    let outcome = running.run().await?;
    say("\nstopped; run the demo again and it continues after the last event");
    flush();
    logs.flush();
    Ok(outcome.clean)
}

fn default_dir() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| home.map(|home| home.join(".local/state")));
    state
        .unwrap_or_else(std::env::temp_dir)
        .join("forgewire-demo")
}

/// The fake GitHub, the story that it lives, and a token for its APIs.
struct DemoGithub {
    server: GithubServer,
    story: FakeStory,
    token: String,
}

impl DemoGithub {
    async fn start() -> anyhow::Result<Self> {
        let seed = RandomIds.random_u64();
        let server = GithubServer::start(seed, Arc::new(SystemClock)).await?;
        let (story, user) = server.change(|world| (FakeStory::begin(world, seed), world.actor()));
        let token = format!("ghp_{}", RandomIds.uuid().replace('-', ""));
        server.admit(&token, user);
        Ok(Self {
            server,
            story,
            token,
        })
    }

    /// Configures the webhook.
    fn send_to(&self, ingest: &Url, secret: &str) -> anyhow::Result<()> {
        let url = ingest.join("/webhooks/github")?;
        let owner = FakeHookOwner::Organization(self.story.organization);
        self.server.change(|world| {
            world.hooks.keep_at_most(MAX_DELIVERIES_KEPT);
            world.add_hook(owner, url.as_str(), secret, &HOOK_EVENTS)
        });
        Ok(())
    }

    /// Lets the next thing happen; its deliveries are on their way.
    fn go_on(&mut self, shared: &DemoProgress) {
        let story = &mut self.story;
        self.server.change(|world| {
            let before = world.ledger().len();
            story.go_on(world);
            let now = Instant::now();
            let mut posted = shared.posted.lock();
            let new = world.ledger()[before..].iter();
            posted.extend(
                new.filter(|entry| entry.hooks > 0)
                    .map(|entry| (entry.guid.clone(), now)),
            );
        });
    }
}

fn config(dir: &std::path::Path, secret: &str, github: &DemoGithub) -> Config {
    let mut config = Config::default();
    config.github.api_url = github.server.url().to_owned();
    config.github.graphql_url = github.server.graphql_url();
    config.github.token = Some(Secret::new(&github.token));
    config.sync.organizations = vec![FakeStory::ORGANIZATION.to_owned()];
    config.sqlite.path = dir.join("forgewire.db");
    config.ingest.webhook_secrets = vec![Secret::new(secret)];
    config.edge.drain_seconds = DRAIN_SECONDS;
    // The webhook is configured once somebody listens.
    config.telemetry.filter = "warn,github_sync::gaps=error".to_owned();
    config.edge.listen = free_or_any(config.edge.listen);
    config.ingest.listen = free_or_any(config.ingest.listen);
    config.sync.listen = free_or_any(config.sync.listen);
    config.admin.listen = free_or_any(config.admin.listen);
    config
}

/// The address, or port 0 of the same IP if the port is in use.
fn free_or_any(address: SocketAddr) -> SocketAddr {
    match TcpListener::bind(address) {
        Ok(_) => address,
        Err(_) => SocketAddr::new(address.ip(), 0),
    }
}

fn base(address: Option<SocketAddr>) -> anyhow::Result<Url> {
    let address = address.context("a role did not start")?;
    Ok(Url::parse(&format!("http://{address}"))?)
}

/// Lets things happen on the fake GitHub, which tells the ingest: first a story with every kind of event, then
/// one every few seconds.
async fn post(
    mut github: DemoGithub,
    (ingest, secret): (Url, String),
    shared: Arc<DemoProgress>,
    addresses: Addresses,
    stop: CancellationToken,
) {
    let listening = shared.listening.notified();
    if stop.run_until_cancelled(listening).await.is_none() {
        return;
    }
    let pause = async |pause| {
        let pause = tokio::time::sleep(pause);
        stop.run_until_cancelled(pause).await.is_some()
    };
    say("  received      resource         what happened                            latency");
    if let Err(error) = github.send_to(&ingest, &secret) {
        return say(&format!("  the webhook cannot be configured: {error:#}"));
    }
    for _ in 0..FakeStory::BEGINNING_STEPS {
        github.go_on(&shared);
        if !pause(STORY_PAUSE).await {
            return;
        }
    }
    let delivered = stop.run_until_cancelled(github.server.delivered());
    if delivered.await.is_none() {
        return;
    }
    say(&hints(&addresses, &github));
    while pause(QUIET_PAUSE).await {
        github.go_on(&shared);
    }
}

fn hints(addresses: &Addresses, github: &DemoGithub) -> String {
    let at = |address: Option<SocketAddr>| address.map_or_else(String::new, |a| a.to_string());
    let (edge, ingest) = (at(addresses.of("edge")), at(addresses.of("ingest")));
    let admin = addresses.admin;
    format!(
        r#"
The story has ended; from now on there is an event every {pause} s. Try it:

  curl -N 'http://{edge}/events/stream?resourceType=issue'      events as they happen (SSE)
  curl 'http://{edge}/events/recent?limit=3'                    the newest events
  curl http://{admin}/metrics                                   Prometheus metrics

MCP client configuration (any client that speaks Streamable HTTP):

  {{"mcpServers": {{"forgewire": {{"type": "http", "url": "http://{edge}/mcp"}}}}}}

What it knows of GitHub's state (tools such as list_issues and get_current_sprint read it):

  forgewire sync status --url http://{admin}

Webhooks are received at http://{ingest}/webhooks/github. The fake GitHub that sends them has an API, too:

  curl -H 'authorization: Bearer {token}' '{api}/orgs/nordlicht-labs/repos'

Ctrl-C stops.
"#,
        token = github.token,
        api = github.server.url(),
        pause = QUIET_PAUSE.as_secs()
    )
}
