//! The binary from a user's point of view: refusals that name the fix, a ready line, a demo that
//! continues.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
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

/// Settings that nothing reads: their variables, and the key that a warning names.
const IDLE: [(&str, &str, &str); 5] = [
    ("SYNC_INTERVAL_MS", "60000", "sync.interval_seconds"),
    ("SYNC_RESOURCES", "issues,pulls", "sync.resources"),
    ("MAX_EVENTS_IN_MEMORY", "10", "retention.max_memory_events"),
    (
        "FORGEWIRE_SYNC__REPOSITORIES",
        "octo/tool",
        "sync.repositories",
    ),
    ("FORGEWIRE_REDIS__URL", "redis://r", "redis.url"),
];

#[test]
fn a_setting_without_effect_is_a_warning_at_start_and_in_the_check() -> Result<()> {
    let mut env: Vec<_> = IDLE.iter().map(|(name, text, _)| (*name, *text)).collect();
    env.push(("WEBHOOK_SECRET", "s"));
    let checked = forgewire(&["config", "check", "--skip-sync"], &env)?;
    ensure!(checked.status.success());
    // The start ends after the warnings: its port is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    env.push(("FORGEWIRE_EDGE__LISTEN", &address));
    let started = forgewire(&["run", "--skip-sync"], &env)?;
    for text in [checked.stdout, started.stderr] {
        let text = String::from_utf8(text)?;
        let warning = |key: &str, origin: &str| {
            let mut lines = text.lines();
            lines.any(|line| {
                let said = line.contains(key) && line.contains("has no effect");
                said && line.contains(origin) && line.to_lowercase().contains("warn")
            })
        };
        for (name, _, key) in IDLE {
            ensure!(warning(key, name), "{name}: {text}");
        }
        // To leave out what would not be done is no mistake.
        ensure!(!text.contains("sync.initial_timeout_seconds"), "{text}");
        let warnings = text.matches("has no effect").count();
        ensure!(warnings == IDLE.len(), "{text}");
    }
    Ok(())
}

