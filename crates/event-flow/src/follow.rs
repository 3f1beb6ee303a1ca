//! Follows the event log: hints, pages and a slow poll in; ordered, gap-free events out.
//!
//! The decisions are those of [`model::Sequencer`]; this is its driver. A follower owns one subscription
//! of the bus and reads the log only where a hint is missing. It survives every outage: while the log does
//! not answer, it reports this ([`Followed::Stalled`]) and retries with growing pauses.
//!
//! It also notices that the log was put back to an earlier state under the same epoch (`trail`,
//! `set_back`, ADR 002): by the log's end, by the entries that overlap with each read, and by hints that
//! contradict an entry that was followed.

mod answers;
mod deadline;
mod pace;
mod reading;
mod receipt;
mod set_back;
mod state;
mod trail;

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use model::{
    EntryTag, Epoch, LogPosition, LostRange, Sequence, Sequenced, Sequencer, StoredEvent,
    TraceContext,
};
use ports::{
    Bus, BusEvent, BusMessage, BusSubscription, EventHint, EventLog, EventLogError, LogHead, Topic,
};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use deadline::within;
use pace::PacedSubscription;
use state::{FollowerState, answer_of};
use trail::{FollowedEntry, TRAIL_ENTRIES, Trail};

use crate::former_logs::FormerLogs;

/// Shortest and longest pause before a retry while a store does not answer.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// Number of entries before the start position that are remembered for later comparisons.
const SEED_ENTRIES: usize = 16;
const _: () = assert!(SEED_ENTRIES <= TRAIL_ENTRIES);

/// The position at which a follower begins. A log that takes the place of another is followed from its beginning; but if it was
/// followed before, and not from [`Self::Beginning`], then from where it was left, once it has been compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowStart {
    /// With the next event that is appended.
    Head,
    /// With the oldest event that the log still has.
    Beginning,
    /// After a stored position, for instance that of a cursor. If the log has been replaced, or ends before
    /// the position, delivery begins with the oldest event that the log still has: the sink recognises this
    /// by the epoch and position of [`Followed::Started`], which differ from those it asked for.
    After(LogPosition),
}

/// The options and limits of a follower.
#[derive(Clone, Copy, Debug)]
pub struct FollowOptions {
    /// The position at which to begin.
    pub start: FollowStart,
    /// Interval at which the log's head is read when no hint arrives: the maximum delay that a lost hint
    /// causes.
    pub poll: Duration,
    /// Time for which an early hint waits for the missing ones before the log is read.
    pub grace: Duration,
    /// Maximum number of events per read.
    pub page_events: usize,
    /// Maximum number of early hints that are kept; events beyond it are read from the log.
    pub max_early: usize,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self {
            start: FollowStart::Head,
            poll: Duration::from_millis(500),
            grace: Duration::from_millis(3),
            page_events: 500,
            max_early: 1024,
        }
    }
}

/// An item that a follower passes to its sink, in order.
#[derive(Debug)]
pub enum Followed {
    /// The log was found; everything up to `position` counts as delivered. Sent again, with another epoch,
    /// when the log has been replaced.
    Started {
        /// The log.
        epoch: Epoch,
        /// Delivery continues after this position.
        position: Sequence,
        /// The log's head at this moment.
        head: Sequence,
        /// The tag of the entry at `position`, if it is known.
        tag: Option<EntryTag>,
    },
    /// The log was put back to an earlier state: it no longer has what was passed on after
    /// `resumes_after`. Delivery continues there, with entries that may have the same numbers.
    SetBack {
        /// The position before.
        was: Sequence,
        /// The log is the same up to here, as far as that can be told.
        resumes_after: Sequence,
        /// The tag of the entry there, if it is known.
        tag: Option<EntryTag>,
        /// The log's head at this moment.
        head: Sequence,
    },
    /// The next events, ascending.
    Events(Vec<Sequenced<StoredEvent>>),
    /// Events were gone before they were read.
    Lost(LostEvents),
    /// Everything up to the head that was last read has been passed on.
    CaughtUp {
        /// The position of that head. Numbers may be left out, so the last event can have a lower one.
        through: Sequence,
    },
    /// The log or the bus does not answer; events are late but not lost.
    Stalled,
    /// The log and the bus answer again.
    Recovered,
    /// A bus message other than an event hint.
    Other(BusMessage),
    /// Messages other than event hints may have been lost.
    OtherGap,
}

/// Events that are not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostEvents {
    /// Their place.
    pub range: LostRange,
    /// The reason for which they are gone.
    pub reason: LossReason,
    /// The tag of the entry at the end of that place, if the log has one there.
    pub tag: Option<EntryTag>,
}

/// The reason for which events are gone before a follower read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossReason {
    /// Retention removed them.
    Trimmed,
    /// The log has entries that do not decode; others may have been removed beside them.
    Undecodable,
}

