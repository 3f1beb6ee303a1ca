//! The benchmark's own helper processes. The protocol is lines: a command in, a JSON line out.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use crate::{
    floor::{FloorLoad, FloorResult, HelperPort},
    opening::Opening,
    receiver::OpenReport,
    tally::TallyReport,
};

/// Time allowed for a receiver to open its streams; its own deadline is shorter.
const OPEN_TIMEOUT: Duration = Duration::from_secs(250);
/// Time allowed for a helper to answer a plain command.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval at which a receiver is asked whether all events have arrived.
const POLL: Duration = Duration::from_millis(50);

/// A helper process; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct HelperProcess {
    child: Child,
    /// Taken on drop: a helper ends when its stdin ends.
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl HelperProcess {
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

    fn send_line(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("a helper has ended")?;
        writeln!(stdin, "{line}").context("writing to a helper")
    }

    fn read_answer<T: DeserializeOwned>(&self, within: Duration) -> Result<T> {
        let Ok(line) = self.lines.recv_timeout(within) else {
            bail!("a helper process gave no answer (its message is above) within {within:?}");
        };
        serde_json::from_str(&line).with_context(|| format!("a helper answered {line:?}"))
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for HelperProcess {
    fn drop(&mut self) {
        self.stdin.take();
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // The helper hangs. If the kill fails too, there is nothing else to try.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that holds streams.
#[derive(Debug)]
pub(crate) struct ReceiverProcess {
    helper: HelperProcess,
    /// The result of opening the streams.
    pub(crate) opened: OpenReport,
}

impl ReceiverProcess {
    /// Opens streams and waits until all are open.
    pub(crate) fn open(opening: &Opening) -> Result<Self> {
        let mut arguments = vec!["client".to_owned()];
        arguments.extend(opening.arguments());
        let helper = HelperProcess::start(&arguments)?;
        let opened: OpenReport = helper
            .read_answer(OPEN_TIMEOUT)
            .context("opening streams")?;
        let (count, seconds) = (opened.opened, opened.seconds);
        eprintln!(
            "  {count} {} streams open after {seconds:.2} s",
            opening.kind.name()
        );
        Ok(Self { helper, opened })
    }

    /// Resets all counts.
    pub(crate) fn reset(&mut self) -> Result<()> {
        self.helper.send_line("reset")?;
        self.helper
            .read_answer::<serde_json::Value>(ANSWER_TIMEOUT)?;
        Ok(())
    }

    /// The report since the last reset, with events 1 to `events` expected.
    pub(crate) fn report(&mut self, events: u64) -> Result<TallyReport> {
        self.helper.send_line(&format!("report {events}"))?;
        self.helper.read_answer(ANSWER_TIMEOUT)
    }

    /// Waits up to `within` until every stream has received those of the events 1 to `events` that
    /// concern it, and reports.
    ///
    /// # Errors
    /// Events are missing, duplicated or out of order: figures of a run that lost events are void.
    pub(crate) fn expect(&mut self, events: u64, within: Duration) -> Result<TallyReport> {
        let deadline = Instant::now() + within;
        loop {
            let report = self.report(events)?;
            if report.waiting == 0 || Instant::now() > deadline {
                check(&report, events, self.opened.opened)?;
                return Ok(report);
            }
            std::thread::sleep(POLL);
        }
    }
}

/// Each stream must have each event that concerns it once, and all streams must agree on the order
/// of the log.
fn check(report: &TallyReport, events: u64, streams: usize) -> Result<()> {
    if report.wrong > 0 || report.orders > 1 || report.ended > 0 {
        bail!(
            "each of {streams} streams should have received its share of {events} events, once and in \
             one order; {} did not, {} of them received too few; streams received {} to {}, in {} \
             orders; {} ended",
            report.wrong,
            report.waiting,
            report.fewest,
            report.most,
            report.orders,
            report.ended
        );
    }
    Ok(())
}

/// A process that serves as the floor.
#[derive(Debug)]
pub(crate) struct FloorProcess {
    helper: HelperProcess,
    /// Its address.
    pub(crate) address: SocketAddr,
}

impl FloorProcess {
    /// Starts a floor for this number of streams.
    pub(crate) fn start(streams: usize) -> Result<Self> {
        let arguments = ["floor", "--streams", &streams.to_string()].map(str::to_owned);
        let helper = HelperProcess::start(&arguments)?;
        let HelperPort { port } = helper.read_answer(ANSWER_TIMEOUT)?;
        Ok(Self {
            helper,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.helper.pid()
    }

    /// Sends, and returns once all frames are sent.
    pub(crate) fn send(&mut self, send: &FloorLoad) -> Result<FloorResult> {
        self.helper.send_line(&serde_json::to_string(send)?)?;
        let lasts = Duration::from_nanos(send.interval_nanos.saturating_mul(send.rounds));
        self.helper.read_answer(lasts * 3 + ANSWER_TIMEOUT)
    }
}

/// The floor of durable ingest.
#[derive(Debug)]
pub(crate) struct BareIngestProcess {
    _helper: HelperProcess,
    /// Its address.
    pub(crate) address: SocketAddr,
}

impl BareIngestProcess {
    /// Starts a server that knows this secret and writes to this file.
    pub(crate) fn start(secret: &str, file: &Path) -> Result<Self> {
        let file = file.to_str().context("the path is no text")?;
        let arguments = ["bare-ingest", "--secret", secret, "--file", file];
        let helper = HelperProcess::start(&arguments.map(str::to_owned))?;
        let HelperPort { port } = helper.read_answer(ANSWER_TIMEOUT)?;
        Ok(Self {
            _helper: helper,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        })
    }
}

/// A process that answers every request with the same bytes.
#[derive(Debug)]
pub(crate) struct AnswererProcess {
    helper: HelperProcess,
    /// Its address.
    pub(crate) address: SocketAddr,
}

impl AnswererProcess {
    /// Starts a bare server whose answers have this many bytes.
    pub(crate) fn start(body_bytes: usize) -> Result<Self> {
        Self::start_with(body_bytes, &[])
    }

    /// Starts rmcp's own server, with a tool whose answers have about this many bytes.
    pub(crate) fn start_rmcp(body_bytes: usize) -> Result<Self> {
        Self::start_with(body_bytes, &["--rmcp"])
    }

    fn start_with(body_bytes: usize, options: &[&str]) -> Result<Self> {
        let body_bytes = body_bytes.to_string();
        let arguments = ["answerer", "--body-bytes", &body_bytes];
        let arguments = arguments.iter().chain(options);
        let arguments: Vec<_> = arguments.map(|text| (*text).to_owned()).collect();
        let helper = HelperProcess::start(&arguments)?;
        let HelperPort { port } = helper.read_answer(ANSWER_TIMEOUT)?;
        Ok(Self {
            helper,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.helper.pid()
    }
}
