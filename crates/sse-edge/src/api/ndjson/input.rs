//! The lines that arrive on a connection, within the memory for bodies.

use std::sync::Arc;

use ::mcp::{
    envelope::InvalidMessage,
    ndjson::{JsonLine, LineReader},
};
use service_kit::{
    bodies::{ArrivingBody, BodyBudget, BodyRefusal, BodySender, BodyShare},
    limits::MIN_BODY_BYTES,
};
use tokio::time::{Instant, sleep_until};

use crate::limits::BODY_DEADLINE;

/// A line, and the memory that it holds.
pub(super) type HeldLine = (Result<JsonLine, InvalidMessage>, Arc<BodyShare>);

/// The input of a connection.
pub(super) struct LineInput {
    bodies: Arc<BodyBudget>,
    sender: BodySender,
    reader: LineReader,
    /// Of the line that has begun.
    arriving: Option<ArrivingBody>,
    received: usize,
    begun: Option<Instant>,
}

impl LineInput {
    pub(super) fn new(bodies: Arc<BodyBudget>, sender: BodySender) -> Self {
        Self {
            bodies,
            sender,
            reader: LineReader::default(),
            arriving: None,
            received: 0,
            begun: None,
        }
    }

    /// Resolves when the line that has begun is given up; never if none has.
    pub(super) async fn given_up(&mut self) -> BodyRefusal {
        let (Some(line), Some(begun)) = (&mut self.arriving, self.begun) else {
            return std::future::pending().await;
        };
        tokio::select! {
            refusal = line.given_up() => refusal,
            () = sleep_until(begun + BODY_DEADLINE) => BodyRefusal::TimedOut {
                seconds: BODY_DEADLINE.as_secs(),
            },
        }
    }

    /// Accepts bytes and returns the lines that they complete.
    ///
    /// # Errors
    /// There is no memory for them, or the line was given up before.
    pub(super) async fn feed(&mut self, bytes: &[u8]) -> Result<Vec<HeldLine>, BodyRefusal> {
        let mut arriving = self.arriving(self.reader.buffered() + bytes.len()).await?;
        let lines = self.reader.feed(bytes);
        self.received += bytes.len();
        if lines.is_empty() && self.reader.is_within_line() {
            arriving.received(self.received);
            self.arriving = Some(arriving);
            self.begun.get_or_insert_with(Instant::now);
            return Ok(Vec::new());
        }
        let held = arriving.held();
        let share = Arc::new(arriving.complete(held)?);
        (self.begun, self.received) = (None, 0);
        if self.reader.is_within_line() {
            self.arriving = Some(self.arriving(self.reader.buffered()).await?);
            self.begun = Some(Instant::now());
        }
        let lines = lines.into_iter().map(|line| (line, Arc::clone(&share)));
        Ok(lines.collect())
    }

    /// The line that has begun, or a new one, with room for `bytes`.
    async fn arriving(&mut self, bytes: usize) -> Result<ArrivingBody, BodyRefusal> {
        let arriving = self.arriving.take();
        let mut arriving = arriving.unwrap_or_else(|| self.bodies.open(self.sender.clone()));
        if bytes > arriving.held() || arriving.held() == 0 {
            // As its buffer grows.
            let capacity = bytes.next_power_of_two().max(MIN_BODY_BYTES);
            arriving.hold(capacity).await?;
        }
        Ok(arriving)
    }

    /// Ends the input: the rest is the last line, unless it is blank.
    pub(super) fn finish(&mut self) -> Option<HeldLine> {
        let line = self.reader.finish()?;
        let arriving = self.arriving.take()?;
        let held = arriving.held();
        let share = arriving.complete(held).ok()?;
        Some((line, Arc::new(share)))
    }
}