impl LossReason {
    /// As metrics and the log name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Undecodable => "undecodable",
        }
    }
}

/// Follows `log` until `stop` is cancelled; `sink` gets everything in order and must not block.
///
/// `also` is a topic to subscribe to beside the broadcast: its messages reach the sink as
/// [`Followed::Other`].
pub async fn follow(
    log: Arc<dyn EventLog>,
    bus: Arc<dyn Bus>,
    also: Option<Topic>,
    options: FollowOptions,
    stop: CancellationToken,
    mut sink: impl FnMut(Followed) + Send,
) {
    let mut driver = Driver {
        log,
        bus,
        options,
        stalled: false,
        former: FormerLogs::default(),
    };
    let endless = async {
        let mut state = None;
        loop {
            // Subscribed before the head is read, so that events appended in between arrive as hints.
            let broadcast = driver.subscribe(Topic::Broadcast, &mut sink).await;
            let also = match also.clone() {
                Some(topic) => Some(driver.subscribe(topic, &mut sink).await),
                None => None,
            };
            let mut running = match state.take() {
                Some(running) => driver.resume(running, &mut sink),
                None => driver.begin(&mut sink).await,
            };
            driver.run(&mut running, broadcast, also, &mut sink).await;
            state = Some(running);
        }
    };
    stop.run_until_cancelled(endless).await;
}

struct Driver {
    log: Arc<dyn EventLog>,
    bus: Arc<dyn Bus>,
    options: FollowOptions,
    stalled: bool,
    /// How far each was followed.
    former: FormerLogs<(Sequence, Trail)>,
}

impl Driver {
    async fn subscribe(
        &mut self,
        topic: Topic,
        sink: &mut impl FnMut(Followed),
    ) -> BusSubscription {
        let mut failures = 0;
        loop {
            match timeout(self.log.deadline(), self.bus.subscribe(&topic)).await {
                Ok(Ok(subscription)) => return subscription,
                Ok(Err(error)) => warn!(%error, "bus cannot be subscribed, trying again"),
                Err(_) => warn!("bus did not answer in time, trying again"),
            }
            self.stall(sink);
            failures += 1;
            tokio::time::sleep(pause(failures)).await;
        }
    }

    fn stall(&mut self, sink: &mut impl FnMut(Followed)) {
        if !std::mem::replace(&mut self.stalled, true) {
            sink(Followed::Stalled);
        }
    }

    fn recover(&mut self, sink: &mut impl FnMut(Followed)) {
        if std::mem::replace(&mut self.stalled, false) {
            sink(Followed::Recovered);
        }
    }

    /// Begins once the log gives its head and the entries before the start: a position without the tag of its entry
    /// could not be compared later, and readers would resume there on a log that was put back.
    async fn begin(&mut self, sink: &mut impl FnMut(Followed)) -> FollowerState {
        let mut failures = 0;
        let (head, position, trail) = loop {
            match self.find_start().await {
                Ok(found) => break found,
                Err(error) => warn!(%error, "event log cannot be read yet, trying again"),
            }
            self.stall(sink);
            failures += 1;
            tokio::time::sleep(pause(failures)).await;
        };
        let state = self.start(head, position, trail, sink);
        self.recover(sink);
        state
    }

    async fn find_start(&self) -> Result<(LogHead, Sequence, Trail), EventLogError> {
        let head = within(&*self.log, "give its head", self.log.head()).await?;
        let position = self.first_position(head);
        let trail = self.seed(head, position).await?;
        Ok((head, position, trail))
    }

    fn first_position(&self, head: LogHead) -> Sequence {
        match self.options.start {
            FollowStart::Head => head.last,
            FollowStart::Beginning => head.trimmed_through,
            FollowStart::After(stored)
                if stored.epoch == head.epoch && stored.sequence <= head.last =>
            {
                stored.sequence
            }
            FollowStart::After(stored) => {
                warn!(
                    log = %stored.epoch,
                    position = stored.sequence.0,
                    "the stored position is not in this event log, beginning with its oldest event"
                );
                head.trimmed_through
            }
        }
    }

    /// The newest entries up to the start position: the log may be put back before anything was followed.
    async fn seed(&self, head: LogHead, position: Sequence) -> Result<Trail, EventLogError> {
        let mut trail = Trail::default();
        if position > head.trimmed_through {
            let read = self.log.read_before(position.next(), SEED_ENTRIES);
            let page = within(&*self.log, "read backwards", read).await?;
            trail.extend(FollowedEntry::all_of(&page));
            trail.set_compared(position);
        }
        Ok(trail)
    }

