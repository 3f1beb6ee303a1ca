//! The benchmark's own helper processes, spoken to in lines: a command in, a JSON line out.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use crate::{
    floor::{Listening, Send, Sent},
    frames::whole_set,
    receiver::{Opened, Report},
};

/// How long a receiver may take to open its streams; it gives up itself before.
const OPEN_TIMEOUT: Duration = Duration::from_secs(70);
/// How long a helper may take to answer a plain command.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A helper process; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Helper {
    child: Child,
    /// Taken on drop: the end of its stdin is what ends a helper.
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Helper {
    fn start(arguments: &[String]) -> Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting a helper process")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("a helper has no stdout")?;
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            child,
            stdin,
            lines,
        })
    }

    fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("a helper has ended")?;
        writeln!(stdin, "{line}").context("speaking to a helper")
    }

    fn hear<T: DeserializeOwned>(&self, within: Duration) -> Result<T> {
        let Ok(line) = self.lines.recv_timeout(within) else {
            bail!("a helper process gave no answer (its message is above) within {within:?}");
        };
        serde_json::from_str(&line).with_context(|| format!("a helper said {line:?}"))
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.stdin.take();
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // It hangs; whether the kill works is the kernel's business, there is nothing else to try.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that holds streams.
#[derive(Debug)]
pub(crate) struct Streams {
    helper: Helper,
    count: usize,
}

impl Streams {
    /// Opens `count` streams, spread over `targets`.
    pub(crate) fn open(count: usize, targets: &[SocketAddr]) -> Result<Self> {
        let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
        let streams = count.to_string();
        let arguments = [
            "client",
            "--streams",
            &streams,
            "--targets",
            &targets.join(","),
        ];
        let helper = Helper::start(&arguments.map(str::to_owned))?;
        let opened: Opened = helper.hear(OPEN_TIMEOUT).context("opening streams")?;
        eprintln!(
            "  {} streams open after {:.2} s",
            opened.opened, opened.seconds
        );
        Ok(Self { helper, count })
    }

    /// Counts anew.
    pub(crate) fn reset(&mut self) -> Result<()> {
        self.helper.say("reset")?;
        self.helper.hear::<serde_json::Value>(ANSWER_TIMEOUT)?;
        Ok(())
    }

    /// What came since.
    pub(crate) fn report(&mut self) -> Result<Report> {
        self.helper.say("report")?;
        self.helper.hear(ANSWER_TIMEOUT)
    }

    /// Waits until every stream has had `events` events, at most `within`, and reports.
    ///
    /// # Errors
    /// They did not come, or came twice or out of order: figures of a run that lost events are void.
    pub(crate) fn expect(&mut self, events: u64, within: Duration) -> Result<Report> {
        let deadline = Instant::now() + within;
        loop {
            let report = self.report()?;
            if report.fewest >= events || Instant::now() > deadline {
                check(&report, events, self.count)?;
                return Ok(report);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Each stream each event once, and all streams in the order of the log.
fn check(report: &Report, events: u64, streams: usize) -> Result<()> {
    let exact = report.fewest == events && report.most == events;
    if !exact || report.set != Some(whole_set(events)) || report.orders > 1 || report.ended > 0 {
        bail!(
            "{streams} streams should have had {events} events each, once and in one order; they had \
             {} to {} in {} orders ({} doubled or missing), {} streams ended",
            report.fewest,
            report.most,
            report.orders,
            if report.set == Some(whole_set(events)) {
                "none"
            } else {
                "some"
            },
            report.ended
        );
    }
    Ok(())
}

/// A process that is the floor.
#[derive(Debug)]
pub(crate) struct Floor {
    helper: Helper,
    /// Its address.
    pub(crate) address: SocketAddr,
}

impl Floor {
    /// Starts a floor for so many streams.
    pub(crate) fn start(streams: usize) -> Result<Self> {
        let arguments = ["floor", "--streams", &streams.to_string()].map(str::to_owned);
        let helper = Helper::start(&arguments)?;
        let Listening { port } = helper.hear(ANSWER_TIMEOUT)?;
        Ok(Self {
            helper,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.helper.pid()
    }

    /// Sends, and returns once all is sent.
    pub(crate) fn send(&mut self, send: &Send) -> Result<Sent> {
        self.helper.say(&serde_json::to_string(send)?)?;
        let lasts = Duration::from_nanos(send.interval_nanos.saturating_mul(send.rounds));
        self.helper.hear(lasts * 3 + ANSWER_TIMEOUT)
    }
}

/// A process that answers every request with the same bytes.
#[derive(Debug)]
pub(crate) struct Answerer {
    helper: Helper,
    /// Its address.
    pub(crate) address: SocketAddr,
}

impl Answerer {
    /// Starts one whose answers have so many bytes.
    pub(crate) fn start(body_bytes: usize) -> Result<Self> {
        let arguments = ["answerer", "--body-bytes", &body_bytes.to_string()].map(str::to_owned);
        let helper = Helper::start(&arguments)?;
        let Listening { port } = helper.hear(ANSWER_TIMEOUT)?;
        Ok(Self {
            helper,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.helper.pid()
    }
}
