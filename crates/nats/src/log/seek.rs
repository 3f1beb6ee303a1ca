//! Conversion of times to positions, and trimming.
//!
//! The server knows when it *stored* a message, but callers seek by the time at which an event was
//! *received*. An event is received before it is stored. So, if the clocks differ by less than
//! [`CLOCK_MARGIN`], every event received at or after a time was stored after that time minus the
//! margin. From there events are checked one by one. A time before the server stored anything that is left needs no
//! search. An event with a receive time that is ahead of
//! the server's clock by more than the margin breaks this rule: the clock of its sender is wrong.
//!
//! The server does not know when the events that it removed were received. A time before the first
//! event that is left counts as truncated, unless nothing was ever removed.

use std::time::Duration;

use async_nats::datetime;
use model::{Clock, Sequence, SystemClock, Timestamp};
use ports::{LogHead, StoreFailure};
use tokio::time::Instant;

use super::{AttemptError, JetStreamLog};

/// Maximum difference between the clocks of an ingest and of the NATS server.
const CLOCK_MARGIN: Duration = Duration::from_secs(300);
/// Maximum number of events that one scan checks after the margin; then it stops at a position that
/// is too early.
pub(super) const MAX_SCANNED_EVENTS: usize = 10_000;
/// Number of events that are read first: usually one is enough, because the time is before the oldest event.
const FIRST_EVENTS: usize = 1;
/// How many times as many are read next.
const PAGE_GROWTH: usize = 8;
/// Maximum number of events that are read at a time.
const PAGE_EVENTS: usize = 1000;
/// The last second of the year 9999, the latest that RFC 3339 can represent.
const LATEST_MILLIS: i64 = 253_402_300_799_000;

/// The end of a scan.
pub(super) struct ScanResult {
    /// Every event received at or after the time is after this position.
    pub(super) position: Sequence,
    /// Events received at or after the time have been removed, or may have been.
    pub(super) truncated: bool,
    /// The next event, if any, was received at or after the time.
    pub(super) exact: bool,
    /// Bytes of the events that were read.
    pub(super) read_bytes: usize,
}

impl JetStreamLog {
    /// Makes one attempt to find the position before all events received at or after `time`.
    pub(super) async fn scan(
        &self,
        time: Timestamp,
        max_events: usize,
    ) -> Result<ScanResult, AttemptError> {
        // Read the head first: events appended during the scan are after it.
        let (head, oldest) = self.current_head_and_oldest().await?;
        let mut position = self
            .stored_before(time.minus(CLOCK_MARGIN), head, oldest)
            .await?;
        // The receive time of an entry that cannot be read is unknown: the position passes it only with an entry
        // that follows it.
        let (mut read_through, mut passes) = (position, true);
        let (mut scanned, mut read_bytes, mut trimmed) = (0, 0, head.trimmed_through);
        let mut page_events = FIRST_EVENTS;
        loop {
            let page = self.page_after(read_through, page_events).await?;
            page_events = (PAGE_GROWTH * page_events).min(PAGE_EVENTS);
            trimmed = trimmed.max(page.resumes_after.unwrap_or_default());
            scanned += page.entries.len();
            for entry in page.entries {
                let Ok(held) = entry.content else {
                    passes = false;
                    continue;
                };
                read_bytes += held.body.len();
                let received = held.received_at;
                if received >= time {
                    return Ok(ScanResult {
                        position,
                        truncated: trimmed > Sequence::START
                            && position <= trimmed
                            && received > time,
                        exact: true,
                        read_bytes,
                    });
                }
                (position, passes) = (entry.sequence, true);
            }
            read_through = page.through;
            if passes {
                position = page.through;
            }
            if page.at_head || scanned >= max_events {
                let is_empty = trimmed > Sequence::START && position <= trimmed;
                return Ok(ScanResult {
                    position,
                    truncated: is_empty && self.may_have_lost(time).await?,
                    exact: page.at_head,
                    read_bytes,
                });
            }
        }
    }

    /// The position after which all messages are that the server stored at or after `time`. `oldest` is when it stored
    /// the first one that is left.
    async fn stored_before(
        &self,
        time: Timestamp,
        head: LogHead,
        oldest: Option<Timestamp>,
    ) -> Result<Sequence, AttemptError> {
        match oldest {
            None => return Ok(head.last),
            // A consumer would begin there too, at some ten times the cost.
            Some(oldest) if time <= oldest => return Ok(head.trimmed_through),
            Some(_) => {}
        }
        let millis = time.unix_millis().clamp(0, LATEST_MILLIS);
        let since = datetime::from_nanos(i128::from(millis) * 1_000_000)?;
        let first = self.first_stored_since(since).await?;
        let start = first.map_or(head.last, |first| Sequence(first.0 - 1));
        Ok(start.max(head.trimmed_through))
    }

    /// Whether an event received at or after `time` may have been among the events of a stream that
    /// is empty now: the server remembers when the last of them was stored. One that has forgotten (a restart
    /// with nothing left to read it from) may have stored it just now.
    async fn may_have_lost(&self, time: Timestamp) -> Result<bool, AttemptError> {
        let info = self.main.stream.get_info().await?;
        let seconds = info.state.last_timestamp.unix_timestamp();
        let last_stored = match seconds > 0 {
            true => Timestamp::from_unix_millis(seconds.saturating_add(1).saturating_mul(1000)),
            false => SystemClock.now(),
        };
        Ok(last_stored.plus(CLOCK_MARGIN) >= time)
    }

    /// Trims in steps, each with its own deadline; returns early, with the number removed so far,
    /// when the time of one call is over.
    pub(super) async fn trim_before(&self, time: Timestamp) -> Result<u64, StoreFailure> {
        const OP: &str = "trim";
        let until = Instant::now() + self.deadline;
        let mut removed = 0;
        loop {
            let found = self
                .retry_until_deadline(OP, || self.scan(time, MAX_SCANNED_EVENTS))
                .await?;
            removed += self
                .retry_until_deadline(OP, || self.purge_through(found.position))
                .await?;
            if found.exact || Instant::now() >= until {
                return Ok(removed);
            }
        }
    }

    async fn purge_through(&self, position: Sequence) -> Result<u64, AttemptError> {
        if position <= self.current_head().await?.trimmed_through {
            return Ok(0);
        }
        let purge = self.main.stream.purge();
        Ok(purge.sequence(position.next().0).await?.purged)
    }
}
