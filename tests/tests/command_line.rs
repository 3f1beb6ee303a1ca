//! The binary from a user's point of view: refusals that name the fix, a ready line, a demo that
//! continues.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use testkit::cluster::forgewire_binary;

fn binary() -> Result<PathBuf> {
    forgewire_binary().context("no forgewire binary: run `make test`, which builds it")
}

/// Runs the binary without any of the caller's settings.
fn forgewire(args: &[&str], env: &[(&str, &str)]) -> Result<Output> {
    let mut command = Command::new(binary()?);
    command
        .args(args)
        .env_clear()
        .envs(env.iter().copied())
        .stdin(Stdio::null());
    Ok(command.output()?)
}

fn refusal(args: &[&str], env: &[(&str, &str)]) -> Result<String> {
    let output = forgewire(args, env)?;
    ensure!(
        output.status.code() == Some(2),
        "exit code {:?}",
        output.status.code()
    );
    ensure!(
        output.stdout.is_empty(),
        "nothing but the ready line goes to stdout"
    );
    Ok(String::from_utf8(output.stderr)?)
}

#[test]
fn an_unknown_key_in_the_environment_is_refused_by_name() -> Result<()> {
    let text = refusal(&["run"], &[("FORGEWIRE_EDGE__LISTNE", "127.0.0.1:0")])?;
    ensure!(
        text.contains("FORGEWIRE_EDGE__LISTNE") && text.contains("listne"),
        "{text}"
    );
    Ok(())
}

#[test]
fn an_unknown_key_in_a_file_is_refused_with_the_file() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("forgewire.toml");
    std::fs::write(
        &file,
        "[ingest]\nwebhook_secret = \"one-too-few-letters\"\n",
    )?;
    let file = file.display().to_string();
    let text = refusal(&["run", "--config", &file], &[])?;
    ensure!(
        text.contains(&file) && text.contains("webhook_secret"),
        "{text}"
    );
    ensure!(
        !text.contains("one-too-few-letters"),
        "a value may be a secret: {text}"
    );
    Ok(())
}

#[test]
fn a_malformed_value_is_refused_with_its_variable() -> Result<()> {
    let text = refusal(&["run"], &[("FORGEWIRE_EDGE__MAX_STREAMS", "many")])?;
    ensure!(text.contains("FORGEWIRE_EDGE__MAX_STREAMS"), "{text}");
    Ok(())
}

#[test]
fn unsafe_combinations_are_refused_with_the_fix() -> Result<()> {
    let secret = ("WEBHOOK_SECRET", "s");
    let text = refusal(&["run"], &[])?;
    ensure!(text.contains("ingest.webhook_secrets"), "{text}");
    let text = refusal(&["run", "--role", "edge"], &[])?;
    ensure!(text.contains("jetstream"), "{text}");
    let text = refusal(&["run"], &[secret, ("FORGEWIRE_EDGE__LISTEN", "0.0.0.0:0")])?;
    ensure!(text.contains("auth.i_understand"), "{text}");
    Ok(())
}

#[test]
fn settings_of_a_log_that_is_not_shared_are_not_applied() -> Result<()> {
    let text = refusal(&["log", "apply"], &[])?;
    ensure!(
        text.contains("\"sqlite\"") && text.contains("jetstream"),
        "{text}"
    );
    let secret = (
        "FORGEWIRE_INGEST__WEBHOOK_SECRETS",
        "[\"a secret of tests\"]",
    );
    let text = refusal(
        &["config", "check"],
        &[secret, ("FORGEWIRE_NATS__PREFIX", "a.b")],
    )?;
    ensure!(text.contains("nats.prefix"), "{text}");
    Ok(())
}

#[test]
fn a_bridge_that_cannot_work_is_refused_with_what_fits() -> Result<()> {
    let text = refusal(&["stdio", "--url", "edge:3000"], &[])?;
    ensure!(text.contains("--url") && text.contains("http://"), "{text}");
    let text = refusal(&["stdio", "--token-file", "/nowhere/token"], &[])?;
    ensure!(text.contains("/nowhere/token"), "{text}");
    let text = refusal(&["stdio"], &[("FORGEWIRE_TOKEN", "fw_tell nobody")])?;
    ensure!(text.contains("token") && !text.contains("nobody"), "{text}");
    Ok(())
}

#[test]
fn secrets_are_masked_in_what_is_shown() -> Result<()> {
    let env = [
        ("WEBHOOK_SECRET", "tell-nobody"),
        ("EVENT_RETENTION_DAYS", "9"),
    ];
    for args in [&["config", "show"][..], &["config", "show", "--json"]] {
        let output = forgewire(args, &env)?;
        let text = String::from_utf8(output.stdout)?;
        ensure!(
            output.status.success() && !text.contains("tell-nobody"),
            "{text}"
        );
        ensure!(
            text.contains("event_days = 9") || text.contains("\"event_days\": 9"),
            "{text}"
        );
    }
    Ok(())
}

#[test]
fn the_schema_knows_every_section() -> Result<()> {
    let output = forgewire(&["config", "schema"], &[])?;
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    for section in [
        "edge",
        "ingest",
        "sync",
        "backends",
        "retention",
        "auth",
        "admin",
    ] {
        ensure!(schema["properties"].get(section).is_some(), "{section}");
    }
    Ok(())
}

/// Runs the demo until this many events have arrived; gives its output.
fn demo(dir: &Path, events: usize) -> Result<String> {
    let args = [
        "demo",
        "--events",
        &events.to_string(),
        "--dir",
        &dir.display().to_string(),
    ];
    let output = forgewire(&args, &[])?;
    let text = String::from_utf8(output.stdout)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{:?}\n{text}\n{errors}",
        output.status.code()
    );
    Ok(text)
}

#[test]
fn the_demo_tells_its_story_and_goes_on_where_it_ended() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let first = demo(folder.path(), 24)?;
    for kind in [
        "issue",
        "pull_request",
        "milestone",
        "project",
        "draft_issue",
    ] {
        ensure!(first.contains(kind), "{kind} is missing in:\n{first}");
    }
    ensure!(first.contains("new session"), "{first}");
    let second = demo(folder.path(), 3)?;
    ensure!(
        second.contains("continues its session, after 24 events"),
        "{second}"
    );
    ensure!(
        !first.contains("twice!") && !second.contains("twice!"),
        "{second}"
    );
    Ok(())
}

#[test]
fn ctrl_c_ends_the_demo_in_good_order() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut child = Command::new(binary()?)
        .args(["demo", "--dir"])
        .arg(folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let out = child.stdout.take().context("stdout is piped")?;
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(out));
    let begun = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(" ms")));
    ensure!(begun.is_some(), "no event arrived");
    let pid = i32::try_from(child.id())?;
    let pid = rustix::process::Pid::from_raw(pid).context("a pid is positive")?;
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    let reading = std::thread::spawn(move || lines.count());
    // The guarantee is three seconds; this bound only keeps a broken drain from hanging the tests.
    let deadline = Instant::now() + Duration::from_secs(30);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        ensure!(Instant::now() < deadline, "the demo does not end");
        std::thread::sleep(Duration::from_millis(10));
    };
    ensure!(status.success(), "{status}");
    ensure!(reading.join().is_ok());
    Ok(())
}
