//! `forgewire watch`: each event is a line or a command, once, whatever happens in between; and the plugin for Claude Code,
//! whose monitor runs it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command as Program, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use model::{Clock, SystemClock};
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::{
    cluster::{ClusterPlan, System, SystemKind, forgewire_binary, workspace},
    ledger::DeliveryLedger,
    process::{Process, ProcessCommand},
};
use tests::{
    WatchProcess, both, both_with, event_id, every_node_is_ready, remove_events_before, settle,
    until,
};
use tokio::{process::Command, time::timeout};

use crate::{sending::GithubSender, stdio::restart_all, visibility::TokenFile};

const END: Duration = Duration::from_secs(10);

/// The ledger gets the lines of a run as what its client received.
fn book(ledger: &DeliveryLedger, watch: &WatchProcess) -> Result<()> {
    for id in watch.event_ids()? {
        ledger.record_received("watch", &id);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_resumes_on_another_edge_with_what_happened_meanwhile_each_once() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 181);
        let ledger = github.ledger.clone();
        let folder = tempfile::tempdir()?;
        let folder = folder.path();
        let mut edges = system.edges().to_vec().into_iter().cycle();
        let mut next = || edges.next().context("a cycle has no end");
        github.events(2).await?;
        let first = WatchProcess::start(&next()?, folder, "first", &[])?;
        first.is_watching(folder).await?;
        ledger.record_joined("watch");
        github.events(4).await?;
        first.has_lines(4).await?;
        book(&ledger, &first)?;
        first.stop().await?;
        github.events(5).await?;
        let second = WatchProcess::start(&next()?, folder, "second", &[])?;
        second.has_lines(5).await?;
        github.events(2).await?;
        second.has_lines(7).await?;
        book(&ledger, &second)?;
        second.stop().await?;
        github.events(3).await?;
        let third = WatchProcess::start(&next()?, folder, "third", &[])?;
        third.has_lines(3).await?;
        book(&ledger, &third)?;
        settle(&ledger, &["watch"]).await?;
        third.stop().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_edge_is_killed_and_each_event_is_one_line() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 182);
        let ledger = github.ledger.clone();
        let folder = tempfile::tempdir()?;
        let folder = folder.path();
        let watch = WatchProcess::start(system.balancer(), folder, "one", &[])?;
        watch.is_watching(folder).await?;
        ledger.record_joined("watch");
        let sending = tokio::spawn(async move {
            for _ in 0..30 {
                github.events(2).await?;
            }
            anyhow::Ok(github)
        });
        restart_all(system).await?;
        let mut github = sending.await??;
        github.events(5).await?;
        watch.has_lines(65).await?;
        book(&ledger, &watch)?;
        settle(&ledger, &["watch"]).await?;
        let lines = watch.lines()?;
        ensure!(lines.iter().all(|line| line.encode_utf16().count() <= 450));
        watch.stop().await
    })
    .await
}

/// The command has done its work and is not yet booked when the watch is killed: its event comes again, on another edge.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_killed_between_an_event_and_its_bookkeeping_brings_it_again() -> Result<()>
{
    both(async |system| {
        let mut github = GithubSender::of(system, 183);
        let folder = tempfile::tempdir()?;
        let folder = folder.path();
        let at = folder.display();
        // The first run of an event stays until it may go on, and fails if its event is not on stdin.
        let command = format!(
            "read -r event; case $event in *\"$FORGEWIRE_EVENT_ID\"*) ;; *) exit 1;; esac; \
             echo $FORGEWIRE_EVENT_ID >> {at}/done; until test -e {at}/go; do sleep 0.05; done"
        );
        let exec = ["--exec", &command];
        let watch = WatchProcess::start(&system.edges()[0], folder, "killed", &exec)?;
        watch.is_watching(folder).await?;
        let position = WatchProcess::position(folder);
        github.events(1).await?;
        let done = || done(folder);
        until("the command has done its work", async || done().len() == 1).await?;
        watch.kill()?;
        ensure!(
            WatchProcess::position(folder) == position,
            "it is not booked"
        );
        let edge = &system.edges()[system.edges().len() - 1];
        let mut beside = WatchProcess::start(edge, folder, "beside", &exec)?;
        ensure!(
            beside.ended().await?.code() == Some(5),
            "no second command beside the one that is left: {}",
            beside.errors()?
        );
        fs::write(folder.join("go"), "")?;
        until("the command has ended", async || {
            WatchProcess::is_name_free(folder)
        })
        .await?;
        github.events(2).await?;
        let watch = WatchProcess::start(edge, folder, "again", &exec)?;
        until("all events are done", async || done().len() >= 4).await?;
        let ids = done();
        ensure!(ids[0] == ids[1], "the first event comes again: {ids:?}");
        let mut once = ids.clone();
        once.sort();
        once.dedup();
        ensure!(ids.len() == 4 && once.len() == 3, "and only that: {ids:?}");
        let booked = WatchProcess::position(folder);
        watch.stop().await?;
        // What is booked does not come again.
        ensure!(booked != position);
        github.events(1).await?;
        let mut exec = exec.to_vec();
        exec.push("--once");
        let mut watch = WatchProcess::start(edge, folder, "once", &exec)?;
        ensure!(watch.ended().await?.success(), "{}", watch.errors()?);
        let after = done();
        ensure!(after.len() == 5 && !ids.contains(&after[4]), "{after:?}");
        Ok(())
    })
    .await
}

