//! `forgewire relay`, run as on a laptop: deliveries that GitHub could not bring come all the same, once and in order.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use anyhow::{Context, Result, ensure};
use fake_github::{
    hooks::{FakeHookKey, FakeHookOwner},
    server::{FakeFault, GithubServer},
    world::TicketKey,
};
use model::SystemClock;
use reqwest::Url;
use serde_json::Value;
use testkit::{
    cluster::{System, forgewire_binary},
    process::{Process, ProcessCommand},
};
use tests::{both, until};

const TOKEN: &str = "token-of-the-relay";
const REPOSITORY: &str = "octo-relay/tool";
/// Where the webhook's deliveries go: nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1/";

/// A GitHub with an issue and a webhook that reaches nobody.
struct UnreachedGithub {
    server: GithubServer,
    issue: TicketKey,
    hook: FakeHookKey,
}

impl UnreachedGithub {
    async fn start(seed: u64, token: &str, secret: &str) -> Result<Self> {
        let server = GithubServer::start(seed, Arc::new(SystemClock)).await?;
        let (user, issue, hook) = server.change(|world| {
            let owner = world.add_organization("octo-relay");
            let repo = world.create_repo(owner, "tool");
            let issue = world.open_issue(repo, "It is slow");
            let of = FakeHookOwner::Repo(repo);
            (
                world.actor(),
                issue,
                world.add_hook(of, NOWHERE, secret, &["issues"]),
            )
        });
        server.admit(token, user);
        Ok(Self {
            server,
            issue,
            hook,
        })
    }

    /// Changes the issue so many times; the GUIDs of what that causes, once its deliveries have failed.
    async fn happen(&self, count: usize) -> Vec<String> {
        let guids = self.server.change(|world| {
            let before = world.ledger().len();
            (0..count).for_each(|n| world.retitle(self.issue, &format!("It is slow ({n})")));
            let new = world.ledger()[before..].iter();
            new.map(|entry| entry.guid.clone()).collect()
        });
        self.server.delivered().await;
        guids
    }
}

/// Starts a relay to the first ingest of a system.
fn start(system: &System, api: &GithubServer, folder: &Path, args: &[&str]) -> Result<Process> {
    let binary = forgewire_binary().context("no forgewire binary: run `make test`")?;
    let to = system.ingests()[0].to_string();
    let token = folder.join("token");
    fs::write(&token, TOKEN)?;
    let env = [
        ("FORGEWIRE_GITHUB__API_URL", api.url().to_owned()),
        ("FORGEWIRE_GITHUB__TOKEN_FILE", token.display().to_string()),
        ("WEBHOOK_SECRET", system.secret().to_owned()),
    ];
    let args = ["relay", "--to", &to]
        .into_iter()
        .chain(args.iter().copied());
    Process::start(ProcessCommand {
        name: "relay".to_owned(),
        program: binary,
        args: args.map(str::to_owned).collect(),
        env: env
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        logs: folder.to_owned(),
        own_group: false,
    })
}

/// The GUIDs in the log of an edge, in its order.
async fn arrived(edge: &Url) -> Result<Vec<String>> {
    let answer = reqwest::get(edge.join("/events/replay/2020-01-01?limit=1000")?).await?;
    let answer: Value = answer.json().await?;
    let events = answer["events"].as_array().context("events")?;
    let guids = events.iter().map(|event| {
        let guid = event["metadata"]["delivery"].as_str();
        guid.map(str::to_owned).context("a delivery")
    });
    guids.collect()
}

async fn until_arrived(edge: &Url, expected: &[String]) -> Result<()> {
    until("what was relayed arrives", async || {
        arrived(edge)
            .await
            .is_ok_and(|arrived| arrived.len() >= expected.len())
    })
    .await?;
    let arrived = arrived(edge).await?;
    ensure!(arrived == expected, "{arrived:?} instead of {expected:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_of_a_webhook_are_relayed_once_and_go_on_after_a_restart() -> Result<()> {
    both(async |system| {
        let github = UnreachedGithub::start(160, TOKEN, "GitHub's own secret").await?;
        let api = &github.server;
        let folder = tempfile::tempdir()?;
        let cursor = folder.path().join("cursor.json").display().to_string();
        let flags = [
            "--repository",
            REPOSITORY,
            "--cursor",
            &cursor,
            "--interval-seconds",
            "1",
        ];
        github.happen(10).await;
        let relay = start(system, api, folder.path(), &flags)?;
        until("the relay knows where it begins", async || {
            fs::exists(&cursor).unwrap_or(false)
        })
        .await?;
        let limit = FakeFault::Secondary {
            status: 429,
            retry_after_seconds: Some(1),
        };
        api.break_next("/deliveries", limit, 1);
        // More than a page of GitHub's list.
        let first = github.happen(240).await;
        let edge = &system.edges()[0];
        until_arrived(edge, &first).await?;
        ensure!(api.faults_left() == 0, "a limit was waited for");
        until("an unchanged list is not sent again", async || {
            api.not_modified() > 0
        })
        .await?;
        drop(relay);
        let second = github.happen(10).await;
        let relay = start(system, api, folder.path(), &flags)?;
        let all = [first, second].concat();
        until_arrived(edge, &all).await?;
        let expected: BTreeMap<_, _> = all.into_iter().map(|guid| (guid, 1)).collect();
        let reads = api.counts().delivery_reads;
        ensure!(reads == expected, "each delivery is read once: {reads:?}");
        drop(relay);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_relayed_while_it_is_open_and_a_stranger_makes_no_event_through_it()
-> Result<()> {
    both(async |system| {
        let github = UnreachedGithub::start(161, TOKEN, "a stranger's secret").await?;
        let (api, hook) = (&github.server, github.hook);
        let folder = tempfile::tempdir()?;
        let channel = format!("{}/channel/{}", api.url(), hook.0);
        let relay = start(system, api, folder.path(), &["--url", &channel])?;
        github.happen(5).await;
        api.change(|world| world.hooks.set_secret(hook, system.secret()));
        let first = github.happen(10).await;
        let edge = &system.edges()[0];
        until_arrived(edge, &first).await?;
        let second = github.happen(10).await;
        until_arrived(edge, &[first, second].concat()).await?;
        drop(relay);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_github_refuses_ends_the_relay_with_the_fix() -> Result<()> {
    let github = UnreachedGithub::start(162, "another-token", "s").await?;
    let folder = tempfile::tempdir()?;
    let binary = forgewire_binary().context("no forgewire binary: run `make test`")?;
    let output = tokio::process::Command::new(binary)
        .args([
            "relay",
            "--repository",
            REPOSITORY,
            "--to",
            "http://127.0.0.1:1",
        ])
        .env("FORGEWIRE_GITHUB__API_URL", github.server.url())
        .env("GITHUB_TOKEN", TOKEN)
        .env("WEBHOOK_SECRET", "s")
        .current_dir(folder.path())
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(1),
        "{:?}: {text}",
        output.status
    );
    ensure!(
        text.contains("GITHUB_TOKEN") && !text.contains(TOKEN),
        "{text}"
    );
    Ok(())
}
