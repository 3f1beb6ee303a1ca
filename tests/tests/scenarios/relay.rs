//! `forgewire relay`, run as on a laptop: deliveries that GitHub could not bring come all the same, once and in order.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use serde_json::Value;
use testkit::{
    cluster::{System, forgewire_binary},
    fake_github::{DeliveriesApiServer, Delivery, FakeGithub},
    process::{Process, ProcessCommand},
};
use tests::{both, until};

const TOKEN: &str = "token-of-the-relay";

/// Starts a relay to the first ingest of a system.
fn start(
    system: &System,
    api: &DeliveriesApiServer,
    folder: &Path,
    args: &[&str],
) -> Result<Process> {
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

fn guids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries
        .iter()
        .map(|delivery| delivery.guid.to_string())
        .collect()
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
        let api = DeliveriesApiServer::start(TOKEN).await?;
        let folder = tempfile::tempdir()?;
        let cursor = folder.path().join("cursor.json").display().to_string();
        let repository = api.repository();
        let flags = [
            "--repository",
            &repository,
            "--cursor",
            &cursor,
            "--interval-seconds",
            "1",
        ];
        // More than a page of GitHub's list.
        let mut fake = FakeGithub::new(160, "GitHub's own secret");
        let deliveries = fake.about_one_issue(260);
        let (before, rest) = deliveries.split_at(10);
        let (first, second) = rest.split_at(240);
        api.add(before);
        let relay = start(system, &api, folder.path(), &flags)?;
        until("the relay knows where it begins", async || {
            fs::exists(&cursor).unwrap_or(false)
        })
        .await?;
        api.limit_next(1);
        api.add(first);
        let edge = &system.edges()[0];
        until_arrived(edge, &guids(first)).await?;
        ensure!(api.limits_left() == 0, "a limit was waited for");
        until("an unchanged list is not sent again", async || {
            api.unchanged_looks() > 0
        })
        .await?;
        drop(relay);
        api.add(second);
        let relay = start(system, &api, folder.path(), &flags)?;
        until_arrived(edge, &guids(&deliveries[10..])).await?;
        let expected: BTreeMap<_, _> = guids(&deliveries[10..])
            .into_iter()
            .map(|guid| (guid, 1))
            .collect();
        let reads = api.reads();
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
        let api = DeliveriesApiServer::start(TOKEN).await?;
        let folder = tempfile::tempdir()?;
        let deliveries = FakeGithub::new(161, system.secret()).about_one_issue(20);
        let strangers = FakeGithub::new(162, "a stranger's secret").about_one_issue(5);
        let channel = api.channel();
        let relay = start(system, &api, folder.path(), &["--url", &channel])?;
        api.add(&strangers);
        api.add(&deliveries[..10]);
        let edge = &system.edges()[0];
        until_arrived(edge, &guids(&deliveries[..10])).await?;
        api.add(&deliveries[10..]);
        until_arrived(edge, &guids(&deliveries)).await?;
        drop(relay);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_github_refuses_ends_the_relay_with_the_fix() -> Result<()> {
    let api = DeliveriesApiServer::start("another-token").await?;
    let folder = tempfile::tempdir()?;
    let binary = forgewire_binary().context("no forgewire binary: run `make test`")?;
    let output = tokio::process::Command::new(binary)
        .args([
            "relay",
            "--repository",
            &api.repository(),
            "--to",
            "http://127.0.0.1:1",
        ])
        .env("FORGEWIRE_GITHUB__API_URL", api.url())
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
