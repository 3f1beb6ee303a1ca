//! A disk that fails a commit: the process ends and says why, so that something restarts it.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use testkit::{
    cluster::forgewire_binary,
    fake_github::{FakeGithub, WebhookSender},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "secret";

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_disk_failed_a_commit_ends_and_says_why() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let binary = forgewire_binary().context("no forgewire binary: run `make test`")?;
    let mut child = Command::new("sh")
        // With the signal ignored, a write beyond the limit of a file's size fails like a broken disk.
        .args(["-c", "trap '' XFSZ; exec \"$0\" run --cache-dir \"$1\""])
        .arg(binary)
        .arg(folder.path())
        .env("FORGEWIRE_ADMIN__LISTEN", "127.0.0.1:0")
        .env("FORGEWIRE_EDGE__LISTEN", "127.0.0.1:0")
        .env("FORGEWIRE_INGEST__LISTEN", "127.0.0.1:0")
        .env("FORGEWIRE_SYNC__LISTEN", "127.0.0.1:0")
        .env("FORGEWIRE_EDGE__DRAIN_SECONDS", "1")
        .env("WEBHOOK_SECRET", SECRET)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut line = String::new();
    let stdout = child.stdout.take().context("stdout is piped")?;
    timeout(PATIENCE, BufReader::new(stdout).read_line(&mut line)).await??;
    let ready: serde_json::Value = serde_json::from_str(&line)?;
    let ingest = ready["ingest"].as_str().context("no ingest")?;
    let ingest = reqwest::Url::parse(&format!("http://{ingest}"))?;

    let (mut github, sender) = (FakeGithub::new(5, SECRET), WebhookSender::new());
    ensure!(
        sender
            .send(&ingest, &github.next_delivery())
            .await?
            .is_accepted()
    );
    let pid = i32::try_from(child.id().context("the process has ended")?)?;
    let no_byte_more = Rlimit {
        current: Some(1),
        maximum: Some(1),
    };
    prlimit(Pid::from_raw(pid), Resource::Fsize, no_byte_more)?;
    let answer = sender.send(&ingest, &github.next_delivery()).await?;
    ensure!(answer.status == 503, "{answer:?}");

    let output = timeout(PATIENCE, child.wait_with_output()).await??;
    let text = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1), "{}\n{text}", output.status);
    let sentence = text.lines().find(|line| line.starts_with("forgewire: "));
    let sentence = sentence.with_context(|| format!("no sentence in:\n{text}"))?;
    ensure!(
        sentence.contains("forgewire.db takes no more writes")
            && sentence.contains("check the disk"),
        "{sentence}"
    );
    Ok(())
}
