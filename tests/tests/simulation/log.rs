//! An event log that does to its readers whatever a real one may do.

use std::{collections::VecDeque, time::Duration};

use async_trait::async_trait;
use model::{Epoch, Sequence, Sequenced, StoredEvent, Timestamp};
use parking_lot::Mutex;
use ports::{AppendResult, EventLog, EventLogError, EventPage, EventsBefore, LogHead, SeekResult};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep, sleep_until};

/// The longest time that a call takes while the log is well.
const MAX_CALL: Duration = Duration::from_millis(4);

/// The log of one history.
#[derive(Debug)]
pub(crate) struct SimulatedLog(Mutex<State>);

#[derive(Debug)]
struct State {
    random: StdRng,
    epoch: Epoch,
    events: VecDeque<Sequenced<StoredEvent>>,
    trimmed_through: Sequence,
    last: Sequence,
    /// Calls fail until then.
    fails_until: Instant,
    /// Calls do not answer before then.
    hangs_until: Instant,
}

impl SimulatedLog {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(State {
            random: StdRng::seed_from_u64(seed),
            epoch: Epoch(7),
            events: VecDeque::new(),
            trimmed_through: Sequence::START,
            last: Sequence::START,
            fails_until: Instant::now(),
            hangs_until: Instant::now(),
        }))
    }

    pub(crate) fn fail_for(&self, time: Duration) {
        self.0.lock().fails_until = Instant::now() + time;
    }

    pub(crate) fn hang_for(&self, time: Duration) {
        self.0.lock().hangs_until = Instant::now() + time;
    }

    pub(crate) fn heal(&self) {
        let mut state = self.0.lock();
        (state.fails_until, state.hangs_until) = (Instant::now(), Instant::now());
    }

    /// Removes up to `count` of the oldest events.
    pub(crate) fn trim_front(&self, count: usize) -> Vec<StoredEvent> {
        let mut state = self.0.lock();
        let count = count.min(state.events.len());
        let trimmed: Vec<_> = state.events.drain(..count).collect();
        if let Some(last) = trimmed.last() {
            state.trimmed_through = last.sequence;
        }
        trimmed.into_iter().map(|event| event.item).collect()
    }

    /// Puts the log back to before its last `count` events: their sequences are given out again.
    pub(crate) fn set_back(&self, count: usize) -> Vec<StoredEvent> {
        let mut state = self.0.lock();
        let keep = state.events.len().saturating_sub(count);
        let lost: Vec<_> = state.events.drain(keep..).collect();
        let trimmed_through = state.trimmed_through;
        state.last = state
            .events
            .back()
            .map_or(trimmed_through, |event| event.sequence);
        lost.into_iter().map(|event| event.item).collect()
    }

    /// Replaces the log by an empty one.
    pub(crate) fn replace(&self) -> Vec<StoredEvent> {
        let mut state = self.0.lock();
        state.epoch = Epoch(state.epoch.0 + 1);
        (state.trimmed_through, state.last) = (Sequence::START, Sequence::START);
        let lost = std::mem::take(&mut state.events);
        lost.into_iter().map(|event| event.item).collect()
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.0.lock().epoch
    }

    async fn answer(&self, op: &'static str) -> Result<(), EventLogError> {
        let (call, hangs_until) = {
            let mut state = self.0.lock();
            let call = MAX_CALL.mul_f64(state.random.random::<f64>());
            (call, state.hangs_until)
        };
        sleep(call).await;
        sleep_until(hangs_until).await;
        if Instant::now() < self.0.lock().fails_until {
            let source = "the simulation says so".into();
            return Err(EventLogError::Unavailable { op, source });
        }
        Ok(())
    }
}

#[async_trait]
impl EventLog for SimulatedLog {
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        self.answer("append").await?;
        let mut state = self.0.lock();
        let mut results = Vec::new();
        for item in events {
            let id = item.facts.id.clone();
            let sequence = state.last.next();
            state.last = sequence;
            state.events.push_back(Sequenced { sequence, item });
            let duplicate = false;
            results.push(AppendResult {
                id,
                sequence,
                duplicate,
            });
        }
        Ok(results)
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        self.answer("read").await?;
        let state = self.0.lock();
        let resumes_after = (after < state.trimmed_through).then_some(state.trimmed_through);
        let from = after.max(state.trimmed_through);
        let rest = state.events.iter().filter(|event| event.sequence > from);
        let events: Vec<_> = rest.take(limit).cloned().collect();
        let through = events.last().map_or(from, |event| event.sequence);
        let at_head = through >= state.last;
        Ok(EventPage {
            events,
            through,
            at_head,
            resumes_after,
            undecodable: 0,
        })
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        self.answer("read").await?;
        let state = self.0.lock();
        let older = state.events.iter().rev();
        let older = older.filter(|event| event.sequence < before);
        Ok(EventsBefore {
            events: older.take(limit).cloned().collect(),
            undecodable: Vec::new(),
        })
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, EventLogError> {
        self.answer("seek").await?;
        let state = self.0.lock();
        let young = |event: &&Sequenced<StoredEvent>| event.item.facts.received_at >= time;
        let first = state.events.iter().find(young);
        let position = first.map_or(state.last, |event| event.sequence.previous());
        Ok(SeekResult {
            position,
            truncated: false,
        })
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        self.answer("read the head").await?;
        let state = self.0.lock();
        Ok(LogHead {
            epoch: state.epoch,
            trimmed_through: state.trimmed_through,
            last: state.last,
        })
    }

    async fn trim(&self, _: Timestamp) -> Result<u64, EventLogError> {
        self.answer("trim").await?;
        Ok(0)
    }
}
