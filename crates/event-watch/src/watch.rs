//! The loop: connect, take what arrives, keep the position, connect again.

use std::time::Duration;

use github_events::visible_within;
use http_client::{Backoff, HttpClient};
use tokio::{
    io::AsyncWrite,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    error::{WatchError, WatchFailure},
    limits::{FIRST_PAUSE, HEALTHY_AFTER, LONGEST_PAUSE, MAX_DETAIL_UNITS},
    options::WatchOptions,
    sink::{EventSink, Taken},
    state::WatchState,
    stream::{EventStream, WatchedItem, client},
};

/// Why a watch has ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchEnd {
    /// It was stopped, or nothing reads its output any more.
    Stopped,
    /// It had the one event that it was to have.
    Once,
}

/// Watches until `stop`, or until the first event if there is to be only one.
///
/// # Errors
/// Something that only the user can mend: see [`WatchError`].
pub async fn run<W: AsyncWrite + Unpin>(
    options: WatchOptions,
    output: W,
    stop: CancellationToken,
) -> Result<WatchEnd, WatchError> {
    let mut state = WatchState::open(&options.state_folder, &options.name)?;
    if let Some(start) = &options.since
        && !state.begin(start)?
    {
        info!(
            since = start.given,
            "going on after the kept position: this --since has had its effect; remove {} to begin there again",
            state.path().display()
        );
    }
    if options.shows_token_in_clear() {
        warn!("the token is sent unencrypted; use https");
    }
    info!(name = options.name, stream = options.address(), "watching");
    let watch = Watch {
        client: client(&options)?,
        sink: EventSink::new(options.output.clone(), output),
        pauses: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
        failures: 0,
        was_open: false,
        waiting: None,
        counted: None,
        notes: Vec::new(),
        options,
        state,
        stop,
    };
    watch.run().await
}

/// Waits until a time; for ever without one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

struct Watch<W> {
    options: WatchOptions,
    client: HttpClient,
    state: WatchState,
    sink: EventSink<W>,
    pauses: Backoff,
    /// Attempts since the last stream that was open.
    failures: u32,
    was_open: bool,
    /// The cursor of the last event that was taken and is not yet dealt with.
    waiting: Option<String>,
    /// The cursor of the last event that was only counted.
    counted: Option<String>,
    /// What the edge said of the filters last.
    notes: Vec<String>,
    stop: CancellationToken,
}

impl<W: AsyncWrite + Unpin> Watch<W> {
    async fn run(mut self) -> Result<WatchEnd, WatchError> {
        loop {
            let opened = Instant::now();
            let failure = match self.connection().await {
                Ok(end) => return Ok(end),
                Err(failure) => failure,
            };
            if opened.elapsed() > HEALTHY_AFTER {
                self.pauses.reset();
            }
            let wait = self.wait_after(failure)?;
            // The next connection begins after the kept position: what was counted would be counted again.
            self.count();
            if let Some(end) = self.settle().await? {
                return Ok(end);
            }
            let stop = self.stop.clone();
            if stop.run_until_cancelled(sleep(wait)).await.is_none() {
                return Ok(WatchEnd::Stopped);
            }
        }
    }

    /// The pause after a failure that passes, which is logged; returns one that does not.
    fn wait_after(&mut self, failure: WatchFailure) -> Result<Duration, WatchError> {
        let own = self.pauses.pause();
        let what = failure.to_string();
        let (wait, is_end) = match failure {
            WatchFailure::Final(error) => return Err(error),
            WatchFailure::Passing { wait, .. } => (wait, false),
            WatchFailure::StreamEnd { wait } => (wait, true),
        };
        let wait = wait.map_or(own, |asked| asked.max(own));
        let seconds = wait.as_secs_f32();
        self.failures += u32::from(!is_end);
        // An edge that is away for a night would fill the log.
        if !is_end && self.failures.is_power_of_two() {
            warn!(attempt = self.failures, seconds, "{what}; trying again");
        } else {
            debug!(seconds, "{what}; trying again");
        }
        Ok(wait)
    }