/// The events for which the command has run.
fn done(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("done")).unwrap_or_default();
    text.lines().map(ToOwned::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_retention_removed_meanwhile_are_said_to_be_missing() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 184);
        let folder = tempfile::tempdir()?;
        let folder = folder.path();
        let edge = system.edges()[0].clone();
        let watch = WatchProcess::start(&edge, folder, "before", &[])?;
        watch.is_watching(folder).await?;
        github.events(2).await?;
        watch.has_lines(2).await?;
        watch.stop().await?;
        github.events(3).await?;
        // Times are kept to the millisecond, and the next events are received after this one.
        let sent = SystemClock.now();
        until("the clock moves", async || SystemClock.now() > sent).await?;
        let cut = SystemClock.now();
        github.events(2).await?;
        remove_events_before(system, cut).await?;
        // Edges that had the events in memory would still bring them.
        if system.kind() == SystemKind::Cluster {
            restart_all(system).await?;
            every_node_is_ready(system).await?;
        }
        let watch = WatchProcess::start(&edge, folder, "after", &[])?;
        watch.has_lines(3).await?;
        let lines = watch.lines()?;
        ensure!(lines[0].starts_with("[gap] "), "{lines:?}");
        ensure!(lines.len() == 3, "{lines:?}");
        ensure!(event_id(&lines[1])? != event_id(&lines[2])?, "{lines:?}");
        watch.stop().await?;
        // It is said once.
        github.events(1).await?;
        let watch = WatchProcess::start(&edge, folder, "later", &[])?;
        watch.has_lines(1).await?;
        ensure!(event_id(&watch.lines()?[0]).is_ok(), "{:?}", watch.lines()?);
        watch.stop().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_a_time_and_json_are_those_of_rest() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 185);
        let folder = tempfile::tempdir()?;
        let folder = folder.path();
        github.events(3).await?;
        let edge = &system.edges()[0];
        let args = [
            "--since",
            "1h",
            "--json",
            "--filter",
            "type=issue action=labeled",
        ];
        let mut once = args.to_vec();
        once.push("--once");
        let mut watch = WatchProcess::start(edge, folder, "labeled", &once)?;
        ensure!(watch.ended().await?.success(), "{}", watch.errors()?);
        let lines = watch.lines()?;
        let event: Value = serde_json::from_str(&lines[0])?;
        ensure!(lines.len() == 1 && event["action"] == "labeled", "{event}");
        ensure!(event["data"].is_object(), "all of the event: {event}");
        // The same start again is not given anew.
        github.events(3).await?;
        let watch = WatchProcess::start(edge, folder, "again", &args)?;
        watch.has_lines(1).await?;
        let second: Value = serde_json::from_str(&watch.lines()?[0])?;
        ensure!(second["id"] != event["id"], "{second}");
        watch.stop().await?;
        let refused = ["--filter", "actor=a/b"];
        let mut watch = WatchProcess::start(edge, folder, "refused", &refused)?;
        ensure!(watch.ended().await?.code() == Some(2));
        let errors = watch.errors()?;
        ensure!(errors.contains("actor"), "{errors}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_when_nothing_reads_its_lines() -> Result<()> {
    both(async |system| {
        let folder = tempfile::tempdir()?;
        let binary = forgewire_binary().context("no forgewire binary: run `make test`")?;
        let mut watch = Command::new(binary)
            .args(["watch", "--url", system.balancer().as_str(), "--state-dir"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        until("the watch has a position", async || {
            let mut files = fs::read_dir(folder.path()).into_iter().flatten().flatten();
            files.any(|file| file.path().extension().is_some_and(|kind| kind == "json"))
        })
        .await?;
        drop(watch.stdout.take());
        let status = timeout(END, watch.wait()).await.context("it goes on")??;
        ensure!(status.success(), "{status}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_subscription_and_a_token_that_is_taken_back_end_their_watches() -> Result<()> {
    const TOKEN: &str = "the-token-of-one-that-watches-everything";
    let file = TokenFile::new()?;
    let path = file.path.display().to_string();
    let with_tokens = |plan: ClusterPlan| {
        let plan = plan.with_env("FORGEWIRE_AUTH__MODE", "tokens");
        plan.with_env("FORGEWIRE_AUTH__TOKEN_FILE", &path)
    };
    both_with(with_tokens, async |system| {
        file.write(&[(TOKEN, "one", "")])?;
        let http = reqwest::Client::new();
        for edge in system.edges() {
            until("the edge knows the token", async || {
                let recent = edge.join("/events/recent").expect("a path");
                let answer = http.get(recent).bearer_auth(TOKEN).send().await;
                answer.is_ok_and(|answer| answer.status().is_success())
            })
            .await?;
        }
        let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
        let [plain, subscribed] = folders.each_ref().map(tempfile::TempDir::path);
        let secret = plain.join("token");
        fs::write(&secret, TOKEN)?;
        let secret = secret.display().to_string();
        let made = http
            .post(system.balancer().join("/events/subscribe")?)
            .bearer_auth(TOKEN)
            .json(&json!({ "filters": [{ "action": "opened" }, { "action": "edited" }] }));
        let made: Value = made.send().await?.json().await?;
        let id = made["subscriptionId"].as_str().context("an id")?;
        let mut github = GithubSender::of(system, 187);
        let token = ["--token-file", &secret];
        let first = WatchProcess::start(&system.edges()[0], plain, "token", &token)?;
        first.is_watching(plain).await?;
        let args = ["--token-file", &secret, "--subscription", id];
        let edge = &system.edges()[system.edges().len() - 1];
        let mut second = WatchProcess::start(edge, subscribed, "subscribed", &args)?;
        github.events(3).await?;
        first.has_lines(3).await?;
        second.has_lines(2).await?;
        let lines = second.lines()?;
        ensure!(
            lines[0].contains(" opened ") && lines[1].contains(" edited "),
            "several filters: {lines:?}"
        );
        let delete = system.balancer().join(&format!("/events/subscribe/{id}"))?;
        http.delete(delete).bearer_auth(TOKEN).send().await?;
        ensure!(second.ended().await?.code() == Some(4));
        ensure!(second.errors()?.contains("deleted"), "{}", second.errors()?);
        file.write(&[])?;
        let mut first = first;
        ensure!(first.ended().await?.code() == Some(3));
        let errors = first.errors()?;
        ensure!(
            errors.contains("--token-file") && !errors.contains(TOKEN),
            "{errors}"
        );
        Ok(())
    })
    .await
}

/// Starts the monitor of the plugin for Claude Code in a folder, as a session does.
fn monitor(system: &System, folder: &Path, session: &str) -> Result<Process> {
    let binary = forgewire_binary().context("no forgewire binary: run `make test`")?;
    let path = std::env::var("PATH")?;
    let bin = folder.join("bin");
    fs::create_dir_all(&bin)?;
    let link = bin.join("forgewire");
    if !link.exists() {
        symlink(fs::canonicalize(&binary)?, link)?;
    }
    let script = workspace().join("deploy/claude-code/scripts/watch.sh");
    let env = [
        ("FORGEWIRE_URL", system.balancer().to_string()),
        ("HOME", folder.display().to_string()),
        ("PATH", format!("{}:{path}", bin.display())),
    ];
    let text = "cd \"$1\" && exec sh \"$2\"";
    let args = [
        "-c",
        text,
        "monitor",
        &folder.display().to_string(),
        &script.display().to_string(),
    ];
    Process::start(ProcessCommand {
        name: format!("monitor-{session}"),
        program: "sh".into(),
        args: args.map(str::to_owned).to_vec(),
        env: env
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        logs: folder.join("logs"),
        own_group: false,
    })
}

/// Runs `git` in a folder.
fn git(folder: &Path, args: &[&str]) -> Result<()> {
    let git = Program::new("git")
        .arg("-C")
        .arg(folder)
        .args(args)
        .status()?;
    ensure!(git.success(), "git {args:?}");
    Ok(())
}

/// Arguments are seen by everybody on the machine, and a remote may have a token in its address.
#[test]
fn the_monitor_watches_the_repository_of_a_remote_on_github_and_names_nothing_else_of_it()
-> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let program = folder.join("forgewire");
    fs::write(&program, "#!/bin/sh\necho \"$@\"\n")?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    git(folder, &["init", "--quiet"])?;
    git(folder, &["remote", "add", "origin", "none"])?;
    let path = format!("{}:{}", folder.display(), std::env::var("PATH")?);
    let script = workspace().join("deploy/claude-code/scripts/watch.sh");
    for (origin, repository) in [
        ("git@github.com:acme/rocket.git", Some("acme/rocket")),
        ("https://github.com/acme/rocket.git/", Some("acme/rocket")),
        (
            "https://x-access-token:ghp_hidden@github.com/acme/rocket",
            Some("acme/rocket"),
        ),
        (
            "ssh://git@ssh.github.com:443/acme/rocket.git",
            Some("acme/rocket"),
        ),
        (
            "https://github.com/acme/rocket.wiki.git",
            Some("acme/rocket"),
        ),
        ("https://gitlab.com/github/rocket.git", None),
        ("https://u:ghp_hidden@github.example/acme/rocket", None),
        ("git@github-work:acme/rocket.git", None),
        ("/home/github/rocket.git", None),
    ] {
        git(folder, &["remote", "set-url", "origin", origin])?;
        let ended = Program::new("sh")
            .arg(&script)
            .current_dir(folder)
            .env("PATH", &path)
            .env_remove("FORGEWIRE_FILTER")
            .env_remove("FORGEWIRE_URL")
            .output()?;
        let shown = String::from_utf8(ended.stdout)?;
        let expected = repository.map_or_else(String::new, |repository| {
            format!("watch --url http://127.0.0.1:3000 --filter repo={repository} --lines-per-minute 20\n")
        });
        ensure!(
            shown == expected && ended.status.success(),
            "{origin}: {shown}"
        );
        ensure!(
            !String::from_utf8(ended.stderr)?.contains("hidden"),
            "{origin}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_monitor_of_the_plugin_tells_every_session_of_a_repository() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 186);
        let deliveries = github.fake.about_one_issue(4);
        let payload: Value = serde_json::from_slice(&deliveries[0].body)?;
        let repository = payload["repository"]["full_name"].as_str();
        let origin = format!("git@github.com:{}.git", repository.context("a repository")?);
        let folder = tempfile::tempdir()?;
        let folder = folder.path();
        git(folder, &["init", "--quiet"])?;
        git(folder, &["remote", "add", "origin", &origin])?;
        let mut first = monitor(system, folder, "first")?;
        let watching = |process: &Process| {
            process
                .errors()
                .is_ok_and(|log| log.contains("stream is open"))
        };
        until("the first session watches", async || watching(&first)).await?;
        let mut second = monitor(system, folder, "second")?;
        until("the second session watches", async || watching(&second)).await?;
        github.send_all(&deliveries).await?;
        for session in [&first, &second] {
            until("the session has its lines", async || {
                session.output().is_ok_and(|text| text.lines().count() == 4)
            })
            .await
            .with_context(|| session.last_lines())?;
        }
        for session in [&mut first, &mut second] {
            session.signal(Signal::TERM)?;
            let status = session.wait_for_end(END).await?;
            ensure!(status.success(), "{status}: {}", session.last_lines());
        }
        Ok(())
    })
    .await
}