#[test]
fn what_can_never_mean_anything_is_refused_with_the_fix() -> Result<()> {
    let secret = ("WEBHOOK_SECRET", "s");
    for (env, words) in [
        (
            ("SYNC_RESOURCES", "issues,wiki"),
            ["sync.resources", "wiki", "milestones"],
        ),
        (
            ("FORGEWIRE_GITHUB__APP_ID", "7"),
            ["github.app_id", "private_key_file", "set it"],
        ),
        (
            ("FORGEWIRE_SYNC__ORGANIZATIONS", "a/b"),
            ["sync.organizations", "a/b", "login"],
        ),
        (
            ("FORGEWIRE_NOTHING", "1"),
            ["FORGEWIRE_NOTHING", "not a key", "FORGEWIRE_EDGE__LISTEN"],
        ),
    ] {
        let text = refusal(&["run"], &[secret, env])?;
        ensure!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    let cluster = [
        ("FORGEWIRE_BACKENDS__EVENTS", "jetstream"),
        ("FORGEWIRE_BACKENDS__BUS", "nats"),
        secret,
    ];
    let text = refusal(
        &["run", "--role", "ingest", "--cache-dir", "/tmp/x"],
        &cluster,
    )?;
    ensure!(
        text.contains("--cache-dir") && text.contains("leave the flag out"),
        "{text}"
    );
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
fn a_signal_ends_the_demo_in_good_order() -> Result<()> {
    for signal in [Signal::INT, Signal::TERM] {
        signal_ends_the_demo(signal)?;
    }
    Ok(())
}

fn signal_ends_the_demo(signal: Signal) -> Result<()> {
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
    let hint = "curl -N 'http://";
    let hint = lines.find_map(|line| Some(line.ok()?.split_once(hint)?.1.to_owned()));
    let hint = hint.context("the story did not end")?;
    let edge = hint.split('/').next().unwrap_or_default();
    let mut stream = std::net::TcpStream::connect(edge)?;
    write!(
        stream,
        "GET /events/stream HTTP/1.1\r\nhost: {edge}\r\n\r\n"
    )?;
    ensure!(stream.read(&mut [0])? == 1, "the stream has begun");
    let pid = i32::try_from(child.id())?;
    let pid = rustix::process::Pid::from_raw(pid).context("a pid is positive")?;
    rustix::process::kill_process(pid, signal)?;
    // The guarantee is three seconds; this bound only keeps a broken drain from hanging the tests.
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut rest = String::new();
    stream.read_to_string(&mut rest)?;
    ensure!(rest.contains("this edge is draining"), "{rest}");
    ensure!(rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    let reading = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
    let deadline = Instant::now() + Duration::from_secs(30);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        ensure!(Instant::now() < deadline, "the demo does not end");
        std::thread::sleep(Duration::from_millis(10));
    };
    ensure!(status.success(), "{status}");
    let lines = reading.join().ok().context("stdout is read")?;
    let said = lines.join("\n");
    ensure!(said.contains("stopped; run the demo again"), "{said}");
    ensure!(!said.contains("got no answer"), "{said}");
    Ok(())
}

#[test]
fn a_watch_that_cannot_work_is_refused_by_its_flag() -> Result<()> {
    let home = tempfile::tempdir()?;
    let home = home.path().display().to_string();
    for (args, named) in [
        (
            &["--filter", "repos=acme/rocket"][..],
            "--filter: unknown field",
        ),
        (
            &["--filter", "repo=a/b repo=c/d"],
            "--filter: repo has two values",
        ),
        (&["--since", "yesterday"], "--since"),
        (&["--name", "../escape"], "--name"),
        (&["--url", "127.0.0.1:3000"], "--url"),
        (&["--json", "--exec", "true"], "--exec"),
        (
            &["--filter", "actor=a", "--subscription", "s"],
            "--subscription",
        ),
        (&["--exec-attempts", "3"], "--exec"),
    ] {
        let args = [&["watch"][..], args].concat();
        let text = refusal(&args, &[("HOME", &home)])?;
        ensure!(text.contains(named), "{args:?}: {text}");
    }
    let text = refusal(&["watch"], &[])?;
    ensure!(text.contains("--state-dir"), "{text}");
    let secret = [("HOME", home.as_str()), ("FORGEWIRE_TOKEN", "a secret")];
    let text = refusal(&["watch"], &secret)?;
    ensure!(
        text.contains("token") && !text.contains("a secret"),
        "{text}"
    );
    Ok(())
}

#[test]
fn an_address_of_sync_that_cannot_be_one_is_refused() -> Result<()> {
    for url in [
        "127.0.0.1:3009",
        "ftp://sync:3009",
        "http://me:secret@sync:3009",
        "http://sync:3009/metrics",
        "http://sync:3009/?a=b",
    ] {
        let text = refusal(&["sync", "gaps", "--url", url], &[])?;
        ensure!(text.contains("--url"), "{url}: {text}");
    }
    let nobody = forgewire(&["sync", "gaps", "--url", "http://127.0.0.1:1"], &[])?;
    let text = String::from_utf8(nobody.stderr)?;
    ensure!(nobody.status.code() == Some(1), "{text}");
    ensure!(
        text.contains("http://127.0.0.1:1/health cannot be reached"),
        "{text}"
    );
    Ok(())
}

#[test]
fn a_check_reads_the_token_of_github_as_a_start_does() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let token = folder.path().join("token");
    let path = token.display().to_string();
    let env = [
        ("FORGEWIRE_GITHUB__TOKEN_FILE", path.as_str()),
        ("FORGEWIRE_SYNC__REPOSITORIES", "octo/tool"),
        (
            "FORGEWIRE_INGEST__WEBHOOK_SECRETS",
            "a secret of some length",
        ),
    ];
    let text = refusal(&["config", "check"], &env)?;
    ensure!(
        text.contains("github.token_file") && text.contains("cannot be read"),
        "{text}"
    );
    std::fs::write(&token, "ghp_0123456789abcdefghijklmnopqrstuvwxyz")?;
    let checked = forgewire(&["config", "check"], &env)?;
    let text = String::from_utf8(checked.stderr)?;
    ensure!(checked.status.success(), "{text}");
    Ok(())
}