    /// One connection, from the kept position on; returns how the watch ends, or why the connection did.
    async fn connection(&mut self) -> Result<WatchEnd, WatchFailure> {
        let stop = self.stop.clone();
        let after = self.state.after().map(ToOwned::to_owned);
        let opening = EventStream::open(&self.client, &self.options, after.as_deref());
        let Some(opened) = stop.run_until_cancelled(opening).await else {
            return Ok(WatchEnd::Stopped);
        };
        let mut stream = opened?;
        if self.failures > 0 || !self.was_open {
            info!(failed_attempts = self.failures, "the stream is open");
        }
        (self.failures, self.was_open) = (0, true);
        loop {
            let due = self.sink.count_due();
            let mut next = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(WatchEnd::Stopped),
                item = stream.next() => Some(item?),
                () = until(due) => {
                    self.count();
                    None
                }
            };
            while let Some(item) = next {
                if let Some(end) = self.take(item).await? {
                    return Ok(end);
                }
                next = match self.sink.is_full() {
                    true => None,
                    false => stream.next_ready(),
                };
            }
            if let Some(end) = self.settle().await? {
                return Ok(end);
            }
        }
    }

    /// Takes what has arrived; returns how the watch ends with it.
    async fn take(&mut self, item: WatchedItem) -> Result<Option<WatchEnd>, WatchFailure> {
        match item {
            WatchedItem::Event { json, cursor } => {
                let taken = self.sink.event(&json, &self.stop).await?;
                self.taken(taken, cursor, self.options.once).await
            }
            WatchedItem::Gap { json, cursor } => {
                warn!("events are missing: the edge does not have them any more");
                let taken = self.sink.gap(&json, &self.stop).await?;
                self.taken(taken, cursor, false).await
            }
            WatchedItem::Opened { cursor, notes } => {
                for note in notes.iter().filter(|note| !self.notes.contains(note)) {
                    warn!("{note}");
                }
                self.notes = notes;
                self.opened(cursor)
            }
            WatchedItem::Position { cursor } => {
                match &mut self.counted {
                    Some(counted) => *counted = cursor,
                    None => self.waiting = Some(cursor),
                }
                Ok(None)
            }
            WatchedItem::Ended { reason } => {
                // What came before it is dealt with all the same.
                self.count();
                if let Some(end) = self.settle().await? {
                    return Ok(Some(end));
                }
                Err(WatchError::Ended { reason }.into())
            }
            WatchedItem::Message { name, data } => {
                let text = visible_within(&data, MAX_DETAIL_UNITS);
                let name = visible_within(&name, MAX_DETAIL_UNITS);
                info!(name, "the edge says: {text}");
                Ok(None)
            }
        }
    }

    /// Where to begin is what the edge says only if nothing else does. A subscription has a cursor of its own, from which
    /// the edge tells a gap again.
    fn opened(&mut self, cursor: Option<String>) -> Result<Option<WatchEnd>, WatchFailure> {
        if let Some(cursor) = cursor
            && self.state.after().is_none()
            && self.options.subscription.is_none()
        {
            self.state.save(cursor)?;
        }
        Ok(None)
    }

    /// Goes on from an event that the sink has taken.
    async fn taken(
        &mut self,
        taken: Taken,
        cursor: Option<String>,
        is_last: bool,
    ) -> Result<Option<WatchEnd>, WatchFailure> {
        if taken == Taken::Stopped {
            return Ok(Some(WatchEnd::Stopped));
        }
        // It was a stream that works.
        self.pauses.reset();
        if taken == Taken::Counted {
            self.counted = cursor.or_else(|| self.counted.take());
            return Ok(None);
        }
        // Those that were counted before it are said before it.
        self.counted = None;
        self.waiting = cursor.or_else(|| self.waiting.take());
        if is_last || taken == Taken::Done {
            let end = self.settle().await?;
            return Ok(end.or(is_last.then_some(WatchEnd::Once)));
        }
        Ok(None)
    }

    /// Says how many events were counted.
    fn count(&mut self) {
        if self.sink.count() {
            self.waiting = self.counted.take();
        }
    }

    /// Writes what waits, and then keeps the position. After an error it does not move, whatever is written later.
    async fn settle(&mut self) -> Result<Option<WatchEnd>, WatchError> {
        let waiting = self.waiting.take();
        if self.sink.settle(&self.stop).await? == Taken::Stopped {
            return Ok(Some(WatchEnd::Stopped));
        }
        if let Some(cursor) = waiting {
            self.state.save(cursor)?;
        }
        Ok(None)
    }
}
