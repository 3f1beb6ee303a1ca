//! What a model's client does to get events, and when it has each.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::wire::{AnswerLines, AnswerPiece};

use crate::{
    clock::now_nanos,
    frames::{Stamp, find_stamp},
    requests::{session_stream, stateless_wait},
    sessions::SessionOpener,
    subject::BINARY_VARIABLE,
};

/// Interval at which a client sees whether it is stopped.
const STOP_POLL: Duration = Duration::from_millis(100);
/// Longest line of an answer, in bytes.
const MAX_LINE_BYTES: usize = 1 << 20;
/// Field of an answer's head, in lower case.
const JSON_ANSWER: &str = "content-type: application/json";
/// Number of the call: each has a connection of its own.
const CALL: u64 = 1;

/// A client whose sessions have a channel.
const CHANNEL_CLIENT: &str = "claude-code";
const CHANNEL: &[u8] = b"notifications/claude/channel";

/// An event that a client was shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceivedStamp {
    pub(crate) stamp: Stamp,
    /// When the client had read it, nanoseconds of [`now_nanos`].
    pub(crate) at_nanos: u64,
}

/// Waits for events as an agent does that asks for progress: each call after the cursor of the one before, on a
/// connection of its own.
pub(crate) fn wait_for_events(
    edge: SocketAddr,
    stop: &AtomicBool,
    seen: &mut dyn FnMut(ReceivedStamp),
) -> Result<()> {
    let mut cursor = None;
    while !stop.load(Ordering::Relaxed) {
        let Some((answer, at_nanos)) = one_wait(edge, cursor.as_deref(), stop)? else {
            return Ok(());
        };
        let told = &answer["result"]["structuredContent"];
        for event in told["events"].as_array().into_iter().flatten() {
            let stamp = find_stamp(event.to_string().as_bytes()).context("a stamp")?;
            seen(ReceivedStamp { stamp, at_nanos });
        }
        let next = told["cursor"].as_str();
        cursor = Some(next.with_context(|| answer.to_string())?.to_owned());
    }
    Ok(())
}

/// The answer to one call, and when it was there; `None` if the client was stopped before.
fn one_wait(
    edge: SocketAddr,
    cursor: Option<&str>,
    stop: &AtomicBool,
) -> Result<Option<(Value, u64)>> {
    let mut answer = None;
    let request = stateless_wait(edge, CALL, None, cursor);
    read_messages((edge, &request), stop, &mut |data, at| {
        let message = serde_json::from_slice::<Value>(data).unwrap_or_default();
        if message.get("id").is_some() && message.get("method").is_none() {
            answer = Some((message, at));
        }
        answer.is_some()
    })?;
    Ok(answer)
}

/// Reads the notifications of a session's channel, as Claude Code does over HTTP.
pub(crate) fn channel(
    edge: SocketAddr,
    stop: &AtomicBool,
    seen: &mut dyn FnMut(ReceivedStamp),
) -> Result<()> {
    let session = SessionOpener::connect_as(edge, CHANNEL_CLIENT)?.subscribed(&json!({}))?;
    let request = session_stream(edge, &session);
    read_messages((edge, &request), stop, &mut |data, at_nanos| {
        if data.windows(CHANNEL.len()).any(|here| here == CHANNEL)
            && let Some(stamp) = find_stamp(data)
        {
            seen(ReceivedStamp { stamp, at_nanos });
        }
        false
    })
}

/// Sends a request, and passes each message of its answer, and when it was there, to `seen`, until that says that it
/// was the last, or the client is stopped. The answer is a stream, or one message as JSON: so answers a call that has
/// not to wait.
fn read_messages(
    (edge, request): (SocketAddr, &[u8]),
    stop: &AtomicBool,
    seen: &mut dyn FnMut(&[u8], u64) -> bool,
) -> Result<()> {
    ensure!(edge.ip().is_loopback(), "{edge} is not on this machine");
    let mut socket = TcpStream::connect(edge).context("connecting")?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(STOP_POLL))?;
    socket.write_all(request)?;
    let mut lines = AnswerLines::new(MAX_LINE_BYTES);
    let (mut is_json, mut is_over) = (false, false);
    let mut buffer = vec![0; 64 << 10];
    while !is_over {
        let length = match socket.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                continue;
            }
            Err(error) => return Err(error).context("reading an answer"),
        };
        ensure!(
            length > 0 && !lines.has_ended(),
            "an answer ended before its last message"
        );
        let at = now_nanos();
        lines.feed(&buffer[..length], &mut |piece| -> Result<()> {
            match piece {
                AnswerPiece::Head { head, .. } => is_json = head.contains(JSON_ANSWER),
                AnswerPiece::Line(line) if is_json => is_over |= seen(line, at),
                AnswerPiece::Line(line) => {
                    is_over |= line
                        .strip_prefix(b"data:")
                        .is_some_and(|data| seen(data, at));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// A process that is killed when this is dropped.
struct KilledChild(Child);

impl Drop for KilledChild {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads the lines of `forgewire watch`, as an agent does that has started it.
pub(crate) fn watch(
    edge: SocketAddr,
    name: &str,
    scratch: &Path,
    stop: &AtomicBool,
    seen: &mut dyn FnMut(ReceivedStamp),
) -> Result<()> {
    let binary = std::env::var(BINARY_VARIABLE).context(BINARY_VARIABLE)?;
    let state = scratch.join("watches");
    let mut child = Command::new(binary)
        .args(["watch", "--url", &format!("http://{edge}"), "--name", name])
        .arg("--state-dir")
        .arg(&state)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("starting a watch")?;
    let lines = child.stdout.take().context("a watch has no stdout")?;
    let child = KilledChild(child);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(STOP_POLL);
            }
            // Its stdout ends.
            drop(child);
        });
        for line in BufReader::new(lines).lines() {
            let (line, at_nanos) = (line.context("reading a line")?, now_nanos());
            if let Some(stamp) = find_stamp(line.as_bytes()) {
                seen(ReceivedStamp { stamp, at_nanos });
            }
        }
        Ok(())
    })
}