    /// Continues after the bus was closed and subscribed again: only the log has the events of the meantime.
    fn resume(&self, mut state: FollowerState, sink: &mut impl FnMut(Followed)) -> FollowerState {
        sink(Followed::OtherGap);
        self.forget_early_hints(&mut state);
        state.suspect(state.machine.position());
        state.read_head_first_at(Instant::now());
        let step = state.machine.gap();
        self.take(&mut state, step, sink);
        state
    }

    fn start(
        &self,
        head: LogHead,
        position: Sequence,
        trail: Trail,
        sink: &mut impl FnMut(Followed),
    ) -> FollowerState {
        sink(Followed::Started {
            epoch: head.epoch,
            position,
            head: head.last,
            tag: trail.tag_at(position),
        });
        if position == head.last {
            sink(Followed::CaughtUp { through: position });
        }
        info!(
            log = %head.epoch,
            position = position.0,
            "following the event log"
        );
        let mut machine = Sequencer::new(position, self.options.max_early);
        let first = machine.head(head.last);
        let mut state = FollowerState {
            epoch: head.epoch,
            machine,
            old_through: head.last,
            read: None,
            read_at: None,
            poll_at: Instant::now() + self.options.poll,
            grace: self.options.grace,
            reads_head_first: false,
            failures: 0,
            trail,
            suspect: None,
            overlaps: true,
            trusts_at: Instant::now(),
        };
        self.take(&mut state, first, sink);
        state
    }

    /// Runs until the bus closes a subscription; then the caller subscribes again.
    async fn run(
        &mut self,
        state: &mut FollowerState,
        broadcast: BusSubscription,
        mut also: Option<BusSubscription>,
        sink: &mut impl FnMut(Followed),
    ) {
        let mut broadcast = PacedSubscription::new(broadcast);
        loop {
            let read_at = state.read_at.unwrap_or(state.poll_at);
            tokio::select! {
                biased;
                // First, because there is one read at a time and its events are late already: a flood of
                // hints must not delay them.
                answer = answer_of(&mut state.read) => {
                    state.read = None;
                    self.on_answer(state, answer, sink);
                },
                event = broadcast.next() => match event {
                    Some(event) => {
                        state.grace = broadcast.grace(self.options.grace);
                        self.on_bus(state, event, sink);
                    },
                    None => return,
                },
                event = next_of(&mut also) => match event {
                    Some(BusEvent::Message(message, _)) => sink(Followed::Other(message)),
                    Some(BusEvent::Gap) => sink(Followed::OtherGap),
                    None => return,
                },
                () = sleep_until(read_at), if state.read_at.is_some() && state.read.is_none() => {
                    state.read_at = None;
                    let step = state.machine.grace_over();
                    self.take(state, step, sink);
                },
                () = sleep_until(state.poll_at), if state.read.is_none() => self.poll_head(state),
            }
        }
    }

    fn on_bus(&self, state: &mut FollowerState, event: BusEvent, sink: &mut impl FnMut(Followed)) {
        match event {
            BusEvent::Message(BusMessage::Events(hint), trace) => {
                self.on_hint(state, (&hint, trace), sink);
            }
            BusEvent::Message(other, _) => sink(Followed::Other(other)),
            BusEvent::Gap => {
                debug!("bus may have lost messages, comparing and reading the log");
                self.compare_first(state);
            }
        }
    }

    fn on_hint(
        &self,
        state: &mut FollowerState,
        (hint, trace): (&EventHint, Option<TraceContext>),
        sink: &mut impl FnMut(Followed),
    ) {
        if hint.epoch != state.epoch {
            // The log was replaced, or the hint is of another log: reading the head tells which.
            state.read_head_first_at(Instant::now());
            return;
        }
        for event in &hint.events {
            if state.trail.contradicts(event) {
                self.on_contradiction(state, event.sequence, sink);
                return;
            }
            if state.suspect.is_some() {
                // The comparison is followed by a read of the log.
                return;
            }
            let item = receipt::announced(&event.item, trace);
            let step = state.machine.hint(event.sequence, item);
            self.take(state, step, sink);
        }
    }

    /// A hint has another entry at a position that was followed. None of it is passed on: what is true of it
    /// is in the log.
    fn on_contradiction(
        &self,
        state: &mut FollowerState,
        at: Sequence,
        sink: &mut impl FnMut(Followed),
    ) {
        if Instant::now() < state.trusts_at {
            // The next page is compared too.
            let step = state.machine.gap();
            self.take(state, step, sink);
            return;
        }
        self.suspect(state, at);
    }
}

async fn next_of(subscription: &mut Option<BusSubscription>) -> Option<BusEvent> {
    match subscription {
        Some(subscription) => subscription.0.next().await,
        None => std::future::pending().await,
    }
}

fn pause(failures: u32) -> Duration {
    let (shortest, longest) = RETRY_PAUSE;
    shortest
        .saturating_mul(2_u32.saturating_pow(failures.min(16)))
        .min(longest)
}

#[cfg(test)]
mod tests;
