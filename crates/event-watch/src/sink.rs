//! Where events go: lines on an output, or a command.

use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use github_events::{event_line, one_line_json};

use crate::{
    command::{CommandKind, CommandOutcome},
    error::WatchError,
    limits::BATCH_BYTES,
    line::{gap_line, more_line},
    options::WatchOutput,
    pace::LinePace,
};

/// Takes events; what it has taken is dealt with after [`EventSink::settle`].
#[derive(Debug)]
pub(crate) struct EventSink<W> {
    kind: WatchOutput,
    output: W,
    lines: String,
    pace: Option<LinePace>,
}

/// What became of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is to be written with others; the position must not move yet.
    Waiting,
    /// It was only counted; the position must not move before the count is written.
    Counted,
    /// It is dealt with.
    Done,
    /// The watch was stopped, or nothing reads the output any more.
    Stopped,
}

impl<W: AsyncWrite + Unpin> EventSink<W> {
    pub(crate) fn new(kind: WatchOutput, output: W) -> Self {
        let pace = match &kind {
            WatchOutput::Lines(Some(per_minute)) => {
                Some(LinePace::new(*per_minute, Instant::now()))
            }
            _ => None,
        };
        Self {
            kind,
            output,
            lines: String::new(),
            pace,
        }
    }

    /// When the line is due that says how many events were counted; `None` if none were.
    pub(crate) fn count_due(&self) -> Option<Instant> {
        self.pace.as_ref().and_then(LinePace::count_due)
    }

    /// Takes the line that says how many events were counted; says whether there is one.
    pub(crate) fn count(&mut self) -> bool {
        let count = self.pace.as_mut().and_then(LinePace::take_count);
        if let Some(count) = count {
            self.add(&more_line(count));
        }
        count.is_some()
    }

    fn add(&mut self, line: &str) {
        self.lines.push_str(line);
        self.lines.push('\n');
    }

    /// Takes an event.
    pub(crate) async fn event(
        &mut self,
        json: &str,
        stop: &CancellationToken,
    ) -> Result<Taken, WatchError> {
        self.take(CommandKind::Event, json, stop).await
    }

    /// Takes the notice that events are gone.
    pub(crate) async fn gap(
        &mut self,
        json: &str,
        stop: &CancellationToken,
    ) -> Result<Taken, WatchError> {
        self.take(CommandKind::Gap, json, stop).await
    }

    async fn take(
        &mut self,
        kind: CommandKind,
        json: &str,
        stop: &CancellationToken,
    ) -> Result<Taken, WatchError> {
        let now = Instant::now();
        if kind == CommandKind::Gap || self.count_due().is_some_and(|due| due <= now) {
            self.count();
        }
        if kind == CommandKind::Event && self.pace.as_mut().is_some_and(|pace| !pace.admits(now)) {
            return Ok(Taken::Counted);
        }
        let line = match (&self.kind, kind) {
            (WatchOutput::Command(command), kind) => {
                let outcome = command.run(kind, json, stop).await?;
                return Ok(match outcome {
                    CommandOutcome::Done => Taken::Done,
                    CommandOutcome::Stopped => Taken::Stopped,
                });
            }
            (WatchOutput::Json, _) => one_line_json(json),
            (WatchOutput::Lines(_), CommandKind::Event) => event_line(json),
            (WatchOutput::Lines(_), CommandKind::Gap) => gap_line(json),
        };
        self.add(&line);
        Ok(Taken::Waiting)
    }

    /// Whether the waiting lines should be written before more are taken.
    pub(crate) fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_BYTES
    }

    /// Writes the waiting lines.
    ///
    /// # Errors
    /// The output cannot be written, for another reason than that nothing reads it any more.
    pub(crate) async fn settle(&mut self, stop: &CancellationToken) -> Result<Taken, WatchError> {
        if self.lines.is_empty() {
            return Ok(Taken::Done);
        }
        let lines = std::mem::take(&mut self.lines);
        let writing = async {
            self.output.write_all(lines.as_bytes()).await?;
            self.output.flush().await
        };
        // Lines that are written count, also if the stop comes at the same moment.
        let written = tokio::select! {
            biased;
            written = writing => written,
            () = stop.cancelled() => return Ok(Taken::Stopped),
        };
        match written {
            Ok(()) => Ok(Taken::Done),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Taken::Stopped),
            Err(error) => Err(WatchError::Output(error)),
        }
    }
}
