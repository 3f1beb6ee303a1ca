//! A process whose output nothing reads: it loses log lines, and serves all the same.

use std::{
    io::{BufRead, BufReader, PipeReader, Read, Write, pipe},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use testkit::{cluster::forgewire_binary, fake_github::signature};

/// A stopped process answers never; this bound only keeps the test from hanging with it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
const TEST_TIMEOUT: Duration = Duration::from_secs(120);
/// Deliveries per connection.
const BATCH: usize = 500;
/// More than a pipe holds.
const PIPE_BYTES: usize = 1 << 20;

/// A process with all roles and every log line there is; killed when it is dropped.
struct Talker {
    child: Child,
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn talker(dir: &Path, admin: &str, stdout: Stdio, stderr: Stdio) -> Result<Talker> {
    let binary = forgewire_binary().context("no forgewire binary: run `make test`")?;
    let child = Command::new(binary)
        .args(["run", "--cache-dir"])
        .arg(dir)
        .env_clear()
        .env("FORGEWIRE_TELEMETRY__FILTER", "trace")
        .env("FORGEWIRE_ADMIN__LISTEN", admin)
        .env("FORGEWIRE_EDGE__LISTEN", "127.0.0.1:0")
        .env("FORGEWIRE_INGEST__LISTEN", "127.0.0.1:0")
        .env("FORGEWIRE_SYNC__LISTEN", "127.0.0.1:0")
        .env("FORGEWIRE_EDGE__DRAIN_SECONDS", "1")
        .env("WEBHOOK_SECRET", "secret")
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()?;
    Ok(Talker { child })
}

/// Requests on one connection, and all that comes back until the server closes it.
fn exchange(address: &str, requests: &str) -> Result<String> {
    let address: SocketAddr = address.parse()?;
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let mut sending = stream.try_clone()?;
    let requests = requests.to_owned();
    let sent = std::thread::spawn(move || sending.write_all(requests.as_bytes()));
    let mut answers = String::new();
    stream.read_to_string(&mut answers).context("no answer")?;
    sent.join().ok().context("the sender panicked")??;
    Ok(answers)
}

fn get(address: &str, path: &str) -> Result<String> {
    let head = "HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    exchange(address, &format!("GET {path} {head}"))
}

/// Sends signed deliveries without an id: each is refused, and writes a line to the log. What strangers send would not:
/// their lines have a bound.
fn post_batch(ingest: &str) -> Result<()> {
    let (event, signature) = ("x".repeat(100), signature("secret", b"{}"));
    let delivery = |connection: &str| {
        format!(
            "POST /webhooks/github HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: {connection}\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\nX-GitHub-Event: {event}\r\n\
             X-Hub-Signature-256: {signature}\r\n\r\n{{}}"
        )
    };
    let requests = delivery("keep-alive").repeat(BATCH - 1) + &delivery("close");
    let answers = exchange(ingest, &requests)?;
    ensure!(
        answers.matches("HTTP/1.1 400").count() == BATCH,
        "{answers:.500}"
    );
    Ok(())
}

fn is_ok(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200")
}

/// Sends deliveries until log lines have been dropped: more than the pipe and the queue hold.
fn talk_until_lines_are_dropped(ready: &serde_json::Value) -> Result<()> {
    let at = |role: &str| ready[role].as_str().context("the role has no address");
    let (ingest, edge, admin) = (at("ingest")?, at("edge")?, at("admin")?);
    let before = dropped(admin)?;
    let deadline = Instant::now() + TEST_TIMEOUT;
    while dropped(admin)? == before {
        post_batch(ingest)?;
        ensure!(is_ok(&get(admin, "/livez")?));
        ensure!(is_ok(&get(edge, "/events/recent")?));
        ensure!(Instant::now() < deadline, "the log does not fill its queue");
    }
    Ok(())
}

fn dropped(admin: &str) -> Result<u64> {
    let metrics = get(admin, "/metrics")?;
    let dropped = metrics
        .lines()
        .find_map(|line| line.strip_prefix("forgewire_log_lines_dropped_total "));
    Ok(dropped.context("no metric of dropped lines")?.parse()?)
}

fn ready_line(stdout: &mut impl BufRead) -> Result<serde_json::Value> {
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    serde_json::from_str(&line).with_context(|| format!("not a ready line: {line:?}"))
}

fn terminate(talker: &mut Talker) -> Result<std::process::ExitStatus> {
    let pid = i32::try_from(talker.child.id())?;
    let pid = rustix::process::Pid::from_raw(pid).context("a pid is positive")?;
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    let deadline = Instant::now() + TEST_TIMEOUT;
    loop {
        if let Some(status) = talker.child.try_wait()? {
            return Ok(status);
        }
        ensure!(Instant::now() < deadline, "the process does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_process_whose_log_nothing_reads_serves_and_counts_the_lines_and_ends() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (out, err) = (Stdio::piped(), Stdio::piped());
    let mut talker = talker(folder.path(), "127.0.0.1:0", out, err)?;
    let stdout = talker.child.stdout.take().context("stdout is piped")?;
    let ready = ready_line(&mut BufReader::new(stdout))?;
    let admin = ready["admin"].as_str().context("no admin")?;
    talk_until_lines_are_dropped(&ready)?;

    // Once something reads, a line says how many are missing.
    let mut stderr = talker.child.stderr.take().context("stderr is piped")?;
    let reading = std::thread::spawn(move || {
        let mut lines = BufReader::new(&mut stderr).lines();
        let gap = lines.find_map(|line| line.ok().filter(|line| line.contains("lines dropped")));
        (gap, stderr)
    });
    let deadline = Instant::now() + TEST_TIMEOUT;
    while !reading.is_finished() {
        ensure!(is_ok(&get(admin, "/livez")?));
        ensure!(Instant::now() < deadline, "no line names the gap");
    }
    let (gap, _unread) = reading.join().ok().context("the reader panicked")?;
    ensure!(gap.is_some(), "the log ended without naming the gap");

    // Not read again: the last lines of the drain must not keep the process from ending.
    talk_until_lines_are_dropped(&ready)?;
    let status = terminate(&mut talker)?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// A pipe that takes no further byte, as after a reader has stopped.
fn full_pipe() -> Result<(PipeReader, Stdio)> {
    let (reader, writer) = pipe()?;
    let mut filling = writer.try_clone()?;
    // The write ends when the reader is closed, with the test.
    std::thread::spawn(move || filling.write_all(&vec![b'x'; PIPE_BYTES]));
    Ok((reader, writer.into()))
}

#[test]
fn a_process_becomes_ready_although_its_ready_line_cannot_be_written() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let admin = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let (_unread, out) = full_pipe()?;
    let (_unread_too, err) = full_pipe()?;
    let mut talker = talker(folder.path(), &admin, out, err)?;
    let deadline = Instant::now() + TEST_TIMEOUT;
    while !get(&admin, "/readyz").is_ok_and(|answer| is_ok(&answer)) {
        ensure!(
            Instant::now() < deadline,
            "the process does not become ready"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    let status = terminate(&mut talker)?;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[test]
fn a_process_that_is_refused_ends_although_nothing_reads_why() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (_unread, err) = full_pipe()?;
    let mut talker = talker(folder.path(), "not an address", Stdio::null(), err)?;
    let deadline = Instant::now() + TEST_TIMEOUT;
    let status = loop {
        if let Some(status) = talker.child.try_wait()? {
            break status;
        }
        ensure!(Instant::now() < deadline, "the process does not end");
        std::thread::sleep(Duration::from_millis(10));
    };
    ensure!(status.code() == Some(2), "{status}");
    Ok(())
}
